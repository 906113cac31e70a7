-- What the claim functions of the kinds share.

create or replace function worker.begin_claim(p_kind text, p_request_id text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  -- A transaction without an id holds no row lock, so it may wait for another's: no circle can come of it.
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
    perform pg_advisory_xact_lock(hashtextextended('pg_worker_ext claim ' || p_kind || ' ' || p_request_id, 0));
  end if;
  return v_may_wait;
end $$;
comment on function worker.begin_claim(text, text) is
'The start of every claim: READ COMMITTED only, one at a time per request_id. Returns whether this claim may wait for items that others are just claiming.';

-- How a claim goes on (see claim_quest_from_pool):
--
--   take one that nobody has locked; where there is none, look without locking for one that somebody else holds,
--   wait until that transaction ends, and begin again. Empty-handed is who sees none at all.
--
-- Taking is done in a block of its own that is rolled back when it finds nothing. FOR UPDATE locks also rows that
-- turn out to have been claimed a moment ago, and keeps them locked: with such locks in hand two waiting claims
-- would wait for each other.

create or replace function worker.wait_for_item(p_table text, p_id uuid) returns void
language plpgsql strict set search_path = pg_catalog, pg_temp as $$
begin
  execute format('select from %s where id = $1 for update', p_table::regclass) using p_id;
  raise exception using errcode = 'PW001';
exception when sqlstate 'PW001' then
  -- The lock is given back with the block: who waits holds nothing.
end $$;
comment on function worker.wait_for_item(text, uuid) is
'Waits until nobody holds this item of a pool any more; for NULL there is nothing to wait for.';

create or replace function worker.refuse_above(p_low_name text, p_low numeric, p_high_name text, p_high numeric) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if p_low > p_high then
    perform worker.refuse(p_low_name, p_low::text, format('at most %s, which is %s', p_high_name, p_high));
  end if;
end $$;
comment on function worker.refuse_above(text, numeric, text, numeric) is
'Refuses a lower bound above the upper one with 22023.';

create or replace function worker.refuse_unless_listed(p_name text, p_value text, p_values text[]) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if p_value <> all (p_values) then
    perform worker.refuse(p_name, p_value, array_to_string(p_values, ', '));
  end if;
end $$;
comment on function worker.refuse_unless_listed(text, text, text[]) is
'Refuses a value that is not in the list with 22023; NULL passes.';
