#!/bin/sh
# Prints the best Python for this project: 3.13 (what Lambda runs), else 3.12, else 3.11.
# Versions given as arguments are looked for instead.
# A pyenv shim on PATH may exist and still refuse to run, so every candidate is started once.
for version in ${*:-3.13 3.12 3.11}; do
  on_path=$(command -v "python$version" 2>/dev/null)
  beside_shims=
  case "$on_path" in
    */shims/*) beside_shims=$(ls -d "${on_path%/shims/*}/versions/$version".*/bin/"python$version" 2>/dev/null | tail -n 1) ;;
  esac
  for candidate in "$on_path" "$beside_shims"; do
    if [ -n "$candidate" ] && "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
      echo "$candidate"
      exit 0
    fi
  done
done
[ $# -gt 0 ] && exit 1
for candidate in python3 python; do
  if "$candidate" -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1; then
    command -v "$candidate"
    exit 0
  fi
done
echo "No Python 3.11, 3.12 or 3.13 with venv was found on PATH (Debian: apt-get install python3-venv)." >&2
exit 1
