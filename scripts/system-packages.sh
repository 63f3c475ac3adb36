#!/bin/sh
# Installs the Debian packages that the gateway (run), its compilation (fast) or its tests (test) use.
#
#   run    what a virtual environment needs, and a voice for `undertone demo`
#   fast   the same, a C compiler and Python's headers
#   test   all of these, the recordings that the tests listen to, a browser, curl, openssl, strace and valgrind
#
# What is there already is left alone, so a second call is quick and needs no network and no rights.
set -eu

purpose=${1:-run}
needed="python3-venv flite"
case $purpose in
run) ;;
fast) needed="$needed gcc libc6-dev python3-dev" ;;
test)
    needed="$needed gcc libc6-dev python3-dev alsa-utils pocketsphinx-testdata asterisk-core-sounds-en-wav asterisk-moh-opsound-wav chromium strace valgrind curl openssl"
    # Triton's Python backend (scripts/peers.sh) wants Python as a library, which Debian packs by itself.
    if [ "$(command -v python3)" = /usr/bin/python3 ]; then
        needed="$needed $(python3 -c 'import sys; print("libpython%d.%d" % sys.version_info[:2])')"
    fi
    ;;
*)
    echo "usage: $0 run|fast|test" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "not a Debian system: please see to the equivalents of: $needed" >&2
    exit 0
fi

missing=
for package in $needed; do
    state=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
    [ "$state" = "install ok installed" ] || missing="$missing $package"
done
# A Python with venv of its own (pyenv, a container image) needs no package for it.
if python3 -c 'import ensurepip, venv' 2>/dev/null; then
    missing=$(echo "$missing" | sed 's/ python3-venv//')
fi
# Nor does one that brought its headers along.
if python3 -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null; then
    missing=$(echo "$missing" | sed 's/ python3-dev//')
fi
[ -n "$missing" ] || exit 0

had_python=$(command -v python3 || true)
as_root=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "please install as root:$missing" >&2
        [ "$purpose" != test ] && python3 -c 'import ensurepip, venv' 2>/dev/null && exit 0
        exit 1
    fi
    as_root="sudo env DEBIAN_FRONTEND=noninteractive"
fi

echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
install() {
    # shellcheck disable=SC2086 # one word for each package
    $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
}
install 2>/dev/null || { $as_root apt-get update -qq && install; }
# Which Python it is, and so what goes with it, is known only now.
[ -n "$had_python" ] || exec "$0" "$purpose"
