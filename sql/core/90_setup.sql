-- worker.setup(): makes or mends the data side.

create or replace function worker.may_change(p_relation text) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  -- The extension's script runs as a superuser. A table that somebody made beforehand may carry a trigger that
  -- waits for just that, so the script changes only what it has just created, which is its member still.
  return not worker.in_script()
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
    alter table worker.schema_version add column if not exists made bigint[];
    comment on column worker.schema_version.made is 'What was there after the last worker.setup(), a hash for each thing: while all of it is there, the next one changes nothing.';
    update worker.schema_version set made = worker.things_made() where only_row;
  end if;
end $$;
comment on function worker.setup_data() is
'Tables, kinds, triggers, views: what is absent is made, shipped kinds are brought up to date. Part of worker.setup().';

create or replace function worker.things_made() returns bigint[]
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return array(
    select distinct hashtextextended(t.line, 0)
      from worker.our_relations() r
      join pg_class c on c.oid = r
     cross join lateral (
       select format('column %s %s %s %s %s', r, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, r)) as line
         from pg_attribute a left join pg_attrdef d on d.adrelid = r and d.adnum = a.attnum where a.attrelid = r and a.attnum > 0 and not a.attisdropped
       union all select 'index ' || pg_get_indexdef(i.indexrelid) from pg_index i where i.indrelid = r and i.indisvalid
       union all select format('trigger %s %s', pg_get_triggerdef(g.oid), g.tgenabled) from pg_trigger g where g.tgrelid = r and not g.tgisinternal
       union all select format('constraint %s %s %s', r, n.conname, pg_get_constraintdef(n.oid)) from pg_constraint n where n.conrelid = r
       union all select format('relation %s %s %s', r, c.relkind, c.reloptions)
       union all select format('view %s %s', r, pg_get_viewdef(r)) where c.relkind = 'v') t
    union select hashtextextended('kind ' || k::text, 0) from worker.kinds k where k.shipped
    union select hashtextextended('pool ' || p.kind, 0) from public.content_pools p
    -- Another code may make other things.
    union select hashtextextended('code ' || string_agg(p.prosrc, ';' order by f::text), 0) from worker.our_functions() f join pg_proc p on p.oid = f);
end $$;
comment on function worker.things_made() is
'A hash for each column, index, constraint, trigger, view and shipped row that is there now, and for the code.';

create or replace function worker.is_set_up() returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if worker.schema_version() is distinct from worker.version() or worker.former_tables() is not null
     or not exists (select from pg_attribute where attrelid = 'worker.schema_version'::regclass and attname = 'made' and not attisdropped) then
    return false;
  end if;
  return (select coalesce(v.made <@ worker.things_made(), false) from worker.schema_version v);
exception when undefined_table or undefined_column then
  return false;
end $$;
comment on function worker.is_set_up() is
'Whether everything that worker.setup() makes is there as this code makes it. Looks only, and locks nothing that anybody waits for.';

create or replace function worker.to_be_changed(p_owner name) returns regclass[]
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  -- In the script only what it really changes: after a DROP EXTENSION in the same transaction it has locks already.
  v_all boolean := not worker.in_script() and not worker.is_set_up();
begin
  return array(
    select r from worker.our_relations() r join pg_class c on c.oid = r
     where v_all or c.relowner <> worker.role_oid(p_owner) or (c.relkind <> 'v' and not c.relrowsecurity)
        or (worker.role_oid(p_owner) is not null and r = any (array(select unnest(worker.without_policy(b)) from worker.known_backends() b)))
    union
    -- Another's table is refused with words when it is looked at.
    select c.oid::regclass from pg_class c
     where c.oid = any (worker.former_tables()::regclass[]) and pg_has_role(session_user, c.relowner, 'member'));
end $$;
comment on function worker.to_be_changed(name) is
'The tables and views that worker.setup() has to change: none where all is as it should be.';

create or replace function worker.lock_alone(p_tables regclass[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_list text := (select string_agg(t::text, ', ' order by t::oid) from unnest(p_tables) t join pg_class c on c.oid = t where c.relkind in ('r', 'p', 'v'));
  v_bound interval := coalesce((select nullif(setting, '0')::int from pg_settings where name = 'lock_timeout'), 5000) * interval '1 millisecond';
  v_until timestamptz := clock_timestamp() + v_bound;
begin
  -- All at once or none, and never in a queue: who waits for one lock with another in hand makes games wait behind him,
  -- and ends in a deadlock with one that has both in the other order.
  while v_list is not null loop
    begin
      execute format('lock table %s in access exclusive mode nowait', v_list);
      return;
    exception when lock_not_available then
      if clock_timestamp() > v_until then
        raise exception using errcode = 'lock_not_available',
          message = format('worker.setup() has to change tables that others have in use, and waited %s in vain', v_bound),
          detail = coalesce((
            select format('Open transactions: %s.', string_agg(distinct format('process %s (%s, since %s)', a.pid, a.usename, a.xact_start), ', '))
              from pg_locks l join pg_stat_activity a on a.pid = l.pid
             where l.relation = any (p_tables::oid[]) and l.granted and a.pid <> pg_backend_pid()), ''),
          hint = 'Nothing was changed. Run it again when they have ended, or with a longer SET lock_timeout.';
      end if;
    end;
    perform pg_sleep(0.02);
  end loop;
end $$;
comment on function worker.lock_alone(regclass[]) is
'Locks tables and views before they are changed: tries for lock_timeout (5 s where none is set) until all are free at once, and nobody waits meanwhile. Part of worker.setup().';

create or replace function worker.one_setup_at_a_time() returns void
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '10s' as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('pg_worker_ext setup', 0));
exception when lock_not_available then
  raise exception using errcode = 'lock_not_available', message = 'another worker.setup() or worker.add_kind() has been running for more than 10 seconds',
    hint = 'Nothing was changed. Run it again when that one has ended.';
end $$;
comment on function worker.one_setup_at_a_time() is
'Waits for the end of another worker.setup() in this database. Part of worker.setup().';

create or replace function worker.setup() returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_tables text;
  v_owner name;
  v_superuser name;
begin
  perform worker.one_setup_at_a_time();
  v_tables := worker.schema_version();
  if string_to_array(v_tables, '.')::int[] > string_to_array(worker.version(), '.')::int[] then
    raise exception using errcode = 'object_not_in_prerequisite_state',
      message = format('the tables are of version %s, later than the code''s %s', v_tables, worker.version()),
      hint = 'Install the later version of the extension and run ALTER EXTENSION pg_worker_ext UPDATE.';
  end if;
  select r.rolname into v_superuser from pg_roles r where r.rolname = worker.queue_owner() and r.rolsuper;
  v_owner := worker.make_owner();
  perform worker.refuse_strangers();
  perform worker.lock_alone(worker.to_be_changed(v_owner));
  if not worker.is_set_up() then
    -- What is there first: its triggers run as the functions' owner.
    if worker.former_tables() is null then
      perform worker.give_to(v_owner);
    end if;
    perform worker.setup_data();
  end if;
  perform worker.give_to(v_owner);
  if v_superuser is not null then
    perform worker.tell_of_move(v_superuser, v_owner);
  end if;
  perform worker.close_doors();
  perform worker.grant_known_roles();
  perform worker.setup_game_tables(v_owner);
  notify pgrst, 'reload schema';
  -- Whatever could not be done before is tried at once.
  perform worker.wake_at(null);
  return format('pg_worker_ext %s is set up, owner %s', worker.version(), v_owner);
end $$;
comment on function worker.setup() is
'Makes or mends the data side: tables, shipped kinds, triggers, views, owner, grants, and the functions that use the game''s own tables. Run it as the owner of the tables (or a superuser) after ALTER EXTENSION … UPDATE, after a restore by another role, over tables that were there before, after a table characters, dm_conversations, journal_entries or world_pois was made. It can be repeated without harm: what is as it should be is not touched.';
