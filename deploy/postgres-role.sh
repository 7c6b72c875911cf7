#!/bin/sh
# Run once by the image of PostgreSQL, when its data is made (compose.yaml): a role for Symbolon that owns its database and is
# no superuser, with the password that the superuser was made with. The superuser has none from then on: it is reached from
# inside the container alone.
set -eu
psql -v ON_ERROR_STOP=1 -v password="$POSTGRES_PASSWORD" --username postgres --dbname postgres <<'SQL'
CREATE ROLE symbolon LOGIN PASSWORD :'password';
CREATE DATABASE symbolon OWNER symbolon;
REVOKE CONNECT, TEMPORARY ON DATABASE symbolon FROM PUBLIC;
ALTER ROLE postgres PASSWORD NULL;
SQL
