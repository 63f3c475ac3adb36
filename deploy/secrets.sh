#!/bin/sh
# Makes the secrets that deploy/compose.yaml mounts into its containers, once; what is there already is kept.
#
#   deploy/secrets.sh [DIRECTORY]      (deploy/secrets, where nothing is said)
#
#   postgres_password    of the gateways' user, whom PostgreSQL makes when it starts for the first time
#   postgres_admin_password    of PostgreSQL's superuser, as whom nobody connects
#   valkey_password      for Valkey's healthcheck
#   valkey.conf          Valkey's settings, the password among them
#   sidecar.token        what gateways show to the classify nodes
#   undertone.toml       where gateways find the two stores, with the passwords
#
# The directory is for its owner only. The files in it can be read by whoever gets there, because a container's user
# has another number; they are mounted one by one.
set -eu

directory=${1:-$(dirname "$0")/secrets}
umask 077
mkdir -p "$directory"
chmod 700 "$directory"

random() {
    od -An -N 32 -t x1 /dev/urandom | tr -d ' \n'
}

# make NAME: standard input into that file, unless it is there.
make() {
    [ ! -e "$directory/$1" ] || return 0
    cat >"$directory/.$1.new"
    chmod 444 "$directory/.$1.new"
    mv "$directory/.$1.new" "$directory/$1"
    echo "made $directory/$1"
}

random | make postgres_password
random | make postgres_admin_password
random | make valkey_password
random | make sidecar.token
postgres=$(cat "$directory/postgres_password")
valkey=$(cat "$directory/valkey_password")

make valkey.conf <<END
requirepass $valkey
dir /data
# What a node has told is in the store: a second of it may be lost with the machine, none with the process.
appendonly yes
appendfsync everysec
# Sessions are not a cache. Full is an error, which gateways tell, and never a session that is silently gone.
# The container may have twice as much and some (deploy/compose.yaml).
maxmemory 768mb
maxmemory-policy noeviction
END

make undertone.toml <<END
store = "valkey://:$valkey@valkey:6379/0"
database_url = "postgresql://undertone:$postgres@postgres:5432/undertone"
END
