#!/bin/sh
# Run once by the image of PostgreSQL, as its superuser, over an empty volume: the role that owns the tables, the role of the gateways, and the database.
# Neither is a superuser; what the second may do, `npm run migrate` says.
set -eu
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
  --set owner="$ONEWINDOW_OWNER_PASSWORD" --set gateway="$ONEWINDOW_PASSWORD" <<'SQL'
create role onewindow_owner login nosuperuser nocreatedb nocreaterole password :'owner';
create role onewindow login nosuperuser nocreatedb nocreaterole password :'gateway';
create database onewindow owner onewindow_owner encoding 'UTF8' template template0;
revoke all on database onewindow from public;
grant connect on database onewindow to onewindow;
SQL
