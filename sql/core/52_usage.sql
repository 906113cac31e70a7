-- The account: tokens and seconds by day, and what an API would have cost.

create or replace function worker.note_usage(p_kind text, p_outcome text, p_provenance jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into worker.usage as u (day, kind, generator, model, items, rejected, prompt_tokens, completion_tokens, llm_seconds)
  values ((now() at time zone 'utc')::date, p_kind, coalesce(p_provenance ->> 'generator', 'unknown'),
          coalesce(p_provenance ->> 'model', 'unknown'), (p_outcome = 'stored')::int, (p_outcome <> 'stored')::int,
          coalesce((p_provenance ->> 'prompt_tokens')::numeric::bigint, 0),
          coalesce((p_provenance ->> 'completion_tokens')::numeric::bigint, 0),
          coalesce((p_provenance ->> 'llm_seconds')::double precision, 0))
  on conflict (day, kind, generator, model) do update
     set items = u.items + excluded.items, rejected = u.rejected + excluded.rejected,
         prompt_tokens = u.prompt_tokens + excluded.prompt_tokens,
         completion_tokens = u.completion_tokens + excluded.completion_tokens,
         llm_seconds = u.llm_seconds + excluded.llm_seconds;
end $$;
comment on function worker.note_usage(text, text, jsonb) is
'Adds one answer of the generator to worker.usage; outcome stored counts an item, any other a rejection.';

create or replace function worker.price(p_name text) returns numeric
language sql stable set search_path = pg_catalog, pg_temp
-- Gemini 2.5 Flash-Lite, standard tier, as listed on Google's price page in 2026.
return worker.setting(p_name, case p_name when 'price_prompt' then '0.10' else '0.40' end)::numeric;
comment on function worker.price(text) is
'US dollars that an API would take for a million tokens: price_prompt (0.10) or price_completion (0.40), settings of pg_worker_ext. Default: Gemini 2.5 Flash-Lite in 2026.';

create or replace function worker.batch_estimates(p_tokens_per_second double precision)
returns table (kind text, items integer, tokens integer, seconds double precision, guide_seconds text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
  return query
  select k.kind, coalesce(p.batch_size, k.batch_size, 1), k.typical_tokens,
         coalesce(p.batch_size, k.batch_size, 1) * k.typical_tokens / nullif(p_tokens_per_second, 0), k.guide_seconds
    from worker.kinds k left join public.content_pools p on p.kind = k.kind
   where k.typical_tokens is not null
   order by k.kind;
end $$;
comment on function worker.batch_estimates(double precision) is
'How long a batch of each kind takes at so many tokens a second, one request at a time, beside what the guide says of a GTX 1080.';
