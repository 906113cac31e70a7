-- What holds for every row of worker_jobs, whoever writes it: a function of ours or a plain INSERT or UPDATE.

create or replace function worker.job_inserted() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_kind record;
begin
  select k.parameters, k.scope_parameter, coalesce(p.batch_size, k.batch_size, 1) as batch_size
    into v_kind
    from worker.kinds k left join public.content_pools p on p.kind = k.kind
   where k.job_type = new.job_type;
  if not found and new.job_type is distinct from 'check_all_pools' then
    perform worker.refuse('job_type', new.job_type,
      (select string_agg(t, ', ' order by t) from (select job_type from worker.kinds union select 'check_all_pools') x(t)));
  end if;
  new.parameters := coalesce(new.parameters, '{}');
  perform worker.check_parameters(coalesce(v_kind.parameters, '{}'), new.parameters);
  new.priority := coalesce(new.priority, 5);
  if new.priority not between 1 and 10 then
    perform worker.refuse('priority', new.priority::text, 'an integer from 1 (most urgent) to 10');
  end if;
  if new.dedupe_key = '' or length(new.dedupe_key) > 500 then
    perform worker.refuse('dedupe_key', new.dedupe_key, 'a text of 1 to 500 characters, or NULL');
  end if;
  new.run_at := coalesce(new.run_at, clock_timestamp());
  new.asked := coalesce((new.parameters ->> 'count')::int, v_kind.batch_size, 1);
  if new.status = 'running' then
    new.lease_token := coalesce(new.lease_token, gen_random_uuid());
    new.lease_expires_at := coalesce(new.lease_expires_at, now() + interval '30 minutes');
    new.started_at := coalesce(new.started_at, now());
  end if;
  if v_kind.scope_parameter = 'campaign_seed' then
    insert into worker.campaigns (campaign_seed) values (new.parameters ->> 'campaign_seed') on conflict do nothing;
  end if;
  return new;
end $$;
comment on function worker.job_inserted() is
'Trigger: checks a new job and fills in its defaults; refuses it with 22023.';

create or replace function worker.job_status_changed() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
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
  -- Where the native library is, it takes plain jobs by itself and calls worker.job_inserted() for all others.
  execute format('create or replace trigger job_inserted before insert on public.worker_jobs
    for each row execute function worker.%I()',
    case when to_regprocedure('worker.accept_job()') is null then 'job_inserted' else 'accept_job' end);
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
