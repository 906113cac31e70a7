-- Who owns tables and code. Never a superuser: every trigger, view or function of somebody else's that our code meets
-- would run with his rights.

create or replace function worker.role_oid(p_role name) returns oid
language sql stable set search_path = pg_catalog, pg_temp
-- Not by a cast to regrole, which reads the name as an identifier: "GameOwner" would be another role.
return (select r.oid from pg_roles r where r.rolname = p_role);
comment on function worker.role_oid(name) is
'The oid of a role by its name, exactly as it is spelt; NULL where there is none.';

create or replace function worker.in_script() returns boolean
language sql stable set search_path = pg_catalog, pg_temp
return coalesce(current_setting('worker.in_script', true), '') = 'on';
comment on function worker.in_script() is
'Whether this is the script of CREATE EXTENSION, which runs as a superuser.';

create or replace function worker.queue_owner() returns name
language sql stable set search_path = pg_catalog, pg_temp
return (select r.rolname from pg_class c join pg_roles r on r.oid = c.relowner where c.oid = to_regclass('public.worker_jobs'));
comment on function worker.queue_owner() is
'The owner of worker_jobs, NULL where there is no such table.';

create or replace function worker.wanted_owner() returns name
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_set name := worker.setting('owner', null);
begin
  if v_set is not null then
    if worker.role_oid(v_set) is null or not pg_has_role(session_user, v_set, 'member') then
      perform worker.refuse('pg_worker_ext.owner', v_set, format('a role of which %s is a member', session_user));
    elsif (select rolsuper from pg_roles where rolname = v_set) then
      perform worker.refuse('pg_worker_ext.owner', v_set,
        'a role that is no superuser (triggers and views of others would run with its rights); worker_owner is made for it where none is set');
    end if;
    return v_set;
  end if;
  -- After a restore the schema brings its owner with it; a superuser's schema was made by CREATE EXTENSION, perhaps
  -- over the guide's tables, which stay with whose they are.
  return coalesce(
    (select r.rolname from pg_namespace n join pg_roles r on r.oid = n.nspowner where n.nspname = 'worker' and not r.rolsuper),
    (select r.rolname from pg_roles r where r.rolname = worker.queue_owner() and not r.rolsuper and pg_has_role(session_user, r.oid, 'member')),
    (select r.rolname from pg_extension e join pg_roles r on r.oid = e.extowner where e.extname = 'pg_worker_ext' and not r.rolsuper),
    (select r.rolname from pg_roles r where r.rolname = session_user and not r.rolsuper),
    -- Supabase: its superuser is not the user's, postgres is.
    (select r.rolname from pg_roles r where r.rolname = 'postgres' and not r.rolsuper and worker.role_oid('supabase_admin') is not null),
    'worker_owner');
end $$;
comment on function worker.wanted_owner() is
'Who owns tables and code, never a superuser: the setting pg_worker_ext.owner, else the owner of schema worker, of a queue that was there before, of the extension, else session_user; where all of them are superusers, worker_owner.';

create or replace function worker.owner_trouble() returns text
language sql stable set search_path = pg_catalog, pg_temp
-- Whoever may make roles can have made this one beforehand, to be a member of what will own everything. What a superuser
-- gave stays: it was meant. From 16 on the maker of a role is a member with ADMIN OPTION, noted as the superuser's gift.
return (
  select nullif(concat_ws(', ',
           case when r.rolsuper then 'is a superuser' end, case when r.rolcanlogin then 'can log in' end,
           case when r.rolcreaterole then 'can make roles' end, case when r.rolreplication then 'can replicate' end,
           case when r.rolbypassrls then 'sees past row level security' end,
           (select string_agg(format(case when m.roleid = r.oid then 'has the member %s' else 'is a member of %s' end, o.rolname), ', ' order by o.rolname)
              from pg_auth_members m
              join pg_roles o on o.oid = case when m.roleid = r.oid then m.member else m.roleid end
             where r.oid in (m.roleid, m.member) and not (m.roleid = r.oid and o.rolsuper)
               and (m.admin_option or not exists (select from pg_roles g where g.oid = m.grantor and g.rolsuper)))), '')
    from pg_roles r where r.rolname = 'worker_owner');
comment on function worker.owner_trouble() is
'What makes a role worker_owner that is there already unfit to own everything, or NULL.';

create or replace function worker.make_owner() returns name
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_owner name := worker.wanted_owner();
begin
  if v_owner <> 'worker_owner' or worker.setting('owner', null) = 'worker_owner' then
    return v_owner;
  end if;
  if worker.role_oid('worker_owner') is null then
    begin
      create role worker_owner nologin noinherit;
    exception when duplicate_object or unique_violation then
      -- The install in another database was faster.
      null;
    end;
  end if;
  if worker.owner_trouble() is not null then
    raise exception using errcode = 'object_not_in_prerequisite_state',
      message = format('the role worker_owner, who would own tables and functions, is not fit for it: it %s', worker.owner_trouble()),
      detail = 'It must be NOLOGIN and without rights, and nobody but a superuser may have made members of it. Nothing was changed.',
      hint = 'Mend or drop it, or name the owner yourself: SET pg_worker_ext.owner = ''…''.';
  end if;
  return v_owner;
end $$;
comment on function worker.make_owner() is
'worker.wanted_owner(), and the role worker_owner is made where it is that one and is not there yet. Part of worker.setup().';

create or replace function worker.refuse_strangers() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_thing record;
begin
  -- A superuser's first install, and things of our names that an ordinary role has made: what hangs on them would run with
  -- the rights of whoever enqueues, claims and refills, superusers included. Whoever is named as the owner is trusted.
  if to_regclass('worker.schema_version') is not null or not (select r.rolsuper from pg_roles r where r.rolname = session_user) then
    return;
  end if;
  select c.oid::regclass as name, r.rolname as owner, worker.foreign_code(c.oid) as code into v_thing
    from pg_class c join pg_roles r on r.oid = c.relowner
   where (c.relnamespace = 'worker'::regnamespace
          or (c.relnamespace = 'public'::regnamespace and c.relname in (
            'worker_jobs', 'content_pools', 'quest_templates', 'npc_personalities', 'combat_encounters', 'dungeon_content', 'campaign_pois',
            'session_summaries', 'content_pool_status', 'worker_queue_status', 'worker_executors', 'worker_costs')))
     and c.relkind not in ('i', 'I', 'S', 't', 'c')
     and not r.rolsuper and r.rolname is distinct from worker.setting('owner', null)
     and worker.foreign_code(c.oid) is not null
   order by c.oid limit 1;
  if found then
    raise exception using errcode = 'object_not_in_prerequisite_state',
      message = format('%s was made by %s and has code of its own: %s', v_thing.name, v_thing.owner, v_thing.code),
      detail = 'It would run with the rights of whoever uses the table, yours among them. Nothing was changed.',
      hint = format('Drop it, or say that you trust that role: SET pg_worker_ext.owner = %L;', v_thing.owner);
  end if;
end $$;
comment on function worker.refuse_strangers() is
'Refuses a superuser''s first install over things of our names that an ordinary role has made and that carry code. Part of worker.setup().';

create or replace function worker.give_functions_to(p_owner name) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_function text;
begin
  for v_function in
    select f::text from worker.our_functions() f join pg_proc p on p.oid = f where p.proowner <> worker.role_oid(p_owner)
  loop
    execute format('alter function %s owner to %I', v_function, p_owner);
  end loop;
end $$;

create or replace function worker.give_to(p_owner name) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_thing text;
begin
  if p_owner = 'worker_owner' then
    -- The schema stays whose it is: a dump names its owner before CREATE EXTENSION could make the role.
    perform worker.open_schema_to(p_owner);
    if not has_schema_privilege(p_owner, 'public', 'usage') then
      if worker.in_script() then
        raise warning 'pg_worker_ext: role worker_owner may not use schema public' using hint = 'GRANT USAGE ON SCHEMA public TO worker_owner;';
      else
        grant usage on schema public to worker_owner;
      end if;
    end if;
  elsif (select nspowner from pg_namespace where nspname = 'worker') <> worker.role_oid(p_owner) then
    execute format('alter schema worker owner to %I', p_owner);
  end if;
  perform worker.give_functions_to(p_owner);
  for v_thing in
    select format('%s %s', case c.relkind when 'v' then 'view' else 'table' end, r)
      from worker.our_relations() r join pg_class c on c.oid = r where c.relowner <> worker.role_oid(p_owner)
  loop
    execute format('alter %s owner to %I', v_thing, p_owner);
  end loop;
end $$;
comment on function worker.give_to(name) is
'Makes one role the owner of the functions, the tables and the views, and of schema worker unless it is worker_owner. Part of worker.setup().';

create or replace function worker.tell_of_move(p_from name, p_to name) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_triggers text := (
    select string_agg(format('%s on %s', t.tgname, t.tgrelid::regclass), ', ' order by t.tgname)
      from worker.our_relations() r join pg_trigger t on t.tgrelid = r join pg_proc p on p.oid = t.tgfoid
     where not t.tgisinternal and not p.prosecdef and p.pronamespace <> 'worker'::regnamespace);
begin
  raise notice 'pg_worker_ext: tables and functions belong to % now, and no longer to the superuser %', p_to, p_from
    using hint = concat_ws(' ', 'What ran with a superuser''s rights runs with those of this role.',
                           'Triggers that may miss a GRANT now: ' || v_triggers || '.');
end $$;
comment on function worker.tell_of_move(name, name) is
'Says that a superuser''s installation was moved to an ordinary owner, and which triggers lose his rights. Part of worker.setup().';
