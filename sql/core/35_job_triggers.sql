-- What holds for every row of worker_jobs, whoever writes it: a function of ours or a plain INSERT or UPDATE.

create or replace function worker.job_inserted() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_kind text;
  v_rules jsonb;
  v_scope text;
  v_batch integer;
begin
  -- Into plain variables, and the pool only where it is needed: most of what this costs is these two queries.
  select k.kind, k.parameters, k.scope_parameter, k.batch_size into v_kind, v_rules, v_scope, v_batch
    from worker.kinds k where k.job_type = new.job_type;
  if not found and new.job_type is distinct from 'check_all_pools' then
    perform worker.refuse('job_type', new.job_type,
      (select string_agg(t, ', ' order by t) from (select job_type from worker.kinds union select 'check_all_pools') x(t)));
  end if;
  v_rules := coalesce(v_rules, '{}');
  new.parameters := worker.accepted_parameters(v_rules, coalesce(new.parameters, '{}'));
  if new.run_at = '-infinity' then
    perform worker.refuse('run_at', new.run_at::text, 'a time, infinity for a job that waits until it is given one, or NULL for now');
  end if;
  if tg_op = 'INSERT' then
    new.priority := coalesce(new.priority, 5);
    if new.priority not between 1 and 10 then
      perform worker.refuse('priority', new.priority::text, 'an integer from 1 (most urgent) to 10');
    end if;
    if new.dedupe_key = '' or length(new.dedupe_key) > 500 then
      perform worker.refuse('dedupe_key', new.dedupe_key, 'a text of 1 to 500 characters, or NULL');
    end if;
    new.run_at := coalesce(new.run_at, clock_timestamp());
    if new.status = 'running' then
      new.lease_token := coalesce(new.lease_token, gen_random_uuid());
      new.lease_expires_at := coalesce(new.lease_expires_at, now() + interval '30 minutes');
      new.started_at := coalesce(new.started_at, now());
    elsif new.status <> 'pending' then
      new.completed_at := coalesce(new.completed_at, now());
    end if;
  elsif new.status <> 'pending' or (new.parameters -> 'count') is not distinct from (old.parameters -> 'count') then
    -- An executor may have been told already what is asked for.
    return new;
  end if;
  new.asked := coalesce((new.parameters ->> 'count')::int, 1);
  if v_rules ? 'count' and new.parameters ->> 'count' is null then
    new.asked := coalesce((select p.batch_size from public.content_pools p where p.kind = v_kind), v_batch, 1);
  end if;
  if v_scope = 'campaign_seed' then
    insert into worker.campaigns (campaign_seed) values (new.parameters ->> 'campaign_seed') on conflict do nothing;
  end if;
  return new;
end $$;
comment on function worker.job_inserted() is
'Trigger: checks a new job, or one whose parameters, job_type or run_at were changed, and fills in its defaults; refuses it with 22023.';

create or replace function worker.job_status_changed() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op = 'DELETE' then
    return old; -- on a table of somebody else's: nothing of ours deletes by it, and it keeps nothing from being deleted
  end if;
  if old.status = 'running' and new.status <> 'cancelled' and new.lease_expires_at is not distinct from old.lease_expires_at then
    -- Our own functions end the lease with the job. Here somebody's plain UPDATE did not: the token is worth
    -- nothing from now on (a cancelled job keeps it, so that its executor is told why).
    new.lease_token := null;
  end if;
  if new.status in ('completed', 'failed', 'cancelled') then
    new.completed_at := coalesce(case when new.completed_at is distinct from old.completed_at then new.completed_at end, now());
  elsif new.status = 'pending' then
    new.completed_at := null;
    new.lease_expires_at := null;
  elsif new.status = 'running' then
    new.completed_at := null;
    if new.lease_token is not distinct from old.lease_token then
      -- Set running by a plain UPDATE: somebody's own worker, which never beats. The token changes, so that
      -- an executor that held this job earlier cannot write to it.
      new.lease_token := gen_random_uuid();
      new.lease_expires_at := now() + interval '30 minutes';
      new.started_at := coalesce(case when new.started_at is distinct from old.started_at then new.started_at end, now());
      new.attempts := old.attempts + 1;
      new.executor_id := null;
    end if;
    perform worker.wake_at(new.lease_expires_at);
  end if;
  return new;
end $$;
comment on function worker.job_status_changed() is
'Trigger: keeps completed_at and the lease true when a status changes, also by a plain UPDATE; a job set running by hand gets 30 minutes.';

create or replace function worker.setup_job_triggers() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if worker.is_former('public.worker_jobs') then
    return;
  end if;
  create or replace trigger job_inserted before insert on public.worker_jobs
    for each row execute function worker.job_inserted();
  create or replace trigger job_changed before update of job_type, parameters, run_at on public.worker_jobs
    for each row when (old.job_type is distinct from new.job_type or old.parameters is distinct from new.parameters
                       or new.run_at = '-infinity') execute function worker.job_inserted();
  create or replace trigger job_status_changed before update of status on public.worker_jobs
    for each row when (old.status is distinct from new.status) execute function worker.job_status_changed();
  create or replace trigger job_enqueued after insert on public.worker_jobs
    for each statement execute function worker.wake('jobs');
  create or replace trigger job_pending_again after update on public.worker_jobs
    for each row when (new.status = 'pending' and (old.status <> 'pending' or old.run_at is distinct from new.run_at))
    execute function worker.wake('jobs');
end $$;

create or replace function worker.pool_changed() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op = 'DELETE' then
    return old; -- as above
  end if;
  -- Whoever changes a pool may have mended what made its jobs fail.
  -- What somebody is just noting stays: to wait for that would be the other way round than refills do it.
  delete from worker.pool_trouble t
   where (t.kind, t.scope) in (select x.kind, x.scope from worker.pool_trouble x where x.kind = new.kind for update skip locked);
  return new;
end $$;
comment on function worker.pool_changed() is
'Trigger: a changed pool is tried again at once, whatever failed before.';

create or replace function worker.setup_pools_triggers() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if worker.is_former('public.content_pools') then
    return;
  end if;
  create or replace trigger pool_changed before insert or update on public.content_pools
    for each row execute function worker.pool_changed();
  create or replace trigger pools_changed after insert or update on public.content_pools
    for each statement execute function worker.wake('pools');
end $$;
