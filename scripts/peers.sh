#!/bin/sh
# Makes .venv-peers: model servers that the tests talk to and that were not written here, MLServer and NVIDIA's
# Triton (the binary in the wheel of PyTriton). They are in an environment of their own, as they want older
# versions of what the gateway uses. About 600 MB; a minute the first time, nothing after that.
set -eu

venv=.venv-peers
stamp=$venv/peers.stamp
if [ "$stamp" -nt "$0" ] && [ -x "$venv/bin/python" ]; then
    exit 0
fi

python=
for candidate in python3 python3.12 python3.11; do
    # MLServer wants none newer.
    if command -v "$candidate" >/dev/null 2>&1 &&
        "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "no model servers to test with: they want Python 3.11 or 3.12" >&2
    exit 0
fi

echo "setting up $venv (the first time takes a minute) ..."
"$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$venv"
pip="$venv/bin/python -m pip --quiet --disable-pip-version-check"
# Triton's Python backend was built for the first numpy.
# What can't be had now is tried again the next time; the tests that need it say so.
$pip install 'mlserver>=1.7,<1.8' 'numpy<2' 'onnxruntime>=1.20' || exit 0
# Its other requirements are those of a Python interface to Triton, which is not used.
if [ "$(uname -sm)" = "Linux x86_64" ]; then
    # It wants glibc 2.35: Debian 12, Ubuntu 22.04.
    $pip install --no-deps 'nvidia-pytriton==0.7.0' || exit 0
    site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    version=$("$venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    triton=$site/pytriton/tritonserver
    cp "$triton/python_backend_stubs/$version/triton_python_backend_stub" "$triton/backends/python/"
    chmod +x "$triton/bin/tritonserver" "$triton/backends/python/triton_python_backend_stub"
fi
touch "$stamp"
