-- Views: data side, because their definitions name tables.

create or replace function worker.setup_views() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- Changed in place where they exist, so that what was granted on them stays.
  if worker.may_change('public.content_pool_status') then
    create or replace view public.content_pool_status with (security_invoker = true) as
      select s.kind, nullif(s.scope, '') as campaign_seed, s.available, s.min_size as minimum, s.on_the_way, s.level,
             s.generator, s.last_failure, s.last_failed_at, s.next_try_at
        from worker.pool_status() s;
    comment on view public.content_pool_status is
      'Per pool: unused items, the minimum it is kept at, items on the way, level (ok, low: below half the minimum, empty), who writes (builtin: word lists, no model), the last failure and the next try.';
  end if;

  if worker.may_change('public.worker_queue_status') then
    create or replace view public.worker_queue_status with (security_invoker = true) as
      select q.job_type, q.status, q.jobs, q.oldest_seconds, q.next_run_at from worker.queue_status() q;
    comment on view public.worker_queue_status is
      'Jobs by type and status, with the age of the oldest in seconds.';
  end if;

  if worker.may_change('public.worker_executors') and not worker.is_former('public.worker_jobs') then
    create or replace view public.worker_executors with (security_invoker = true) as
      select e.id, e.info ->> 'host' as host, e.info ->> 'version' as version, e.started_at, e.last_seen,
             (select count(*) from public.worker_jobs j where j.executor_id = e.id and j.status = 'running') as jobs,
             e.info ->> 'generator' as generator, e.info ->> 'model' as model,
             case when e.gone_since is not null or e.last_seen < now() - interval '3 minutes' then 'gone' else e.info ->> 'state' end as state,
             case when e.gone_since is not null then 'its session has ended'
                  when e.last_seen < now() - interval '3 minutes' then 'not heard of since last_seen'
                  else e.info ->> 'reason' end as reason,
             e.watched
        from worker.executors e;
    comment on view public.worker_executors is
      'The executors: where, since when, last seen, jobs in hand, model, state (idle, working, paused, stopping, gone) and why; watched: its session can be seen to end, so its jobs wait for no lease.';
  end if;

  if worker.may_change('public.worker_costs') then
    create or replace view public.worker_costs with (security_invoker = true) as
      select u.day, u.kind, u.generator, u.model, u.items, u.rejected, u.prompt_tokens, u.completion_tokens, u.llm_seconds,
             round(a.usd, 6) as api_usd, round(a.usd / nullif(u.items, 0), 6) as api_usd_per_item,
             '0.0002 to 0.0005'::text as guide_usd_per_item
        from worker.usage u
       cross join lateral (
         select (u.prompt_tokens * worker.price('price_prompt') + u.completion_tokens * worker.price('price_completion')) / 1e6) a(usd);
    comment on view public.worker_costs is
      'By day (UTC), kind and model: items, rejected answers, tokens, seconds, and what an API would have taken for the tokens (settings pg_worker_ext.price_prompt and price_completion, US dollars per million).';
  end if;
end $$;
comment on function worker.setup_views() is
'Makes the views. Part of worker.setup().';
