-- Seeing an executor die. The end of its lease is the certain way, and it takes as long as a lease. But an
-- executor with a session of its own can hold an advisory lock there, which the server frees the moment that
-- session is gone. Then its jobs need not wait.
--
-- The guess may be wrong: a session can be lost by an executor that lives. So there is a grace for a reconnect,
-- the lease token makes what the old executor still sends harmless, and the job is not charged for it.

create or replace function worker.presence_class() returns integer
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
return 1886876517; -- 'pgwe': the first half of the key of every lock of ours of this sort

create or replace function worker.presence_key(p_executor uuid) returns integer
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
-- Where two executors share it, the death of one is not seen until its leases end.
return ('x' || left(p_executor::text, 8))::bit(32)::integer;

create or replace function worker.presence_grace() returns interval
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
return interval '2 seconds';
comment on function worker.presence_grace() is
'How long an executor may be without a session before its jobs are given to others. Where the library is not preloaded, also how often is looked while jobs run.';

create or replace function worker.show_presence(p_executor uuid) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform worker.require_read_committed();
  if p_executor is null then
    perform worker.refuse('p_executor', null, 'the uuid of the executor');
  end if;
  -- Shared: after a reconnect the old session may still be ending.
  if not pg_try_advisory_lock_shared(worker.presence_class(), worker.presence_key(p_executor)) then
    return false;
  end if;
  perform worker.watch_session();
  insert into worker.executors (id, watched) values (p_executor, true)
  on conflict (id) do update set watched = true, gone_since = null;
  return true;
end $$;
comment on function worker.show_presence(uuid) is
'Lets this session stand for the life of an executor: when it ends, and no other session shows the same executor''s presence within 2 seconds, the executor''s jobs are given to others at once, uncharged. For a session that stays open and is the executor''s own; never through a transaction pooler, where it is another client''s the next moment: prove it first by a notification that arrives on it. Returns false when the lock cannot be had; then the leases'' ends count, as ever.';

create or replace function worker.watched_executors()
returns table (executor_id uuid, present boolean, gone_since timestamptz)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
  return query
  select e.id,
         e.id in (
           select x.id from worker.executors x join pg_locks l
               on l.locktype = 'advisory' and l.objsubid = 2 and l.granted
              and l.database = (select d.oid from pg_database d where d.datname = current_database())
              and l.classid = worker.presence_class()::oid
              -- pg_locks shows the second half of the key without its sign
              and l.objid = (worker.presence_key(x.id)::bigint & 4294967295)::oid),
         e.gone_since
    from worker.executors e
   where e.watched and exists (select from public.worker_jobs j where j.status = 'running' and j.executor_id = e.id)
   order by e.id;
end $$;
comment on function worker.watched_executors() is
'Executors with jobs in hand whose life can be seen, and whether they live.';

create or replace function worker.rescue_orphans() returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_executor record;
  v_rescued integer := 0;
begin
  for v_executor in select * from worker.watched_executors() loop
    if v_executor.present then
      update worker.executors set gone_since = null where id = v_executor.executor_id and gone_since is not null;
    elsif v_executor.gone_since is null then
      update worker.executors set gone_since = clock_timestamp() where id = v_executor.executor_id;
    elsif v_executor.gone_since < clock_timestamp() - worker.presence_grace() then
      v_rescued := v_rescued + worker.rescue_from(v_executor.executor_id, v_executor.gone_since);
      -- Seen once. Were it alive after all, it would lose every later job too.
      update worker.executors set watched = false where id = v_executor.executor_id;
    end if;
  end loop;
  return v_rescued;
end $$;
comment on function worker.rescue_orphans() is
'Gives the jobs of executors that are seen to be gone back to the queue. Part of worker.rescue_jobs(). Returns their number.';

create or replace function worker.rescue_from(p_executor uuid, p_gone_since timestamptz) returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_job record;
  v_rescued integer := 0;
  v_reason text;
begin
  for v_job in
    select j.id, j.attempts, j.max_attempts, j.stored, (j.progress ->> 'orphaned_at')::integer = j.stored as again
      from public.worker_jobs j
     where j.status = 'running' and j.executor_id = p_executor
     order by j.id
       for update skip locked
  loop
    v_reason := format('attempt %s: its executor is gone since %s', v_job.attempts, p_gone_since);
    if v_job.again and v_job.attempts >= v_job.max_attempts then
      perform worker.end_attempt(v_job.id, v_reason, true, false);
    else
      update public.worker_jobs set progress = progress || jsonb_build_object('orphaned_at', stored) where id = v_job.id;
      -- A job that twice lost its executor without an item in between may be what kills it: that is charged.
      perform worker.put_back(v_job.id, clock_timestamp(), v_job.attempts - case when v_job.again then 0 else 1 end, v_reason, false);
    end if;
    v_rescued := v_rescued + 1;
  end loop;
  return v_rescued;
end $$;
comment on function worker.rescue_from(uuid, timestamptz) is
'Gives the running jobs of one executor back to the queue, uncharged unless the same happened to the job before and nothing was stored since (progress.orphaned_at: the items stored when its executor was last seen to be gone).';
