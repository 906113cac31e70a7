-- The executor's door, first half: the lease.

create or replace function worker.schema_version() returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if to_regclass('worker.schema_version') is null then
    return null;
  end if;
  return (select v.version from worker.schema_version v);
end $$;
comment on function worker.schema_version() is
'Version of the tables, NULL where there are none. worker.version() is the code''s.';

create or replace function worker.require_ready() returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if worker.schema_version() is distinct from worker.version() then
    raise exception using errcode = 'object_not_in_prerequisite_state',
      message = format('the tables are of version %s, the code is of version %s',
                       coalesce(worker.schema_version(), 'none'), worker.version()),
      hint = 'Run SELECT worker.setup(); as the owner of the tables.';
  end if;
  -- After a restore by somebody else the code may have another owner than the tables: then it must not act,
  -- for it would run the tables' triggers with rights that their owner does not have.
  if (select relowner from pg_class where oid = 'public.worker_jobs'::regclass) <> worker.role_oid(current_user) then
    raise exception using errcode = 'object_not_in_prerequisite_state',
      message = format('the functions of schema worker belong to %s, the table worker_jobs to another role', current_user),
      hint = 'Run SELECT worker.setup(); as a superuser.';
  end if;
end $$;
comment on function worker.require_ready() is
'Raises 55000 where code and tables are of different versions or owners.';

create or replace function worker.lease_jobs(
  p_executor uuid, p_limit integer default 1, p_lease_seconds integer default 30, p_least_priority integer default 10
)
returns table (job_id uuid, lease_token uuid, job_type text, kind text, priority integer, parameters jsonb,
               asked integer, stored integer, attempt integer, max_attempts integer, expires_at timestamptz)
-- A planner that has seen few rows would read the whole table, or another index and sort it, and the plan stays while
-- the queue grows. What is off counts as very costly where it cannot be avoided, so costly that it would be compiled.
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set enable_sort = off set jit = off as $$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_marks timestamptz[];
begin
  perform worker.require_read_committed();
  perform worker.require_ready();
  perform worker.check_lease_seconds(p_lease_seconds);
  if p_executor is null then
    perform worker.refuse('p_executor', null, 'the uuid of the executor');
  end if;
  if p_limit is null or p_limit not between 1 and 1000 then
    perform worker.refuse('p_limit', p_limit::text, 'an integer from 1 to 1000');
  end if;
  if p_least_priority is null or p_least_priority not between 1 and 10 then
    perform worker.refuse('p_least_priority', p_least_priority::text, 'an integer from 1 to 10');
  end if;
  select w.run_at into v_marks from worker.low_water w;
  return query
  select l.* from worker.begin_leases(p_executor, p_lease_seconds, array(
    select pick.id
      from generate_series(1, p_least_priority) as level(priority)
     cross join lateral (
       select j.id from public.worker_jobs j
        where j.status = 'pending' and j.job_type <> 'check_all_pools'
          and j.priority = level.priority and j.run_at <= v_now
          and j.run_at >= coalesce(v_marks[level.priority], '-infinity')
        order by j.run_at, j.id
        limit p_limit
        for update skip locked) pick
     limit p_limit)) l;
end $$;
comment on function worker.lease_jobs(uuid, integer, integer, integer) is
'Takes up to p_limit due jobs, the most urgent first, for p_lease_seconds (5 to 3600). p_least_priority: none less urgent than this (an executor with its hands full asks only for what is more urgent). Each comes with a lease token, to be named in every later call about the job. Renew with worker.heartbeat about every third of the lease. An attempt is charged here and given back by worker.release_job.';

create or replace function worker.begin_leases(p_executor uuid, p_lease_seconds integer, p_job_ids uuid[])
returns table (job_id uuid, lease_token uuid, job_type text, kind text, priority integer, parameters jsonb,
               asked integer, stored integer, attempt integer, max_attempts integer, expires_at timestamptz)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
begin
  return query
  with leased as (
    update public.worker_jobs j
       set status = 'running', started_at = v_now, executor_id = p_executor, attempts = j.attempts + 1,
           lease_token = gen_random_uuid(), lease_expires_at = v_now + make_interval(secs => p_lease_seconds)
     where j.id = any (p_job_ids)
    returning j.*)
  select l.id, l.lease_token, l.job_type, k.kind, l.priority, l.parameters, l.asked, l.stored, l.attempts,
         l.max_attempts, l.lease_expires_at
    from leased l left join worker.kinds k on k.job_type = l.job_type
   order by l.priority, l.run_at, l.id;
end $$;
comment on function worker.begin_leases(uuid, integer, uuid[]) is
'Makes pending jobs that the caller has locked running, each with a new lease token.';

create or replace function worker.lease_for_empty_pool(p_executor uuid, p_lease_seconds integer default 30)
returns table (job_id uuid, lease_token uuid, job_type text, kind text, priority integer, parameters jsonb,
               asked integer, stored integer, attempt integer, max_attempts integer, expires_at timestamptz)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  v_pool record;
  v_job uuid;
begin
  perform worker.require_read_committed();
  perform worker.require_ready();
  perform worker.check_lease_seconds(p_lease_seconds);
  if p_executor is null then
    perform worker.refuse('p_executor', null, 'the uuid of the executor');
  end if;
  for v_pool in select p.* from worker.pools() p where p.enabled and p.min_size > 0 loop
    if worker.count_available(v_pool.item_table, v_pool.scope_parameter, v_pool.scope, 1) = 0 then
      select j.id into v_job from public.worker_jobs j
       where j.job_type = v_pool.job_type and j.status = 'pending' and j.run_at <= clock_timestamp()
         and (v_pool.scope = '' or j.parameters ->> 'campaign_seed' = v_pool.scope)
       order by j.priority, j.run_at limit 1
       for update skip locked;
      exit when v_job is not null;
    end if;
  end loop;
  if v_job is not null then
    return query select l.* from worker.begin_leases(p_executor, p_lease_seconds, array[v_job]) l;
  end if;
end $$;
comment on function worker.lease_for_empty_pool(uuid, integer) is
'Takes a due job of a pool in which nothing is left, if there is one: for an executor whose model cannot be reached and which may write from word lists rather than leave players with nothing.';

create or replace function worker.check_lease_seconds(p_lease_seconds integer) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if p_lease_seconds is null or p_lease_seconds not between 5 and 3600 then
    perform worker.refuse('p_lease_seconds', p_lease_seconds::text, 'an integer from 5 to 3600');
  end if;
end $$;

create or replace function worker.check_leases(p_job_ids uuid[], p_lease_tokens uuid[]) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if p_job_ids is null then
    perform worker.refuse('p_job_ids', null, 'a list of job ids');
  elsif cardinality(p_job_ids) is distinct from cardinality(p_lease_tokens) then
    perform worker.refuse('p_lease_tokens', cardinality(p_lease_tokens)::text || ' tokens', 'one token for each job');
  end if;
end $$;

create or replace function worker.heartbeat(p_job_ids uuid[], p_lease_tokens uuid[], p_lease_seconds integer default 30)
returns table (job_id uuid, outcome text)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  v_lease record;
begin
  perform worker.require_read_committed();
  perform worker.check_lease_seconds(p_lease_seconds);
  perform worker.check_leases(p_job_ids, p_lease_tokens);
  -- In the order of ids, as everything that locks several jobs.
  for v_lease in select * from unnest(p_job_ids, p_lease_tokens) as l(id, token) order by l.id loop
    update public.worker_jobs j
       set lease_expires_at = clock_timestamp() + make_interval(secs => p_lease_seconds)
     where j.id = v_lease.id and j.lease_token = v_lease.token and j.status = 'running';
    job_id := v_lease.id;
    outcome := case when found then 'ok' else worker.lease_state(v_lease.id, v_lease.token) end;
    if outcome = 'already done' then
      outcome := 'lease lost';
    end if;
    return next;
  end loop;
end $$;
comment on function worker.heartbeat(uuid[], uuid[], integer) is
'Renews the leases of these jobs. outcome per job: ok; cancelled (drop the work); lease lost (drop the work, another may have it).';

create or replace function worker.lease_state(p_job_id uuid, p_lease_token uuid) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return coalesce((
    select case j.status when 'running' then 'held' when 'cancelled' then 'cancelled' else 'already done' end
      from public.worker_jobs j where j.id = p_job_id and j.lease_token = p_lease_token), 'lease lost');
end $$;
comment on function worker.lease_state(uuid, uuid) is
'What a lease token is worth: held; cancelled (the job was cancelled under it); already done (finished, failed or given back with it); lease lost.';

create or replace function worker.lock_lease(p_job_id uuid, p_lease_token uuid) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform worker.require_read_committed();
  perform 1 from public.worker_jobs where id = p_job_id for update;
  return worker.lease_state(p_job_id, p_lease_token);
end $$;
comment on function worker.lock_lease(uuid, uuid) is
'The fence: locks the job until the end of the transaction and says what the token is worth (worker.lease_state).';

create or replace function worker.complete_job(p_job_id uuid, p_lease_token uuid)
returns table (outcome text, reason text)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  v_job record;
begin
  outcome := worker.lock_lease(p_job_id, p_lease_token);
  if outcome = 'held' then
    select * into v_job from public.worker_jobs where id = p_job_id;
    if v_job.stored < v_job.asked then
      outcome := 'incomplete';
      reason := format('%s of %s items are stored', v_job.stored, v_job.asked);
    else
      update public.worker_jobs
         set status = 'completed', lease_expires_at = null, error_message = null,
             result = worker.job_result(asked, stored, progress)
       where id = p_job_id;
      perform worker.settle_pool(v_job.job_type, v_job.parameters, null);
      outcome := 'completed';
    end if;
  end if;
  return next;
end $$;
comment on function worker.complete_job(uuid, uuid) is
'Finishes a job whose items are all stored. outcome: completed; incomplete (nothing changed); already done (this token finished it before); cancelled; lease lost.';

create or replace function worker.complete_jobs(p_job_ids uuid[], p_lease_tokens uuid[])
returns table (job_id uuid, lease_token uuid, outcome text, reason text)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  v_done uuid[];
begin
  perform worker.require_read_committed();
  perform worker.check_leases(p_job_ids, p_lease_tokens);
  -- In the order of ids, as everything that locks several jobs; what stands here is asked again under the lock.
  with mine as (
    select j.id from public.worker_jobs j join unnest(p_job_ids, p_lease_tokens) as l(id, token) on j.id = l.id and j.lease_token = l.token
     where j.status = 'running' and j.stored >= j.asked
     order by j.id for update of j),
  done as (
    update public.worker_jobs j
       set status = 'completed', lease_expires_at = null, error_message = null, result = worker.job_result(j.asked, j.stored, j.progress)
      from mine where j.id = mine.id
    returning j.lease_token, j.job_type, j.parameters),
  settled as (
    -- Who notes a failure just now is not waited for: with several pools in hand that could close a circle.
    delete from worker.pool_trouble t
     where (t.kind, t.scope) in (
       select x.kind, x.scope from worker.pool_trouble x
        where exists (select from done d join worker.kinds k on k.job_type = d.job_type and k.min_size is not null
                       where k.kind = x.kind and x.scope in (coalesce(d.parameters ->> k.scope_parameter, ''), '*'))
          for update skip locked))
  select array_agg(d.lease_token) into v_done from done d;
  return query
  select l.id, l.token,
         case when l.token = any (v_done) then 'completed' when s.state = 'held' then 'incomplete' else s.state end,
         case when s.state = 'held' then format('%s of %s items are stored', j.stored, j.asked) end
    from unnest(p_job_ids, p_lease_tokens) as l(id, token)
   cross join lateral worker.lease_state(l.id, l.token) s(state)
    left join public.worker_jobs j on j.id = l.id
   order by l.id;
end $$;
comment on function worker.complete_jobs(uuid[], uuid[]) is
'worker.complete_job for several jobs at once, with one commit. outcome per job: completed; incomplete (nothing changed); already done (this token finished it before); cancelled; lease lost.';

create or replace function worker.fail_job(p_job_id uuid, p_lease_token uuid, p_error text, p_permanent boolean default false)
returns table (outcome text, reason text)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
  outcome := worker.lock_lease(p_job_id, p_lease_token);
  if outcome = 'held' then
    outcome := worker.end_attempt(p_job_id, coalesce(p_error, 'no reason given'), coalesce(p_permanent, false), true);
  end if;
  return next;
end $$;
comment on function worker.fail_job(uuid, uuid, text, boolean) is
'Ends an attempt that did not succeed. outcome: retry later (attempts are left); failed (they are spent, or p_permanent: what it stored stays, retry_worker_job starts it again); already done; cancelled; lease lost.';

create or replace function worker.end_attempt(p_job_id uuid, p_error text, p_permanent boolean, p_keep_token boolean) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_job record;
begin
  select * into v_job from public.worker_jobs where id = p_job_id;
  if v_job.attempts < v_job.max_attempts and not p_permanent then
    -- 30 s, 1 min, 2 min … at most an hour
    perform worker.put_back(p_job_id,
      clock_timestamp() + least(interval '1 hour', interval '30 seconds' * 2 ^ least(v_job.attempts - 1, 10)),
      v_job.attempts, left(p_error, 2000), p_keep_token);
    return 'retry later';
  end if;
  update public.worker_jobs
     set status = 'failed', lease_expires_at = null, lease_token = case when p_keep_token then lease_token end,
         error_message = left(p_error, 2000), result = worker.job_result(asked, stored, progress)
   where id = p_job_id;
  perform worker.settle_pool(v_job.job_type, v_job.parameters, left(p_error, 2000));
  return 'failed';
end $$;
comment on function worker.end_attempt(uuid, text, boolean, boolean) is
'What follows when an attempt at a locked job ends without success: a later retry, or failed.';

create or replace function worker.release_job(
  p_job_id uuid, p_lease_token uuid, p_delay_seconds integer default 0, p_reason text default null
) returns table (outcome text, reason text)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  v_attempts integer;
begin
  if p_delay_seconds is null or p_delay_seconds not between 0 and 86400 then
    perform worker.refuse('p_delay_seconds', p_delay_seconds::text, 'an integer from 0 to 86400');
  end if;
  outcome := worker.lock_lease(p_job_id, p_lease_token);
  if outcome = 'held' then
    select attempts into v_attempts from public.worker_jobs where id = p_job_id;
    perform worker.put_back(p_job_id, clock_timestamp() + make_interval(secs => p_delay_seconds),
                            greatest(v_attempts - 1, 0), left(p_reason, 2000), true);
    outcome := 'released';
  end if;
  return next;
end $$;
comment on function worker.release_job(uuid, uuid, integer, text) is
'Gives a job back that could not be done now (no model, shutting down): the attempt is not charged, the job is due again in p_delay_seconds (0 to 86400). outcome: released; already done; cancelled; lease lost.';

create or replace function worker.job_result(p_asked integer, p_stored integer, p_progress jsonb) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return jsonb_build_object('asked', p_asked, 'stored', p_stored) || p_progress;
end $$;
comment on function worker.job_result(integer, integer, jsonb) is
'The result of a job: asked, stored, and its progress (rejected by reason, duplicates, tokens, seconds, model).';

create or replace function worker.settle_pool(p_job_type text, p_parameters jsonb, p_failure text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_kind record;
  v_scope text;
begin
  select kind, scope_parameter into v_kind from worker.kinds where job_type = p_job_type and min_size is not null;
  if not found then
    return;
  end if;
  v_scope := coalesce(p_parameters ->> v_kind.scope_parameter, '');
  if p_failure is null then
    -- The whole kind's row first, as below: in the other order a job that fails just now and this one would wait for each other.
    delete from worker.pool_trouble t
     where (t.kind, t.scope) in (select x.kind, x.scope from worker.pool_trouble x
                                  where x.kind = v_kind.kind and x.scope in (v_scope, '*')
                                  order by x.scope = '*' desc for update);
    return;
  end if;
  -- For the pool, and for the kind as a whole: what one campaign's job could not do, that of the next will not either.
  insert into worker.pool_trouble as t (kind, scope, failures, last_failure, last_failed_at, next_try_at)
  select v_kind.kind, s, 1, p_failure, now(), now() + interval '1 minute'
    from unnest(case when v_kind.scope_parameter is null then array[''] else array['*', v_scope] end) s
  on conflict (kind, scope) do update
     set failures = t.failures + 1, last_failure = excluded.last_failure, last_failed_at = now(),
         next_try_at = now() + least(interval '1 hour', interval '1 minute' * 2 ^ least(t.failures, 10));
  update public.worker_jobs
     set run_at = t.next_try_at
    from worker.pool_trouble t
   where t.kind = v_kind.kind and t.scope = case when v_kind.scope_parameter is null then '' else '*' end
     and worker_jobs.id in (
       select j.id from public.worker_jobs j
        where j.job_type = p_job_type and j.status = 'pending' and j.refill and j.run_at < t.next_try_at
        order by j.id for update skip locked);
end $$;
comment on function worker.settle_pool(text, jsonb, text) is
'Notes what the end of a job means for its pool: a failure makes the refills of its kind, those on the way included, wait a minute, doubling to an hour; a success ends the wait.';
