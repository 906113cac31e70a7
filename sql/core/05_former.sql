-- Functions that were here before: those of the guide's own migration make room, those of the single file are
-- taken over by the extension.

-- Functions of earlier versions that are gone.
do $$
declare
  v_function text;
begin
  foreach v_function in array array['worker.require_right(text, text)'] loop
    if pg_catalog.to_regprocedure(v_function) is not null then
      execute pg_catalog.format('drop function %s', v_function);
    end if;
  end loop;
end $$;

-- @extension-only
do $$
declare
  v_function record;
begin
  for v_function in
    select p.oid::regprocedure as name from pg_catalog.pg_proc p
     where p.pronamespace = 'public'::regnamespace and p.proname = any (worker.game_door())
       and 'search_path=pg_catalog, pg_temp' = any (p.proconfig)
       and pg_catalog.pg_has_role(session_user, p.proowner, 'member')
       and not exists (select from pg_catalog.pg_depend d
                        where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
  loop
    execute pg_catalog.format('alter extension pg_worker_ext add function %s', v_function.name);
  end loop;
end $$;
-- @end
do $$
declare
  v_function record;
begin
  for v_function in
    select p.oid::regprocedure as name, p.proowner from pg_catalog.pg_proc p
     where p.pronamespace = 'public'::regnamespace
       and 'search_path=pg_catalog, pg_temp' <> all (coalesce(p.proconfig, '{}'))
       and ((p.proname in ('fetch_and_lock_job', 'schedule_pool_check') and p.pronargs = 0)
         or (p.proname = 'claim_quest_from_pool' and pg_catalog.oidvectortypes(p.proargtypes) = 'uuid, integer, integer')
         or (p.proname = 'claim_npc_from_pool' and pg_catalog.oidvectortypes(p.proargtypes) = 'text, jsonb')
         or (p.proname = 'enqueue_worker_job' and p.pronargs = 3))
       and not exists (select from pg_catalog.pg_depend d
                        where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
  loop
    if not pg_catalog.pg_has_role(session_user, v_function.proowner, 'member') then
      raise exception using errcode = 'insufficient_privilege',
        message = pg_catalog.format('function %s belongs to %s, of which %s is no member',
                                    v_function.name, v_function.proowner::regrole, session_user),
        hint = 'Install as its owner or as a superuser.';
    end if;
    execute pg_catalog.format('drop function %s', v_function.name);
  end loop;
end $$;
