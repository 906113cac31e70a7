-- What a job may ask for: checked at the door by one interpreter of worker.kinds.parameters.

create or replace function worker.fits(p_rule jsonb, p_value jsonb) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  -- In strict mode, so that no list is taken for what is in it. What has another type than it should is NULL.
  return case p_rule ->> 'type'
    when 'integer' then
      jsonb_path_match(p_value, 'strict $.type() == "number" && $.floor() == $ && $ >= $min && $ <= $max', p_rule)
    when 'integer_range' then
      jsonb_path_match(p_value, 'strict $.type() == "array" && $.size() == 2 && $[0] <= $[1]
        && !exists ($[*] ? (@.type() != "number" || @.floor() != @ || @ < $min || @ > $max))', p_rule)
    when 'number_range' then
      jsonb_path_match(p_value, 'strict $.type() == "array" && $.size() == 2 && $[0] <= $[1]
        && !exists ($[*] ? (@.type() != "number" || @ < $min || @ > $max))', p_rule)
    when 'text' then
      jsonb_typeof(p_value) = 'string' and btrim(p_value #>> '{}') <> '' and length(p_value #>> '{}') <= (p_rule ->> 'max_length')::int
    when 'uuid' then
      jsonb_typeof(p_value) = 'string' and p_value #>> '{}' ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'
    when 'one_of' then
      jsonb_typeof(p_value) = 'string' and p_rule -> 'values' @> p_value
    when 'messages' then
      worker.is_messages(p_value, (p_rule ->> 'max')::int)
  end;
end $$;
comment on function worker.fits(jsonb, jsonb) is
'Whether a value of a job''s parameters fits its rule in worker.kinds.parameters; NULL: it does not either.';

create or replace function worker.what_is_allowed(p_rule jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return case p_rule ->> 'type'
    when 'integer' then format('an integer from %s to %s', p_rule ->> 'min', p_rule ->> 'max')
    when 'integer_range' then format('two integers [low, high] from %s to %s, low not above high', p_rule ->> 'min', p_rule ->> 'max')
    when 'number_range' then format('two numbers [low, high] from %s to %s, low not above high', p_rule ->> 'min', p_rule ->> 'max')
    when 'text' then format('a text of 1 to %s characters', p_rule ->> 'max_length')
    when 'uuid' then 'a uuid'
    when 'one_of' then (select string_agg(v, ', ') from jsonb_array_elements_text(p_rule -> 'values') v)
    when 'messages' then format('a list of 1 to %s {"role": "player" (or "user") or "dm" (or "assistant"), "content": text}', p_rule ->> 'max')
  end;
end $$;
comment on function worker.what_is_allowed(jsonb) is
'What a rule of a parameter allows, in words, for a refusal.';

create or replace function worker.is_messages(p_value jsonb, p_most integer) returns boolean
language sql immutable set search_path = pg_catalog, pg_temp
return case
  when jsonb_typeof(p_value) <> 'array' then false
  when jsonb_array_length(p_value) not between 1 and p_most then false
  else (select bool_and(coalesce(jsonb_typeof(m) = 'object' and m ->> 'role' in ('player', 'dm', 'user', 'assistant')
                                 and jsonb_typeof(m -> 'content') = 'string' and btrim(m ->> 'content') <> '', false))
          from jsonb_array_elements(p_value) m)
end;
comment on function worker.is_messages(jsonb, integer) is
'Whether the value is a list of {"role": text, "content": text}, not longer than p_most. role: player or user, dm or assistant.';

create or replace function worker.with_whole_numbers(p_value jsonb) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  -- Most values have none, which is seen faster than it is looked for.
  if p_value::text !~ '\d\.0' then
    return p_value;
  end if;
  return case jsonb_typeof(p_value)
    when 'number' then
      case when p_value::numeric = trunc(p_value::numeric) then to_jsonb(trunc(p_value::numeric)) else p_value end
    when 'array' then
      (select jsonb_agg(worker.with_whole_numbers(v) order by n) from jsonb_array_elements(p_value) with ordinality e(v, n))
    when 'object' then
      (select jsonb_object_agg(key, worker.with_whole_numbers(value)) from jsonb_each(p_value))
    else p_value
  end;
end $$;
comment on function worker.with_whole_numbers(jsonb) is
'The value with 5.0 written as 5, at every depth: some languages and models write whole numbers so.';

create or replace function worker.accepted_parameters(p_rules jsonb, p_parameters jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_names jsonb;
  v_name text;
  v_value jsonb;
  v_parameters jsonb := p_parameters;
begin
  if jsonb_typeof(p_parameters) <> 'object' then
    perform worker.refuse('parameters', p_parameters::text, 'a JSON object'
      || case when jsonb_typeof(p_parameters) = 'string' then ' (this is a JSON string: pass the object itself, not its text)' else '' end);
  end if;
  -- No queries, and no calls that are not needed: a job is checked in some microseconds.
  if strpos(p_parameters::text, '.0') > 0 then
    v_parameters := worker.with_whole_numbers(p_parameters);
  end if;
  v_names := jsonb_path_query_array(v_parameters, '$.keyvalue().key');
  for v_no in 0 .. jsonb_array_length(v_names) - 1 loop
    v_name := v_names ->> v_no;
    v_value := v_parameters -> v_name;
    if not p_rules ? v_name then
      perform worker.refuse('parameters', v_name,
        coalesce((select string_agg(k, ', ' order by k) from jsonb_object_keys(p_rules) k), 'no parameters for this job type'));
    -- null means the default, as a missing key does
    elsif v_value <> 'null' and worker.fits(p_rules -> v_name, v_value) is not true then
      perform worker.refuse('parameters.' || v_name, (p_parameters -> v_name)::text, worker.what_is_allowed(p_rules -> v_name));
    end if;
  end loop;
  if p_rules @? '$.*.required' then
    v_names := jsonb_path_query_array(p_rules, '$.keyvalue() ? (@.value.required == true).key');
    for v_no in 0 .. jsonb_array_length(v_names) - 1 loop
      v_name := v_names ->> v_no;
      if v_parameters ->> v_name is null then
        perform worker.refuse('parameters.' || v_name, 'null', worker.what_is_allowed(p_rules -> v_name));
      end if;
    end loop;
  end if;
  return v_parameters;
end $$;
comment on function worker.accepted_parameters(jsonb, jsonb) is
'A job''s parameters, checked against the rules of its kind, with whole numbers written as such: wrong types, values out of range, unknown and missing keys are refused with 22023.';

create or replace function worker.job_parameters(p_rules jsonb, p_parameters jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp
return coalesce((select jsonb_object_agg(key, value -> 'default') from jsonb_each(p_rules) where value ? 'default'), '{}')
       || jsonb_strip_nulls(p_parameters);
comment on function worker.job_parameters(jsonb, jsonb) is
'The parameters of a job with the defaults of its kind filled in.';
