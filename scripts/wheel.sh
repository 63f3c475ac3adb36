#!/bin/sh
# Builds the wheel of the gateway with its hot modules compiled by mypyc (pyproject.toml lists them):
#
#   scripts/wheel.sh PYTHON DIRECTORY
#
# PYTHON is the interpreter that it is for, and has pip; the wheel goes into DIRECTORY. It needs a C compiler and
# Python's headers, and takes a minute or two.
set -eu

python=$1
directory=$2

if ! command -v "${CC:-cc}" >/dev/null 2>&1; then
    echo "no C compiler: compiling needs one (Debian: gcc libc6-dev); \`make run\` needs none" >&2
    exit 1
fi
"$python" - <<'END'
import pathlib, sys, sysconfig
if not (pathlib.Path(sysconfig.get_path("include")) / "Python.h").exists():
    sys.exit("no Python.h: compiling needs Python's headers (Debian: python3-dev); `make run` needs none")
END

# From a copy: the build hook puts what it compiles beside the sources, where it would be imported ever after.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
trap 'exit 1' INT TERM
cp -R gateway protocol pyproject.toml README.md LICENSE "$copy"
HATCH_BUILD_HOOK_ENABLE_MYPYC=true "$python" -m pip --quiet wheel --no-deps --wheel-dir "$directory" "$copy"
