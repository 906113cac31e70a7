-- What a job may ask for: checked at the door by one interpreter of worker.kinds.parameters.

create or replace function worker.check_parameter(p_name text, p_rule jsonb, p_value jsonb) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_low numeric := p_rule ->> 'min';
  v_high numeric := p_rule ->> 'max';
  v_given text := p_value #>> '{}';
  v_ok boolean;
begin
  -- CASE, not AND: only CASE promises that a cast is not tried before its guard.
  case p_rule ->> 'type'
  when 'integer' then
    v_ok := case when jsonb_typeof(p_value) = 'number'
                 then v_given::numeric = trunc(v_given::numeric) and v_given::numeric between v_low and v_high
                 else false end;
  when 'integer_range', 'number_range' then
    v_ok := worker.is_range(p_value, v_low, v_high, p_rule ->> 'type' = 'integer_range');
  when 'text' then
    v_ok := jsonb_typeof(p_value) = 'string' and btrim(v_given) <> ''
            and length(v_given) <= (p_rule ->> 'max_length')::int;
  when 'uuid' then
    v_ok := jsonb_typeof(p_value) = 'string'
            and v_given ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$';
  when 'one_of' then
    v_ok := jsonb_typeof(p_value) = 'string' and (p_rule -> 'values') ? v_given;
  when 'messages' then
    v_ok := worker.is_messages(p_value, v_high::int);
  end case;
  if v_ok is not true then
    perform worker.refuse('parameters.' || p_name, p_value::text, worker.what_is_allowed(p_rule));
  end if;
end $$;
comment on function worker.check_parameter(text, jsonb, jsonb) is
'Checks one parameter of a job against its rule in worker.kinds.parameters; refuses it with 22023.';

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
    when 'messages' then format('a list of 1 to %s {"role": "player" or "dm", "content": text}', p_rule ->> 'max')
  end;
end $$;
comment on function worker.what_is_allowed(jsonb) is
'What a rule of a parameter allows, in words, for a refusal.';

create or replace function worker.is_range(p_value jsonb, p_low numeric, p_high numeric, p_whole boolean) returns boolean
-- PL/pgSQL, because its plans are kept: a function in SQL that has settings is planned anew by every statement.
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return case
    when jsonb_typeof(p_value) <> 'array' then false
    when jsonb_array_length(p_value) <> 2 then false
    when jsonb_typeof(p_value -> 0) <> 'number' or jsonb_typeof(p_value -> 1) <> 'number' then false
    else (p_value ->> 0)::numeric <= (p_value ->> 1)::numeric
         and (p_value ->> 0)::numeric >= p_low and (p_value ->> 1)::numeric <= p_high
         and (not p_whole or ((p_value ->> 0)::numeric = trunc((p_value ->> 0)::numeric)
                              and (p_value ->> 1)::numeric = trunc((p_value ->> 1)::numeric)))
  end;
end $$;
comment on function worker.is_range(jsonb, numeric, numeric, boolean) is
'Whether the value is a JSON array [low, high] within the bounds, of whole numbers where asked.';

create or replace function worker.is_messages(p_value jsonb, p_most integer) returns boolean
language sql immutable set search_path = pg_catalog, pg_temp
return case
  when jsonb_typeof(p_value) <> 'array' then false
  when jsonb_array_length(p_value) not between 1 and p_most then false
  else (select bool_and(coalesce(jsonb_typeof(m) = 'object' and m ->> 'role' in ('player', 'dm')
                                 and jsonb_typeof(m -> 'content') = 'string' and btrim(m ->> 'content') <> '', false))
          from jsonb_array_elements(p_value) m)
end;
comment on function worker.is_messages(jsonb, integer) is
'Whether the value is a list of {"role": "player" or "dm", "content": text}, not longer than p_most.';

create or replace function worker.check_parameters(p_rules jsonb, p_parameters jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_name text;
  v_value jsonb;
begin
  if jsonb_typeof(p_parameters) <> 'object' then
    perform worker.refuse('parameters', p_parameters::text, 'a JSON object'
      || case when jsonb_typeof(p_parameters) = 'string' then ' (this is a JSON string: pass the object itself, not its text)' else '' end);
  end if;
  for v_name, v_value in select * from jsonb_each(p_parameters) loop
    if not p_rules ? v_name then
      perform worker.refuse('parameters', v_name,
        coalesce((select string_agg(k, ', ' order by k) from jsonb_object_keys(p_rules) k), 'no parameters for this job type'));
    end if;
    -- null means the default, as a missing key does
    if v_value <> 'null' then
      perform worker.check_parameter(v_name, p_rules -> v_name, v_value);
    end if;
  end loop;
  -- Most kinds require none, which is seen faster than it is looped over.
  if p_rules @? '$.*.required' then
    for v_name in select key from jsonb_each(p_rules) where (value ->> 'required')::boolean loop
      if p_parameters ->> v_name is null then
        perform worker.check_parameter(v_name, p_rules -> v_name, 'null');
      end if;
    end loop;
  end if;
end $$;
comment on function worker.check_parameters(jsonb, jsonb) is
'Checks a job''s parameters against the rules of its kind: wrong types, values out of range, unknown and missing keys are refused with 22023.';

create or replace function worker.job_parameters(p_rules jsonb, p_parameters jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp
return coalesce((select jsonb_object_agg(key, value -> 'default') from jsonb_each(p_rules) where value ? 'default'), '{}')
       || jsonb_strip_nulls(p_parameters);
comment on function worker.job_parameters(jsonb, jsonb) is
'The parameters of a job with the defaults of its kind filled in.';
