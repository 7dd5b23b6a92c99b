#!/usr/bin/env bash
# Compiles uwebsockets.cpp.   usage: build_uwebsockets.sh CHECKOUT PROGRAM
# CHECKOUT is one of uWebSockets 20 with its submodule uSockets.
set -euo pipefail
checkout=$(readlink -f -- "$1") program=$(readlink -f -- "$2")
here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
sockets=$checkout/uSockets/src
[ -f "$checkout/src/App.h" ] && [ -f "$sockets/libusockets.h" ] ||
  { echo "$checkout is no checkout of uWebSockets with its submodule uSockets" >&2; exit 1; }
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
cd -- "$objects"
gcc -c -O2 -DLIBUS_NO_SSL -I "$sockets" "$sockets"/*.c "$sockets"/eventing/*.c
g++ -std=c++20 -O2 -DNDEBUG -DLIBUS_NO_SSL -DUWS_NO_ZLIB -I "$checkout/src" -I "$sockets" -I "$here/.." \
  "$here/uwebsockets.cpp" ./*.o -o "$program"
