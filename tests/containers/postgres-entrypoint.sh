#!/bin/sh
# What of the official image's entrypoint matters here: a data directory at the first start, with the password and
# the database that the environment names, then the server as postgres. For the made base image of the suite only.
set -eu
bin=$(echo /usr/lib/postgresql/*/bin)
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  mkdir -p "$PGDATA"
  chown postgres "$PGDATA"
  chmod 700 "$PGDATA"
  printf '%s' "${POSTGRES_PASSWORD:?}" >/tmp/password
  chmod 644 /tmp/password
  setpriv --reuid postgres --regid postgres --clear-groups "$bin/initdb" -U postgres -D "$PGDATA" --auth-host scram-sha-256 --pwfile /tmp/password >/dev/null
  rm /tmp/password
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
  echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
  echo "create database \"${POSTGRES_DB:-postgres}\"" |
    setpriv --reuid postgres --regid postgres --clear-groups "$bin/postgres" --single -D "$PGDATA" postgres >/dev/null
fi
exec setpriv --reuid postgres --regid postgres --clear-groups "$bin/postgres" -D "$PGDATA"
