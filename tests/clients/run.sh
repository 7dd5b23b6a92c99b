#!/usr/bin/env bash
# Runs one of the tests here: clients that others wrote, against the gateway.
# usage: run.sh TEST.mjs WORK FRESNEL SIM_SERVER   (WORK: a folder that keeps what npm has fetched)
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")"
test=$1 work=$2 fresnel=$3 sim_server=$4

mkdir -p "$work"
cp -- package.json package-lock.json ./*.mjs ./*.jsx ./*.py "$work"
cd "$work"
wanted=$(sha256sum package.json package-lock.json)
if [ "$(cat installed 2>/dev/null)" != "$wanted" ]; then
  npm ci --ignore-scripts --no-audit --no-fund
  npm run headlamp
  echo "$wanted" >installed
fi
FRESNEL=$fresnel SIM_SERVER=$sim_server exec node "$test"
