-- What the claim functions of the kinds share.

create or replace function worker.begin_claim(p_kind text, p_request_id text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  -- A transaction without an id holds no row lock, so it may wait for another's (see worker.await_item).
  v_may_wait boolean := pg_current_xact_id_if_assigned() is null;
begin
  -- Asked here first: a call costs more than the question.
  if current_setting('transaction_isolation') <> 'read committed' then
    perform worker.require_read_committed();
  end if;
  if p_request_id is not null then
    if p_request_id = '' or length(p_request_id) > 200 then
      perform worker.refuse('request_id', p_request_id, 'a text of 1 to 200 characters, or NULL');
    end if;
    -- A repeated request waits for the first and then finds its item.
    if not pg_try_advisory_xact_lock(worker.request_key(p_kind, p_request_id)) then
      perform worker.await_request(p_kind, p_request_id, current_setting('lock_timeout'));
    end if;
  end if;
  return v_may_wait;
end $$;
comment on function worker.begin_claim(text, text) is
'The start of every claim: READ COMMITTED only, one at a time per request_id. Returns whether this claim may wait for items that others are just claiming.';

create or replace function worker.request_key(p_kind text, p_request_id text) returns bigint
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return hashtextextended('pg_worker_ext claim ' || p_kind || ' ' || p_request_id, 0);
end $$;

create or replace function worker.await_request(p_kind text, p_request_id text, p_bound text) returns void
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '2s' as $$
begin
  if p_bound <> '0' then
    perform set_config('lock_timeout', p_bound, true);
  elsif pg_current_xact_id_if_assigned() is not null or worker.holds_locks(null) then
    -- The other may be waiting for what this transaction holds: shorter than the server looks for such circles.
    perform set_config('lock_timeout', '200ms', true);
  end if;
  perform pg_advisory_xact_lock(worker.request_key(p_kind, p_request_id));
exception when lock_not_available then
  raise exception using errcode = 'lock_not_available',
    message = format('another transaction is claiming for the request %s and does not end', quote_literal(p_request_id)),
    hint = 'Claim again with the same request_id when it has ended.';
end $$;
comment on function worker.await_request(text, text, text) is
'Waits until the transaction that claims for the same request has ended: 2 s at most, 200 ms where this one holds something, p_bound (the session''s lock_timeout) where that is set. Then it raises 55P03.';

-- How a claim goes on (see claim_quest_from_pool):
--
--   take one that nobody has locked; where there is none, look without locking for one that somebody else holds,
--   wait a little until that transaction ends, and begin again. Empty-handed is who sees none at all, or none that
--   is free within the bound.
--
-- Taking is done in a block of its own that is rolled back when it finds nothing. FOR UPDATE locks also rows that
-- turn out to have been claimed a moment ago, and keeps them locked: with such locks in hand two waiting claims
-- would wait for each other.

create or replace function worker.await_item(p_table text, p_id uuid, p_own bigint, p_bound text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '200ms' as $$
begin
  if p_bound <> '0' then
    perform set_config('lock_timeout', p_bound, true);
  end if;
  if worker.holds_locks(p_own) then
    return false;
  end if;
  execute format('select from %s where id = $1 for update', p_table::regclass) using p_id;
  raise exception using errcode = 'PW001';
exception
  -- The lock is given back with the block: who waits holds nothing.
  when sqlstate 'PW001' then
    return true;
  when lock_not_available then
    return false;
end $$;
comment on function worker.await_item(text, uuid, bigint, text) is
'Waits until nobody holds this item of a pool any more: 200 ms at most, or p_bound (the session''s lock_timeout) where that is set. False: it is held still, or this transaction holds a lock of the game''s own, so that the other might be waiting for it.';

create or replace function worker.holds_locks(p_own bigint) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- What every statement that reads or writes takes on its tables hinders nobody but who alters them.
  return exists (
    select from pg_locks l
     where l.pid = pg_backend_pid() and l.locktype not in ('virtualxid', 'transactionid')
       and l.mode not in ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')
       and (l.locktype = 'advisory' and l.objsubid = 1 and (l.classid::bigint << 32 | l.objid::bigint) = p_own) is not true);
end $$;
comment on function worker.holds_locks(bigint) is
'Whether this session holds a lock that others may be waiting for, an advisory lock of the game''s for one; p_own: the one of this claim''s request, which does not count.';

create or replace function worker.refuse_above(p_low_name text, p_low numeric, p_high_name text, p_high numeric) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if p_low > p_high then
    perform worker.refuse(p_low_name, p_low::text, format('at most %s, which is %s', p_high_name, p_high));
  end if;
end $$;
comment on function worker.refuse_above(text, numeric, text, numeric) is
'Refuses a lower bound above the upper one with 22023.';

create or replace function worker.refuse_json_text(p_name text, p_value jsonb) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if jsonb_typeof(p_value) = 'string' then
    perform worker.refuse(p_name, p_value::text, 'a JSON object (this is a JSON string: pass the object itself, not its text)');
  end if;
end $$;
comment on function worker.refuse_json_text(text, jsonb) is
'Refuses with 22023 a JSON value that is only text: what JSON.stringify makes of an object.';

create or replace function worker.refuse_unless_listed(p_name text, p_value text, p_values text[]) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if p_value <> all (p_values) then
    perform worker.refuse(p_name, p_value, array_to_string(p_values, ', '));
  end if;
end $$;
comment on function worker.refuse_unless_listed(text, text, text[]) is
'Refuses a value that is not in the list with 22023; NULL passes.';
