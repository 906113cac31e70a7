-- Grants. Nothing for PUBLIC, nothing for anon and authenticated; for backends and executors what the two lists say.

create or replace function worker.our_relations() returns setof regclass
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return query
    select c.oid::regclass from pg_class c
     where c.relnamespace = 'worker'::regnamespace and c.relkind in ('r', 'p', 'v');
  return query
    select r.rel from unnest(array[
      to_regclass('public.worker_jobs'), to_regclass('public.content_pools'), to_regclass('public.content_pool_status'),
      to_regclass('public.worker_queue_status'), to_regclass('public.worker_executors'), to_regclass('public.worker_costs')]) as r(rel)
     where r.rel is not null;
  -- The extension's script, a superuser, believes no list that was here before it.
  if to_regclass('worker.kinds') is not null and worker.may_change('worker.kinds') then
    return query
      select distinct to_regclass(k.item_table) from worker.kinds k
       where to_regclass(k.item_table) is not null;
  end if;
end $$;
comment on function worker.our_relations() is
'The tables and views of the data side.';

create or replace function worker.our_functions() returns setof regprocedure
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_games oid[] := worker.game_functions();
begin
  return query
    select p.oid::regprocedure from pg_proc p
     where (p.pronamespace = 'worker'::regnamespace and p.oid <> all (v_games))
        or (p.pronamespace = 'public'::regnamespace and p.proname = any (worker.game_door()));
end $$;
comment on function worker.our_functions() is
'The functions of both doors. Those that use the game''s own tables are data (worker.setup_game_tables).';

create or replace function worker.backend_calls() returns text[]
language sql immutable set search_path = pg_catalog, pg_temp
-- Beside the game's door in schema public: what its functions, the triggers and the views call with the caller's rights.
-- None of them can do anything that a backend's rights on the tables do not allow.
return array[
  'version', 'contract_version', 'retire_items',
  -- the views
  'pool_status', 'queue_status', 'price', 'setting',
  -- jobs: put_back is an UPDATE of worker_jobs with the caller's rights
  'put_back', 'bring_check_forward', 'accepted_parameters', 'with_whole_numbers', 'fits', 'is_messages', 'what_is_allowed', 'refuse',
  'require_read_committed', 'wake_at',
  -- claims
  'begin_claim', 'request_key', 'await_request', 'await_item', 'holds_locks', 'want', 'refuse_above', 'refuse_json_text',
  'refuse_unless_listed', 'pick_quest', 'pick_npc', 'pick_own',
  'claim_dungeon', 'pick_dungeon', 'claim_poi', 'pick_poi',
  'claim_encounter', 'pick_encounter', 'pick_encounter_at', 'pick_encounter_in_band', 'refuse_encounter_filter', 'want_encounter'
];
comment on function worker.backend_calls() is
'The functions of schema worker that a game backend may call; every other one it may not.';

create or replace function worker.executor_calls() returns text[]
language sql immutable set search_path = pg_catalog, pg_temp
-- SECURITY DEFINER, apart from the two versions: an executor has no table.
return array[
  'version', 'contract_version', 'about', 'ready', 'report_executor', 'show_presence', 'unregister_executor',
  'lease_jobs', 'lease_for_empty_pool', 'heartbeat', 'next_item', 'store_item', 'reject_item',
  'complete_job', 'complete_jobs', 'fail_job', 'release_job',
  'tick', 'next_due', 'jobs_wait', 'rescue_jobs', 'refill_pools', 'prune_jobs',
  'preview_item', 'check_item', 'pool_status', 'queue_status', 'batch_estimates'
];
comment on function worker.executor_calls() is
'The functions of schema worker that an executor may call (docs/protocol.md); every other one it may not.';

create or replace function worker.nobody() returns text
language sql stable set search_path = pg_catalog, pg_temp
return concat_ws(', ', 'public',
  (select string_agg(quote_ident(rolname), ', ') from pg_roles where rolname in ('anon', 'authenticated')));
comment on function worker.nobody() is
'Who gets nothing: PUBLIC and, on Supabase, anon and authenticated. For a REVOKE.';

create or replace function worker.is_open(p_acl aclitem[]) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
return exists (select from aclexplode(p_acl) a left join pg_roles r on r.oid = a.grantee
                where a.grantee = 0 or r.rolname in ('anon', 'authenticated'));
comment on function worker.is_open(aclitem[]) is
'Whether PUBLIC, anon or authenticated is given anything.';

create or replace function worker.open_schema_to(p_role text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform worker.require_role(p_role);
  -- Only what is missing: a GRANT in a script of the extension makes pg_dump leave out all rights of that moment,
  -- those that the game gave its own roles included.
  if not exists (select from pg_namespace n cross join aclexplode(n.nspacl) a join pg_roles r on r.oid = a.grantee
                  where n.nspname = 'worker' and r.rolname = p_role and a.privilege_type = 'USAGE') then
    execute format('grant usage on schema worker to %I', p_role);
  end if;
end $$;

create or replace function worker.close_functions() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_function text;
begin
  -- Only those that are open: what a script of the extension revokes is noted with all rights of that moment as
  -- given by the extension, and pg_dump would leave out what was granted to roles since.
  for v_function in
    select f::text from worker.our_functions() f join pg_proc p on p.oid = f
     where p.proacl is null or worker.is_open(p.proacl)
  loop
    execute format('revoke all on function %s from %s', v_function, worker.nobody());
  end loop;
end $$;

create or replace function worker.close_doors() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_thing text;
  v_nobody text := worker.nobody();
begin
  if worker.is_open((select n.nspacl from pg_namespace n where n.nspname = 'worker')) then
    execute format('revoke all on schema worker from %s', v_nobody);
  end if;
  perform worker.close_functions();
  for v_thing in
    select r::text from worker.our_relations() r join pg_class c on c.oid = r
     where worker.is_open(c.relacl) or exists (select from pg_attribute a where a.attrelid = r and worker.is_open(a.attacl))
  loop
    execute format('revoke all on table %s from %s', v_thing, v_nobody);
  end loop;
  for v_thing in
    select r::text from worker.our_relations() r join pg_class c on c.oid = r where c.relkind <> 'v' and not c.relrowsecurity
  loop
    execute format('alter table %s enable row level security', v_thing);
  end loop;
end $$;
comment on function worker.close_doors() is
'Takes every right from PUBLIC, anon and authenticated and turns row level security on. Part of worker.setup().';

create or replace function worker.policy_name(p_sort text, p_role name) returns name
language sql stable set search_path = pg_catalog, pg_temp
-- A name has 63 bytes, and two long roles may differ in the last one only.
return case when octet_length(p_sort || ' ' || p_role) <= 63 then p_sort || ' ' || p_role
            else p_sort || ' ' || left(encode(sha256(convert_to(p_role, 'UTF8')), 'hex'), 32) end;
comment on function worker.policy_name(text, name) is
'The name of a policy of ours for a role.';

create or replace function worker.has_policy(p_table regclass, p_role oid) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
-- By the role, not by the policy's name: roles are renamed.
return exists (select from pg_policy where polrelid = p_table and polroles = array[p_role] and polcmd = '*' and polname like 'pg\_worker\_ext %');
comment on function worker.has_policy(regclass, oid) is
'Whether worker.grant_backend() gave this role its policy on a table. The one on worker_jobs is how a backend is known.';

create or replace function worker.is_executor(p_role oid) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
return exists (select from pg_policy where polrelid = to_regclass('worker.executors') and polroles = array[p_role] and not polpermissive
                  and polname like 'pg\_worker\_ext executor %');
comment on function worker.is_executor(oid) is
'Whether worker.grant_executor() was called for this role.';

create or replace function worker.executor_policy(p_role text) returns name
language sql stable set search_path = pg_catalog, pg_temp
return worker.policy_name('pg_worker_ext executor', p_role);

create or replace function worker.known_backends() returns setof name
language sql stable set search_path = pg_catalog, pg_temp as $$
  -- Supabase's: the API's server side, and the role of its SQL editor and of pg_cron jobs. And those that were
  -- granted before: DROP EXTENSION took the functions with their grants, the policies have stayed.
  select r.rolname from pg_roles r
   where (r.rolname in ('service_role', 'postgres') and not r.rolsuper and r.rolname not in (current_user, worker.queue_owner()))
      or worker.has_policy(to_regclass('public.worker_jobs'), r.oid)
$$;
comment on function worker.known_backends() is
'The roles that are game backends.';

create or replace function worker.known_executors() returns setof name
language sql stable set search_path = pg_catalog, pg_temp as $$
  -- Version 0.1.0 did not note who is an executor: there it shows by the right to lease.
  select r.rolname from pg_roles r
   where worker.is_executor(r.oid)
      or exists (select from pg_proc p cross join aclexplode(p.proacl) a
                  where p.oid = to_regprocedure('worker.lease_jobs(uuid, integer, integer, integer)')
                    and a.grantee = r.oid and a.grantee <> p.proowner)
$$;
comment on function worker.known_executors() is
'The roles that are executors.';

create or replace function worker.set_calls(p_role text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_role oid := worker.role_oid(p_role);
  v_backend boolean := worker.has_policy(to_regclass('public.worker_jobs'), v_role);
  v_executor boolean := worker.is_executor(v_role);
  v_function record;
begin
  -- What is superfluous goes too: earlier versions gave every internal function.
  for v_function in
    select x.* from (
      select f::text as name, exists (select from aclexplode(p.proacl) a where a.grantee = v_role and a.privilege_type = 'EXECUTE') as may,
             p.prorettype <> 'trigger'::regtype and case when p.pronamespace = 'public'::regnamespace then v_backend
               else (v_backend and p.proname = any (worker.backend_calls())) or (v_executor and p.proname = any (worker.executor_calls())) end as shall
        from worker.our_functions() f join pg_proc p on p.oid = f where p.proowner <> v_role) x
     where x.may <> x.shall
  loop
    execute format(case when v_function.shall then 'grant execute on function %s to %I' else 'revoke execute on function %s from %I' end,
                   v_function.name, p_role);
  end loop;
end $$;
comment on function worker.set_calls(text) is
'Gives a role the functions that it may call as a backend or executor, and takes every other one of ours. Part of grants and of worker.setup().';

create or replace function worker.grant_executor(p_role text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform worker.open_schema_to(p_role);
  -- The memory of it, for an upgrade with new functions and a DROP and CREATE EXTENSION. It lets nobody see anything.
  if not worker.is_executor(worker.role_oid(p_role)) then
    perform worker.lock_alone(array['worker.executors'::regclass]);
    execute format('create policy %I on worker.executors as restrictive for select to %I using (true)', worker.executor_policy(p_role), p_role);
  end if;
  perform worker.set_calls(p_role);
end $$;
comment on function worker.grant_executor(text) is
'Lets a role be an executor: the functions of the executor''s door and no table.';

create or replace function worker.grant_backend(p_role text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_role oid := worker.role_oid(p_role);
  v_thing record;
  v_policy name := worker.policy_name('pg_worker_ext', p_role);
begin
  perform worker.open_schema_to(p_role);
  perform worker.lock_alone(worker.without_policy(p_role));
  for v_thing in
    select r as name, c.relkind <> 'v' and not worker.has_policy(r, v_role) as policy,
           (select string_agg(w, ', ') from unnest(string_to_array(worker.backend_rights(r::text), ', ')) w
             where not exists (select from aclexplode(c.relacl) a where a.grantee = v_role and lower(a.privilege_type) = w)) as rights
      from worker.our_relations() r join pg_class c on c.oid = r
  loop
    if v_thing.rights is not null then
      execute format('grant %s on table %s to %I', v_thing.rights, v_thing.name, p_role);
    end if;
    if v_thing.policy then
      -- Where a renamed role has taken the name along, another one is found.
      execute format('create policy %I on %s to %I using (true) with check (true)',
                     case when exists (select from pg_policy where polrelid = v_thing.name and polname = v_policy)
                          then 'pg_worker_ext role ' || v_role else v_policy end, v_thing.name, p_role);
    end if;
  end loop;
  perform worker.set_calls(p_role);
end $$;
comment on function worker.grant_backend(text) is
'Lets a role be a game backend: enqueue, claim, watch, use pools and queue as tables. Makes grants and row level security policies. Run it again after a kind was added.';

create or replace function worker.without_policy(p_role text) returns regclass[]
language sql stable set search_path = pg_catalog, pg_temp
return array(select r from worker.our_relations() r join pg_class c on c.oid = r
              where c.relkind <> 'v' and not worker.has_policy(r, worker.role_oid(p_role)));
comment on function worker.without_policy(text) is
'The tables on which a backend has no policy yet.';

create or replace function worker.backend_rights(p_relation text) returns text
language sql immutable set search_path = pg_catalog, pg_temp
-- What names code (worker.kinds) and the system's own books are only read.
return case
  when p_relation = 'worker.campaigns' then 'select, insert, delete'
  when p_relation like 'worker.%' or p_relation like '%\_status' or p_relation in ('worker_executors', 'public.worker_executors', 'worker_costs', 'public.worker_costs') then 'select'
  else 'select, insert, update, delete' end;

create or replace function worker.require_role(p_role text) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if not exists (select from pg_roles where rolname = p_role) or p_role is null then
    perform worker.refuse('role', p_role, 'the name of an existing role');
  end if;
end $$;

create or replace function worker.grant_known_roles() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform worker.grant_backend(b) from worker.known_backends() b;
  perform worker.grant_executor(e) from worker.known_executors() e;
end $$;
comment on function worker.grant_known_roles() is
'Gives backends and executors what they have by this version. Part of worker.setup().';

create or replace function worker.operators_setting(p_name text, p_default text) returns text
language sql stable set search_path = pg_catalog, pg_temp
-- What deletes or refills must not be the session's, whose role may be an executor's. Where the library defined the
-- setting, the server sees to it who sets it. Where it is only a name, anybody may SET it: then counts what was set
-- for this database, or for all of them.
return coalesce(
  -- The library is loaded by the first call of a function of its own.
  case when worker.native_info() is not null
            and exists (select from pg_settings where name = 'pg_worker_ext.' || p_name and context in ('postmaster', 'sighup', 'superuser'))
       then nullif(current_setting('pg_worker_ext.' || p_name, true), '')
       else (select nullif(substr(c, length('pg_worker_ext.' || p_name) + 2), '')
               from pg_db_role_setting s cross join unnest(s.setconfig) c
              where s.setrole = 0 and s.setdatabase in (0, (select d.oid from pg_database d where d.datname = current_database()))
                and c like 'pg\_worker\_ext.' || replace(p_name, '_', '\_') || '=%'
              order by s.setdatabase desc limit 1) end,
  p_default);
comment on function worker.operators_setting(text, text) is
'A setting pg_worker_ext.NAME as whoever runs the database gave it (postgresql.conf, ALTER SYSTEM, ALTER DATABASE … SET), whatever the session says; or the default.';
