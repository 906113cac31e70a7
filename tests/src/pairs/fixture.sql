-- One of everything that a verb can touch. What is in the tables then is copied aside; pairs.reset() puts it back.

create table public.characters (id uuid primary key default gen_random_uuid(), campaign_seed text);
insert into public.characters (campaign_seed) values ('east');
-- The game's own table has come later than we: setup() takes note of it.
select worker.setup();

select worker.add_kind('tavern', 'Write a tavern.', '{"type": "object", "properties": {"name": {"type": "string"}}}', 2, 1, 'name');
update public.content_pools set min_size = 2, batch_size = 2;
insert into worker.campaigns (campaign_seed) values ('north'), ('south');

create schema pairs;
create function pairs.id(n integer) returns uuid language sql immutable
return ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid;

-- One unused item in each pool, and one quest that somebody has. 12 and 13 are stored by the jobs of these numbers.
insert into public.quest_templates (id, title, description, level_min, level_max, used, request_id, provenance) values
  (pairs.id(1), 'The only quest', 'x', 1, 3, false, null, '{"generator": "builtin"}'),
  (pairs.id(2), 'A claimed quest', 'x', 1, 3, true, 'earlier', '{"generator": "builtin"}'),
  (pairs.id(12), 'A stored quest', 'x', 19, 20, true, null, '{}'),
  (pairs.id(13), 'Another stored quest', 'x', 19, 20, true, null, '{}');
insert into worker.items (job_id, item_no, kind, item_id, title, title_key) values
  (pairs.id(901), 1, 'quest', pairs.id(1), 'The only quest', 'a'), (pairs.id(902), 1, 'quest', pairs.id(2), 'A claimed quest', 'b'),
  (pairs.id(12), 1, 'quest', pairs.id(12), 'A stored quest', 'c'), (pairs.id(13), 1, 'quest', pairs.id(13), 'Another stored quest', 'd');
update public.quest_templates q set provenance = provenance || jsonb_build_object('job_id', i.job_id, 'item_no', 1)
  from worker.items i where i.item_id = q.id;
insert into public.quest_templates (id, title, description, level_min, level_max, provenance)
select pairs.id(n), 'Quest ' || n, 'x', 8, 9, jsonb_build_object('generator', 'builtin', 'job_id', pairs.id(900 + n), 'item_no', 1) from generate_series(3, 5) n;
insert into worker.items (job_id, item_no, kind, item_id, title, title_key)
select pairs.id(900 + n), 1, 'quest', pairs.id(n), 'Quest ' || n, 'q' || n from generate_series(3, 5) n;
insert into public.npc_personalities (id, name, race, occupation, personality, quirk, secret, provenance)
values (pairs.id(1), 'The only person', 'elf', 'smith', 'x', 'x', 'x', '{"generator": "builtin"}');
insert into public.combat_encounters (id, name, description, challenge_rating, location_type, provenance)
values (pairs.id(1), 'The only fight', 'x', 1, 'forest', '{"generator": "builtin"}');
insert into public.dungeon_content (id, name, description, provenance)
values (pairs.id(1), 'The only dungeon', 'x', '{"generator": "builtin"}');
insert into public.campaign_pois (id, campaign_seed, name, type, description, provenance)
values (pairs.id(1), 'north', 'The only place', 'village', 'x', '{"generator": "builtin"}');
insert into public.tavern_items (id, title, item, provenance)
values (pairs.id(1), 'The only tavern', '{}', '{"generator": "builtin"}');

-- Jobs: 1 to 9 wait, 11 to 19 run, 21 to 29 have ended. Executor 71 lives, 72 is gone.
insert into worker.executors (id, watched, gone_since, last_seen) values
  (pairs.id(71), false, null, now()), (pairs.id(74), false, null, now() - interval '2 days'), (pairs.id(72), true, now() - interval '1 minute', now()), (pairs.id(73), false, null, now() - interval '2 days');
set session_replication_role = replica;
insert into public.worker_jobs (id, job_type, parameters, status, dedupe_key, priority, asked, refill) values
  (pairs.id(1), 'generate_quests', '{"count": 2}', 'pending', null, 1, 2, false),
  (pairs.id(2), 'generate_npcs', '{"count": 1}', 'pending', null, 2, 1, true),
  (pairs.id(3), 'generate_quests', '{"count": 1}', 'pending', 'kept', 7, 1, false),
  (pairs.id(4), 'generate_pois', '{"count": 1, "campaign_seed": "north"}', 'pending', null, 7, 1, true),
  (pairs.id(5), 'generate_tavern', '{"count": 1}', 'pending', null, 7, 1, false),
  (pairs.id(6), 'check_all_pools', '{}', 'pending', null, 1, 1, false);
insert into public.worker_jobs (id, job_type, parameters, status, asked, stored, started_at, lease_token, lease_expires_at, executor_id, attempts, max_attempts)
select pairs.id(n), job_type, parameters, 'running', asked, stored, now(), pairs.id(500 + n), now() + ends, pairs.id(executor), attempts, 3
  from (values (11, 'generate_quests', '{"count": 2}'::jsonb, 2, 0, interval '1 day', 71, 1),
               (12, 'generate_quests', '{"count": 1}', 1, 1, interval '1 day', 71, 1),
               (13, 'generate_quests', '{"count": 1}', 1, 1, interval '1 day', 71, 1),
               (14, 'generate_quests', '{"count": 1}', 1, 0, interval '-1 hour', 71, 1),
               (15, 'generate_pois', '{"count": 1, "campaign_seed": "north"}', 1, 0, interval '-1 hour', 71, 3),
               (16, 'generate_npcs', '{"count": 1}', 1, 0, interval '1 day', 72, 1),
               (17, 'generate_pois', '{"count": 1, "campaign_seed": "south"}', 1, 0, interval '1 day', 71, 3),
               (18, 'generate_tavern', '{"count": 1}', 1, 0, interval '1 day', 71, 1),
               (19, 'generate_tavern', '{"count": 1}', 1, 0, interval '1 day', 71, 1)) as j(n, job_type, parameters, asked, stored, ends, executor, attempts);
insert into public.worker_jobs (id, job_type, parameters, status, dedupe_key, created_at, completed_at) values
  (pairs.id(21), 'generate_quests', '{"count": 1}', 'failed', null, now() - interval '9 days', now() - interval '8 days'),
  (pairs.id(22), 'generate_quests', '{"count": 1}', 'failed', 'kept', now() - interval '9 days', now() - interval '8 days'),
  (pairs.id(23), 'generate_pois', '{"count": 1, "campaign_seed": "west"}', 'cancelled', null, now(), now());
insert into worker.pool_trouble (kind, scope, failures, last_failure, last_failed_at, next_try_at)
select k, s, 1, 'it burned', now() - interval '1 hour', now() - interval '1 minute'
  from (values ('quest', ''), ('npc', ''), ('poi', '*'), ('poi', 'north'), ('poi', 'south'), ('tavern', '')) t(k, s);
set session_replication_role = default;

-- The copies, and the statements that put them back, the last row first: what a statement without an order finds lies
-- in the opposite order of the keys. Nobody's trigger fires.
insert into worker.usage (day, kind, generator, model) select (now() at time zone 'utc')::date, k, 'llm', 'm' from unnest(array['quest', 'npc']) k;

create function pairs.keep() returns text language plpgsql as $$
declare
  v_table record;
  v_name text;
  v_number integer := 0;
  v_reset text := 'begin; set local session_replication_role = replica;';
begin
  for v_table in
    select c.oid::regclass as id from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname in ('public', 'worker') and c.relkind = 'r' order by c.oid
  loop
    v_number := v_number + 1;
    v_name := format('pairs.kept_%s', v_number);
    execute format('create table %s as table %s', v_name, v_table.id);
    v_reset := v_reset || format('delete from %s; insert into %1$s select * from %s order by 1 desc;', v_table.id, v_name);
  end loop;
  return v_reset || 'commit;';
end $$;

-- What a third transaction may hold: each row, each table as a reader and as a writer.
create function pairs.gates() returns setof text language plpgsql as $$
declare
  v_table record;
begin
  for v_table in
    select c.oid::regclass as id, (select string_agg(format('%I', a.attname), ', ') from pg_attribute a
                                    where a.attrelid = c.oid and a.attnum = any (i.indkey)) as key
      from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_index i on i.indrelid = c.oid and i.indisprimary
     where n.nspname in ('public', 'worker') and c.relkind = 'r'
  loop
    return query execute format('select format(''select from %1$s where (%2$s)::text = %%L for update'', (%2$s)::text) from %1$s t',
                                v_table.id, 'row(' || v_table.key || ')');
    return next format('lock table %s in access share mode', v_table.id);
    return next format('lock table %s in row exclusive mode', v_table.id);
  end loop;
end $$;
