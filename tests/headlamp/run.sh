#!/usr/bin/env bash
# Headlamp's unmodified frontend code against the gateway, in Chromium.
# usage: run.sh WORK FRESNEL SIM_SERVER   (WORK: a folder that keeps what npm has fetched)
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")"
work=$1 fresnel=$2 sim_server=$3

mkdir -p "$work"
cp package.json package-lock.json page.jsx frontend_test.mjs "$work"
cd "$work"
wanted=$(sha256sum package.json package-lock.json)
if [ "$(cat installed 2>/dev/null)" != "$wanted" ]; then
  npm ci --ignore-scripts --no-audit --no-fund
  npm run headlamp
  echo "$wanted" >installed
fi
FRESNEL=$fresnel SIM_SERVER=$sim_server exec node frontend_test.mjs
