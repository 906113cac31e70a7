-- The end of the install.

-- @sql-only
select worker.setup();
-- @end
-- @upgrade-only
do $$
begin
  perform worker.give_functions_to(coalesce(worker.queue_owner(),
    (select r.rolname from pg_namespace n join pg_roles r on r.oid = n.nspowner where n.nspname = 'worker')));
  perform worker.close_functions();
  perform set_config('client_min_messages', 'notice', true);
  raise notice 'pg_worker_ext: the code is of version % now, the tables are not yet', worker.version()
    using hint = 'Run SELECT worker.setup(); as the owner of the tables. Until then nothing is generated, claims go on.';
end $$;
-- @end
-- @extension-only
do $$
declare
  -- Also in a restore, where the dump brings the tables and names their owner: a dump has no roles.
  v_owner name := worker.make_owner();
  v_former text[] := worker.former_tables();
  v_found text := (select string_agg(r::text, ', ') from worker.our_relations() r
                    where r <> all (coalesce(v_former::regclass[], '{}')));
  v_left text[];
  v_relation record;
begin
  -- pg_dump and pg_restore work with row_security = off: the dump brings the data side, rights included.
  if current_setting('row_security')::boolean then
    perform set_config('worker.in_script', 'on', true);
    perform worker.one_setup_at_a_time();
    perform worker.refuse_strangers();
    perform worker.lock_alone(worker.to_be_changed(v_owner));
    perform worker.setup_data();
  end if;
  v_left := coalesce(worker.former_tables(), '{}');
  perform worker.give_to(v_owner);
  perform worker.close_doors();
  perform worker.grant_known_roles();
  if current_setting('row_security')::boolean then
    perform worker.setup_game_tables(v_owner);
    perform set_config('worker.in_script', '', true);
    -- CREATE EXTENSION silences notices until its script has ended; these are for the person who typed it.
    perform set_config('client_min_messages', 'notice', true);
    if v_former <> v_left then
      raise notice 'pg_worker_ext: adopted with all their rows: %',
        (select string_agg(t, ', ') from unnest(v_former) t where t <> all (v_left));
    end if;
    if v_left <> '{}' then
      raise notice 'pg_worker_ext: these have triggers or code of their own and wait for their adoption: %', array_to_string(v_left, ', ')
        using hint = 'Run SELECT worker.setup(); as their owner. Until then nothing works.';
    end if;
    if v_found is not null then
      raise notice 'pg_worker_ext: these were here before and are kept as they are: %', v_found
        using hint = 'Run SELECT worker.setup(); to bring them up to date.';
    end if;
    if not (worker.native_info() ->> 'preloaded')::boolean then
      raise notice 'pg_worker_ext: the library is not preloaded, so no background worker runs'
        using hint = 'Add to postgresql.conf and restart: shared_preload_libraries = '''
                     || concat_ws(',', nullif(current_setting('shared_preload_libraries'), ''), 'pg_worker_ext')
                     || '''. Until then executors do its work.';
    end if;
  end if;
  -- What was here before is made a member for a moment. What the above granted on it counts as the extension's own
  -- until it is detached, and pg_dump would leave it out, and what the game granted with it.
  for v_relation in
    select r::text as name, case c.relkind when 'v' then 'view' else 'table' end as type
      from worker.our_relations() r join pg_class c on c.oid = r
     where exists (select from pg_init_privs i where i.classoid = 'pg_class'::regclass and i.objoid = r)
       and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = r and d.deptype = 'e')
  loop
    execute format('alter extension pg_worker_ext add %s %s', v_relation.type, v_relation.name);
  end loop;
  -- Detached last: data belongs to the user, and what is granted after this would be missing from dumps.
  for v_relation in
    select c.oid::regclass::text as name, case c.relkind when 'v' then 'view' else 'table' end as type
      from pg_depend d
      join pg_class c on c.oid = d.objid
      join pg_extension e on e.oid = d.refobjid
     where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
       and e.extname = 'pg_worker_ext' and c.relkind in ('r', 'p', 'v')
  loop
    execute format('alter extension pg_worker_ext drop %s %s', v_relation.type, v_relation.name);
  end loop;
  for v_relation in
    select f::regprocedure::text as name from unnest(worker.game_functions()) f
     where exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = f and d.deptype = 'e')
  loop
    execute format('alter extension pg_worker_ext drop function %s', v_relation.name);
  end loop;
end $$;
-- @end
