#!/bin/sh
# The gateways' user, who is no superuser, and a database of its own. PostgreSQL's image runs this once, when its data
# are made (deploy/compose.yaml).
set -eu

psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" --dbname=postgres <<END
CREATE ROLE undertone LOGIN PASSWORD '$(cat /run/secrets/postgres_password)';
CREATE DATABASE undertone OWNER undertone ENCODING 'UTF8' TEMPLATE template0;
END
