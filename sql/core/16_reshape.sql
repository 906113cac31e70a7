-- How a former table gets the shape of a fresh one. Types first, then columns and values, then what is demanded.

create or replace function worker.conversion(p_from oid, p_to oid) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  -- How a value of the guide's column becomes one of ours, %I being the column; NULL: it cannot. Not by way of a
  -- cast, which somebody may have made for an enumeration of his own.
  select case
    when p_from = p_to then '%I'
    when p_to = 'text'::regtype and (select typtype from pg_type where oid = p_from) = 'e' then 'enum_out(%I)::text'
    when (p_from::regtype::text, p_to::regtype::text) in (
           ('character varying', 'text'), ('character', 'text'), ('smallint', 'integer'), ('bigint', 'integer'), ('numeric', 'real'),
           ('double precision', 'real'), ('timestamp without time zone', 'timestamp with time zone'), ('json', 'jsonb'))
      then '%I::' || p_to::regtype
  end
$$;
comment on function worker.conversion(oid, oid) is
'The expression that turns a column of a former table into another type, or NULL. Part of worker.setup().';

create or replace function worker.check_shape(p_table text, p_former regclass, p_fresh regclass, p_required text[]) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_why text;
begin
  select string_agg(x.why, '; ' order by x.attnum) into v_why
    from (
      select n.attnum, case
               when o.attname is null and n.attname = any (p_required) then format('it has no column %s', n.attname)
               when o.attname is not null and worker.conversion(o.atttypid, n.atttypid) is null
                 then format('column %s is %s, not %s', n.attname, o.atttypid::regtype, n.atttypid::regtype)
             end as why
        from pg_attribute n
        left join pg_attribute o on o.attrelid = p_former and o.attname = n.attname and not o.attisdropped
       where n.attrelid = p_fresh and n.attnum > 0 and not n.attisdropped
      union all
      select 1000 + o.attnum, format('its column %s must be given and is unknown here', o.attname)
        from pg_attribute o
       where o.attrelid = p_former and o.attnum > 0 and not o.attisdropped and o.attnotnull and not o.atthasdef and o.attidentity = ''
         and not exists (select from pg_attribute n where n.attrelid = p_fresh and n.attname = o.attname)) x
   where x.why is not null;
  if v_why is not null then
    perform worker.refuse_table(p_table, v_why);
  end if;
end $$;
comment on function worker.check_shape(text, regclass, regclass, text[]) is
'Refuses a table that cannot become one of ours: a required column is missing, a column has another type, or one of its own must be given.';

create or replace function worker.reshape(p_former regclass, p_fresh regclass, p_mend text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_again text[] := worker.take_off_dependents(p_former, p_fresh);
begin
  perform worker.convert_columns(p_former, p_fresh);
  execute format('alter table %s %s', p_former, (
    select string_agg(case when o.attname is null
             then format('add column %I %s%s%s', n.attname, format_type(n.atttypid, n.atttypmod),
                         ' default ' || pg_get_expr(d.adbin, d.adrelid), case when n.attnotnull then ' not null' end)
             else format('alter column %I set default %s', n.attname, pg_get_expr(d.adbin, d.adrelid)) end, ', ' order by n.attnum)
      from pg_attribute n
      left join pg_attrdef d on d.adrelid = n.attrelid and d.adnum = n.attnum
      left join pg_attribute o on o.attrelid = p_former and o.attname = n.attname and not o.attisdropped
     where n.attrelid = p_fresh and n.attnum > 0 and not n.attisdropped and (o.attname is null or d.adbin is not null)));
  perform worker.fill_and_demand(p_former, p_fresh, p_mend);
  perform worker.run_all(v_again);
  if not exists (select from pg_constraint where conrelid = p_former and contype = 'p') then
    execute format('alter table %s add primary key (%I)', p_former, (select attname from pg_attribute where attrelid = p_fresh and attnum = 1));
  end if;
end $$;
comment on function worker.reshape(regclass, regclass, text) is
'Gives a former table the columns, types, defaults and checks of a fresh one. Part of worker.setup().';

create or replace function worker.convert_columns(p_former regclass, p_fresh regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_changes text;
  v_detail text;
begin
  select string_agg(format('alter column %I drop default, alter column %1$I type %s using %s', n.attname,
                           format_type(n.atttypid, n.atttypmod), format(worker.conversion(o.atttypid, n.atttypid), n.attname)), ', ')
    into v_changes
    from pg_attribute n join pg_attribute o on o.attrelid = p_former and o.attname = n.attname and not o.attisdropped
   where n.attrelid = p_fresh and n.attnum > 0 and n.atttypid <> o.atttypid;
  if v_changes is not null then
    execute format('alter table %s %s', p_former, v_changes);
  end if;
exception when feature_not_supported then
  -- A view or a policy of somebody's own reads such a column.
  get stacked diagnostics v_detail = pg_exception_detail;
  raise exception using errcode = 'object_not_in_prerequisite_state', message = sqlerrm, detail = v_detail,
    hint = 'Drop it, run this again, and make it anew: the column is of type text now.';
end $$;
comment on function worker.convert_columns(regclass, regclass) is
'Turns enumerations and narrower or wider types into ours. No trigger hears of it. Part of worker.setup().';

create or replace function worker.run_all(p_statements text[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_statement text;
begin
  foreach v_statement in array p_statements loop
    execute v_statement;
  end loop;
end $$;

create or replace function worker.hush_triggers(p_table regclass) returns text[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_again text[];
begin
  -- To mend values is nothing that a game's own triggers should hear of.
  select array_agg(format('alter table %s enable %s trigger %I', p_table, case tgenabled when 'A' then 'always' when 'R' then 'replica' end, tgname))
    into v_again from pg_trigger where tgrelid = p_table and not tgisinternal and tgenabled <> 'D';
  if v_again is not null then
    execute format('alter table %s disable trigger user', p_table);
  end if;
  return coalesce(v_again, '{}');
end $$;
comment on function worker.hush_triggers(regclass) is
'Disables a table''s triggers and returns the statements that enable them again. Part of worker.setup().';

create or replace function worker.fill_and_demand(p_former regclass, p_fresh regclass, p_mend text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_column record;
  v_again text[] := worker.hush_triggers(p_former);
begin
  if p_mend is not null then
    execute replace(p_mend, '%s', p_former::text);
  end if;
  for v_column in
    select n.attname as name, pg_get_expr(d.adbin, d.adrelid) as otherwise
      from pg_attribute n
      join pg_attribute o on o.attrelid = p_former and o.attname = n.attname and not o.attisdropped
      left join pg_attrdef d on d.adrelid = n.attrelid and d.adnum = n.attnum
     where n.attrelid = p_fresh and n.attnum > 0 and n.attnotnull and not o.attnotnull
  loop
    if v_column.otherwise is not null then
      execute format('update %s set %I = %s where %2$I is null', p_former, v_column.name, v_column.otherwise);
    end if;
    execute format('alter table %s alter column %I set not null', p_former, v_column.name);
  end loop;
  perform worker.run_all(v_again);
end $$;
comment on function worker.fill_and_demand(regclass, regclass, text) is
'Gives values to columns that may not be NULL any more, the default''s, and demands them. Part of worker.setup().';

create or replace function worker.take_off_dependents(p_former regclass, p_fresh regclass) returns text[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_thing record;
  v_again text[];
begin
  -- Checks: ours replace those of the same name or of the same one column, which may not know all our values.
  for v_thing in
    select distinct o.conname as name
      from pg_constraint o
      join pg_constraint n on n.conrelid = p_fresh and n.contype = 'c'
      left join pg_attribute oa on oa.attrelid = p_former and array[oa.attnum] = o.conkey
      left join pg_attribute na on na.attrelid = p_fresh and array[na.attnum] = n.conkey
     where o.conrelid = p_former and o.contype = 'c' and (o.conname = n.conname or oa.attname = na.attname)
  loop
    execute format('alter table %s drop constraint %I', p_former, v_thing.name);
  end loop;
  select array_agg(format('alter table %s add constraint %I %s', p_former, conname, pg_get_constraintdef(oid))) into v_again
    from pg_constraint where conrelid = p_fresh and contype = 'c';
  -- What compares with an enumeration is made anew, comparing with text. The guide's indexes are superseded by ours.
  for v_thing in
    select t.name, t.drop, replace(t.make, '::' || y.oid::regtype, '::text') as make, t.name = any (worker.guide_indexes()) as ours
      from (select c.relname as name, format('drop index %s', c.oid::regclass) as drop, pg_get_indexdef(c.oid) as make
              from pg_index i join pg_class c on c.oid = i.indexrelid where i.indrelid = p_former
            union all
            select conname, format('alter table %s drop constraint %I', p_former, conname),
                   format('alter table %s add constraint %I %s', p_former, conname, pg_get_constraintdef(oid))
              from pg_constraint where conrelid = p_former and contype = 'c') t
      left join pg_type y on y.typtype = 'e' and t.make like '%::' || y.oid::regtype || '%'
       and exists (select from pg_attribute where attrelid = p_former and atttypid = y.oid)
     where y.oid is not null or t.name = any (worker.guide_indexes())
  loop
    execute v_thing.drop;
    if not v_thing.ours then
      v_again := v_again || v_thing.make;
    end if;
  end loop;
  return coalesce(v_again, '{}');
end $$;
comment on function worker.take_off_dependents(regclass, regclass) is
'Drops what stands in the way of new column types, and returns the statements that make it anew. Part of worker.setup().';

create or replace function worker.guide_indexes() returns text[]
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select array['idx_worker_jobs_pending', 'idx_worker_jobs_status', 'idx_worker_jobs_type', 'idx_quest_templates_unused',
               'idx_npc_personalities_unused', 'idx_combat_encounters_unused', 'idx_dungeon_content_unused']
$$;
comment on function worker.guide_indexes() is
'Indexes of the guide''s migration that ours do the work of.';
