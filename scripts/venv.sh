#!/bin/sh
# Makes .venv and installs the gateway into it: for use (run), or with the tools of its developers (dev). Or makes
# .venv-fast, with the gateway as a wheel whose hot modules are compiled: for use (fast), or with what tests it
# as well (fast-test).
set -eu

purpose=${1:-run}
case $purpose in
run | dev) venv=.venv ;;
fast | fast-test) venv=.venv-fast ;;
*)
    echo "usage: $0 run|dev|fast|fast-test" >&2
    exit 2
    ;;
esac

python=
for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
    if command -v "$candidate" >/dev/null 2>&1 &&
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "Python 3.11 or newer is needed, and not found" >&2
    exit 1
fi

if [ "$purpose" = fast ]; then
    echo "setting up $venv (compiling takes a minute or two) ..."
else
    echo "setting up $venv (the first time takes a minute) ..."
fi
# One whose making was interrupted has no pip.
"$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$venv"
pip="$venv/bin/python -m pip --quiet"
$pip install --upgrade 'pip>=25.1'
case $purpose in
run) $pip install --editable '.[embedded]' ;;
dev)
    $pip install --editable '.[embedded,onnx,whisper,valkey,postgres]' --group dev
    touch "$venv/dev.stamp"
    ;;
fast)
    rm -rf "$venv/wheel"
    scripts/wheel.sh "$venv/bin/python" "$venv/wheel"
    for wheel in "$venv"/wheel/*.whl; do
        # Its version says nothing of what changed.
        $pip install --force-reinstall --no-deps "$wheel"
        $pip install "$wheel[embedded]"
    done
    ;;
fast-test)
    $pip install --group test
    touch "$venv/test.stamp"
    exit
    ;;
esac
touch "$venv/run.stamp"
