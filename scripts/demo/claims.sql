-- What a game does with the pools: claim one of each kind, and read the summary. Printed as prose.
\pset format unaligned
\pset tuples_only on

select format(E'\n  QUEST    %s\n           %s\n%s\n           Reward: %s XP and %s gold',
              title, description,
              (select string_agg(format('           - %s: %s%s', replace(o ->> 'type', '_', ' '), o ->> 'target',
                                        case when (o ->> 'count')::int > 1 then ' (' || (o ->> 'count') || ')' else '' end), E'\n')
                 from jsonb_array_elements(objectives) o),
              xp_reward, gold_reward)
  from claim_quest_from_pool((select id from characters), 1, 5);

select format(E'\n  NPC      %s, %s %s\n           %s\n           Quirk: %s\n           Secret: %s',
              name, race, occupation, personality, quirk, secret)
  from claim_npc_from_pool((select campaign_seed from characters), '{"x": 100, "y": 200}');

select format(E'\n  PLACE    %s (%s)\n           %s', name, type, description)
  from claim_poi_from_pool((select campaign_seed from characters), spawn_position => '{"x": 120, "y": 180}');

select format(E'\n  FIGHT    %s (%s, challenge rating %s, %s loot)\n           %s\n%s',
              name, location_type, challenge_rating, loot_tier, description,
              (select string_agg(format('           - %s: %s HP, AC %s, attack +%s, damage %s', e ->> 'name', e ->> 'hp', e ->> 'ac',
                                        e ->> 'attack_bonus', e ->> 'damage_dice'), E'\n')
                 from jsonb_array_elements(enemies) e))
  from claim_encounter_from_pool(min_cr => 1, max_cr => 3);

select format(E'\n  DUNGEON  %s (%s, %s rooms)\n           %s\n%s', name, difficulty, room_count, description,
              (select string_agg(format('           %s. %s Here: %s. Loot: %s.', r ->> 'room_number', r ->> 'description',
                                        rtrim(r ->> 'encounter', '.'), rtrim(r ->> 'loot', '.')), E'\n')
                 from jsonb_array_elements(rooms) r))
  from claim_dungeon_from_pool();

select format(E'\n  JOURNAL  %s\n', content) from journal_entries where entry_type = 'session_summary';
