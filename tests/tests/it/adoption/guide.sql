-- What the guide's own migration leaves behind: enumerations, tables with nearly no NOT NULL, indexes that compare
-- with an enumeration, functions. The functions' bodies do not matter here; their signatures do.
create table characters (id uuid primary key default gen_random_uuid(), name text, campaign_seed text);
create type job_type as enum ('generate_quests', 'generate_npcs', 'generate_pois', 'generate_encounters',
  'generate_dungeons', 'summarize_session', 'check_all_pools');
create type job_status as enum ('pending', 'running', 'completed', 'failed');
create table worker_jobs (
  id uuid primary key default gen_random_uuid(), job_type job_type not null, parameters jsonb,
  priority integer default 5, status job_status default 'pending', created_at timestamptz default now(),
  started_at timestamptz, completed_at timestamptz, error_message text, result jsonb);
create index idx_worker_jobs_pending on worker_jobs (status, priority, created_at) where status = 'pending';
create index idx_worker_jobs_status on worker_jobs (status);
create index idx_worker_jobs_type on worker_jobs (job_type);
create table quest_templates (
  id uuid primary key default gen_random_uuid(), title text not null, description text not null, objectives jsonb not null,
  xp_reward integer not null, gold_reward integer not null, level_min integer default 1, level_max integer default 5,
  used boolean default false, created_at timestamptz default now(), used_at timestamptz,
  assigned_to_character uuid references characters (id) on delete set null);
create index idx_quest_templates_unused on quest_templates (used) where used = false;
create index idx_quest_templates_level on quest_templates (level_min, level_max);
create table npc_personalities (
  id uuid primary key default gen_random_uuid(), name text not null, race text not null, occupation text not null,
  personality text not null, quirk text not null, secret text not null, used boolean default false,
  created_at timestamptz default now(), used_at timestamptz, spawned_in_campaign text, position jsonb);
create index idx_npc_personalities_unused on npc_personalities (used) where used = false;
create table combat_encounters (
  id uuid primary key default gen_random_uuid(), name text not null, description text not null,
  challenge_rating real not null, enemies jsonb not null,
  loot_tier text check (loot_tier in ('minimal', 'standard', 'rich')), location_type text not null,
  used boolean default false, created_at timestamptz default now(), used_at timestamptz, spawned_at_location jsonb);
create index idx_combat_encounters_unused on combat_encounters (used) where used = false;
create table dungeon_content (
  id uuid primary key default gen_random_uuid(), name text not null, description text not null, room_count integer not null,
  rooms jsonb, difficulty text check (difficulty in ('easy', 'medium', 'hard', 'deadly')),
  used boolean default false, created_at timestamptz default now(), used_at timestamptz, spawned_at_location jsonb);
create index idx_dungeon_content_unused on dungeon_content (used) where used = false;

create function enqueue_worker_job(p_job_type job_type, p_parameters jsonb default null, p_priority integer default 5)
  returns uuid language plpgsql as $$ begin raise 'the former enqueue_worker_job'; end $$;
create function schedule_pool_check() returns uuid language plpgsql as $$ begin raise 'the former schedule_pool_check'; end $$;
create function fetch_and_lock_job() returns table (id uuid, job_type text, parameters jsonb, priority integer, status text,
    created_at timestamptz, started_at timestamptz, completed_at timestamptz, error_message text, result jsonb)
  language plpgsql as $$ begin raise 'the former fetch_and_lock_job'; end $$;
create function claim_quest_from_pool(character_id uuid, min_level integer default 1, max_level integer default 10)
  returns table (quest_id uuid, title text, description text, objectives jsonb, xp_reward integer, gold_reward integer)
  language plpgsql as $$ begin raise 'the former claim_quest_from_pool'; end $$;
create function claim_npc_from_pool(campaign_seed text, spawn_position jsonb)
  returns table (npc_id uuid, name text, race text, occupation text, personality text, quirk text, secret text)
  language plpgsql as $$ begin raise 'the former claim_npc_from_pool'; end $$;

-- Full pools, some of them used, some rows with the NULLs that the tables allow.
insert into characters (name, campaign_seed) values ('Una', 'abc123');
insert into quest_templates (title, description, objectives, xp_reward, gold_reward, level_min, level_max, used, used_at, assigned_to_character)
  select 'Former quest ' || n, 'Old and good.', '[{"type": "kill_enemies", "target": "goblins", "count": 5}]', 100, 50, 1, 5, n > 20,
         case when n > 20 then now() end, case when n > 20 then (select id from characters) end from generate_series(1, 24) n;
insert into quest_templates (title, description, objectives, xp_reward, gold_reward, level_min, level_max, used, created_at)
  values ('A quest of NULLs', 'Allowed once.', '[]', 1, 1, null, null, null, null);
insert into npc_personalities (name, race, occupation, personality, quirk, secret, used)
  select 'Former NPC ' || n, 'elf', 'smith', 'gruff', 'hums', 'owes money', n > 30 from generate_series(1, 33) n;
insert into combat_encounters (name, description, challenge_rating, enemies, loot_tier, location_type, used)
  select 'Former fight ' || n, 'Wolves.', 2, '[{"name": "Wolf", "type": "beast", "hp": 11, "ac": 13, "attack_bonus": 4, "damage_dice": "2d4+2", "special_abilities": []}]',
         case when n > 1 then 'minimal' end, 'forest', n > 30 from generate_series(1, 32) n;
insert into dungeon_content (name, description, room_count, rooms, difficulty, used)
  select 'Former vault ' || n, 'Damp.', 1, case when n > 1 then '[{"room_number": 1, "description": "Dark.", "encounter": null, "loot": null}]'::jsonb end,
         case when n > 2 then 'hard' end, n > 10 from generate_series(1, 11) n;

-- Jobs in every state, also those that the new rules would not take.
insert into worker_jobs (job_type, parameters, priority, status, created_at, started_at, completed_at, error_message, result) values
  ('generate_quests', '{"count": 7, "level_range": [1, 5]}', 5, 'pending', now() - interval '2 hours', null, null, null, null),
  ('generate_npcs', null, null, 'pending', now() - interval '3 hours', null, null, null, null),
  ('generate_pois', '{"campaign_seed": "abc123", "count": 25}', 0, 'pending', now(), null, null, null, null),
  ('generate_pois', '{"count": 25}', 5, 'pending', now(), null, null, null, null),
  ('generate_dungeons', '{"count": "many"}', 99, 'pending', now(), null, null, null, null),
  ('check_all_pools', null, 1, 'pending', now() - interval '3 minutes', null, null, null, null),
  ('check_all_pools', null, 1, 'pending', now() - interval '2 minutes', null, null, null, null),
  ('check_all_pools', null, 1, 'pending', now() - interval '1 minute', null, null, null, null),
  ('generate_encounters', '{"count": 15}', 5, 'running', now() - interval '6 minutes', now() - interval '5 minutes', null, null, null),
  ('generate_dungeons', '{"count": 5}', 5, 'running', now() - interval '3 hours', now() - interval '2 hours', null, null, null),
  ('generate_quests', '{"count": 10}', 5, 'completed', now() - interval '90 days', now() - interval '90 days', now() - interval '90 days', null, '{"generated": 10}'),
  ('summarize_session', '{"character_id": "7f0c0c8e-6f0b-4f5e-9d3a-0c5d3a9b1e11"}', 3, 'completed', null, null, null, null, '{"summary": "x"}'),
  ('generate_npcs', '{"count": 15}', 5, 'failed', now() - interval '1 day', now() - interval '1 day', now() - interval '1 day', 'LLM timeout', null),
  ('check_all_pools', null, 1, 'completed', now() - interval '1 day', now() - interval '1 day', now() - interval '1 day', null, '{}');
