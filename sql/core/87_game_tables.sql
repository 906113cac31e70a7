-- The game's own tables, which belong to whomever they like: read and written with the rights of their owner and no
-- more, through one small function for each.
--
-- A function of these is SECURITY DEFINER and its owner is the table's owner; only ours may call it. So a trigger on the
-- table runs as who owns it, and never as us. It is data, like a view: made by worker.setup(), kept by DROP EXTENSION.
-- Its owner cannot change its text, but can make it SECURITY INVOKER or give it another search_path: so the text
-- begins by pinning the path and by looking, under the table's lock, whether it is a table and its owner's.

create or replace function worker.game_tables()
returns table (name text, needed_for text, columns jsonb, arguments text, gives text, mode text, body text)
language sql immutable set search_path = pg_catalog, pg_temp as $$
  values
    ('characters', 'campaigns of characters get no points of interest by themselves',
     '{"campaign_seed": ["text", "varchar", "bpchar", "uuid", "int2", "int4", "int8", "enum"]}'::jsonb,
     '', 'setof text', 'access share', $body$
  return query select distinct c.campaign_seed::text from public.characters c
                where c.campaign_seed is not null and c.campaign_seed::text <> '';$body$),
    ('dm_conversations', 'summaries need jobs that bring their messages along',
     '{"character_id": ["uuid"], "role": ["text", "varchar", "enum"], "content": ["text", "varchar"],
       "created_at": ["timestamptz", "timestamp", "date", "int4", "int8"]}',
     'uuid, integer', 'jsonb', 'access share', $body$
  return (
    select jsonb_agg(jsonb_build_object('role', m.role, 'content', m.content) order by m.n desc)
      from (select c.role, c.content, row_number() over (order by c.created_at desc, c.ctid desc) as n
              from public.dm_conversations c
             where c.character_id = $1 and btrim(c.content) <> ''
             order by n limit $2) m);$body$),
    ('journal_entries', 'no summary can be written into it',
     '{"character_id": ["uuid", "text", "varchar"], "entry_type": ["text", "varchar", "enum"], "content": ["text", "varchar"],
       "metadata": ["jsonb", "json"]}',
     'uuid, text, jsonb', 'void', 'row exclusive', $body$
  -- Where a superuser owns the table, what others hung on it would run as that superuser.
  if (select r.rolsuper from pg_roles r where r.rolname = current_user) and exists (
       select from pg_trigger t
         join pg_proc f on f.oid = t.tgfoid join pg_roles r on r.oid = f.proowner
        where not t.tgisinternal and not r.rolsuper
          and t.tgrelid in (select 'public.journal_entries'::regclass union select p.relid from pg_partition_tree('public.journal_entries') p)) then
    raise exception using errcode = 'insufficient_privilege',
      message = format('journal_entries belongs to the superuser %s and has a trigger of somebody else''s, which would get his rights', current_user),
      hint = 'ALTER TABLE journal_entries OWNER TO …; then SELECT worker.setup();';
  end if;
  -- What waits for the commit would run as whoever commits.
  for v_name in
    select distinct c.conname from pg_constraint c
     where c.condeferrable and c.connamespace = 'public'::regnamespace
       and c.conrelid in (select 'public.journal_entries'::regclass union select p.relid from pg_partition_tree('public.journal_entries') p)
  loop
    execute format('set constraints public.%I immediate', v_name);
  end loop;
  insert into public.journal_entries (character_id, entry_type, content, metadata) values ($1, 'session_summary', $2, $3);$body$),
    ('world_pois', 'points of interest are written without the places of the game''s own map',
     '{"campaign_seed": ["text", "varchar"], "name": ["text", "varchar"]}',
     'text', 'setof text', 'access share', $body$
  return query select left(w.name, 100) from public.world_pois w where w.campaign_seed = $1 limit 30;$body$)
$$;
comment on function worker.game_tables() is
'The tables of a game that are used where they exist: the columns that must be there, with the types they may have, and the text of the function that uses each.';

create or replace function worker.game_function(p_table text) returns oid
language sql stable set search_path = pg_catalog, pg_temp as $$
  select to_regprocedure(format('worker.game_%s(%s)', g.name, g.arguments))::oid from worker.game_tables() g where g.name = p_table
$$;
comment on function worker.game_function(text) is
'The function through which a table of the game is used, NULL where it was not made.';

create or replace function worker.game_functions() returns oid[]
language sql stable set search_path = pg_catalog, pg_temp as $$
  select array(select worker.game_function(g.name) from worker.game_tables() g where worker.game_function(g.name) is not null)
$$;
comment on function worker.game_functions() is
'All of them that were made.';

create or replace function worker.game_function_text(p_table text) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select format($text$
declare
  v_name pg_catalog.name;
begin
  perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
  lock table public.%1$s in %2$s mode;
  if not exists (select from pg_class c join pg_roles r on r.oid = c.relowner
                  where c.oid = 'public.%1$s'::regclass and c.relkind in ('r', 'p') and r.rolname = current_user) then
    raise exception using errcode = 'insufficient_privilege',
      message = '%1$s has changed hands since worker.setup() looked at it', hint = 'SELECT worker.setup();';
  end if;%3$s
end $text$, g.name, g.mode, g.body)
    from worker.game_tables() g where g.name = p_table
$$;
comment on function worker.game_function_text(text) is
'The whole text of such a function.';

create or replace function worker.game_table_trouble(p_table text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_table record;
  v_columns jsonb := (select g.columns from worker.game_tables() g where g.name = p_table);
begin
  select c.oid, c.relkind, c.relowner into v_table from pg_class c where c.oid = to_regclass('public.' || p_table);
  if v_table.relkind not in ('r', 'p') then
    return format('%s is no table: nothing else is read or written, since it would run somebody else''s code', p_table);
  end if;
  return coalesce(
    (select format('the table %s has no column %s', p_table, string_agg(k, ', ' order by k))
       from jsonb_object_keys(v_columns) k
      where not exists (select from pg_attribute a where a.attrelid = v_table.oid and a.attname = k and not a.attisdropped)
     having count(*) > 0),
    (select format('the column %s.%s is of type %s, not %s', p_table, a.attname, format_type(a.atttypid, null),
                   (select string_agg(x, ', ') from jsonb_array_elements_text(v_columns -> a.attname) x))
       from pg_attribute a join pg_type t on t.oid = a.atttypid
      where a.attrelid = v_table.oid and a.attnum > 0 and v_columns ? a.attname::text
        and not v_columns -> a.attname ? case when t.typtype = 'e' then 'enum' when t.typnamespace = 'pg_catalog'::regnamespace then t.typname::text else '' end
      order by a.attnum limit 1));
end $$;
comment on function worker.game_table_trouble(text) is
'What makes a table of the game unusable (it is a view, or columns are missing or of other types), or NULL.';

create or replace function worker.game_access(p_table text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_owner record;
  v_function pg_proc;
begin
  select r.rolname, r.oid into v_owner
    from pg_class c join pg_roles r on r.oid = c.relowner where c.oid = to_regclass('public.' || p_table);
  if not found then
    return format('there is no table %s', p_table);
  end if;
  select * into v_function from pg_proc where oid = worker.game_function(p_table);
  return coalesce(worker.game_table_trouble(p_table), case
    when v_function.oid is null or v_function.proowner <> v_owner.oid or not has_function_privilege(v_function.oid, 'execute')
      then format('%s belongs to %s and no function was made for it yet: SELECT worker.setup(); as a superuser or a member of that role',
                  p_table, v_owner.rolname)
    when not v_function.prosecdef
      then format('the function %s does not run as its owner any more: SELECT worker.setup();', v_function.oid::regprocedure) end);
end $$;
comment on function worker.game_access(text) is
'What stands in the way of using a table of the game, in words, or NULL. Asked before each use.';

create or replace function worker.hidden_from_owner(p_table text) returns text
language sql stable set search_path = pg_catalog, pg_temp
return (
  select format('row level security hides rows of %s also from its owner %s (FORCE ROW LEVEL SECURITY)', p_table, r.rolname)
    from pg_class c join pg_roles r on r.oid = c.relowner
   where c.oid = to_regclass('public.' || p_table) and c.relrowsecurity and c.relforcerowsecurity and not r.rolsuper and not r.rolbypassrls);
comment on function worker.hidden_from_owner(text) is
'Says that row level security may hide rows of a table of the game from us, or NULL.';

create or replace function worker.require_game_access(p_table text) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_trouble text := worker.game_access(p_table);
begin
  if v_trouble is not null then
    raise exception using errcode = 'insufficient_privilege', message = v_trouble;
  end if;
end $$;
comment on function worker.require_game_access(text) is
'Raises 42501 with what stands in the way of using a table of the game.';

create or replace function worker.setup_game_tables(p_owner name) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_table record;
  v_trouble text;
begin
  for v_table in
    select g.name, g.needed_for, r.rolname as owner, r.oid as owner_oid
      from worker.game_tables() g
      join pg_class c on c.oid = to_regclass('public.' || g.name)
      join pg_roles r on r.oid = c.relowner
     order by g.name
  loop
    v_trouble := worker.game_table_trouble(v_table.name);
    continue when v_trouble is null and worker.game_function_is_good(v_table.name, p_owner);
    if v_trouble is not null then
      perform worker.tell_of_game_table(v_trouble, v_table.needed_for, null);
    elsif pg_has_role(session_user, v_table.owner_oid, 'member') and pg_has_role(current_user, v_table.owner_oid, 'member') then
      perform worker.make_game_function(v_table.name, v_table.owner, p_owner);
    else
      perform worker.tell_of_game_table(
        format('%s belongs to %s, of which %s is no member', v_table.name, v_table.owner, current_user), v_table.needed_for,
        format('GRANT %I TO %I; then SELECT worker.setup(); or SELECT worker.setup(); as a superuser.', v_table.owner, current_user));
    end if;
  end loop;
end $$;
comment on function worker.setup_game_tables(name) is
'Makes the functions through which the game''s own tables are used, where they are missing or the table has another owner now. Part of worker.setup().';

create or replace function worker.tell_of_game_table(p_what text, p_needed_for text, p_hint text) returns void
language plpgsql set search_path = pg_catalog, pg_temp set client_min_messages = notice as $$
begin
  raise notice 'pg_worker_ext: %, so %', p_what, p_needed_for using hint = coalesce(p_hint, 'SELECT worker.setup(); when that is mended.');
end $$;

create or replace function worker.game_function_is_good(p_table text, p_owner name) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select exists (
    select from pg_proc p join pg_class c on c.oid = to_regclass('public.' || p_table)
     where p.oid = worker.game_function(p_table) and p.proowner = c.relowner and p.prosecdef and p.provolatile = 'v'
       and p.prosrc = worker.game_function_text(p_table) and p.proconfig = array['search_path=pg_catalog, pg_temp']
       and has_function_privilege(p_owner, p.oid, 'execute') and p.proacl is not null and not worker.is_open(p.proacl))
$$;
comment on function worker.game_function_is_good(text, name) is
'Whether the function of a table of the game is what worker.setup() would make now.';

create or replace function worker.make_game_function(p_table text, p_table_owner name, p_owner name) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_function text := (select format('worker.game_%s(%s)', g.name, g.arguments) from worker.game_tables() g where g.name = p_table);
  v_lent boolean;
begin
  -- Dropped and made, not replaced: nothing of what was there before stays, be it rights or settings.
  if to_regprocedure(v_function) is not null then
    execute format('drop function %s', v_function);
  end if;
  execute (select format('create function %s returns %s language plpgsql security definer set search_path = pg_catalog, pg_temp as %L',
                         v_function, g.gives, worker.game_function_text(p_table)) from worker.game_tables() g where g.name = p_table);
  execute format('comment on function %s is %L', v_function,
                 format('Uses the game''s table %s with the rights of its owner, for the owner of worker_jobs. Made by worker.setup().', p_table));
  execute format('revoke all on function %s from %s', v_function, worker.nobody());
  if worker.role_oid(p_table_owner) <> worker.role_oid(current_user) then
    -- Who is no superuser can give a function only to a role that might have made it there.
    v_lent := not has_schema_privilege(p_table_owner, 'worker', 'create') and not (select rolsuper from pg_roles where rolname = current_user);
    if v_lent then
      execute format('grant create on schema worker to %I', p_table_owner);
    end if;
    execute format('alter function %s owner to %I', v_function, p_table_owner);
    if v_lent then
      execute format('revoke create on schema worker from %I', p_table_owner);
    end if;
  end if;
  if p_owner <> p_table_owner then
    execute format('grant execute on function %s to %I', v_function, p_owner);
  end if;
end $$;
comment on function worker.make_game_function(text, name, name) is
'Makes the function of one table of the game. Part of worker.setup().';
