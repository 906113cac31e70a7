-- Adoption of the guide's own tables: whoever ran its migration has them, with rows, under our names.
--
-- What a table must look like is written once, in the CREATE TABLE of its setup function. So a former table steps
-- aside for a moment, the setup function makes a fresh one, the former one is given the fresh one's shape and
-- takes its place. Rows stay where they are, and so do the table's owner, foreign keys, indexes and extra columns.

create or replace function worker.is_former(p_table text) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  -- One column that only ours has tells them apart.
  select to_regclass(p_table) is not null and not exists (
    select from pg_attribute a
     where a.attrelid = to_regclass(p_table) and not a.attisdropped
       and a.attname = case p_table when 'public.worker_jobs' then 'lease_token' when 'public.content_pools' then 'max_tokens'
                                    when 'public.session_summaries' then 'open_threads' else 'pool_key' end)
$$;
comment on function worker.is_former(text) is
'Whether a table of this name is there that was not made by worker.setup() and not adopted yet.';

create or replace function worker.former_tables() returns text[]
language sql stable set search_path = pg_catalog, pg_temp as $$
  select array_agg(t order by t)
    from unnest(array['public.worker_jobs', 'public.content_pools', 'public.quest_templates', 'public.npc_personalities',
                      'public.combat_encounters', 'public.dungeon_content', 'public.campaign_pois', 'public.session_summaries']) t
   where worker.is_former(t)
$$;
comment on function worker.former_tables() is
'Tables of our names that wait for their adoption by worker.setup().';

create or replace function worker.refuse_table(p_table text, p_why text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception using errcode = 'object_not_in_prerequisite_state',
    message = format('%s is here already and has another shape: %s', p_table, p_why),
    detail = 'A table of the background worker guide is adopted with its rows; this is none. Nothing was changed.',
    hint = format('Rename or drop it, then run this again: ALTER TABLE %s RENAME TO …', p_table);
end $$;

create or replace function worker.foreign_code(p_table regclass) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  -- Whatever of somebody else's would run with our rights while the table is changed. 16384: the first oid that is
  -- not PostgreSQL's own. An enumeration brings no code.
  select coalesce(
    (select min('trigger ' || t.tgname) from pg_trigger t where t.tgrelid = p_table and not t.tgisinternal),
    (select min('rule ' || r.rulename) from pg_rewrite r where r.ev_class = p_table),
    (select min('policy ' || y.polname) from pg_policy y where y.polrelid = p_table and not (y.polqual is null and y.polwithcheck is null)
        and exists (select from pg_depend d where d.classid = 'pg_policy'::regclass and d.objid = y.oid
                       and d.refclassid = 'pg_proc'::regclass and d.refobjid >= 16384)),
    (select min('child ' || i.inhrelid::regclass) from pg_inherits i where i.inhparent = p_table),
    (select min(pg_describe_object(d.refclassid, d.refobjid, 0)) from pg_depend d
      where d.refobjid >= 16384 and d.refclassid in ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass, 'pg_type'::regclass)
        and (d.refclassid <> 'pg_type'::regclass or (select typtype from pg_type where oid = d.refobjid) <> 'e')
        and (d.classid, d.objid) in (
          select 'pg_class'::regclass, p_table::oid
          union all select 'pg_class'::regclass, indexrelid from pg_index where indrelid = p_table
          union all select 'pg_attrdef'::regclass, oid from pg_attrdef where adrelid = p_table
          union all select 'pg_constraint'::regclass, oid from pg_constraint where conrelid = p_table)))
$$;
comment on function worker.foreign_code(regclass) is
'Something of a table that would run somebody else''s code when the table is changed, or NULL.';

create or replace function worker.set_former_aside(p_table text) returns regclass
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_class pg_class;
begin
  if not worker.is_former(p_table) then
    return null;
  end if;
  select * into v_class from pg_class where oid = to_regclass(p_table);
  if v_class.relkind <> 'r' or v_class.relispartition
     or exists (select from pg_inherits where v_class.oid in (inhrelid, inhparent)) then
    perform worker.refuse_table(p_table, 'it is no ordinary table');
  end if;
  if not pg_has_role(session_user, v_class.relowner, 'member') then
    raise exception using errcode = 'insufficient_privilege',
      message = format('table %s belongs to %s, of which %s is no member', p_table, v_class.relowner::regrole, session_user),
      hint = 'Install as its owner or as a superuser.';
  end if;
  -- Nobody hangs a trigger on it between our look at it and our change.
  execute format('lock table %s in access exclusive mode', p_table);
  execute format('alter table %s rename to %I', p_table, left('former ' || v_class.relname, 63));
  return v_class.oid;
end $$;
comment on function worker.set_former_aside(text) is
'Renames a former table, so that a fresh one can show what it has to look like, and returns it; NULL where there is none. Part of worker.setup().';

create or replace function worker.keep_backends(p_former regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_role record;
begin
  -- Row level security is turned on next: who reads now goes on reading, who writes is a game backend.
  if (select relrowsecurity from pg_class where oid = p_former) then
    return;
  end if;
  for v_role in
    select r.rolname as name, bool_or(a.privilege_type <> 'SELECT') as writes
      from pg_class c cross join aclexplode(c.relacl) a join pg_roles r on r.oid = a.grantee
     where c.oid = p_former and a.grantee <> c.relowner and not r.rolsuper and r.rolname not in ('anon', 'authenticated')
       and a.privilege_type in ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
     group by r.rolname
  loop
    if v_role.writes then
      -- This policy is how worker.grant_known_roles() knows a backend.
      if not worker.has_policy('public.worker_jobs', worker.role_oid(v_role.name)) then
        execute format('create policy %I on public.worker_jobs to %I using (true) with check (true)',
                       worker.policy_name('pg_worker_ext', v_role.name), v_role.name);
      end if;
    else
      execute format('create policy %I on %s for select to %I using (true)', worker.policy_name('pg_worker_ext reads', v_role.name), p_former, v_role.name);
    end if;
  end loop;
end $$;
comment on function worker.keep_backends(regclass) is
'Lets the roles that use a former table use it on. Part of worker.setup().';

create or replace function worker.take_up_former(p_former regclass, p_table text, p_required text[], p_mend text default null) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_fresh regclass := p_table;
  v_name name := (select relname from pg_class where oid = v_fresh);
  v_options text := (select array_to_string(reloptions, ', ') from pg_class where oid = v_fresh);
  v_script boolean := coalesce(current_setting('worker.in_script', true), '') = 'on';
  v_adopted boolean;
begin
  if p_former is null then
    return false;
  end if;
  perform worker.check_shape(p_table, p_former, v_fresh, p_required);
  -- The extension's script runs as a superuser: it leaves alone what would run somebody else's code then.
  v_adopted := not v_script or worker.foreign_code(p_former) is null;
  if v_adopted then
    if v_script then
      execute format('alter extension pg_worker_ext add table %s', p_former);
    end if;
    perform worker.reshape(p_former, v_fresh, p_mend);
    if v_options is not null and (select reloptions from pg_class where oid = p_former) is null then
      execute format('alter table %s set (%s)', p_former, v_options);
    end if;
  end if;
  execute format('drop table %s', v_fresh);
  execute format('alter table %s rename to %I', p_former, v_name);
  if v_adopted then
    perform worker.keep_backends(p_former);
  end if;
  return v_adopted;
end $$;
comment on function worker.take_up_former(regclass, text, text[], text) is
'Puts a former table in the place of the fresh one, in its shape. p_required: the columns without which it is none of the guide''s. p_mend: statements, %s being the table, that make values allowed. Returns whether it was adopted: the script of the extension leaves one with triggers to worker.setup(). Part of worker.setup().';

create or replace function worker.mend_former_jobs() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_job record;
  v_again text[] := worker.hush_triggers('public.worker_jobs');
begin
  -- A running job belongs to the guide's worker, which may still finish it: 30 minutes from its start, as ever.
  update public.worker_jobs
     set lease_token = gen_random_uuid(), attempts = 1, started_at = coalesce(started_at, now()),
         lease_expires_at = coalesce(started_at, now()) + interval '30 minutes'
   where status = 'running' and lease_token is null;
  update public.worker_jobs set completed_at = coalesce(started_at, created_at)
   where status in ('completed', 'failed', 'cancelled') and completed_at is null;
  for v_job in
    select j.id, j.job_type, j.parameters, j.created_at, j.status, k.parameters as rules, coalesce(p.batch_size, k.batch_size, 1) as batch_size
      from public.worker_jobs j
      left join worker.kinds k on k.job_type = j.job_type
      left join public.content_pools p on p.kind = k.kind
     where j.status in ('pending', 'running')
  loop
    begin
      if v_job.rules is null and v_job.job_type <> 'check_all_pools' then
        perform worker.refuse('job_type', v_job.job_type, 'the job_type of a row of worker.kinds');
      end if;
      v_job.parameters := worker.accepted_parameters(coalesce(v_job.rules, '{}'), v_job.parameters);
      update public.worker_jobs set parameters = v_job.parameters, asked = coalesce((v_job.parameters ->> 'count')::int, v_job.batch_size),
             run_at = least(v_job.created_at, now()) where id = v_job.id;
    exception when invalid_parameter_value then
      -- What could not be enqueued cannot be done either, and says why. A running one is its worker's business.
      update public.worker_jobs set status = 'failed', completed_at = now(), error_message = sqlerrm
       where id = v_job.id and status = 'pending';
    end;
  end loop;
  insert into worker.campaigns (campaign_seed)
  select distinct j.parameters ->> 'campaign_seed' from public.worker_jobs j
   where j.job_type = 'generate_pois' and j.status in ('pending', 'running') and j.parameters ->> 'campaign_seed' <> ''
  on conflict do nothing;
  perform worker.run_all(v_again);
end $$;
comment on function worker.mend_former_jobs() is
'Brings the jobs of an adopted queue to our rules: leases for running ones, due times and counts for pending ones, an error for those that cannot be done. Part of worker.setup().';
