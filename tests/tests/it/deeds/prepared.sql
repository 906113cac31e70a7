-- A game in the middle of its life, made by the owner of the tables: what every verb has something to do with.

create table characters (id uuid primary key default gen_random_uuid(), name text not null, campaign_seed text);
create table dm_conversations (
  id bigint generated always as identity primary key, character_id uuid, role text not null, content text not null,
  created_at timestamptz not null default now());
create table journal_entries (
  id uuid primary key default gen_random_uuid(), character_id uuid, entry_type text, content text, metadata jsonb,
  created_at timestamptz not null default now());
create table world_pois (
  id uuid primary key default gen_random_uuid(), campaign_seed text, name text, type text, description text, position jsonb,
  created_at timestamptz not null default now());
insert into characters values ('00000000-0000-4000-8000-0000000000c1', 'Mirel', 'ember');
insert into dm_conversations (character_id, role, content) values
  ('00000000-0000-4000-8000-0000000000c1', 'player', 'We go down to the old mill.'),
  ('00000000-0000-4000-8000-0000000000c1', 'dm', 'The wheel stands still, and there is light in the loft.');
-- From now on these are used.
select worker.setup();

update content_pools set min_size = 3, batch_size = 2;
select worker.add_kind('riddle', 'Write riddle {{item_no}} about {{topic}}.',
  '{"type": "object", "properties": {"title": {"type": "string"}, "text": {"type": "string"}}, "required": ["title", "text"]}',
  2, 2, 'title', p_facets => '{"topic": ["rivers", "keys"]}');

insert into quest_templates (title, description, level_min, level_max) values ('A Quest', 'Of sacks of flour.', 1, 5), ('B Quest', 'Of a mill.', 2, 6);
insert into npc_personalities (name, race, occupation, personality, quirk, secret) values ('Orla', 'human', 'miller', 'kind', 'hums', 'owes money');
insert into combat_encounters (name, description, challenge_rating, enemies, location_type) values ('Wolves', 'Four of them.', 2, '[]', 'forest');
insert into dungeon_content (name, description, room_count, difficulty) values ('The Loft', 'Dusty.', 3, 'easy');
insert into campaign_pois (campaign_seed, name, type, description) values ('ember', 'The Mill', 'ruin', 'Old.');

select enqueue_worker_job('generate_quests', '{"count": 3}');
update worker_jobs set id = '00000000-0000-4000-8000-0000000000a1' where status = 'pending' and job_type = 'generate_quests';
select enqueue_worker_job('summarize_session', '{"character_id": "00000000-0000-4000-8000-0000000000c1"}');
update worker_jobs set id = '00000000-0000-4000-8000-0000000000a2' where job_type = 'summarize_session';
update worker_jobs set status = 'running', started_at = now(), attempts = 1, executor_id = '00000000-0000-4000-8000-0000000000e1',
       lease_token = id, lease_expires_at = now() + interval '1 hour';
-- A lease that ran out, and an executor that has gone.
select enqueue_worker_job('generate_npcs', '{"count": 1}');
update worker_jobs set status = 'running', started_at = now(), attempts = 1, executor_id = '00000000-0000-4000-8000-0000000000e2',
       lease_token = id, lease_expires_at = now() - interval '1 minute' where job_type = 'generate_npcs';
select enqueue_worker_job('generate_dungeons', '{"count": 1}');
update worker_jobs set status = 'running', started_at = now(), attempts = 1, executor_id = '00000000-0000-4000-8000-0000000000e3',
       lease_token = id, lease_expires_at = now() + interval '1 hour' where job_type = 'generate_dungeons';
insert into worker.executors (id, watched, info, gone_since) values
  ('00000000-0000-4000-8000-0000000000e1', false, '{"generator": "llm"}', null),
  ('00000000-0000-4000-8000-0000000000e3', true, '{"generator": "llm"}', now() - interval '1 minute');
-- Ended ones, to be pruned, to be tried again.
select enqueue_worker_job('generate_encounters', '{"count": 1}');
update worker_jobs set id = '00000000-0000-4000-8000-0000000000a3', status = 'failed', error_message = 'attempt 3: no' where job_type = 'generate_encounters';
select enqueue_worker_job('generate_riddle', '{"count": 1}');
update worker_jobs set status = 'completed', stored = 1 where job_type = 'generate_riddle';
update worker_jobs set completed_at = now() - interval '30 days' where job_type = 'generate_riddle';
-- Waiting ones, one of them for a check of the pools, one of a campaign.
select enqueue_worker_job('generate_quests', '{"count": 2}', p_dedupe_key => 'the second');
select enqueue_worker_job('generate_pois', '{"count": 1, "campaign_seed": "ember"}', 2);
select enqueue_worker_job('generate_npcs', '{"count": 1}', p_run_at => now() + interval '1 day');
select schedule_pool_check();
insert into worker.items (job_id, item_no, kind, item_id, title, title_key)
select '00000000-0000-4000-8000-0000000000a1', 1, 'quest', id, title, worker.title_key(title) from quest_templates where title = 'A Quest';
update worker_jobs set stored = 1 where id = '00000000-0000-4000-8000-0000000000a1';
insert into worker.pool_trouble (kind, scope, failures, last_failure, last_failed_at, next_try_at)
values ('dungeon', '', 1, 'no', now(), now() + interval '1 hour');

-- What a game may hang onto our tables.
create function game_swallows() returns trigger language plpgsql as $$ begin return null; end $$;
create function game_refuses() returns trigger language plpgsql as $$ begin raise exception 'not today' using errcode = 'GA001'; end $$;
create function game_passes() returns trigger language plpgsql as $$ begin return coalesce(new, old); end $$;
create function game_changes() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then return old; end if;
  return jsonb_populate_record(new, '{"status": "failed", "id": "00000000-0000-4000-8000-0000000000ff", "kind": "other", "used": true,
    "parameters": [], "min_size": 1, "request_id": "x", "title": "", "lease_token": null}');
end $$;
create function game_asks_for_more() returns trigger language plpgsql as $$
begin
  if pg_trigger_depth() < 3 then
    perform public.schedule_pool_check();
    perform 1 from public.claim_quest_from_pool(null);
    update public.worker_jobs set priority = 4 where status = 'pending';
    update public.content_pools set batch_size = 2;
  end if;
  return null;
end $$;
create function game_raises_false() returns boolean language plpgsql as $$ begin raise exception 'not for you' using errcode = 'GA002'; end $$;
