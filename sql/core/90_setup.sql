-- worker.setup(): makes or mends the data side.

create or replace function worker.may_change(p_relation text) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  -- The extension's script runs as a superuser. A table that somebody made beforehand may carry a trigger that
  -- waits for just that, so the script changes only what it has just created, which is its member still.
  return coalesce(current_setting('worker.in_script', true), '') <> 'on'
    or to_regclass(p_relation) is null
    or exists (select from pg_depend d
                where d.classid = 'pg_class'::regclass and d.objid = to_regclass(p_relation)
                  and d.deptype = 'e' and d.refclassid = 'pg_extension'::regclass);
end $$;
comment on function worker.may_change(text) is
'Whether setup may make or alter this relation or write into it now: inside CREATE EXTENSION only what is absent or made by the script itself.';

create or replace function worker.put_kind(p_kind jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if worker.may_change('worker.kinds') then
    insert into worker.kinds as k
    select (jsonb_populate_record(null::worker.kinds,
      '{"shipped": true, "parameters": {}, "prompt_version": "1", "facets": {}, "sampling": {}, "stock_names": []}'::jsonb || p_kind)).*
    on conflict (kind) do update
       set job_type = excluded.job_type, parameters = excluded.parameters, item_table = excluded.item_table,
           scope_parameter = excluded.scope_parameter, title_field = excluded.title_field,
           system_prompt = excluded.system_prompt, prompt = excluded.prompt, prompt_version = excluded.prompt_version,
           item_schema = excluded.item_schema, facets = excluded.facets, grammar = excluded.grammar,
           sampling = excluded.sampling, stock_names = excluded.stock_names, typical_tokens = excluded.typical_tokens,
           guide_seconds = excluded.guide_seconds, min_size = excluded.min_size, batch_size = excluded.batch_size,
           context_function = excluded.context_function, check_function = excluded.check_function,
           store_function = excluded.store_function
     where k.shipped;
  end if;
  if p_kind ? 'min_size' and worker.may_change('public.content_pools') then
    insert into public.content_pools (kind, min_size, batch_size)
    values (p_kind ->> 'kind', (p_kind ->> 'min_size')::int, (p_kind ->> 'batch_size')::int)
    on conflict do nothing;
  end if;
end $$;
comment on function worker.put_kind(jsonb) is
'Writes a shipped kind into worker.kinds, and its pool into content_pools where it is new. Part of worker.setup().';

create or replace function worker.setup_data() returns void
language plpgsql set search_path = pg_catalog, pg_temp set client_min_messages = warning as $$
declare
  v_adopted boolean;
begin
  perform worker.setup_table_meta();
  v_adopted := worker.setup_table_jobs();
  perform worker.setup_table_ledger();
  perform worker.setup_table_pools();
  perform worker.setup_table_executors();
  perform worker.setup_table_usage();
  perform worker.setup_table_low_water();
  perform worker.setup_kinds();
  perform worker.setup_own_kinds();
  if v_adopted then
    perform worker.mend_former_jobs();
  end if;
  perform worker.setup_job_triggers();
  perform worker.setup_pools_triggers();
  perform worker.setup_views();
  -- Where a former table waits for its adoption nothing is ready.
  if worker.may_change('worker.schema_version') and worker.former_tables() is null then
    insert into worker.schema_version (version, adopted_at) values (worker.version(), case when v_adopted then now() end)
    on conflict (only_row) do update set version = excluded.version, adopted_at = coalesce(excluded.adopted_at, schema_version.adopted_at)
     where schema_version.version <> excluded.version or excluded.adopted_at is not null;
  end if;
end $$;
comment on function worker.setup_data() is
'Tables, kinds, triggers, views: what is absent is made, shipped kinds are brought up to date. Part of worker.setup().';

create or replace function worker.setup() returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_tables text := worker.schema_version();
begin
  if string_to_array(v_tables, '.')::int[] > string_to_array(worker.version(), '.')::int[] then
    raise exception using errcode = 'object_not_in_prerequisite_state',
      message = format('the tables are of version %s, later than the code''s %s', v_tables, worker.version()),
      hint = 'Install the later version of the extension and run ALTER EXTENSION pg_worker_ext UPDATE.';
  end if;
  perform worker.setup_data();
  perform worker.give_to(worker.wanted_owner());
  perform worker.close_doors();
  perform worker.grant_known_roles();
  notify pgrst, 'reload schema';
  -- Whatever could not be done before is tried at once.
  perform worker.wake_at(null);
  return format('pg_worker_ext %s is set up, owner %s', worker.version(), worker.wanted_owner());
end $$;
comment on function worker.setup() is
'Makes or mends the data side: tables, shipped kinds, triggers, views, owner, grants. Run it as the owner of the tables (or a superuser) after ALTER EXTENSION … UPDATE, after a restore by another role, over tables that were there before. It can be repeated without harm.';
