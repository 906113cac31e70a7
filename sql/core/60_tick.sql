-- The tick: rescue, refill, prune. Each part is short and may run anywhere, any number of times at once:
-- in the background worker, in an executor where there is none, in pg_cron.

create or replace function worker.rescue_jobs() returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_job record;
  v_rescued integer := 0;
begin
  perform worker.require_read_committed();
  perform worker.require_ready();
  v_rescued := worker.rescue_orphans();
  for v_job in
    select j.id, j.attempts, j.max_attempts, j.executor_id, j.lease_expires_at from public.worker_jobs j
     where j.status = 'running'
       and coalesce(j.lease_expires_at, j.started_at + interval '30 minutes', j.created_at) < clock_timestamp()
     order by j.id
     limit 1000
     for update skip locked
  loop
    if v_job.attempts < v_job.max_attempts then
      perform worker.put_back(v_job.id, clock_timestamp(), v_job.attempts,
        format('attempt %s: lease ran out at %s', v_job.attempts, v_job.lease_expires_at), false);
    else
      perform worker.end_attempt(v_job.id,
        format('lease ran out at %s in attempt %s of %s', v_job.lease_expires_at, v_job.attempts, v_job.max_attempts), true, false);
    end if;
    v_rescued := v_rescued + 1;
  end loop;
  perform worker.keep_low_water();
  return v_rescued;
end $$;
comment on function worker.rescue_jobs() is
'Part of a tick: gives jobs whose lease ran out, or whose executor is seen to be gone, back to the queue, or fails those whose attempts are spent. At most 1000 at once. Keeps the low-water marks, too. Returns the number of jobs.';

create or replace function worker.prune_jobs() returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_keep interval := worker.operators_setting('retention', '7 days')::interval;
  v_pruned integer := 0;
begin
  perform worker.require_read_committed();
  perform worker.require_ready();
  if v_keep > interval '0' then
    delete from public.worker_jobs where id in (
      select id from public.worker_jobs
       where status in ('completed', 'failed', 'cancelled') and completed_at < now() - v_keep
         -- What came with the guide's queue is kept as long, counted from its adoption.
         and not exists (select from worker.schema_version where adopted_at > now() - v_keep)
       order by completed_at
       limit 1000
       for update skip locked);
    get diagnostics v_pruned = row_count;
  end if;
  delete from worker.executors where id in (
    select id from worker.executors where last_seen < now() - interval '1 day' order by id for update skip locked);
  return v_pruned;
end $$;
comment on function worker.prune_jobs() is
'Part of a tick: deletes finished jobs older than the setting pg_worker_ext.retention (7 days; 0 keeps all), at most 1000 at once, and executors not seen for a day. Returns the number of jobs deleted.';

create or replace function worker.tick() returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  return jsonb_build_object('rescued', worker.rescue_jobs(), 'enqueued', worker.refill_pools(), 'pruned', worker.prune_jobs());
end $$;
comment on function worker.tick() is
'One round of maintenance: rescue, refill, prune, in one transaction. The background worker does it by itself; without it call this every minute (pg_cron), or let an executor do it.';

create or replace function worker.next_due(p_announced timestamptz default null) returns timestamptz
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_announced timestamptz := coalesce(p_announced, clock_timestamp());
begin
  return least(
    (select min(coalesce(j.lease_expires_at, j.started_at + interval '30 minutes', j.created_at))
       from public.worker_jobs j where j.status = 'running'),
    -- an executor whose end was not noted yet: now; one that is noted: after its grace; one that lives: to be looked at again
    (select min(case when w.present then clock_timestamp() + worker.presence_grace()
                     else coalesce(w.gone_since + worker.presence_grace(), clock_timestamp()) end)
       from worker.watched_executors() w),
    (select min(j.run_at) from public.worker_jobs j where j.job_type = 'check_all_pools' and j.status = 'pending'),
    -- jobs that were announced as due are the executors' business; the first of the others, by one probe per priority
    (select min(pick.run_at)
       from generate_series(1, 10) as level(priority)
      cross join lateral (
        select j.run_at from public.worker_jobs j
         where j.status = 'pending' and j.job_type <> 'check_all_pools'
           and j.priority = level.priority and j.run_at > v_announced
         order by j.run_at limit 1) pick),
    (select w.walked_at + interval '1 minute' from worker.low_water w where w.run_at is not null),
    (select min(t.next_try_at) from worker.pool_trouble t where t.next_try_at > now()));
end $$;
comment on function worker.next_due(timestamptz) is
'When the next tick is worth its while: a lease ends, an executor with jobs in hand is to be looked at, a job''s run_at comes, a pool check waits, a pool may be tried again, the low-water marks are to be renewed. NULL: nothing is known to come. p_announced: jobs due since then count too, for whoever announces them (the background worker); who leases jobs asks without it, before leasing.';

create or replace function worker.jobs_wait() returns boolean
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  return exists (
    select from generate_series(1, 10) as level(priority)
     cross join lateral (
       select from public.worker_jobs j
        where j.status = 'pending' and j.job_type <> 'check_all_pools'
          and j.priority = level.priority and j.run_at <= clock_timestamp()
        order by j.run_at limit 1) pick);
end $$;
comment on function worker.jobs_wait() is
'Whether a job is due that nobody has leased yet.';

create or replace function worker.ready() returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_missing text;
begin
  -- A restore in progress has tables without rows, then rows without indexes, then indexes without triggers.
  select string_agg(name, ', ') into v_missing
    from unnest(array['public.worker_jobs', 'public.content_pools', 'worker.kinds', 'worker.items', 'worker.campaigns',
                      'worker.pool_trouble', 'worker.executors', 'worker.low_water', 'worker.schema_version', 'public.worker_jobs_pending',
                      'public.worker_jobs_dedupe', 'public.worker_jobs_one_pool_check', 'worker.items_title_once']) as name
   where to_regclass(name) is null;
  if v_missing is null then
    select string_agg(t.name, ', ') into v_missing
      from unnest(array['job_inserted', 'job_status_changed', 'job_enqueued', 'job_pending_again']) as t(name)
     where not exists (select from pg_trigger where tgrelid = 'public.worker_jobs'::regclass and tgname = t.name);
  end if;
  -- Tables of another version lack more than that, and say so below.
  if v_missing is not null and coalesce(worker.schema_version(), worker.version()) = worker.version() then
    return format('incomplete, missing %s: a restore is going on, or run SELECT worker.setup();', v_missing);
  end if;
  perform worker.require_ready();
  return null;
exception when object_not_in_prerequisite_state or insufficient_privilege then
  return sqlerrm || '; run SELECT worker.setup(); as a superuser or the owner of the tables';
end $$;
comment on function worker.ready() is
'NULL when the tables are complete and fit the code; else the reason why background worker and executors write nothing.';

create or replace function worker.about() returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_ready text := worker.ready();
begin
  return worker.native_info() || jsonb_build_object(
    'version', worker.version(),
    'contract_version', worker.contract_version(),
    'schema_version', worker.schema_version(),
    'server_version', current_setting('server_version'),
    'ready_problem', v_ready,
    'owner', current_user,
    'now', clock_timestamp());
end $$;
comment on function worker.about() is
'What is installed here: versions, whether the library is preloaded and its background worker alive, what stands in the way (ready_problem), the database''s clock.';
