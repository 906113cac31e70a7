-- The data side that every kind shares. Each function creates only what is absent and says whether it did.

create or replace function worker.setup_table_meta() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if to_regclass('worker.schema_version') is null then
    create table worker.schema_version (
      only_row boolean primary key default true check (only_row),
      version text not null
    );
    comment on table worker.schema_version is 'Version of the tables, one row. Compared with worker.version() before anything is written.';
  end if;
  -- since 0.2.0
  if worker.may_change('worker.schema_version') then
    alter table worker.schema_version add column if not exists adopted_at timestamptz;
    comment on column worker.schema_version.adopted_at is 'When the guide''s own queue was adopted: its finished jobs are kept as long from then on as others from their end.';
  end if;
  if to_regclass('worker.kinds') is null then
    create table worker.kinds (
      kind text primary key check (kind ~ '^[a-z][a-z0-9_]{0,40}$'),
      job_type text not null unique,
      shipped boolean not null default false,
      parameters jsonb not null default '{}',
      item_table text not null,
      scope_parameter text check (scope_parameter = 'campaign_seed'),
      title_field text,
      system_prompt text not null,
      prompt text not null,
      prompt_version text not null default '1',
      item_schema jsonb not null,
      facets jsonb not null default '{}',
      grammar jsonb,
      sampling jsonb not null default '{}',
      stock_names jsonb not null default '[]',
      typical_tokens integer,
      guide_seconds text,
      min_size integer,
      batch_size integer,
      context_function text,
      check_function text,
      store_function text
    );
    comment on table worker.kinds is
      'The kinds of content as shipped: how to prompt for an item, how to check it, where it goes. A game''s own wishes belong in content_pools; worker.setup() rewrites the shipped rows.';
    comment on column worker.kinds.item_table is 'Where its items are stored: a pool that is kept filled where min_size is given.';
    comment on column worker.kinds.scope_parameter is 'The parameter (and column of item_table) that divides this kind into a pool for each of its values; NULL: one pool.';
    comment on column worker.kinds.facets is 'Lists by name, from which each item of a job gets one value, without replacement: they force variety.';
    comment on column worker.kinds.grammar is 'Word lists and templates of the built-in generator.';
    comment on column worker.kinds.stock_names is 'Names that models use again and again: the prompt asks to avoid them, an item that uses one is rejected.';
    comment on column worker.kinds.typical_tokens is 'What an item of this kind usually has, for estimates.';
    comment on column worker.kinds.guide_seconds is 'How long a batch takes on a GTX 1080, one request at a time, as the guide says.';
    comment on column worker.kinds.context_function is 'Function (parameters jsonb, facets jsonb, item_no int, seed bigint) → jsonb: what the prompt, the schema and the grammar are told.';
    comment on column worker.kinds.check_function is 'Function (item jsonb, parameters jsonb) → text: the reason for a rejection, or NULL.';
    comment on column worker.kinds.store_function is 'Function (item jsonb, parameters jsonb, provenance jsonb) → uuid: stores the item and gives its id. NULL: it goes into item_table as it is (worker.add_kind).';
  end if;
  -- In 0.1.0 it named a function that is gone.
  if worker.may_change('worker.kinds') then
    comment on column worker.kinds.parameters is 'What a job of this kind takes, by name: {"type", "min", "max", "values", "max_length", "required"}.';
  end if;
end $$;

create or replace function worker.setup_table_jobs() returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_former regclass := worker.set_former_aside('public.worker_jobs');
  v_adopted boolean;
begin
  if to_regclass('public.worker_jobs') is null then
    create table public.worker_jobs (
      id uuid primary key default gen_random_uuid(),
      job_type text not null,
      parameters jsonb not null default '{}',
      priority integer not null default 5 constraint worker_jobs_priority_check check (priority between 1 and 10),
      status text not null default 'pending' constraint worker_jobs_status_check
        check (status in ('pending', 'running', 'completed', 'failed', 'cancelled')),
      created_at timestamptz not null default now(),
      started_at timestamptz,
      completed_at timestamptz,
      error_message text,
      result jsonb,
      run_at timestamptz not null default clock_timestamp(),
      dedupe_key text,
      attempts integer not null default 0,
      max_attempts integer not null default 3 constraint worker_jobs_max_attempts_check check (max_attempts between 1 and 100),
      lease_token uuid,
      lease_expires_at timestamptz,
      executor_id uuid,
      asked integer not null default 1,
      stored integer not null default 0,
      progress jsonb not null default '{}',
      refill boolean not null default false
    -- Room on each page, so that a heartbeat's new row version stays beside the old one (HOT).
    -- Cleaned up after a number of changes, however many finished jobs are kept: a lease walks over what earlier ones left.
    ) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, vacuum_index_cleanup = on);
    comment on table public.worker_jobs is 'The job queue: one row is one unit of background work. Fill it with enqueue_worker_job().';
    comment on column public.worker_jobs.priority is '1 is the most urgent, 10 the least.';
    comment on column public.worker_jobs.run_at is 'Not before this time.';
    comment on column public.worker_jobs.dedupe_key is 'While a job with this key is pending or running, no second one is made.';
    comment on column public.worker_jobs.attempts is 'Attempts charged so far; a job that was given back because no model could be reached is not charged.';
    comment on column public.worker_jobs.lease_token is 'Proof of the present lease; only who knows it may store, finish or give back.';
    comment on column public.worker_jobs.lease_expires_at is 'When the lease ends unless a heartbeat renews it; after that the job is rescued.';
    comment on column public.worker_jobs.asked is 'Items asked for.';
    comment on column public.worker_jobs.stored is 'Items stored so far; kept over attempts.';
    comment on column public.worker_jobs.progress is 'Account of the work so far: rejections by reason, duplicates, tokens, seconds, model.';
    comment on column public.worker_jobs.refill is 'Made by a refill of a pool, not asked for by anybody.';
  end if;
  -- The guide takes any priority, and its schedule_pool_check() leaves several checks when it is called at once.
  v_adopted := worker.take_up_former(v_former, 'public.worker_jobs', '{id,job_type,parameters,priority,status}', $mend$
    update %s set priority = least(greatest(priority, 1), 10) where priority not between 1 and 10;
    update %s j
       set status = 'cancelled', completed_at = now(), error_message = 'superseded by ' || t.first
      from (select (array_agg(id order by created_at, id))[1] as first from %s
             where job_type = 'check_all_pools' and status = 'pending') t
     where j.job_type = 'check_all_pools' and j.status = 'pending' and j.id <> t.first
  $mend$);
  if worker.may_change('public.worker_jobs') then
    -- One probe per priority finds the next job; jobs that are not due yet lie behind those that are.
    create index if not exists worker_jobs_pending on public.worker_jobs (priority, run_at, id)
      where status = 'pending' and job_type <> 'check_all_pools';
    create index if not exists worker_jobs_running on public.worker_jobs (id) where status = 'running';
    create index if not exists worker_jobs_on_its_way on public.worker_jobs (job_type, (parameters ->> 'campaign_seed'), run_at)
      where status in ('pending', 'running');
    -- Until 0.2.0 it had no run_at: jobs for later were read with the others.
    if to_regclass('public.worker_jobs_on_the_way') is not null then
      drop index public.worker_jobs_on_the_way;
    end if;
    create index if not exists worker_jobs_finished on public.worker_jobs (completed_at) where status in ('completed', 'failed', 'cancelled');
    create unique index if not exists worker_jobs_one_pool_check on public.worker_jobs (job_type)
      where job_type = 'check_all_pools' and status = 'pending';
    create unique index if not exists worker_jobs_dedupe on public.worker_jobs (dedupe_key)
      where dedupe_key is not null and status in ('pending', 'running');
  end if;
  return v_adopted;
end $$;
comment on function worker.setup_table_jobs() is
'Makes or adopts the queue; true where a former one was adopted. Part of worker.setup().';

create or replace function worker.setup_table_ledger() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if to_regclass('worker.items') is null then
    create table worker.items (
      job_id uuid not null,
      item_no integer not null,
      kind text not null,
      scope text not null default '',
      item_id uuid not null,
      title text,
      title_key text,
      created_at timestamptz not null default now(),
      primary key (job_id, item_no),
      constraint items_title_once unique (kind, scope, title_key)
    );
    create index items_recent on worker.items (kind, scope, created_at);
    comment on table worker.items is
      'Ledger of the generated items. Its keys are what makes a repeated store harmless (job_id, item_no) and an equal title impossible (kind, scope, title_key).';
  end if;
end $$;

create or replace function worker.setup_table_pools() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_former regclass := worker.set_former_aside('public.content_pools');
begin
  if to_regclass('public.content_pools') is null then
    create table public.content_pools (
      kind text primary key,
      min_size integer not null constraint content_pools_min_size_check check (min_size between 0 and 100000),
      batch_size integer not null constraint content_pools_batch_size_check check (batch_size between 1 and 1000),
      enabled boolean not null default true,
      prompt text,
      system_prompt text,
      temperature real constraint content_pools_temperature_check check (temperature between 0 and 5),
      max_tokens integer constraint content_pools_max_tokens_check check (max_tokens between 16 and 131072),
      model text
    );
    comment on table public.content_pools is
      'A row per kind: how large its pool is kept, and the game''s own prompt, temperature or model. NULL means as shipped. The next item obeys an UPDATE.';
    comment on column public.content_pools.min_size is 'The pool is refilled when fewer unused items are there. For POIs: in each campaign.';
    comment on column public.content_pools.batch_size is 'Items per refill job, and the default of a job''s count.';
    comment on column public.content_pools.enabled is 'false: this pool is not refilled by itself.';
  end if;
  perform worker.take_up_former(v_former, 'public.content_pools', '{kind,min_size,batch_size,enabled}');
  if to_regclass('worker.campaigns') is null then
    create table worker.campaigns (
      campaign_seed text primary key check (campaign_seed <> ''),
      asked_at timestamptz not null default now()
    );
    comment on table worker.campaigns is 'Campaigns whose pools are kept filled: those of the characters table and those that were asked for. DELETE a row to let a campaign rest.';
  end if;
  if to_regclass('worker.pool_trouble') is null then
    create table worker.pool_trouble (
      kind text not null,
      scope text not null default '',
      failures integer not null,
      last_failure text not null,
      last_failed_at timestamptz not null,
      next_try_at timestamptz not null,
      primary key (kind, scope)
    );
    comment on table worker.pool_trouble is 'Pools whose last job failed: not refilled again before next_try_at, a minute doubling to an hour. Scope * is the kind as a whole.';
  end if;
end $$;

create or replace function worker.setup_table_usage() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if to_regclass('worker.usage') is null then
    create table worker.usage (
      day date not null,
      kind text not null,
      generator text not null,
      model text not null,
      items bigint not null default 0,
      rejected bigint not null default 0,
      prompt_tokens bigint not null default 0,
      completion_tokens bigint not null default 0,
      llm_seconds double precision not null default 0,
      primary key (day, kind, generator, model)
    -- One row is updated by every item of its day; nothing that changes is indexed.
    ) with (fillfactor = 50);
    comment on table worker.usage is 'What was written, by day (UTC), kind, generator and model: kept when jobs and items are gone. See the view worker_costs.';
  end if;
end $$;

create or replace function worker.setup_table_executors() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if to_regclass('worker.executors') is null then
    create table worker.executors (
      id uuid primary key,
      started_at timestamptz not null default now(),
      last_seen timestamptz not null default now(),
      info jsonb not null default '{}'
    ) with (fillfactor = 50);
    comment on table worker.executors is 'The executors and what they last said of themselves (worker.report_executor).';
  end if;
  -- since 0.2.0
  if worker.may_change('worker.executors') then
    alter table worker.executors
      add column if not exists watched boolean not null default false,
      add column if not exists gone_since timestamptz;
    comment on column worker.executors.watched is 'Its session can be seen to end (worker.show_presence).';
    comment on column worker.executors.gone_since is 'Since when it was seen to be gone; NULL when it spoke since.';
  end if;
end $$;

create or replace function worker.setup_pool(p_table text) returns void
language plpgsql strict set search_path = pg_catalog, pg_temp as $$
declare
  v_table regclass := p_table;
  v_name text := (select relname from pg_class where oid = v_table);
begin
  execute format('alter table %s
    add column if not exists used boolean not null default false,
    add column if not exists created_at timestamptz not null default now(),
    add column if not exists used_at timestamptz,
    add column if not exists pool_key double precision not null default random(),
    add column if not exists request_id text,
    add column if not exists provenance jsonb', v_table);
  -- A claim leaves a dead entry in the index of the unused items, and whoever finds nothing walks over all of them.
  -- So vacuum comes after a number of claims, not after a share of the table, and cleans the index also where they
  -- lie on few pages. What the owner has set stays.
  if (select reloptions from pg_class where oid = v_table) is null then
    execute format('alter table %s set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
                                        vacuum_index_cleanup = on)', v_table);
  end if;
  execute format('create unique index if not exists %I on %s (request_id) where request_id is not null',
                 v_name || '_request', v_table);
  execute format('comment on column %s.used is %L', v_table, 'true once claimed; a claim never hands an item out twice.');
  execute format('comment on column %s.pool_key is %L', v_table, 'Random; where a claim starts to look.');
  execute format('comment on column %s.request_id is %L', v_table, 'The request that claimed this item; the same request gets it again.');
  execute format('comment on column %s.provenance is %L', v_table,
                 'Where the item comes from: generator, model, prompt_version, seed, facets, job_id, item_no, tokens. NULL: written by hand.');
end $$;
comment on function worker.setup_pool(text) is
'Gives a table the columns that every pool has. Part of worker.setup().';

create or replace function worker.item_returned() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op = 'DELETE' then
    return old; -- on a table of somebody else's: it keeps nothing from being deleted
  end if;
  -- The next to claim it is somebody else: the request that had it must not find it again.
  new.request_id := null;
  new.used_at := null;
  return new;
end $$;
comment on function worker.item_returned() is
'Trigger: an item that is set back to unused, also by a plain UPDATE, belongs to no request any more.';

create or replace function worker.setup_pool_triggers(p_table text) returns void
language plpgsql strict set search_path = pg_catalog, pg_temp as $$
declare
  v_table regclass := p_table;
begin
  if worker.is_former(p_table) then
    return;
  end if;
  execute format('create or replace trigger pool_used after update of used on %s for each statement execute function worker.wake(''pools'')', v_table);
  execute format('create or replace trigger item_returned before update of used on %s
                    for each row when (old.used and not new.used) execute function worker.item_returned()', v_table);
  execute format('create or replace trigger pool_deleted after delete on %s for each statement execute function worker.wake(''pools'')', v_table);
end $$;
comment on function worker.setup_pool_triggers(text) is
'Lets claims, updates and deletes on a pool wake the background worker at commit. Part of worker.setup().';
