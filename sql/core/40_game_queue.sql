-- The game's door to the queue.

create or replace function public.enqueue_worker_job(
  p_job_type text,
  p_parameters jsonb default null,
  p_priority integer default 5,
  p_run_at timestamptz default null,
  p_dedupe_key text default null
) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_id uuid;
begin
  -- Asked here first: a call costs more than the question.
  if current_setting('transaction_isolation') <> 'read committed' then
    perform worker.require_read_committed();
  end if;
  if p_dedupe_key is null and p_job_type <> 'check_all_pools' then
    -- No twin to look for, which would cost as much as the insert.
    insert into public.worker_jobs (job_type, parameters, priority, run_at)
    values (p_job_type, p_parameters, p_priority, p_run_at)
    returning id into v_id;
    return v_id;
  end if;
  for v_round in 1..10 loop
    insert into public.worker_jobs (job_type, parameters, priority, run_at, dedupe_key)
    values (p_job_type, p_parameters, p_priority, p_run_at, p_dedupe_key)
    on conflict do nothing
    returning id into v_id;
    exit when v_id is not null;
    -- Its twin is there already. Where that one has just ended, the next round inserts.
    select j.id into v_id from public.worker_jobs j
     where (j.dedupe_key = p_dedupe_key and j.status in ('pending', 'running'))
        or (p_job_type = 'check_all_pools' and j.job_type = 'check_all_pools' and j.status = 'pending')
     limit 1;
    if v_id is not null and p_job_type = 'check_all_pools' then
      perform worker.bring_check_forward(coalesce(p_run_at, clock_timestamp()));
    end if;
    exit when v_id is not null;
  end loop;
  if v_id is null then
    raise exception using errcode = 'insufficient_privilege',
      message = format('a job with the dedupe key %s is there, but role %s may not see it', p_dedupe_key, current_user),
      hint = format('SELECT worker.grant_backend(%L);', current_user);
  end if;
  return v_id;
end $$;
comment on function public.enqueue_worker_job(text, jsonb, integer, timestamptz, text) is
'Enqueues a job in the caller''s transaction and returns its id. p_job_type: check_all_pools, generate_quests, generate_npcs, generate_encounters, generate_dungeons, generate_pois, summarize_session or a kind of your own. p_parameters: a JSON object, checked. p_priority: 1 (most urgent) to 10. p_run_at: not before; infinity: not until it is given another run_at by an UPDATE. p_dedupe_key: while a job with this key is pending or running, its id is returned and none is made. Errors: 22023 names the field, what was given and what is allowed.';

create or replace function public.schedule_pool_check() returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_id uuid;
begin
  perform worker.require_read_committed();
  if not pg_try_advisory_xact_lock(hashtextextended('pg_worker_ext pool check', 0)) then
    -- Another transaction asks for the same, and may yet roll back. Who holds something may be who it waits for.
    if pg_current_xact_id_if_assigned() is not null or worker.holds_locks(null) then
      return null;
    end if;
    perform pg_advisory_xact_lock(hashtextextended('pg_worker_ext pool check', 0));
  end if;
  insert into public.worker_jobs (job_type, priority) values ('check_all_pools', 1)
  on conflict do nothing
  returning id into v_id;
  return coalesce(v_id, worker.bring_check_forward(clock_timestamp()));
end $$;
comment on function public.schedule_pool_check() is
'Enqueues a check of all pools and returns its id; NULL when one is due already, or another transaction is just asking for one. One that was meant for later is done now. Call it as often as you like: hourly is usual, and not needed where the background worker runs.';

create or replace function worker.bring_check_forward(p_run_at timestamptz) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_id uuid;
begin
  -- Who holds it is just doing it, or does the same.
  update public.worker_jobs set run_at = p_run_at
   where id = (select j.id from public.worker_jobs j
                where j.job_type = 'check_all_pools' and j.status = 'pending' and j.run_at > p_run_at for update skip locked)
  returning id into v_id;
  return v_id;
end $$;
comment on function worker.bring_check_forward(timestamptz) is
'Lets a pending pool check that was meant for later be due at this time; returns its id, NULL where there is none.';

create or replace function public.cancel_worker_job(p_job_id uuid) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform worker.require_read_committed();
  if p_job_id is null then
    perform worker.refuse('p_job_id', null, 'a uuid');
  end if;
  update public.worker_jobs set status = 'cancelled', error_message = 'cancelled'
   where id = p_job_id and status in ('pending', 'running');
  return found;
end $$;
comment on function public.cancel_worker_job(uuid) is
'Cancels a pending or running job; what it stored stays. Returns false where there is no such job. The executor hears of it with its next heartbeat and drops the work.';

create or replace function public.retry_worker_job(p_job_id uuid) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform worker.require_read_committed();
  if p_job_id is null then
    perform worker.refuse('p_job_id', null, 'a uuid');
  end if;
  perform 1 from public.worker_jobs where id = p_job_id and status in ('failed', 'cancelled') for update;
  return found and worker.put_back(p_job_id, clock_timestamp(), 0, null, false);
end $$;
comment on function public.retry_worker_job(uuid) is
'Gives a failed or cancelled job back to the queue with all its attempts; it goes on from what it has stored. Returns false where there is no such job, or where another job with its dedupe key is pending or running.';

create or replace function worker.put_back(
  p_job_id uuid, p_run_at timestamptz, p_attempts integer, p_reason text, p_keep_token boolean
) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update public.worker_jobs
     set status = 'pending', run_at = p_run_at, attempts = p_attempts, error_message = p_reason,
         lease_token = case when p_keep_token then lease_token end, lease_expires_at = null,
         executor_id = null
   where id = p_job_id;
  return true;
exception when unique_violation then
  -- One bad apple must not spoil the basket: where a twin is on the way, this one is done with.
  update public.worker_jobs j
     set status = 'cancelled',
         error_message = 'superseded by ' || coalesce((
           select t.id::text from public.worker_jobs t
            where t.id <> j.id
              and ((t.dedupe_key = j.dedupe_key and t.status in ('pending', 'running'))
                   or (t.job_type = 'check_all_pools' and j.job_type = t.job_type and t.status = 'pending'))
            limit 1), 'another job')
   where j.id = p_job_id;
  return false;
end $$;
comment on function worker.put_back(uuid, timestamptz, integer, text, boolean) is
'Makes a locked job pending again; where a twin (same dedupe key, or another pool check) is on the way it ends as cancelled instead, and the answer is false.';
