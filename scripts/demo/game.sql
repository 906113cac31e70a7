-- A small game beside the pools: its own tables, one character in one campaign, one evening's talk.
create table characters (
  id uuid primary key default gen_random_uuid(),
  name text not null,
  campaign_seed text not null
);
create table dm_conversations (
  id bigint generated always as identity primary key,
  character_id uuid not null references characters,
  role text not null check (role in ('player', 'dm')),
  content text not null,
  created_at timestamptz not null default now()
);
create table journal_entries (
  id uuid primary key default gen_random_uuid(),
  character_id uuid not null references characters,
  entry_type text not null,
  content text not null,
  metadata jsonb,
  created_at timestamptz not null default now()
);

insert into characters (id, name, campaign_seed)
values ('7d0e0f5e-0d0d-4a3a-9f2b-6c1a5b1f0001', 'Rowan Tallow', 'salt-road');

insert into dm_conversations (character_id, role, content, created_at)
select c.id, t.role, t.content, now() - interval '1 hour' + t.n * interval '2 minutes'
  from characters c,
       (values (1, 'dm', 'Rain drums on the roof of the Salt Road inn. The innkeeper bolts the door behind you.'),
               (2, 'player', 'I ask her what she is afraid of.'),
               (3, 'dm', 'She pours two cups. "Three nights now the ferry bell has rung, and there has been no ferry since spring."'),
               (4, 'player', 'I take my lantern and go down to the landing.'),
               (5, 'dm', 'The bell hangs still. In the mud below it: fresh boot prints, and they lead out of the water.'),
               (6, 'player', 'I follow them, quietly.'),
               (7, 'dm', 'They end at the mill. Through a crack in the wall you see the toll keeper, counting a dead man''s coins.'),
               (8, 'player', 'I knock, and offer him a way to give the money back without a trial.'),
               (9, 'dm', 'He weeps, and agrees. By dawn the ferryman''s widow has her due, and the bell is silent.')) t (n, role, content);
