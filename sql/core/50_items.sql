-- The executor's door, second half: what to write next, and storing it.

create or replace function worker.kind_in_force(p_kind text)
returns table (kind text, job_type text, parameters jsonb, item_table text, scope_parameter text, title_field text,
               system_prompt text, prompt text, prompt_version text, item_schema jsonb, facets jsonb, grammar jsonb,
               sampling jsonb, stock_names jsonb, model text, context_function text, check_function text, store_function text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
  return query
  select k.kind, k.job_type, k.parameters, k.item_table, k.scope_parameter, k.title_field,
         coalesce(p.system_prompt, k.system_prompt), coalesce(p.prompt, k.prompt),
         case when p.prompt is null and p.system_prompt is null then k.prompt_version
              else 'own-' || left(md5(concat(p.system_prompt, '|', p.prompt)), 8) end,
         k.item_schema, k.facets, k.grammar,
         k.sampling || jsonb_strip_nulls(jsonb_build_object('temperature', p.temperature, 'max_tokens', p.max_tokens)),
         k.stock_names, p.model, k.context_function, k.check_function, k.store_function
    from worker.kinds k left join public.content_pools p on p.kind = k.kind
   where k.kind = p_kind;
  if not found then
    perform worker.refuse('kind', p_kind, (select string_agg(k.kind, ', ' order by k.kind) from worker.kinds k));
  end if;
end $$;
comment on function worker.kind_in_force(text) is
'A kind as it is in force now: as shipped, overridden by what the game set in content_pools.';

create or replace function worker.draw_facets(p_facets jsonb, p_draw text, p_no bigint) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp
return coalesce((
  select jsonb_object_agg(f.key, (
           select v from jsonb_array_elements(f.value) v
            order by md5(concat_ws(':', p_draw, f.key, p_no / jsonb_array_length(f.value), v)) collate "C"
           offset mod(p_no, jsonb_array_length(f.value)) limit 1))
    from jsonb_each(p_facets) f
   where jsonb_array_length(f.value) > 0), '{}');
comment on function worker.draw_facets(jsonb, text, bigint) is
'One value from each list: the lists are shuffled by p_draw, and p_no counts through them, so that a list is used up before a value comes again. Each time through it is shuffled anew.';

create or replace function worker.narrow_schema(p_schema jsonb, p_narrow jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp
return case when p_narrow is null then p_schema else jsonb_set(p_schema, '{properties}', (
  select jsonb_object_agg(p.key, p.value || coalesce(p_narrow -> p.key, '{}')) from jsonb_each(p_schema -> 'properties') p)) end;
comment on function worker.narrow_schema(jsonb, jsonb) is
'The kind''s JSON Schema with the bounds of one item added to its properties.';

create or replace function worker.recent_titles(p_kind text, p_scope text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (select string_agg('- ' || left(t.title, 100), E'\n')
            from (select i.title from worker.items i where i.kind = p_kind and i.scope = p_scope and i.title is not null
                   order by i.created_at desc limit 30) t);
end $$;
comment on function worker.recent_titles(text, text) is
'The last 30 titles of a pool as a list, for the end of the prompt: do not use these again.';

create or replace function worker.prepare_item(p_kind text, p_parameters jsonb, p_item_no integer, p_draw text, p_try integer)
returns table (messages jsonb, item_schema jsonb, sampling jsonb, model text, seed bigint, facets jsonb,
               prompt_version text, grammar jsonb, context jsonb)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  v_kind record;
  v_parameters jsonb;
begin
  select * into v_kind from worker.kind_in_force(p_kind);
  v_parameters := worker.job_parameters(v_kind.parameters, p_parameters);
  -- The words differ from try to try. The facts do not: what was rejected is to be corrected, not to be another item.
  seed := worker.number_from_hash(concat_ws(':', p_draw, p_item_no, p_try));
  facets := worker.draw_facets(v_kind.facets, p_draw, p_item_no - 1);
  context := v_parameters || facets || jsonb_build_object('item_no', p_item_no);
  if v_kind.context_function is not null then
    -- The owner's own function, named in a table that only the owner writes.
    execute format('select %s($1, $2, $3, $4)', v_kind.context_function::regproc)
       into context using v_parameters, facets, p_item_no, worker.number_from_hash(concat_ws(':', p_draw, p_item_no));
    context := v_parameters || facets || jsonb_build_object('item_no', p_item_no) || context;
  end if;
  context := context || jsonb_build_object(
    'stock_names', (select string_agg(n, ', ') from jsonb_array_elements_text(v_kind.stock_names) n),
    'recent_titles', coalesce(worker.recent_titles(p_kind, coalesce(v_parameters ->> v_kind.scope_parameter, '')), '(none yet)'));
  messages := jsonb_build_array(
    jsonb_build_object('role', 'system', 'content', worker.fill_template(v_kind.system_prompt, context)),
    jsonb_build_object('role', 'user', 'content', worker.fill_template(v_kind.prompt, context)));
  item_schema := worker.narrow_schema(v_kind.item_schema, context -> 'narrow');
  sampling := v_kind.sampling;
  model := v_kind.model;
  prompt_version := v_kind.prompt_version;
  grammar := v_kind.grammar;
  return next;
end $$;
comment on function worker.prepare_item(text, jsonb, integer, text, integer) is
'Everything that a generator needs to write one item: finished messages, JSON Schema, sampling, seed, facets, grammar and context.';

create or replace function worker.check_try(p_try integer) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if p_try not between 0 and 1000000 then
    perform worker.refuse('p_try', p_try::text, 'an integer from 0 (the first try) to 1000000');
  end if;
end $$;

create or replace function worker.check_provenance(p_provenance jsonb) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_name text;
begin
  if jsonb_typeof(p_provenance) <> 'object' then
    perform worker.refuse('p_provenance', p_provenance::text, 'a JSON object');
  end if;
  -- These are added up in the job's progress.
  foreach v_name in array array['prompt_tokens', 'completion_tokens', 'llm_seconds'] loop
    if p_provenance ->> v_name is not null
       and (case when jsonb_typeof(p_provenance -> v_name) = 'number'
                 then (p_provenance ->> v_name)::numeric not between 0 and 1e12 else true end) then
      perform worker.refuse('p_provenance.' || v_name, p_provenance ->> v_name, 'a number from 0');
    end if;
  end loop;
end $$;

create or replace function worker.next_item(
  p_job_id uuid, p_lease_token uuid, p_in_flight integer[] default '{}', p_try integer default 0, p_item_no integer default null
) returns table (outcome text, reason text, item_no integer, messages jsonb, item_schema jsonb, sampling jsonb, model text,
                 seed bigint, facets jsonb, prompt_version text, grammar jsonb, context jsonb)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  v_job record;
  v_state text;
begin
  perform worker.require_read_committed();
  v_state := worker.lease_state(p_job_id, p_lease_token);
  if v_state <> 'held' then
    return query select case v_state when 'cancelled' then v_state else 'lease lost' end, null::text, null::int,
      null::jsonb, null::jsonb, null::jsonb, null::text, null::bigint, null::jsonb, null::text, null::jsonb, null::jsonb;
    return;
  end if;
  select j.asked, j.attempts, j.parameters, j.progress, k.kind into v_job
    from public.worker_jobs j join worker.kinds k on k.job_type = j.job_type where j.id = p_job_id;
  perform worker.check_try(p_try);
  if p_item_no not between 1 and v_job.asked then
    perform worker.refuse('p_item_no', p_item_no::text, format('1 to %s, the number of items asked for, or NULL', v_job.asked));
  end if;
  item_no := p_item_no;
  if item_no is null then
    select n into item_no from generate_series(1, v_job.asked) n
     where n <> all (coalesce(p_in_flight, '{}'))
       and not exists (select from worker.items i where i.job_id = p_job_id and i.item_no = n)
     order by n limit 1;
  end if;
  if item_no is null then
    outcome := 'none';
    return next;
    return;
  end if;
  select p.* into messages, item_schema, sampling, model, seed, facets, prompt_version, grammar, context
    from worker.prepare_item(v_job.kind, v_job.parameters, item_no,
                             -- a duplicate is drawn anew: worker.store_item() counts them by number
                             concat_ws(':', p_job_id, v_job.attempts, v_job.progress -> 'drawn_again' ->> item_no::text),
                             coalesce(p_try, 0)) p;
  outcome := 'item';
  return next;
exception when no_data_found or insufficient_privilege then
  -- What the item is made from is not there, or may not be read: no further attempt would change that.
  perform worker.lock_lease(p_job_id, p_lease_token);
  perform worker.end_attempt(p_job_id, sqlerrm, true, true);
  return query select 'failed', sqlerrm, null::int, null::jsonb, null::jsonb, null::jsonb, null::text, null::bigint,
    null::jsonb, null::text, null::jsonb, null::jsonb;
end $$;
comment on function worker.next_item(uuid, uuid, integer[], integer, integer) is
'What to write next for a leased job. p_in_flight: item numbers being written now. After a rejection ask again for the same p_item_no with p_try + 1: another seed, and the same facets, unless what it rejected was a duplicate. outcome: item (messages ready to send, item_schema, sampling, model (NULL: the executor''s), seed, facets, prompt_version; grammar and context for a generator without a model); none (all items are stored or in flight); failed (the job has just failed for good: reason); cancelled; lease lost.';

create or replace function worker.store_item(
  p_job_id uuid, p_lease_token uuid, p_item_no integer, p_item jsonb, p_provenance jsonb default '{}'
) returns table (outcome text, reason text, item_id uuid, stored integer, asked integer)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  v_state text := worker.lock_lease(p_job_id, p_lease_token);
  v_job record;
  v_provenance jsonb := coalesce(p_provenance, '{}') || jsonb_build_object('job_id', p_job_id, 'item_no', p_item_no);
begin
  perform worker.check_provenance(p_provenance);
  select j.asked, j.stored, j.parameters, k.kind into v_job
    from public.worker_jobs j join worker.kinds k on k.job_type = j.job_type where j.id = p_job_id;
  asked := v_job.asked;
  stored := v_job.stored;
  -- A reply that was lost: the item is there, say so again.
  select i.item_id into item_id from worker.items i
   where i.job_id = p_job_id and i.item_no = p_item_no and v_state in ('held', 'already done');
  if item_id is not null then
    outcome := 'stored';
    return next;
    return;
  elsif v_state <> 'held' then
    outcome := case v_state when 'cancelled' then v_state else 'lease lost' end;
    return next;
    return;
  elsif p_item_no is null or p_item_no not between 1 and v_job.asked then
    perform worker.refuse('p_item_no', p_item_no::text, format('1 to %s, the number of items asked for', v_job.asked));
  end if;
  select s.outcome, s.reason, s.item_id into outcome, reason, item_id
    from worker.keep_item(v_job.kind, v_job.parameters, p_job_id, p_item_no, p_item, v_provenance) s;
  update public.worker_jobs j
     set stored = j.stored + (outcome = 'stored')::int,
         progress = worker.draw_again(worker.add_progress(j.progress, outcome, 'rules', v_provenance), p_item_no, outcome = 'duplicate')
                    || case when outcome = 'stored' then worker.result_extra(v_job.kind, p_item) else '{}' end
   where j.id = p_job_id
  returning j.stored into stored;
  perform worker.note_usage(v_job.kind, outcome, v_provenance);
  return next;
end $$;
comment on function worker.store_item(uuid, uuid, integer, jsonb, jsonb) is
'Checks an item and stores it together with the job''s progress. p_item_no: the number that next_item gave; stored again it changes nothing and gives the same item_id. p_provenance: model, generator, prompt_version, seed, facets, prompt_tokens, completion_tokens, llm_seconds. outcome: stored; duplicate (its title exists: take other facets); rejected (reason: tell it to the model); cancelled; lease lost.';

create or replace function worker.keep_item(
  p_kind text, p_parameters jsonb, p_job_id uuid, p_item_no integer, p_item jsonb, p_provenance jsonb
) returns table (outcome text, reason text, item_id uuid)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  v_kind record;
  v_parameters jsonb;
  v_item jsonb := worker.with_whole_numbers(p_item);
  v_title text;
  v_scope text;
begin
  select * into v_kind from worker.kind_in_force(p_kind);
  v_parameters := worker.job_parameters(v_kind.parameters, p_parameters);
  reason := worker.check_item(p_kind, p_parameters, v_item);
  if reason is not null then
    outcome := 'rejected';
    return next;
    return;
  end if;
  v_title := v_item ->> v_kind.title_field;
  v_scope := coalesce(v_parameters ->> v_kind.scope_parameter, '');
  reason := worker.like_title(p_kind, v_scope, v_title);
  if reason is not null then
    outcome := 'duplicate';
    return next;
    return;
  end if;
  if v_kind.store_function is null then
    execute format('insert into %s (title, item, provenance) values ($1, $2, $3) returning id', v_kind.item_table::regclass)
       into item_id using v_title, v_item, p_provenance;
  else
    execute format('select %s($1, $2, $3)', v_kind.store_function::regproc) into item_id
      using v_item, v_parameters, p_provenance;
  end if;
  insert into worker.items (job_id, item_no, kind, scope, item_id, title, title_key)
  values (p_job_id, p_item_no, p_kind, v_scope, item_id, v_title, worker.title_key(v_title));
  outcome := 'stored';
  return next;
exception
  when unique_violation then
    return query select 'duplicate', format('the title "%s" exists already', v_title), null::uuid;
  when integrity_constraint_violation or data_exception or program_limit_exceeded then
    return query select 'rejected', sqlerrm, null::uuid;
end $$;
comment on function worker.keep_item(text, jsonb, uuid, integer, jsonb, jsonb) is
'Checks one item and puts it into its pool and the ledger, both or neither.';

create or replace function worker.trigrams(p_text text) returns text[]
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
-- As pg_trgm does it: of each word, with two blanks before it and one behind.
return array(
  select distinct substr(w.padded, n, 3) collate "C"
    from string_to_table(worker.title_words(p_text), ' ') as x(word)
   cross join lateral (select '  ' || x.word || ' ') as w(padded)
   cross join generate_series(1, length(w.padded) - 2) as n
   where x.word <> ''
   order by 1);
comment on function worker.trigrams(text) is
'The trigrams of a text, as the extension pg_trgm makes them; here so that the result is the same without it, and the same in every locale.';

create or replace function worker.like_title(p_kind text, p_scope text, p_title text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_own text[] := worker.trigrams(p_title);
  v_like text;
begin
  -- The last 100 titles: an older one is not remembered by any player either. 0.6 is where people begin to mix up
  -- titles. One statement for all of them: a call of worker.trigrams for each would take a hundred times as long.
  select c.title into v_like
    from (select g.title, count(*)::numeric as theirs, count(*) filter (where g.gram = any (v_own)) as common
            from (select distinct r.title, substr(w.padded, at, 3) collate "C" as gram
                    from (select i.title from worker.items i where i.kind = p_kind and i.scope = p_scope and i.title is not null
                           order by i.created_at desc limit 100) r
                   cross join lateral string_to_table(worker.title_words(r.title), ' ') as word
                   cross join lateral (select '  ' || word || ' ') as w(padded)
                   cross join lateral generate_series(1, length(w.padded) - 2) as at
                   where word <> '') g
           group by g.title) c
   where c.common / (cardinality(v_own) + c.theirs - c.common) >= 0.6
   limit 1;
  return case when v_like is not null then format('the title "%s" resembles "%s"', p_title, v_like) end;
end $$;
comment on function worker.like_title(text, text, text) is
'Why a title is too much like one of the last 100 of its pool (trigram similarity of at least 0.6), or NULL.';

create or replace function worker.stock_name_in(p_item jsonb, p_names jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_names text := (select string_agg(regexp_replace(n, '[^[:alnum:] -]', '', 'g'), '|') from jsonb_array_elements_text(p_names) n);
  v_hit text;
begin
  if v_names is null then
    return null;
  end if;
  select (regexp_match(t #>> '{}', '\m(' || v_names || ')\M', 'i'))[1] into v_hit
    from jsonb_path_query(p_item, 'strict $.**') t
   where jsonb_typeof(t) = 'string' and t #>> '{}' ~* ('\m(' || v_names || ')\M')
   limit 1;
  return case when v_hit is not null then format('the name %s is used too often; invent another one', v_hit) end;
end $$;
comment on function worker.stock_name_in(jsonb, jsonb) is
'Why an item is rejected for one of the names that its kind does not want, or NULL.';

create or replace function worker.check_item(p_kind text, p_parameters jsonb, p_item jsonb) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_kind record;
  v_item jsonb := worker.with_whole_numbers(p_item);
  v_errors text[];
  v_reason text;
begin
  select * into v_kind from worker.kind_in_force(p_kind);
  if jsonb_typeof(v_item) is distinct from 'object' then
    return 'the item is not a JSON object';
  end if;
  v_errors := worker.json_schema_errors(v_kind.item_schema, v_item);
  if cardinality(v_errors) > 0 then
    return array_to_string(v_errors, '; ');
  elsif length(v_item ->> v_kind.title_field) > 500 then
    return format('%s has %s characters: at most 500 are allowed', v_kind.title_field, length(v_item ->> v_kind.title_field));
  end if;
  v_reason := coalesce(worker.leftover_in(v_item), worker.stock_name_in(v_item, v_kind.stock_names));
  if v_reason is null and v_kind.check_function is not null then
    execute format('select %s($1, $2)', v_kind.check_function::regproc) into v_reason
      using v_item, worker.job_parameters(v_kind.parameters, coalesce(p_parameters, '{}'));
  end if;
  return v_reason;
end $$;
comment on function worker.check_item(text, jsonb, jsonb) is
'The reason why an item would be rejected by its kind''s schema and rules, or NULL when it is good.';

create or replace function worker.leftover_in(p_item jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_text text;
begin
  for v_text in select v #>> '{}' from jsonb_path_query(p_item, 'strict $.**') v where jsonb_typeof(v) = 'string' loop
    if v_text ~ '(\{\{|\}\}|<[a-z_ ]{2,30}>|\[[A-Z][A-Z_ ]{2,30}\])'
       or v_text ~ '^(TITLE|NAME|DESCRIPTION|STRING|TEXT|TODO|N/A)$' or v_text ~* '\mlorem ipsum\M' then
      return format('"%s" looks like a placeholder that was not replaced', left(v_text, 60));
    end if;
  end loop;
  return null;
end $$;
comment on function worker.leftover_in(jsonb) is
'The first text in an item that is a template''s placeholder and no content, as a reason for rejection; NULL when there is none.';

create or replace function worker.reject_item(
  p_job_id uuid, p_lease_token uuid, p_item_no integer, p_class text, p_reason text, p_provenance jsonb default '{}'
) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_state text := worker.lock_lease(p_job_id, p_lease_token);
begin
  if p_class is null or p_class !~ '^[a-z_]{1,30}$' then
    perform worker.refuse('p_class', p_class, '1 to 30 of a-z and _, such as not_json, schema, truncated, empty');
  end if;
  perform worker.check_provenance(p_provenance);
  if v_state <> 'held' then
    return case v_state when 'cancelled' then v_state else 'lease lost' end;
  end if;
  update public.worker_jobs j
     set progress = worker.add_progress(j.progress, 'rejected', p_class, coalesce(p_provenance, '{}'))
                    || jsonb_build_object('last_rejection', left(p_reason, 500))
   where j.id = p_job_id;
  perform worker.note_usage(k.kind, 'rejected', coalesce(p_provenance, '{}'))
     from public.worker_jobs j join worker.kinds k on k.job_type = j.job_type where j.id = p_job_id;
  return 'counted';
end $$;
comment on function worker.reject_item(uuid, uuid, integer, text, text, jsonb) is
'Counts an answer that the executor itself rejected in the job''s progress. Returns counted, cancelled or lease lost.';

create or replace function worker.add_progress(p_progress jsonb, p_outcome text, p_class text, p_provenance jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp
return p_progress
  || jsonb_strip_nulls(jsonb_build_object('model', p_provenance -> 'model', 'generator', p_provenance -> 'generator'))
  || jsonb_build_object(
       'rejected', coalesce(p_progress -> 'rejected', '{}') || case when p_outcome = 'rejected'
          then jsonb_build_object(p_class, coalesce((p_progress -> 'rejected' ->> p_class)::int, 0) + 1) else '{}' end,
       'duplicates', coalesce((p_progress ->> 'duplicates')::int, 0) + (p_outcome = 'duplicate')::int,
       'prompt_tokens', coalesce((p_progress ->> 'prompt_tokens')::bigint, 0) + coalesce((p_provenance ->> 'prompt_tokens')::numeric::bigint, 0),
       'completion_tokens', coalesce((p_progress ->> 'completion_tokens')::bigint, 0) + coalesce((p_provenance ->> 'completion_tokens')::numeric::bigint, 0),
       'llm_seconds', round(coalesce((p_progress ->> 'llm_seconds')::numeric, 0) + coalesce((p_provenance ->> 'llm_seconds')::numeric, 0), 3));
comment on function worker.add_progress(jsonb, text, text, jsonb) is
'A job''s progress after one more answer of the model: rejections by class, duplicates, tokens, seconds.';

create or replace function worker.draw_again(p_progress jsonb, p_item_no integer, p_again boolean) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_drawn jsonb := coalesce(p_progress -> 'drawn_again', '{}');
begin
  v_drawn := case when p_again then v_drawn || jsonb_build_object(p_item_no, coalesce((v_drawn ->> p_item_no::text)::int, 0) + 1)
                  else v_drawn - p_item_no::text end;
  return case when v_drawn = '{}' then p_progress - 'drawn_again' else p_progress || jsonb_build_object('drawn_again', v_drawn) end;
end $$;
comment on function worker.draw_again(jsonb, integer, boolean) is
'Counts in a job''s progress how often an item was a duplicate, so that other facets are drawn for it; forgets it when it is stored.';

create or replace function worker.result_extra(p_kind text, p_item jsonb) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  -- Where there is no pool to take the item from, it stands in the job's result.
  return case when exists (select from worker.kinds where kind = p_kind and min_size is null) then p_item else '{}' end;
end $$;

create or replace function worker.preview_item(p_kind text, p_parameters jsonb default null, p_try integer default 0)
returns table (messages jsonb, item_schema jsonb, sampling jsonb, model text, seed bigint, facets jsonb,
               prompt_version text, grammar jsonb, context jsonb)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  v_parameters jsonb := worker.preview_parameters(p_kind, coalesce(p_parameters, '{}'));
begin
  perform worker.check_try(p_try);
  return query select * from worker.prepare_item(
    p_kind, worker.accepted_parameters((select k.parameters from worker.kind_in_force(p_kind) k), v_parameters), 1,
    'preview:' || gen_random_uuid(), coalesce(p_try, 0));
end $$;
comment on function worker.preview_item(text, jsonb, integer) is
'What next_item would give for a first item of this kind, without a job: for trying a prompt. Each call draws anew.';
