-- Pools: what is there, what is on the way, what is missing.

create or replace function worker.count_available(p_item_table text, p_scope_column text, p_scope text, p_limit bigint) returns bigint
-- Few unused items in a large table: the pool's partial index finds them, whatever a planner without statistics
-- believes of the table. Whoever has locked the table is not waited for.
language plpgsql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off set lock_timeout = '200ms' as $$
declare
  v_count bigint;
begin
  if to_regclass(p_item_table) is null then
    return null;
  end if;
  -- The pool's table is a value here, so this cannot be a plain statement. Counting stops at the limit.
  if p_scope_column is null then
    execute format('select count(*) from (select from %s where not used limit $1) t', p_item_table::regclass)
       into v_count using p_limit;
  else
    execute format('select count(*) from (select from %s where not used and %I = $2 limit $1) t', p_item_table::regclass, p_scope_column)
       into v_count using p_limit, p_scope;
  end if;
  return v_count;
exception when others then
  -- Renamed columns, another type, no right, locked: that is this pool's trouble and no other's.
  return null;
end $$;
comment on function worker.count_available(text, text, text, bigint) is
'Unused items of a pool, counted up to p_limit (NULL: all). NULL: its table cannot be read now.';

create or replace function worker.count_on_the_way(p_job_type text, p_scope text, p_limit integer) returns bigint
-- As above: a planner that expects many such jobs would read the whole queue to find the first of them.
language plpgsql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
declare
  -- What a job of a refill asks for, but for its number and its campaign. A job for one difficulty, or for next month,
  -- fills no gap of the pool.
  v_usual jsonb := (select worker.job_parameters(k.parameters, '{}') - '{count,campaign_seed}'::text[]
                      from worker.kinds k where k.job_type = p_job_type);
  v_soon timestamptz := clock_timestamp() + interval '1 hour';
begin
  -- Two statements, so that a campaign's jobs are found without reading those of the others.
  if p_scope = '' then
    return (select coalesce(sum(t.missing), 0)
              from (select greatest(j.asked - j.stored, 0) as missing from public.worker_jobs j
                     where j.job_type = p_job_type and j.status in ('pending', 'running')
                       and j.parameters ->> 'campaign_seed' is null and j.run_at <= v_soon
                       and v_usual || jsonb_strip_nulls(j.parameters) - '{count,campaign_seed}'::text[] = v_usual
                     limit p_limit) t);
  end if;
  return (select coalesce(sum(t.missing), 0)
            from (select greatest(j.asked - j.stored, 0) as missing from public.worker_jobs j
                   where j.job_type = p_job_type and j.status in ('pending', 'running')
                     and j.parameters ->> 'campaign_seed' = p_scope and j.run_at <= v_soon
                     and v_usual || jsonb_strip_nulls(j.parameters) - '{count,campaign_seed}'::text[] = v_usual
                   limit p_limit) t);
end $$;
comment on function worker.count_on_the_way(text, text, integer) is
'Items that jobs of a type still owe to their pool, of at most p_limit jobs: those that are running or due within the hour and ask for what a refill asks for. A job for certain levels, one difficulty, one place does not count.';

create or replace function worker.pools()
returns table (kind text, scope text, job_type text, item_table text, scope_parameter text, min_size integer,
               batch_size integer, enabled boolean)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
  return query
  select k.kind, coalesce(c.campaign_seed, ''), k.job_type, k.item_table, k.scope_parameter, p.min_size, p.batch_size, p.enabled
    from worker.kinds k
    join public.content_pools p on p.kind = k.kind
    left join worker.campaigns c on k.scope_parameter = 'campaign_seed'
   where k.min_size is not null and (k.scope_parameter is null or c.campaign_seed is not null)
   order by k.kind, 2;
end $$;
comment on function worker.pools() is
'Every pool: a row per kind, for kinds divided by campaign a row per campaign.';

create or replace function worker.pool_deficits()
returns table (kind text, scope text, job_type text, scope_parameter text, batch_size integer, available bigint,
               min_size integer, on_the_way bigint, missing bigint, resting_until timestamptz)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
  return query
  select p.kind, p.scope, p.job_type, p.scope_parameter, p.batch_size, a.n, p.min_size, w.n,
         -- What cannot be counted is not refilled.
         case when p.enabled and a.n is not null then greatest(p.min_size - a.n - w.n, 0) else 0 end, t.next_try_at
    from worker.pools() p
   cross join lateral worker.count_available(p.item_table, p.scope_parameter, p.scope, p.min_size) a(n)
   cross join lateral worker.count_on_the_way(p.job_type, p.scope, p.min_size) w(n)
    left join lateral (
      select max(x.next_try_at) as next_try_at from worker.pool_trouble x
       where x.kind = p.kind and x.scope in (p.scope, '*') and x.next_try_at > now()) t on true;
end $$;
comment on function worker.pool_deficits() is
'Per pool: available (counted up to min_size), on the way, and missing = min_size − available − on the way. resting_until: not refilled before, because its last job failed.';

create or replace function worker.enqueue_missing() returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_made integer;
begin
  -- Two of us at once: the second waits here and then counts, in a later statement, what the first enqueued.
  perform 1 from public.content_pools order by kind for update;
  insert into public.worker_jobs (job_type, parameters, priority, refill)
  select d.job_type,
         jsonb_strip_nulls(jsonb_build_object('count', least(d.batch_size, d.missing - b.batch * d.batch_size)))
           || case when d.scope_parameter is null then '{}' else jsonb_build_object(d.scope_parameter, d.scope) end,
         -- An empty pool before one that is only low, and a pool that everybody shares before those of the campaigns:
         -- hundreds of campaigns must not keep a quest waiting for more than the batch that is being written.
         6 + case when d.scope_parameter is null then 0 else 2 end - (d.available = 0)::int, true
    from worker.pool_deficits() d
   cross join lateral generate_series(0, (d.missing - 1) / d.batch_size) as b(batch)
   where d.missing > 0 and d.resting_until is null
   -- In turn, a batch of each pool, the emptiest first.
   order by b.batch, d.available::numeric / d.min_size, d.kind;
  get diagnostics v_made = row_count;
  return v_made;
end $$;
comment on function worker.enqueue_missing() is
'Enqueues what the pools are missing, in batches of batch_size; returns the number of jobs.';

create or replace function worker.note_campaigns() returns text
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '200ms' as $$
declare
  v_trouble text := worker.game_access('characters');
begin
  if to_regclass('public.characters') is null then
    return null;
  elsif v_trouble is not null then
    return v_trouble;
  end if;
  insert into worker.campaigns (campaign_seed) select c from worker.game_characters() c on conflict do nothing;
  return worker.hidden_from_owner('characters');
exception
  when lock_not_available then
    -- A game that has just added one of them may be waiting for us; whoever adds a campaign notes it himself.
    return 'campaigns are being added just now, the next check takes them up';
  when others then
    -- Whatever the game made of its table, the pools are looked after.
    return 'characters cannot be read: ' || sqlerrm;
end $$;
comment on function worker.note_campaigns() is
'Takes the campaigns of the game''s own characters table, where it exists, into worker.campaigns. Returns what stood in the way, or NULL.';

create or replace function worker.check_all_pools() returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_note text := worker.note_campaigns();
  v_before jsonb;
  v_jobs integer;
begin
  v_before := coalesce((select jsonb_object_agg(d.kind || coalesce(':' || nullif(d.scope, ''), ''), d.on_the_way) from worker.pool_deficits() d), '{}');
  v_jobs := worker.enqueue_missing();
  return jsonb_strip_nulls(jsonb_build_object('jobs', v_jobs, 'note', v_note)) || jsonb_build_object('pools', coalesce((
    select jsonb_agg(jsonb_strip_nulls(jsonb_build_object('kind', d.kind, 'campaign_seed', nullif(d.scope, ''), 'available', d.available,
             'minimum', d.min_size, 'on_the_way', d.on_the_way,
             'enqueued', d.on_the_way - coalesce((v_before ->> (d.kind || coalesce(':' || nullif(d.scope, ''), '')))::bigint, 0),
             'resting_until', d.resting_until)) order by d.kind, d.scope)
      from worker.pool_deficits() d), '[]'));
end $$;
comment on function worker.check_all_pools() is
'Checks every pool and enqueues what is missing. Returns per pool: available, minimum, on_the_way (with what was just enqueued), enqueued.';

create or replace function worker.refill_pools() returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_job uuid;
  v_result jsonb;
begin
  perform worker.require_read_committed();
  perform worker.require_ready();
  if exists (select from public.worker_jobs
              where job_type = 'check_all_pools' and status = 'pending' and run_at <= clock_timestamp()) then
    -- The pools before the check, as a game does it that changes a pool and then asks for a check.
    perform 1 from public.content_pools order by kind for update;
    select id into v_job from public.worker_jobs
     where job_type = 'check_all_pools' and status = 'pending' and run_at <= clock_timestamp()
     for update skip locked;
  end if;
  if v_job is not null then
    update public.worker_jobs set status = 'running', started_at = clock_timestamp(), attempts = attempts + 1,
           lease_token = gen_random_uuid(), lease_expires_at = clock_timestamp() + interval '5 minutes'
     where id = v_job;
    v_result := worker.check_all_pools();
    update public.worker_jobs set status = 'completed', completed_at = clock_timestamp(), stored = asked, result = v_result
     where id = v_job;
    return (v_result ->> 'jobs')::int;
  end if;
  -- Look before locking: while nothing is missing nothing is written, no transaction id is used.
  if worker.operators_setting('refill', 'on')::boolean
     and exists (select from worker.pool_deficits() where missing > 0 and resting_until is null) then
    return worker.enqueue_missing();
  end if;
  return 0;
end $$;
comment on function worker.refill_pools() is
'Part of a tick: does a pending check_all_pools job, else enqueues what the pools are missing (unless pg_worker_ext.refill is off). Returns the number of jobs enqueued.';

create or replace function worker.want(p_job_type text, p_parameters jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
declare
  v_prefix text := format('wanted %s ', p_job_type);
  v_key text := v_prefix || p_parameters;
  v_kind record;
  v_here bigint;
  v_all bigint;
begin
  select k.kind, coalesce(p_parameters ->> k.scope_parameter, '') as scope, p.enabled, p.batch_size into v_kind
    from worker.kinds k join public.content_pools p on p.kind = k.kind
   where k.job_type = p_job_type;
  if v_kind.enabled is not true or not worker.setting('refill', 'on')::boolean
     or exists (select from worker.pool_trouble t
                 where t.kind = v_kind.kind and t.scope in (v_kind.scope, '*') and t.next_try_at > now()) then
    return;
  end if;
  -- Whoever asks for odd things all day gets no queue of them: five wait for a pool at most, and fifty for a kind.
  select count(*) filter (where coalesce(j.parameters ->> 'campaign_seed', '') = v_kind.scope), count(*) into v_here, v_all
    from public.worker_jobs j
   where j.dedupe_key is not null and j.status = 'pending' and starts_with(j.dedupe_key, v_prefix);
  if v_here >= 5 or v_all >= 50
     or exists (select from public.worker_jobs j where j.dedupe_key = v_key and j.status in ('pending', 'running'))
     -- Another transaction may be asking for the same now, and may yet roll back: then the next claim asks. Of a
     -- campaign one asks at a time: a job also notes its campaign, and two that note two would wait for each other.
     or not pg_try_advisory_xact_lock(hashtextextended('pg_worker_ext ' || case when v_kind.scope = '' then v_key else v_prefix || v_kind.scope end, 0)) then
    return;
  end if;
  -- In the claim's transaction, so at its commit. A few: the refill of the pool brings the others.
  insert into public.worker_jobs (job_type, parameters, priority, dedupe_key)
  values (p_job_type, p_parameters || jsonb_build_object('count', least(v_kind.batch_size, 5)), 3, v_key)
  on conflict do nothing;
end $$;
comment on function worker.want(text, jsonb) is
'What a claim that found nothing asks for: a job for exactly its filter, of at most 5 items, once; at most 5 such jobs wait for a pool and 50 for a kind. Nothing where the pool is not enabled or refills are off. It waits for nobody.';

create or replace function worker.generators_alive() returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (select string_agg(distinct e.info ->> 'generator', ', ') from worker.executors e
           where e.last_seen > now() - interval '3 minutes');
end $$;

create or replace function worker.table_trouble(p_item_table text, p_scope_column text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_missing text;
begin
  if to_regclass(p_item_table) is null then
    return format('missing table %s', p_item_table);
  end if;
  select string_agg(c, ', ') into v_missing
    from unnest(array['used', p_scope_column]) c
   where c is not null and not exists (select from pg_attribute a where a.attrelid = to_regclass(p_item_table) and a.attname = c and not a.attisdropped);
  return case when v_missing is null then format('unreadable table %s', p_item_table)
              else format('table %s without column %s', p_item_table, v_missing) end;
end $$;
comment on function worker.table_trouble(text, text) is
'Why the table of a pool cannot be counted, in words.';

create or replace function worker.pool_status()
returns table (kind text, scope text, available bigint, min_size integer, on_the_way bigint, level text, generator text,
               last_failure text, last_failed_at timestamptz, next_try_at timestamptz)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
  return query
  select p.kind, p.scope, coalesce(a.n, 0), p.min_size, worker.count_on_the_way(p.job_type, p.scope, null),
         case when a.n is null then worker.table_trouble(p.item_table, p.scope_parameter)
              when a.n = 0 and p.min_size > 0 then 'empty' when a.n * 2 < p.min_size then 'low' else 'ok' end,
         worker.generators_alive(), t.last_failure, t.last_failed_at, t.next_try_at
    from worker.pools() p
   cross join lateral worker.count_available(p.item_table, p.scope_parameter, p.scope, null) a(n)
    left join lateral (
      select x.last_failure, x.last_failed_at, x.next_try_at from worker.pool_trouble x
       where x.kind = p.kind and x.scope in (p.scope, '*')
       order by x.next_try_at desc, x.scope desc limit 1) t on true;
end $$;
comment on function worker.pool_status() is
'Per pool: available, min_size, on the way, level (ok: at least half of min_size; low; empty; what is wrong with its table where that cannot be read), the generators that write now (builtin is none: word lists), last failure and next try.';

create or replace function worker.retire_items(
  p_generator text default null, p_model text default null, p_prompt_version text default null, p_kind text default null
) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_table regclass;
  v_filter jsonb := jsonb_strip_nulls(jsonb_build_object('generator', p_generator, 'model', p_model, 'prompt_version', p_prompt_version));
  v_count bigint;
  v_retired bigint := 0;
begin
  perform worker.require_read_committed();
  if v_filter = '{}' then
    perform worker.refuse('p_generator, p_model, p_prompt_version', null, 'at least one of the three');
  end if;
  for v_table in
    select to_regclass(k.item_table) from worker.kinds k
     where k.min_size is not null and (p_kind is null or k.kind = p_kind) and to_regclass(k.item_table) is not null order by k.kind
  loop
    -- What is just being claimed is not waited for: it goes out of the pool anyway.
    execute format('update %1$s set used = true, used_at = now(), provenance = provenance || ''{"retired": true}''
                     where id in (select q.id from %1$s q where not q.used and q.provenance @> $1 for update skip locked)', v_table) using v_filter;
    get diagnostics v_count = row_count;
    v_retired := v_retired + v_count;
  end loop;
  return v_retired;
end $$;
comment on function worker.retire_items(text, text, text, text) is
'Takes unused items out of the pools by where they come from: p_generator (builtin, llm), p_model, p_prompt_version; p_kind limits it to one kind. They are marked used and provenance says retired; the pools refill. Returns their number.';
