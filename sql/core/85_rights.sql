-- Owner and grants. Nothing for PUBLIC, nothing for anon and authenticated.
--
-- Two rules make the lists: in schema worker a SECURITY DEFINER function is the executor's door, a SECURITY
-- INVOKER function can do nothing that its caller could not, and goes to game backends.

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
begin
  return query
    select p.oid::regprocedure from pg_proc p
     where p.pronamespace = 'worker'::regnamespace
        or (p.pronamespace = 'public'::regnamespace and p.proname = any (worker.game_door()));
end $$;
comment on function worker.our_functions() is
'The functions of both doors.';

create or replace function worker.wanted_owner() returns name
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_set name := worker.setting('owner', null);
  v_schema_owner name := (select r.rolname from pg_namespace n join pg_roles r on r.oid = n.nspowner where n.nspname = 'worker');
begin
  if v_set is not null then
    if not exists (select from pg_roles where rolname = v_set) or not pg_has_role(session_user, v_set, 'member') then
      perform worker.refuse('pg_worker_ext.owner', v_set, format('a role of which %s is a member', session_user));
    end if;
    return v_set;
  end if;
  -- After a restore the schema brings its owner with it; a superuser's schema was made by CREATE EXTENSION, perhaps
  -- over the guide's tables, which stay with whose they are.
  return case when not (select rolsuper from pg_roles where rolname = v_schema_owner) then v_schema_owner
    else coalesce((select r.rolname from pg_class c join pg_roles r on r.oid = c.relowner
                    where c.oid = to_regclass('public.worker_jobs') and not r.rolsuper and pg_has_role(session_user, r.oid, 'member')),
                  session_user) end;
end $$;
comment on function worker.wanted_owner() is
'Who owns tables and code: the setting pg_worker_ext.owner, else the owner of schema worker where that is no superuser, else the owner of a queue that was there before, else session_user.';

create or replace function worker.give_functions_to(p_owner name) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_function text;
begin
  for v_function in
    select f::text from worker.our_functions() f join pg_proc p on p.oid = f where p.proowner <> p_owner::regrole
  loop
    execute format('alter function %s owner to %I', v_function, p_owner);
  end loop;
end $$;

create or replace function worker.give_to(p_owner name) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_thing text;
begin
  if (select nspowner from pg_namespace where nspname = 'worker') <> p_owner::regrole then
    execute format('alter schema worker owner to %I', p_owner);
  end if;
  perform worker.give_functions_to(p_owner);
  for v_thing in
    select format('%s %s', case c.relkind when 'v' then 'view' else 'table' end, r)
      from worker.our_relations() r join pg_class c on c.oid = r where c.relowner <> p_owner::regrole
  loop
    execute format('alter %s owner to %I', v_thing, p_owner);
  end loop;
end $$;
comment on function worker.give_to(name) is
'Makes one role the owner of schema worker, of its functions and of the tables and views. Part of worker.setup().';

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
  for v_thing in select r::text from worker.our_relations() r loop
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

create or replace function worker.grant_executor(p_role text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_function text;
begin
  perform worker.open_schema_to(p_role);
  for v_function in
    select p.oid::regprocedure::text from pg_proc p
     where p.pronamespace = 'worker'::regnamespace
       and (p.prosecdef or p.proname in ('version', 'contract_version')) and p.prorettype <> 'trigger'::regtype
  loop
    execute format('grant execute on function %s to %I', v_function, p_role);
  end loop;
  -- The memory of it, for an upgrade with new functions and a DROP and CREATE EXTENSION. It lets nobody see anything.
  if not exists (select from pg_policy where polrelid = 'worker.executors'::regclass and polname = worker.executor_policy(p_role)) then
    execute format('create policy %I on worker.executors as restrictive for select to %I using (true)', worker.executor_policy(p_role), p_role);
  end if;
end $$;
comment on function worker.grant_executor(text) is
'Lets a role be an executor: the functions of the executor''s door and no table.';

create or replace function worker.executor_policy(p_role text) returns name
language sql immutable set search_path = pg_catalog, pg_temp
return left('pg_worker_ext executor ' || p_role, 63);

create or replace function worker.grant_backend(p_role text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_thing text;
  v_policy text := left('pg_worker_ext ' || p_role, 63);
begin
  perform worker.open_schema_to(p_role);
  for v_thing in
    select f::text from worker.our_functions() f join pg_proc p on p.oid = f
     where (not p.prosecdef or p.proname in ('pool_status', 'queue_status')) and p.prorettype <> 'trigger'::regtype
       -- These make statements of the texts that they are given: for worker.setup() alone.
       and p.proname not in ('run_all', 'reshape', 'fill_and_demand', 'take_up_former')
  loop
    execute format('grant execute on function %s to %I', v_thing, p_role);
  end loop;
  for v_thing in select r::text from worker.our_relations() r loop
    execute format('grant %s on table %s to %I', worker.backend_rights(v_thing), v_thing, p_role);
  end loop;
  for v_thing in
    select r::text from worker.our_relations() r join pg_class c on c.oid = r
     where c.relkind <> 'v'
       and not exists (select from pg_policy where polrelid = r and polname = v_policy)
  loop
    execute format('create policy %I on %s to %I using (true) with check (true)', v_policy, v_thing, p_role);
  end loop;
end $$;
comment on function worker.grant_backend(text) is
'Lets a role be a game backend: enqueue, claim, watch, use pools and queue as tables. Makes grants and row level security policies. Run it again after a kind was added.';

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
declare
  v_role text;
begin
  -- Supabase's: the API's server side, and the role of its SQL editor and of pg_cron jobs. And those that were
  -- granted before: DROP EXTENSION took the functions with their grants, the policies have stayed.
  for v_role in
    select r.rolname from pg_roles r
     where (r.rolname in ('service_role', 'postgres') and not r.rolsuper and r.rolname <> current_user)
        or exists (select from pg_policy p where p.polrelid = to_regclass('public.worker_jobs')
                      and p.polname = left('pg_worker_ext ' || r.rolname, 63))
  loop
    perform worker.grant_backend(v_role);
  end loop;
  -- Version 0.1.0 did not note who is an executor: there it shows by the right to lease.
  for v_role in
    select r.rolname from pg_roles r
     where exists (select from pg_policy p where p.polrelid = to_regclass('worker.executors')
                      and p.polname = worker.executor_policy(r.rolname))
        or exists (select from pg_proc p cross join aclexplode(p.proacl) a
                    where p.oid = to_regprocedure('worker.lease_jobs(uuid, integer, integer, integer)')
                      and a.grantee = r.oid and a.grantee <> p.proowner)
  loop
    perform worker.grant_executor(v_role);
  end loop;
end $$;
