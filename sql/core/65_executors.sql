-- What executors say of themselves.

create or replace function worker.report_executor(p_executor uuid, p_info jsonb) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform worker.require_read_committed();
  if p_executor is null then
    perform worker.refuse('p_executor', null, 'the uuid of the executor');
  end if;
  if jsonb_typeof(p_info) is distinct from 'object' or length(p_info::text) > 8000 then
    perform worker.refuse('p_info', p_info::text, 'a JSON object of at most 8000 characters');
  end if;
  insert into worker.executors (id, info) values (p_executor, p_info)
  on conflict (id) do update set last_seen = clock_timestamp(), info = excluded.info, gone_since = null;
end $$;
comment on function worker.report_executor(uuid, jsonb) is
'An executor says that it lives and how it is: host, pid, version, model, generator (llm or builtin), state (idle, working, paused, stopping), reason, jobs, in_flight, budget. At each look at the queue, and while working every third of the lease.';

create or replace function worker.unregister_executor(p_executor uuid) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform worker.require_read_committed();
  delete from worker.executors where id = p_executor;
end $$;
comment on function worker.unregister_executor(uuid) is
'An executor says goodbye.';

create or replace function worker.queue_status()
returns table (job_type text, status text, jobs bigint, oldest_seconds double precision, next_run_at timestamptz)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
  return query
  select j.job_type, j.status, count(*),
         case when j.status in ('pending', 'running') and min(t.since) is not null
              then greatest(extract(epoch from now() - min(t.since)), 0)::double precision end,
         min(t.since) filter (where j.status = 'pending')
    from public.worker_jobs j
   -- A parked job has no age and no time.
   cross join lateral (select case when j.status = 'running' then j.started_at when isfinite(j.run_at) then j.run_at end) t(since)
   group by j.job_type, j.status;
end $$;
comment on function worker.queue_status() is
'Jobs by type and status; for pending and running ones the age of the oldest in seconds (since it was due, since it was started).';
