-- CREATE EXTENSION where the single file was installed before: its functions become members, so that the
-- extension's can be put in their place, and views, triggers and grants stay. The first thing in the script.
do $$
declare
  v_function record;
begin
  if pg_catalog.getdatabaseencoding() <> 'UTF8' then
    raise exception 'pg_worker_ext needs a database in UTF8, this one is in %', pg_catalog.getdatabaseencoding()
      using errcode = 'feature_not_supported', hint = 'CREATE DATABASE ... ENCODING ''UTF8'' TEMPLATE template0;';
  end if;
  for v_function in
    select p.oid::regprocedure as name, p.proowner
      from pg_catalog.pg_proc p
     where p.pronamespace = 'worker'::regnamespace
       and 'search_path=pg_catalog, pg_temp' = any (p.proconfig)
       -- Data, like views: each belongs to the owner of a table of the game.
       and p.proname not in ('game_characters', 'game_dm_conversations', 'game_journal_entries', 'game_world_pois')
       and not exists (select from pg_catalog.pg_depend d
                        where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
  loop
    if not pg_catalog.pg_has_role(session_user, v_function.proowner, 'member') then
      raise exception using errcode = 'insufficient_privilege',
        message = pg_catalog.format('function %s belongs to %s, of which %s is no member',
                                    v_function.name, v_function.proowner::regrole, session_user);
    end if;
    execute pg_catalog.format('alter extension pg_worker_ext add function %s', v_function.name);
  end loop;
end
$$;
