#!/bin/sh
# Installs the Debian packages that the gateway (run), its compilation (fast) or its tests (test) use.
#
#   run    what a virtual environment needs, and a voice for `undertone demo`
#   fast   the same, a C compiler and Python's headers
#   test   all of these, the recordings that the tests listen to, a browser, curl, openssl, strace, valgrind,
#          servers for what several nodes share: Redis (which speaks Valkey's protocol) and PostgreSQL; and the
#          programs that deploy/ has files for: nginx, Caddy, Prometheus' promtool, Docker's Compose
#
# What is there already is left alone, so a second call is quick and needs no network and no rights.
set -eu

purpose=${1:-run}
needed="python3-venv flite"
case $purpose in
run) ;;
fast) needed="$needed gcc libc6-dev python3-dev" ;;
test)
    needed="$needed gcc libc6-dev python3-dev alsa-utils pocketsphinx-testdata asterisk-core-sounds-en-wav asterisk-moh-opsound-wav chromium strace valgrind curl openssl redis-server postgresql iproute2 nginx-light caddy prometheus docker-compose"
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
# The tests start the servers that they need: none of these is to start by itself, now or with the machine.
keep_quiet() {
    policy=/usr/sbin/policy-rc.d
    [ "$purpose" = test ] && [ ! -e "$policy" ] || return 0
    trap '$as_root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod +x "$policy"
}
leave_off() {
    [ -d /run/systemd/system ] || return 0
    for unit in redis-server postgresql nginx caddy prometheus; do
        case $missing in
        *" $unit"*) $as_root systemctl disable --quiet "$unit" 2>/dev/null || true ;;
        esac
    done
}
install() {
    # shellcheck disable=SC2086 # one word for each package
    $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
}
keep_quiet
install 2>/dev/null || { $as_root apt-get update -qq && install; }
leave_off
# Which Python it is, and so what goes with it, is known only now.
[ -n "$had_python" ] || "$0" "$purpose"
