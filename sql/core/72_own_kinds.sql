-- Kinds of one's own: a prompt, a JSON Schema and sizes give a pool, refills and claims. All of it is data; the
-- only name that becomes part of a statement is the table's, made from the kind's name and quoted.

create or replace function worker.add_kind(
  p_kind text,
  p_prompt text,
  p_item_schema jsonb,
  p_min_size integer default 20,
  p_batch_size integer default 10,
  p_title_field text default null,
  p_system_prompt text default 'You write content for a game. You answer with one JSON object and nothing else.',
  p_facets jsonb default '{}',
  p_sampling jsonb default '{"temperature": 1.0, "max_tokens": 1000}',
  p_grammar jsonb default null
) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- The table and its rights are made as setup() makes them; two of us would make them twice.
  perform worker.one_setup_at_a_time();
  perform worker.check_own_kind(p_kind, p_prompt, p_item_schema, p_min_size, p_batch_size, p_title_field, p_facets, p_sampling, p_grammar);
  perform worker.setup_own_pool(p_kind);
  insert into worker.kinds as k (kind, job_type, parameters, item_table, title_field, system_prompt, prompt, item_schema,
                                 facets, sampling, grammar, min_size, batch_size, prompt_version)
  values (p_kind, 'generate_' || p_kind, '{"count": {"type": "integer", "min": 1, "max": 1000}}',
          format('public.%I', p_kind || '_items'), p_title_field, coalesce(p_system_prompt, ''), p_prompt, p_item_schema,
          coalesce(p_facets, '{}'), coalesce(p_sampling, '{}'), p_grammar, p_min_size, p_batch_size, left(md5(p_prompt), 8))
  on conflict (kind) do update
     set title_field = excluded.title_field, system_prompt = excluded.system_prompt, prompt = excluded.prompt,
         item_schema = excluded.item_schema, facets = excluded.facets, sampling = excluded.sampling,
         grammar = excluded.grammar, min_size = excluded.min_size, batch_size = excluded.batch_size,
         prompt_version = excluded.prompt_version;
  insert into public.content_pools (kind, min_size, batch_size) values (p_kind, p_min_size, p_batch_size)
  on conflict (kind) do update set min_size = excluded.min_size, batch_size = excluded.batch_size;
  perform worker.give_to(worker.wanted_owner());
  perform worker.close_doors();
  perform worker.grant_known_roles();
  return format('public.%I', p_kind || '_items');
end $$;
comment on function worker.add_kind(text, text, jsonb, integer, integer, text, text, jsonb, jsonb, jsonb) is
'Adds a kind of your own, or changes it: its pool is the table public.KIND_items, its job type generate_KIND; it is refilled like the others and claimed by claim_from_pool(KIND). p_prompt: a template; {{name}} becomes the facet of that name, {{item_no}}, {{count}} or {{recent_titles}}. p_item_schema: JSON Schema of an item, {"type": "object", "properties": …}. p_min_size, p_batch_size: as in content_pools. p_title_field: the property that no two items share. p_facets: {"name": [values]}, one of each per item, without replacement. p_sampling: parameters of the chat request. p_grammar: word lists for the built-in generator. For the owner of the tables.';

create or replace function worker.check_own_kind(
  p_kind text, p_prompt text, p_item_schema jsonb, p_min_size integer, p_batch_size integer, p_title_field text,
  p_facets jsonb, p_sampling jsonb, p_grammar jsonb
) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if p_kind is null or p_kind !~ '^[a-z][a-z0-9_]{0,40}$' or exists (select from worker.kinds where kind = p_kind and shipped) then
    perform worker.refuse('p_kind', p_kind, 'a-z, 0-9 and _, at most 41 characters, beginning with a letter; none of '
      || (select string_agg(kind, ', ' order by kind) from worker.kinds where shipped));
  elsif exists (select from worker.kinds where job_type = 'generate_' || p_kind and kind <> p_kind) then
    perform worker.refuse('p_kind', p_kind, format('a name whose job type generate_%s is not taken: it is that of the kind %s', p_kind,
      (select kind from worker.kinds where job_type = 'generate_' || p_kind)));
  elsif coalesce(btrim(p_prompt), '') = '' then
    perform worker.refuse('p_prompt', p_prompt, 'a text');
  elsif jsonb_typeof(p_item_schema) is distinct from 'object' or p_item_schema ->> 'type' is distinct from 'object'
     or jsonb_typeof(p_item_schema -> 'properties') is distinct from 'object' then
    perform worker.refuse('p_item_schema', p_item_schema::text, 'a JSON Schema {"type": "object", "properties": {…}}');
  elsif p_min_size is null or p_min_size not between 0 and 100000 then
    perform worker.refuse('p_min_size', p_min_size::text, 'an integer from 0 to 100000');
  elsif p_batch_size is null or p_batch_size not between 1 and 1000 then
    perform worker.refuse('p_batch_size', p_batch_size::text, 'an integer from 1 to 1000');
  elsif p_title_field is not null and not p_item_schema -> 'properties' ? p_title_field then
    perform worker.refuse('p_title_field', p_title_field, 'a property of p_item_schema, or NULL');
  elsif exists (select from jsonb_each(case jsonb_typeof(p_facets) when 'object' then p_facets else '{"": 0}' end) f
                 where jsonb_typeof(f.value) <> 'array') then
    perform worker.refuse('p_facets', p_facets::text, 'a JSON object of lists');
  elsif jsonb_typeof(p_sampling) <> 'object' then
    perform worker.refuse('p_sampling', p_sampling::text, 'a JSON object');
  elsif p_grammar is not null and not p_grammar ? 'item' then
    perform worker.refuse('p_grammar', p_grammar::text, '{"item": template, "rules": {…}}, or NULL');
  end if;
  -- A schema that is none is refused here, and not by every item.
  perform worker.json_schema_errors(p_item_schema, '{}');
end $$;

create or replace function worker.setup_own_pool(p_kind text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_name text := p_kind || '_items';
  v_table text := format('public.%I', v_name);
begin
  if to_regclass(v_table) is not null and not worker.is_own_pool(v_table)
     and not exists (select from worker.kinds where kind = p_kind and item_table = v_table) then
    perform worker.refuse('p_kind', p_kind, format('a name for which there is no table %s yet', v_table));
  end if;
  if to_regclass(v_table) is null then
    execute format('create table %s (id uuid primary key default gen_random_uuid(), title text, item jsonb not null, spawned_at_location jsonb)', v_table);
    execute format('comment on table %s is %L', v_table, format('The pool of the kind %s. Take one with claim_from_pool(%L).', p_kind, p_kind));
    perform worker.setup_pool(v_table);
    execute format('create index %I on %s (pool_key) where not used', v_name || '_claim', v_table);
  end if;
  perform worker.setup_pool_triggers(v_table);
end $$;
comment on function worker.setup_own_pool(text) is
'Makes the pool''s table of a kind of one''s own. Part of worker.add_kind().';

create or replace function worker.is_own_pool(p_table text) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (select c.relkind = 'r' and c.relowner = (select j.relowner from pg_class j where j.oid = 'public.worker_jobs'::regclass)
            from pg_class c where c.oid = to_regclass(p_table))
     and (select count(*) from pg_attribute a join unnest(
            array['id', 'title', 'item', 'spawned_at_location', 'used', 'created_at', 'used_at', 'pool_key', 'request_id', 'provenance'],
            array['uuid', 'text', 'jsonb', 'jsonb', 'boolean', 'timestamptz', 'timestamptz', 'float8', 'text', 'jsonb']) w(name, type)
              on a.attname = w.name and a.atttypid = to_regtype(w.type)
           where a.attrelid = to_regclass(p_table) and not a.attisdropped) = 10;
end $$;
comment on function worker.is_own_pool(text) is
'Whether this is the table of a kind that was dropped: the owner''s own, with all columns of such a pool. worker.add_kind takes it up again, items and all.';

create or replace function worker.setup_own_kinds() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- DROP EXTENSION took their triggers with the code.
  perform worker.setup_pool_triggers(k.item_table) from worker.kinds k
    where worker.may_change('worker.kinds') and not k.shipped and k.min_size is not null and to_regclass(k.item_table) is not null;
end $$;
comment on function worker.setup_own_kinds() is
'Sets up the pools of kinds of one''s own again. Part of worker.setup().';

create or replace function worker.drop_kind(p_kind text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_job_type text;
begin
  if exists (select from worker.kinds where kind = p_kind and shipped) then
    perform worker.refuse('p_kind', p_kind, 'a kind that was added by worker.add_kind');
  end if;
  perform worker.one_setup_at_a_time();
  select job_type into v_job_type from worker.kinds where kind = p_kind;
  if not found then
    return false;
  end if;
  -- In the order of ids, as everything that locks several jobs.
  perform 1 from public.worker_jobs where job_type = v_job_type and status in ('pending', 'running') order by id for update;
  update public.worker_jobs set status = 'cancelled', error_message = format('the kind %s was dropped', p_kind)
   where job_type = v_job_type and status in ('pending', 'running');
  delete from worker.kinds where kind = p_kind;
  delete from public.content_pools where kind = p_kind;
  delete from worker.pool_trouble where kind = p_kind;
  return true;
end $$;
comment on function worker.drop_kind(text) is
'Ends a kind of your own: no refills, no claims; its jobs are cancelled. Its table and the items in it stay, and worker.add_kind with the same name takes them up again. Returns false where there is no such kind.';

create or replace function worker.pick_own(p_table regclass, p_look boolean) returns uuid
language plpgsql strict set search_path = pg_catalog, pg_temp as $$
declare
  v_key double precision := random();
  v_id uuid;
begin
  if p_look then
    execute format('select q.id from %s q where not q.used order by q.pool_key limit 1', p_table) into v_id;
    return v_id;
  end if;
  execute format('select q.id from %s q where not q.used and q.pool_key >= $1 order by q.pool_key limit 1 for update skip locked', p_table)
     into v_id using v_key;
  if v_id is null then
    execute format('select q.id from %s q where not q.used and q.pool_key < $1 order by q.pool_key limit 1 for update skip locked', p_table)
       into v_id using v_key;
  end if;
  return v_id;
end $$;
comment on function worker.pick_own(regclass, boolean) is
'Locks an unused item of such a pool that nobody else has locked, and returns its id. p_look: locks nothing and finds also what others have locked.';

create or replace function public.claim_from_pool(kind text, spawn_location jsonb default null, request_id text default null)
returns table (item_id uuid, item jsonb)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  v_may_wait boolean := worker.begin_claim(coalesce($1, ''), $3);
  v_kind record;
  v_table regclass;
  v_id uuid;
  v_held uuid;
  v_until timestamptz := clock_timestamp() + interval '1 second';
begin
  if jsonb_typeof($2) = 'string' then
    perform worker.refuse_json_text('spawn_location', $2);
  end if;
  select k.job_type, k.item_table into v_kind from worker.kinds k where k.kind = $1 and k.store_function is null;
  if not found then
    perform worker.refuse('kind', $1, coalesce(
      (select string_agg(k.kind, ', ' order by k.kind) from worker.kinds k where k.store_function is null),
      'a kind that was added by worker.add_kind; there is none yet')
      || ' (the shipped kinds have claim functions of their own, such as claim_quest_from_pool)');
  end if;
  v_table := v_kind.item_table;
  if $3 is not null then
    execute format('select q.id from %s q where q.request_id = $1', v_table) into v_id using $3;
  end if;
  for v_round in 1..1000 loop
    exit when v_id is not null;
    begin
      v_id := worker.pick_own(v_table, false);
      if v_id is null then
        raise exception using errcode = 'PW001';
      end if;
      execute format('update %s set used = true, used_at = now(), spawned_at_location = $2, request_id = $3 where id = $1', v_table)
        using v_id, $2, $3;
    exception when sqlstate 'PW001' then
      v_held := case when v_may_wait and clock_timestamp() < v_until then worker.pick_own(v_table, true) end;
      exit when v_held is null
        or not worker.await_item(v_kind.item_table, v_held, worker.request_key($1, $3), current_setting('lock_timeout'));
    end;
  end loop;
  if v_id is null then
    perform worker.want(v_kind.job_type, '{}');
  end if;
  return query execute format('select q.id, q.item from %s q where q.id = $1', v_table) using v_id;
end $$;
comment on function public.claim_from_pool(text, jsonb, text) is
'Claims a random unused item of a kind of your own (worker.add_kind): it is never handed out again. spawn_location: stored with it, may be NULL. request_id: the same id gets the same item. No row: the pool is empty; one is then made.';
