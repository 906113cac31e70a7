-- Stand-ins for the functions of the native library, for servers without it.

do $$
begin
  if exists (select from pg_catalog.pg_extension where extname = 'pg_worker_ext') then
    raise exception 'the extension pg_worker_ext is installed in this database'
      using errcode = 'object_not_in_prerequisite_state',
            hint = 'This file is for databases without it. Use ALTER EXTENSION pg_worker_ext UPDATE.';
  end if;
end
$$;

-- Enqueued jobs are notified within the transaction; claims do without.
create or replace function worker.wake() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_argv[0] = 'jobs' then
    perform pg_catalog.pg_notify('worker_jobs', '');
  elsif tg_argv[0] is distinct from 'pools' then
    raise exception 'worker.wake takes one argument: ''jobs'' or ''pools'''
      using errcode = 'invalid_parameter_value';
  end if;
  return null;
end
$$;

comment on function worker.wake() is
  'Trigger function (''jobs'' or ''pools''): wakes whoever does the work.';

create or replace function worker.wake_at(p_at timestamptz) returns void
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select
$$;

comment on function worker.wake_at(timestamptz) is
  'Has the queue looked at by this time; nobody does in this install.';

create or replace function worker.watch_session() returns void
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select
$$;

comment on function worker.watch_session() is
  'Has the queue looked at when this session ends; nobody does in this install.';

create or replace function worker.native_info() returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select pg_catalog.jsonb_build_object(
    'preloaded', false, 'background_worker', false, 'awake', false, 'seconds_to_next_look', null, 'library_version', null)
$$;

comment on function worker.native_info() is
  'What the native library tells of itself; this install has none.';

create or replace function worker.json_schema_errors(p_schema jsonb, p_value jsonb) returns text[]
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select '{}'::text[]
$$;

comment on function worker.json_schema_errors(jsonb, jsonb) is
  'The errors of a value by a JSON Schema. Without the native library: always none.';
