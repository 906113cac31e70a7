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
    begin
      if v_job.attempts < v_job.max_attempts then
        perform worker.put_back(v_job.id, clock_timestamp(), v_job.attempts,
          format('attempt %s: lease ran out at %s', v_job.attempts, v_job.lease_expires_at), false);
      else
        perform worker.end_attempt(v_job.id,
          format('lease ran out at %s in attempt %s of %s', v_job.lease_expires_at, v_job.attempts, v_job.max_attempts), true, false);
      end if;
      v_rescued := v_rescued + 1;
    exception when others then
      -- A trigger of the game's own, say: the other jobs are rescued all the same.
      raise warning 'pg_worker_ext: job % is not rescued: %', v_job.id, sqlerrm;
    end;
  end loop;
  perform worker.keep_low_water();
  return v_rescued;
end $$;
comment on function worker.rescue_jobs() is
'Part of a tick: gives jobs whose lease ran out, or whose executor is seen to be gone, back to the queue, or fails those whose attempts are spent. At most 1000 at once. Keeps the low-water marks, too. Returns the number of jobs.';

create or replace function worker.prune_before() returns timestamptz
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_retention text := worker.operators_setting('retention', '7 days');
begin
  return case when v_retention::interval > interval '0' then now() - v_retention::interval end;
exception when data_exception then
  raise warning 'pg_worker_ext.retention is %, which is no interval: nothing is pruned', quote_literal(left(v_retention, 100));
  return null;
end $$;
comment on function worker.prune_before() is
'Jobs that ended before this time are pruned: pg_worker_ext.retention ago. NULL: none, because it is 0 or no interval.';

create or replace function worker.prune_one(p_job_id uuid) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  delete from public.worker_jobs where id = p_job_id;
  return found;
exception
  when lock_not_available then
    return false;
  when others then
    -- Something of the game's own needs it. Noted, so that it is not in the way of the others until tomorrow.
    begin
      update public.worker_jobs
         set progress = progress || jsonb_build_object('not_pruned', left(sqlerrm, 200), 'prune_after', now() + interval '1 day')
       where id = p_job_id;
    exception when others then
      raise warning 'pg_worker_ext: job % is neither pruned nor marked: %', p_job_id, sqlerrm;
    end;
    return false;
end $$;
comment on function worker.prune_one(uuid) is
'Deletes a finished job; one that cannot be deleted (a foreign key of the game names it) stays, says why in its progress, and is tried again a day later.';

create or replace function worker.prune_jobs() returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '200ms' as $$
declare
  v_before timestamptz := worker.prune_before();
  v_jobs uuid[];
  v_pools jsonb[];
  v_job uuid;
  v_pruned integer := 0;
begin
  perform worker.require_read_committed();
  perform worker.require_ready();
  if v_before is not null then
    select array_agg(j.id), array_agg(distinct jsonb_build_array(j.job_type, coalesce(j.scope, ''))) into v_jobs, v_pools from (
      select id, job_type, parameters ->> 'campaign_seed' as scope from public.worker_jobs
       where status in ('completed', 'failed', 'cancelled') and completed_at < v_before
         and (progress -> 'prune_after' is null or (progress ->> 'prune_after')::timestamptz < now())
         -- What came with the guide's queue is kept as long, counted from its adoption.
         and not exists (select from worker.schema_version where adopted_at > v_before)
       order by completed_at
       limit 1000
       for update skip locked) j;
    begin
      delete from public.worker_jobs where id = any (v_jobs);
      get diagnostics v_pruned = row_count;
    exception when others then
      foreach v_job in array coalesce(v_jobs, '{}') loop
        v_pruned := v_pruned + worker.prune_one(v_job)::int;
      end loop;
    end;
    perform worker.prune_items(v_pools);
  end if;
  delete from worker.executors where id in (
    select id from worker.executors where last_seen < now() - interval '1 day' order by id for update skip locked);
  return v_pruned;
end $$;
comment on function worker.prune_jobs() is
'Part of a tick: deletes finished jobs older than the setting pg_worker_ext.retention (7 days; 0 keeps all), at most 1000 at once, what the ledger needs of them no more, and executors not seen for a day. Returns the number of jobs deleted.';

create or replace function worker.prune_items(p_pools jsonb[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
begin
  -- Only pools of which jobs have just been pruned: so it grows with what happens, and every pool has its turn.
  delete from worker.items i
   using (select p.kind, p.scope, (select x.created_at from worker.items x where x.kind = p.kind and x.scope = p.scope
                                    order by x.created_at desc offset 5000 limit 1) as last_kept
            from (select k.kind, pool ->> 1 as scope from unnest(p_pools) pool join worker.kinds k on k.job_type = pool ->> 0) p) old
   where i.kind = old.kind and i.scope = old.scope and i.created_at <= old.last_kept
     and not exists (select from public.worker_jobs j where j.id = i.job_id);
end $$;
comment on function worker.prune_items(jsonb[]) is
'Forgets the titles of these pools ([job type, campaign] each), but for the last 5000 of each and those whose job is there. Part of worker.prune_jobs().';

create or replace function worker.tick() returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_part text;
  v_result jsonb := '{}';
  v_errors jsonb := '{}';
begin
  perform worker.require_read_committed();
  perform worker.require_ready();
  -- Each by itself: what stops one of them must not stop the others.
  foreach v_part in array array['rescued', 'enqueued', 'pruned'] loop
    begin
      v_result := v_result || jsonb_build_object(v_part, case v_part
        when 'rescued' then worker.rescue_jobs() when 'enqueued' then worker.refill_pools() else worker.prune_jobs() end);
    exception when others then
      raise warning 'pg_worker_ext: part of a tick failed, nothing is %: %', v_part, sqlerrm;
      v_errors := v_errors || jsonb_build_object(v_part, sqlerrm);
    end;
  end loop;
  return case when v_errors = '{}' then v_result else v_result || jsonb_build_object('errors', v_errors) end;
end $$;
comment on function worker.tick() is
'One round of maintenance: rescue, refill, prune, in one transaction. Returns {"rescued", "enqueued", "pruned"}: what was done of each; a part that failed is named with its error in "errors" instead, and the others are done. The background worker does it by itself; without it call this every minute (pg_cron), or let an executor do it.';

create or replace function worker.next_due(p_announced timestamptz default null) returns timestamptz
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_announced timestamptz := coalesce(p_announced, clock_timestamp());
begin
  return least(
    (select min(coalesce(j.lease_expires_at, j.started_at + interval '30 minutes', j.created_at))
       from public.worker_jobs j where j.status = 'running'),
    -- an executor whose end was not noted yet: now; one that is noted: after its grace; one that lives: to be looked at
    -- again, unless who asks is the background worker, which is told when a session ends
    (select min(case when w.present then case when p_announced is null then clock_timestamp() + worker.presence_grace() end
                     else coalesce(w.gone_since + worker.presence_grace(), clock_timestamp()) end)
       from worker.watched_executors() w),
    (select min(j.run_at) from public.worker_jobs j where j.job_type = 'check_all_pools' and j.status = 'pending' and j.run_at < 'infinity'),
    -- jobs that were announced as due are the executors' business; the first of the others, by one probe per priority
    (select min(pick.run_at)
       from generate_series(1, 10) as level(priority)
      cross join lateral (
        select j.run_at from public.worker_jobs j
         where j.status = 'pending' and j.job_type <> 'check_all_pools'
           and j.priority = level.priority and j.run_at > v_announced and j.run_at < 'infinity'
         order by j.run_at limit 1) pick),
    (select w.walked_at + interval '1 minute' from worker.low_water w where w.run_at is not null),
    (select min(t.next_try_at) from worker.pool_trouble t where t.next_try_at > now()));
end $$;
comment on function worker.next_due(timestamptz) is
'When the next tick is worth its while: a lease ends, an executor with jobs in hand is to be looked at, a job''s run_at comes, a pool check waits, a pool may be tried again, the low-water marks are to be renewed. NULL: nothing is known to come. p_announced: for the background worker: jobs due since then count too, since it announces them, and sessions that end are told to it; who leases jobs asks without it, before leasing.';

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
  v_native jsonb := worker.native_info();
begin
  return v_native || jsonb_build_object(
    'next_look', clock_timestamp() + make_interval(secs => (v_native ->> 'seconds_to_next_look')::integer),
    'version', worker.version(),
    'contract_version', worker.contract_version(),
    'schema_version', worker.schema_version(),
    'server_version', current_setting('server_version'),
    'ready_problem', v_ready,
    'owner', current_user,
    'now', clock_timestamp());
end $$;
comment on function worker.about() is
'What is installed here: versions, whether the library is preloaded and background workers serve this database, whether one is awake and when the next looks (next_look), what stands in the way (ready_problem), the database''s clock.';
