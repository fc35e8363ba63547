-- The roles of the warehouse, each with only the rights that it needs.
--
--   loader        writes the raw tables (target-postgres)        owns the schemas pipedrive and hubspot
--   transformer   reads the raw tables, builds the models (dbt)  owns seeds, staging, intermediate, snapshots, marts, compat
--   bi            reads the marts                                owns nothing
--   orchestrator  stores data of Meltano, Airflow and Metabase   owns the databases of these names
--
-- psql 15 or newer runs it, connected to the warehouse's database as its owner with the right to create roles and
-- databases, or as a superuser:
--
--   psql --no-psqlrc --file deploy/roles.sql
--
-- It can be run again at any time: after a change of a password, a restored database, or an upgrade. Passwords come from
-- the variables LOADER_PASSWORD, TRANSFORMER_PASSWORD, BI_PASSWORD and ORCHESTRATOR_PASSWORD; the password of an unset
-- variable is not changed. Objects of an earlier user of the pipeline in these schemas go to the new owners.
\set ON_ERROR_STOP on
\set raw_schema pipedrive
\set hubspot_schema hubspot
\getenv raw_schema TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA
\getenv hubspot_schema TARGET_POSTGRES_HUBSPOT_DEFAULT_TARGET_SCHEMA
\getenv loader_password LOADER_PASSWORD
\getenv transformer_password TRANSFORMER_PASSWORD
\getenv bi_password BI_PASSWORD
\getenv orchestrator_password ORCHESTRATOR_PASSWORD
set client_min_messages = warning;
set password_encryption = 'scram-sha-256';

select format('create role %I login', wanted)
from unnest(array['loader', 'transformer', 'bi', 'orchestrator']) as wanted
where not exists (select from pg_roles where rolname = wanted)
\gexec

\if :{?loader_password}
alter role loader password :'loader_password';
\endif
\if :{?transformer_password}
alter role transformer password :'transformer_password';
\endif
\if :{?bi_password}
alter role bi password :'bi_password';
\endif
\if :{?orchestrator_password}
alter role orchestrator password :'orchestrator_password';
\endif

-- Without superuser rights, one can transfer objects only to a role of which one is a member. Since Postgres 16 the
-- creator of a role is not a member by default.
select format('grant %I to current_user', wanted)
from unnest(array['loader', 'transformer', 'orchestrator']) as wanted
where not (select rolsuper from pg_roles where rolname = current_user)
    and not exists (
        select from pg_auth_members
        where roleid = wanted::regrole and member = current_user::regrole and grantor = current_user::regrole
    )
\gexec

-- Databases of the orchestrator: Meltano's state and run lock, Airflow's metadata, Metabase's questions.
select format('create database %I owner orchestrator', wanted)
from unnest(array['meltano', 'airflow', 'metabase']) as wanted
where not exists (select from pg_database where datname = wanted)
\gexec
revoke all on database meltano, airflow, metabase from public;
select 'grant pg_monitor to orchestrator'  -- for the exporter of Postgres' statistics
where pg_has_role('pg_monitor', 'member with admin option') and not pg_has_role('orchestrator', 'pg_monitor', 'member')
\gexec

-- The warehouse.
begin;
select format('grant connect, temporary on database %I to loader, transformer', current_database()) \gexec
select format('grant connect on database %I to bi', current_database()) \gexec
revoke create on schema public from public;
alter role bi set default_transaction_read_only = on;

create temporary table owners on commit drop as
select nspname::text, wanted::text, nspowner as former from (
    values
    (:'raw_schema', 'loader'), (:'hubspot_schema', 'loader'),
    ('seeds', 'transformer'), ('staging', 'transformer'), ('intermediate', 'transformer'),
    ('snapshots', 'transformer'),
    ('marts', 'transformer'), ('compat', 'transformer')
) as schemas (nspname, wanted)
left join pg_namespace using (nspname);

select format('create schema %I authorization %I', nspname, wanted) from owners where former is null \gexec
select format('alter schema %I owner to %I', nspname, wanted) from owners where former <> wanted::regrole \gexec
select
    format(
        'alter %s %s owner to %I', case relkind when 'v' then 'view' when 'm' then 'materialized view' else 'table' end,
        pg_class.oid::regclass, wanted
    )
from owners
join pg_class on relnamespace = nspname::regnamespace
where relkind in ('r', 'p', 'v', 'm') and relowner = former and former <> wanted::regrole
\gexec
select format('alter routine %s owner to %I', pg_proc.oid::regprocedure, wanted)
from owners
join pg_proc on pronamespace = nspname::regnamespace
where proowner = former and former <> wanted::regrole
\gexec

-- Rights to read objects of other roles, including tables and views that do not exist yet.
create temporary table readers on commit drop as
select nspname, wanted as writer, 'transformer' as reader from owners where wanted = 'loader'
union all
select nspname, wanted, 'bi' from owners where nspname = 'marts';

select format('grant usage on schema %I to %I', nspname, reader) from readers \gexec
select format('grant select on all tables in schema %I to %I', nspname, reader) from readers \gexec
select format('alter default privileges for role %I in schema %I grant select on tables to %I', writer, nspname, reader)
from readers
\gexec
commit;
