-- Encounters. Everything about them is in this file.

create or replace function worker.setup_kind_encounter() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $setup$
declare
  v_former regclass := worker.set_former_aside('public.combat_encounters');
begin
  if to_regclass('public.combat_encounters') is null then
    create table public.combat_encounters (
      id uuid primary key default gen_random_uuid(),
      name text not null,
      description text not null,
      challenge_rating real not null,
      enemies jsonb not null default '[]',
      loot_tier text not null default 'standard'
        constraint combat_encounters_loot_tier_check check (loot_tier in ('minimal', 'standard', 'rich')),
      location_type text not null,
      used boolean not null default false,
      created_at timestamptz not null default now(),
      used_at timestamptz,
      spawned_at_location jsonb
    );
    comment on table public.combat_encounters is
      'The encounter pool: one row is one fight. Take one with claim_encounter_from_pool().';
    comment on column public.combat_encounters.challenge_rating is
      'The challenge of all its enemies together: 0.125, 0.25, 0.5, 1 to 30.';
    comment on column public.combat_encounters.enemies is
      'A list of {"name", "type", "hp", "ac", "attack_bonus", "damage_dice", "special_abilities"}; special_abilities is a list of texts.';
    comment on column public.combat_encounters.location_type is
      'Where it takes place: forest, cave, road … or any word of the game''s own.';
    comment on column public.combat_encounters.spawned_at_location is
      'The spawn_location that the claim gave.';
  end if;
  perform worker.take_up_former(v_former, 'public.combat_encounters', '{id,name,description,challenge_rating,enemies,location_type,used}');
  if worker.may_change('public.combat_encounters') then
    perform worker.setup_pool('public.combat_encounters');
    create index if not exists combat_encounters_claim on public.combat_encounters (location_type, challenge_rating, pool_key) where not used;
  end if;
  perform worker.setup_pool_triggers('public.combat_encounters');

  perform worker.put_kind(jsonb_build_object(
    'kind', 'encounter', 'job_type', 'generate_encounters', 'item_table', 'public.combat_encounters', 'title_field', 'name',
    'min_size', 30, 'batch_size', 15,
    'context_function', 'worker.context_encounter', 'check_function', 'worker.check_encounter', 'store_function', 'worker.store_encounter',
    'parameters', '{"count": {"type": "integer", "min": 1, "max": 1000},
                    "cr_range": {"type": "number_range", "min": 0.125, "max": 30, "default": [1, 5]},
                    "location_type": {"type": "text", "max_length": 64}}'::jsonb,
    'stock_names', '["Elara", "Elias", "Thorne", "Kaelen", "Voss", "Mara", "Eldoria"]'::jsonb, 'typical_tokens', 280, 'guide_seconds', '90–150',
    'sampling', '{"temperature": 1.0, "min_p": 0.05, "max_tokens": 1600}'::jsonb,
    'item_schema', '{
      "type": "object", "additionalProperties": false,
      "required": ["name", "description", "challenge_rating", "location_type", "loot_tier", "enemies"],
      "properties": {
        "name": {"type": "string", "minLength": 4, "maxLength": 80},
        "description": {"type": "string", "minLength": 40, "maxLength": 500},
        "challenge_rating": {"type": "number", "minimum": 0.125, "maximum": 30},
        "location_type": {"type": "string", "minLength": 1, "maxLength": 64},
        "loot_tier": {"enum": ["minimal", "standard", "rich"]},
        "enemies": {"type": "array", "minItems": 1, "maxItems": 8, "items": {
          "type": "object", "additionalProperties": false,
          "required": ["name", "type", "hp", "ac", "attack_bonus", "damage_dice", "special_abilities"],
          "properties": {
            "name": {"type": "string", "minLength": 3, "maxLength": 60},
            "type": {"type": "string", "minLength": 3, "maxLength": 40},
            "hp": {"type": "integer", "minimum": 1, "maximum": 1200},
            "ac": {"type": "integer", "minimum": 5, "maximum": 30},
            "attack_bonus": {"type": "integer", "minimum": 0, "maximum": 20},
            "damage_dice": {"type": "string", "minLength": 3, "maxLength": 10},
            "special_abilities": {"type": "array", "minItems": 0, "maxItems": 3, "items":
              {"type": "string", "minLength": 10, "maxLength": 200}}}}}}}'::jsonb,
    'system_prompt', $$You write fights for a fantasy role-playing game with the usual d20 rules. You answer with one JSON object and
nothing else: no markdown, no explanation.$$,
    'prompt', $$Write one combat encounter as a JSON object with these keys:
- "name": 2 to 7 words. Do not begin with "The Whispering" or "Shadows of", and do not use the word "Ambush".
- "description": 2 to 4 sentences, read to the players as it begins: what they see and hear, what the enemies are
  doing, what in this place can be used or feared.
- "challenge_rating": a number, the challenge of all enemies together.
- "location_type", "loot_tier": as given below.
- "enemies": a list. Each is {"name", "type", "hp", "ac", "attack_bonus", "damage_dice", "special_abilities"}; name is
  a short descriptive name; type is a creature type such as beast or undead; hp, ac and attack_bonus are whole numbers;
  damage_dice is the damage of its usual attack, such as "2d6+3"; special_abilities is a list of 0 to 3 short rules,
  each a sentence.
The enemies live in such a place, belong together and differ from one another.
Avoid stock names ({{stock_names}}) and invent fitting ones.

This encounter:
- challenge_rating {{challenge_rating}}, location_type "{{location_type}}", loot_tier "{{loot_tier}}"
- number of enemies: exactly {{enemy_count}}
- each of them: hp {{hp_min}} to {{hp_max}}, ac {{ac_min}} to {{ac_max}}, attack_bonus {{attack_min}} to {{attack_max}},
  damage_dice one of {{damage_dice}}, saving throws against DC {{dc}}
- who: {{foe_band}} ({{foe_type}})
- the place: {{scene}}
- when: {{moment}}
- they are: {{doing}}
- what makes it different: {{twist}}
- the mood: {{mood}}

These names exist already; take another one that does not resemble them:
{{recent_titles}}$$,
    'facets', '{
      "moment": ["just before dawn", "at first light", "in the heat of noon", "late in the afternoon", "as the light fails", "at the hour when lamps are lit", "shortly after midnight", "in the dead of night", "after a long silence", "just as you want to rest", "on the second day without rest", "when all sound suddenly stops", "an hour after the last warning sign", "while you are still counting your supplies", "at the turn of the weather"],
      "doing": ["blocking the only way through", "lying in wait on both sides", "feeding on something that still has its boots on", "dragging something heavy out of sight", "circling an overturned cart", "guarding a heap of stolen things", "following a trail of blood that crosses yours", "moving in file without a sound", "standing over a single survivor", "waiting for somebody who is late", "tearing a tent to pieces", "searching the dead", "digging where the ground has been dug before", "keeping perfectly still", "coming closer with every blink", "driving frightened animals ahead", "watching your light from the dark", "holding a prisoner as bait", "returning from a victory", "retreating from something worse", "breaking open a sealed crate", "sleeping, as it seems", "calling out in a voice that you know", "barring the way to water"],
      "twist": ["there is a way around for anyone who looks up", "the noise will draw others within minutes", "somebody watches from above and takes notes", "what is guarded here is worth more than the fight", "a bargain is possible with the right offer", "the way back closes as soon as steel is drawn", "the ground gives way under anything heavy", "old bones show that others have fought here before", "the wind carries every spark", "a frightened child hides within arm''s reach", "the way in was left open on purpose", "the real danger comes from behind", "a bell, rung three times, ends the fight", "whoever bleeds is attacked first", "a rope that is cut in time decides everything", "something here is older than all who fight over it", "the prisoner does not want to be freed", "mercy will be repaid, and so will cruelty", "the light goes out in the second round", "there is a truce mark that everybody has overlooked", "a message on one of the bodies bears your own names", "somebody has lured the enemy here", "a second band waits to rob the winners", "the loot is trapped and badly hidden"],
      "mood": ["dread", "grim humour", "sudden and loud", "cold and patient", "sorrowful", "wild and fast", "uncanny", "muddy and desperate", "like a hunting tale", "like a bad dream"]}'::jsonb,
    'grammar', '{
      "item": {
        "name": "{title}",
        "description": "{=scene} {^sight} {^turn}",
        "challenge_rating": "{=challenge_rating}",
        "location_type": "{=location_type}",
        "loot_tier": "{=loot_tier}",
        "enemies": {"$repeat": {"count": ["{=enemy_count}", "{=enemy_count}"], "distinct_by": "name", "of": {
          "name": {"$join": [{"$pick": "{=looks}"}, {"$pick": "{=foes}"}]},
          "type": "{=foe_type}",
          "hp": {"$int": ["{=hp_min}", "{=hp_max}"]},
          "ac": {"$int": ["{=ac_min}", "{=ac_max}"]},
          "attack_bonus": {"$int": ["{=attack_min}", "{=attack_max}"]},
          "damage_dice": {"$pick": "{=damage_dice}"},
          "special_abilities": {"$pick": [[], [{"$pick": "{=abilities}"}], [{"$pick": "{=abilities}"}], ["{tactic}"], [{"$pick": "{=abilities}"}, "{tactic}"]]}}}}},
      "rules": {
        "title": ["{=foe_title} at {mark} {=spot}", "{event} at {mark} {=spot}", "{event} at {mark} {=spot}", "The {^deed} of {mark} {=spot}", "{count} Against {mark} {=spot}", "{mark} {=spot}, {hour}", "Blood on {mark} {=spot}", "What Waits at {mark} {=spot}", "The Price of {mark} {=spot}", "No Rest at {mark} {=spot}", "The {^quality} {^deed}", "{event} Before {mark} {=spot}", "Last Light at {mark} {=spot}", "{=foe_title} and the {^quality} {^deed}", "The Road Ends at {mark} {=spot}", "A {^quality} Welcome at {mark} {=spot}"],
        "mark": ["Adder", "Ash", "Bitter", "Black", "Bone", "Broken", "Candle", "Cinder", "Cold", "Crooked", "Crow", "Dagger", "Dead Man''s", "Devil''s", "Drummer''s", "Echo", "Empty", "Executioner''s", "Fallen", "Fool''s", "Gallows", "Ghost", "Hangman''s", "Hermit''s", "Hollow", "Hunter''s", "Iron", "Jackal", "Judge''s", "King''s", "Knife", "Lantern", "Long", "Lost", "Miser''s", "Moth", "Needle", "Old", "Orphan", "Pale", "Pilgrim''s", "Poison", "Raven", "Red", "Rust", "Saint''s", "Salt", "Scar", "Serpent", "Silent", "Smoke", "Splinter", "Stranger''s", "Tanner''s", "Thief''s", "Thorn", "Three-Mile", "Traitor''s", "Twin", "Weeping", "White", "Widow''s", "Wolf", "Wormwood"],
        "event": ["Bad Company", "Bared Teeth", "Blades", "Broken Truce", "Claws", "Cold Steel", "Dark Work", "Drawn Swords", "False Dawn", "Fresh Tracks", "Grim Business", "Hard Bargains", "Hungry Eyes", "Ill Wind", "Long Odds", "Loud Arguments", "No Way Back", "Old Grudges", "Open Graves", "Poor Odds", "Raised Spears", "Rough Justice", "Sharp Lessons", "Short Tempers", "Stolen Hours", "Sudden Silence", "Too Many Eyes", "Trouble", "Uneven Ground", "Unpaid Tolls", "Unquiet Neighbours", "Wrong Turns"],
        "deed": ["bargain", "bloodletting", "brawl", "chase", "cull", "dance", "feast", "gathering", "gauntlet", "harvest", "hunt", "lesson", "lure", "quarrel", "reckoning", "rout", "sentinels", "siege", "skirmish", "snare", "stand", "standoff", "stampede", "toll", "trap", "trial", "vigil", "wager", "wake", "watch"],
        "quality": ["bitter", "bloody", "breathless", "careless", "cold", "crooked", "drunken", "endless", "false", "final", "forgotten", "hasty", "hidden", "hungry", "late", "lopsided", "merciless", "moonlit", "muddy", "nameless", "patient", "perilous", "ragged", "reluctant", "restless", "second", "silent", "starless", "stolen", "stubborn", "sudden", "uneasy", "unlucky", "unwanted"],
        "hour": ["after dark", "at daybreak", "before the storm", "by torchlight", "in the rain", "past midnight", "the hard way", "unannounced", "with no moon", "without warning"],
        "count": ["All Odds", "All Hands", "Everyone", "Few", "Fire", "Four", "Hope", "Nobody", "Steel", "Teeth", "The Many", "Two Roads"],
        "sight": ["{=moment} you come upon {=foe_band}, {=doing}.", "{=moment} {sign}; then you see {=foe_band}, {=doing}.", "you are not alone: {=moment} you notice {=foe_band}, {=doing}.", "before you, {=moment}, {=foe_band}: {=doing}.", "{sign}. Thirty paces on you make out {=foe_band}, {=doing}."],
        "sign": ["a pebble clicks on stone", "a smell of wet ash drifts over", "something snaps close by", "a low call is answered from the other side", "your own footsteps seem too loud", "a shadow moves that belongs to nobody", "the air turns cold and sour", "somebody cries out and is cut short", "dust trickles down where nothing should move", "a torn strap lies in your way, still warm"],
        "turn": ["one thing is clear at once: {=twist}.", "what you cannot know yet: {=twist}.", "look twice, for {=twist}.", "it is not as simple as it looks: {=twist}.", "whoever keeps a cool head will notice that {=twist}.", "there is more: {=twist}."],
        "tactic": ["Stays close to cover and never fights two at once.", "Goes for whoever carries the light.", "Falls back when wounded and returns with the next round.", "Tries to push opponents off their feet before striking.", "Fights to the death once its own blood flows.", "Attacks the one who strikes first.", "Breaks off and flees below a quarter of its hit points.", "Keeps a wall or a rock at its back whenever it can.", "Uses the first round to get behind its enemies.", "Drags a fallen opponent away rather than finish the fight."]}}'::jsonb));
end $setup$;
comment on function worker.setup_kind_encounter() is
'Makes the encounter pool and its kind. Part of worker.setup().';

create or replace function worker.encounter_places()
returns table (location_type text, spots text[], scenes text[])
language sql immutable set search_path = pg_catalog, pg_temp as $$
  values
    ('forest', array['Oak', 'Glade', 'Thicket', 'Dell', 'Ride', 'Clearing', 'Stump', 'Grove'], array[
      'Fallen trunks lie across a gully where daylight hardly reaches.', 'The path narrows between brambles as high as a rider.',
      'Ferns stand to the waist around a ring of mossy stones.', 'Roots as thick as barrels make stairs and traps of the slope.',
      'A stream cuts through the alders; the far bank is steep and slippery.', 'Old snares hang from the branches, rusted and not all of them sprung.']),
    ('cave', array['Chimney', 'Gallery', 'Sink', 'Cavern', 'Shaft', 'Ledge', 'Crawl', 'Pool'], array[
      'Water drips from stone teeth into a black pool without a shore.', 'The ceiling drops until tall people must stoop, then opens into the dark.',
      'A ledge one pace wide runs along a cleft that swallows every sound.', 'Pale mushrooms give just enough light to see how far down it goes.',
      'Rotten mine props hold up what is left of the roof.', 'A cold draught blows from three openings, and only one is the way out.']),
    ('road', array['Milestone', 'Crossing', 'Bend', 'Tollgate', 'Ford', 'Causeway', 'Cutting', 'Hill'], array[
      'The road sinks between high banks where two carts cannot pass.', 'An overturned wagon bars half of the way, its wheels still turning.',
      'Milestones lean left and right of a stretch where no bird sings.', 'A felled poplar lies across the ruts, and the cut is fresh.',
      'The bridge planks are loose, and the brook beneath is swollen.', 'Rain has made deep mud of everything but the crown of the road.']),
    ('mountain', array['Pass', 'Saddle', 'Scree', 'Cairn', 'Cliff', 'Shoulder', 'Ridge', 'Gap'], array[
      'The track is a shelf in the rock with a drop on the left side.', 'Scree slides at every step and rattles on long after.',
      'A rope bridge, patched with newer rope, swings over the gorge.', 'Snow lies blue in the shade and gives no hint of what is beneath it.',
      'Great boulders offer cover to whoever gets there first.', 'Wind tears the words from your lips and leans on every shield.']),
    ('swamp', array['Mire', 'Hummock', 'Slough', 'Landing', 'Reeds', 'Fen', 'Dyke', 'Backwater'], array[
      'A path of sunken logs leads through water the colour of tea.', 'Reeds close in on all sides, and something keeps parting them.',
      'Every firm tussock is an arm''s length too far from the next.', 'Mist lies knee-deep on the mire and hides what is water and what is ground.',
      'A half-sunken hut leans over the channel, its door wide open.', 'Bubbles rise in a line that comes slowly nearer.']),
    ('ruins', array['Arch', 'Court', 'Stair', 'Colonnade', 'Wall', 'Rotunda', 'Well', 'Terrace'], array[
      'Half a staircase climbs to a floor that fell long ago.', 'Columns lie about like felled trees, and ivy hides the gaps between them.',
      'A cracked fountain still holds rainwater and a drowned statue.', 'The last standing wall throws a shadow wide enough for an army.',
      'Mosaic crunches underfoot; in places it rings hollow.', 'Doorways without walls stand in rows, and wind walks through them.']),
    ('desert', array['Dune', 'Wadi', 'Oasis', 'Salt Pan', 'Needles', 'Mesa', 'Cistern', 'Pillars'], array[
      'The dune crest runs knife-sharp, and the lee side slides at a touch.', 'Heat makes lakes of the distance and hides the number of those who come.',
      'A dry river bed offers shade, and no way out but its two ends.', 'Ribs of some huge beast stand out of the sand like a roofless hall.',
      'The well is walled with salt bricks, and its rope has been cut.', 'Wind lifts the sand to the height of a man''s eyes.']),
    ('coast', array['Cove', 'Wreck', 'Headland', 'Groyne', 'Strand', 'Stack', 'Tidepool', 'Jetty'], array[
      'The tide has turned and licks at the only strip of sand.', 'A wreck lies on its side, ribs open, and its lanterns are lit.',
      'Slippery black rock steps down into surf that pulls at the ankles.', 'Nets and broken spars clutter the beach from cliff to water.',
      'A jetty of rotten piles leads out to a boat that rocks without wind.', 'Sea caves boom at every wave and drown out each command.']),
    ('city', array['Alley', 'Arcade', 'Steps', 'Yard', 'Bridge', 'Market', 'Gate', 'Cellar'], array[
      'The alley ends in a yard with washing lines and one locked gate.', 'Shutters close one after the other along the whole street.',
      'Market stalls stand empty, their awnings sagging with rain.', 'Wet cobbles shine under a single lamp at the foot of the steps.',
      'From roof to roof it is a short leap, and from roof to street a long one.', 'Barrels are stacked along the quay wall, and one of them leaks oil.']),
    ('plains', array['Barrow', 'Knoll', 'Stones', 'Waterhole', 'Track', 'Camp', 'Hollow', 'Mound'], array[
      'Grass to the hip moves in waves, and in one place against the wind.', 'There is no cover for a mile but a ring of low standing stones.',
      'A shallow waterhole is trampled by more hooves than any herd has.', 'Smoke from a burnt farmstead lies flat over the furrows.',
      'A barrow rises from the plain, its entrance newly opened.', 'Larks fall silent over the slope ahead, one after the other.']),
    ('dungeon', array['Vault', 'Guardroom', 'Cells', 'Gallery', 'Crypt', 'Stair', 'Armoury', 'Chapel'], array[
      'Iron doors stand along the corridor, and all of them are ajar.', 'Four pillars hold a vault painted with the deeds of somebody whose face was scratched out.',
      'A portcullis hangs from a single chain above the middle of the room.', 'Straw and old chains cover a floor that slopes towards a drain.',
      'Torches burn in their brackets, so somebody has been here within the hour.', 'A pit gapes where the flagstones have been lifted, and planks lead around it.'])
$$;
comment on function worker.encounter_places() is
'The location types that encounters are spread over when none is asked for, with words and scenes for each.';

create or replace function worker.encounter_bands()
returns table (places text[], type text, cr_low numeric, cr_high numeric, many text, one text, foes text[])
language sql immutable set search_path = pg_catalog, pg_temp as $$
  values
    (array['forest', 'road', 'plains', 'mountain'], 'beast', 0, 4, 'hungry wolves', 'a lone wolf', array['Wolf', 'Gray Wolf', 'Dire Wolf', 'Pack Leader']),
    (array['forest', 'mountain', 'cave'], 'beast', 1, 8, 'angry bears', 'an angry bear', array['Brown Bear', 'Black Bear', 'Cave Bear', 'She-Bear']),
    (array['forest', 'cave', 'ruins', 'dungeon'], 'beast', 0, 5, 'giant spiders', 'a giant spider', array['Giant Spider', 'Web Spinner', 'Egg Guard', 'Trapdoor Spider']),
    (array['forest', 'road', 'plains'], 'humanoid', 0, 6, 'masked bandits', 'a masked robber', array['Bandit', 'Crossbowman', 'Highwayman', 'Lookout', 'Cutthroat']),
    (array['forest'], 'fey', 0, 9, 'spiteful sprites', 'a spiteful sprite', array['Sprite', 'Thorn Dancer', 'Leaf Thief', 'Satyr', 'Dew Piper']),
    (array['forest', 'swamp'], 'plant', 1, 12, 'creeping brambles', 'a walking bramble', array['Vine Strangler', 'Bramble Walker', 'Root Crawler', 'Thorn Heap']),
    (array['forest', 'mountain'], 'monstrosity', 3, 11, 'nesting owlbears', 'a nesting owlbear', array['Owlbear', 'Owlbear Mother', 'Snow Owlbear']),
    (array['forest'], 'plant', 8, 31, 'wrathful trees', 'a wrathful tree', array['Oak Warden', 'Yew Warden', 'Ash Warden', 'Storm Pine']),
    (array['forest', 'plains', 'road'], 'fey', 7, 31, 'wild huntsmen', 'a wild huntsman', array['Wild Huntsman', 'Horn Bearer', 'Hound Master', 'Antler Knight']),
    (array['cave', 'dungeon', 'mountain'], 'humanoid', 0, 3, 'kobold trappers', 'a kobold trapper', array['Kobold', 'Kobold Slinger', 'Kobold Trapper', 'Kobold Digger']),
    (array['cave', 'forest', 'ruins', 'mountain'], 'humanoid', 0, 4, 'goblin raiders', 'a goblin scout', array['Goblin', 'Goblin Archer', 'Goblin Sneak', 'Hobgoblin', 'Bugbear']),
    (array['cave', 'dungeon', 'ruins'], 'ooze', 0.5, 10, 'hungry slimes', 'a hungry slime', array['Gray Ooze', 'Black Pudding', 'Gelatinous Cube', 'Ochre Jelly']),
    (array['cave', 'dungeon'], 'monstrosity', 2, 12, 'burrowing horrors', 'a burrowing horror', array['Rock Borer', 'Tunnel Worm', 'Lurker', 'Stone Eater']),
    (array['cave', 'mountain', 'dungeon'], 'elemental', 5, 31, 'living boulders', 'a living boulder', array['Stone Hulk', 'Earth Elemental', 'Crystal Shard', 'Gravel Walker']),
    (array['cave'], 'beast', 0, 3, 'swarming bats', 'a monstrous bat', array['Giant Bat', 'Blood Bat', 'Cave Bat']),
    (array['road', 'plains', 'forest'], 'humanoid', 0, 5, 'desperate deserters', 'a desperate deserter', array['Deserter', 'Pikeman', 'Sergeant', 'Archer', 'Drummer']),
    (array['road', 'city', 'ruins', 'dungeon'], 'undead', 0, 6, 'restless dead', 'a restless corpse', array['Skeleton', 'Zombie', 'Ghoul', 'Bone Archer']),
    (array['road', 'plains', 'mountain'], 'giant', 2, 10, 'ogre toll keepers', 'an ogre toll keeper', array['Ogre', 'Half-Ogre', 'Ogre Cook', 'Ogre Collector']),
    (array['road', 'city'], 'humanoid', 3, 16, 'sworn assassins', 'a sworn assassin', array['Knife', 'Poisoner', 'Blade Dancer', 'Garrotter']),
    (array['road', 'plains'], 'humanoid', 5, 18, 'renegade knights', 'a renegade knight', array['Knight', 'Squire', 'Lancer', 'Banner Bearer']),
    (array['road', 'ruins', 'city', 'dungeon'], 'fiend', 8, 31, 'laughing devils', 'a laughing devil', array['Imp', 'Horned Devil', 'Barbed Devil', 'Bone Devil']),
    (array['mountain', 'coast'], 'monstrosity', 0.5, 7, 'screeching harpies', 'a screeching harpy', array['Harpy', 'Cliff Harpy', 'Harpy Matron']),
    (array['mountain', 'plains', 'desert'], 'beast', 0, 5, 'giant vultures', 'a giant vulture', array['Giant Vulture', 'Bone Breaker', 'Black Vulture']),
    (array['mountain'], 'giant', 6, 31, 'stone giants', 'a stone giant', array['Stone Giant', 'Frost Giant', 'Rock Thrower', 'Giant Shaman']),
    (array['mountain', 'coast', 'plains'], 'elemental', 5, 31, 'storm spirits', 'a storm spirit', array['Wind Howler', 'Air Elemental', 'Storm Eye', 'Hail Dancer']),
    (array['swamp'], 'beast', 0, 5, 'lurking crocodiles', 'a lurking crocodile', array['Crocodile', 'Giant Crocodile', 'Marsh Python', 'Giant Toad']),
    (array['swamp'], 'humanoid', 0, 7, 'lizardfolk hunters', 'a lizardfolk hunter', array['Lizardfolk Hunter', 'Lizardfolk Spearman', 'Lizardfolk Shaman']),
    (array['swamp'], 'undead', 1, 12, 'bog corpses', 'a bog corpse', array['Bog Corpse', 'Lantern Wraith', 'Peat Zombie', 'Reed Ghost']),
    (array['swamp'], 'fey', 3, 14, 'bog hags', 'a bog hag', array['Bog Hag', 'Mud Sister', 'Eel Mother', 'Toad Witch']),
    (array['swamp', 'cave'], 'giant', 3, 12, 'moss trolls', 'a moss troll', array['Troll', 'Moss Troll', 'Two-Headed Troll']),
    (array['swamp', 'coast', 'dungeon'], 'monstrosity', 8, 31, 'young hydras', 'a many-headed hydra', array['Hydra', 'Five-Headed Hydra', 'Nine-Headed Hydra']),
    (array['ruins', 'dungeon'], 'construct', 1, 31, 'forgotten guardians', 'a forgotten guardian', array['Stone Guardian', 'Clay Golem', 'Animated Armor', 'Iron Sentinel']),
    (array['ruins', 'dungeon'], 'undead', 4, 15, 'tomb wights', 'a tomb wight', array['Wight', 'Wraith', 'Grave Knight', 'Specter']),
    (array['ruins', 'dungeon', 'city'], 'undead', 11, 31, 'undying lords', 'an undying lord', array['Lich', 'Bone Lord', 'Mummy Lord', 'Vampire Lord']),
    (array['ruins', 'city', 'dungeon'], 'humanoid', 0, 8, 'hooded cultists', 'a hooded cultist', array['Cultist', 'Acolyte', 'Cult Fanatic', 'Flagellant']),
    (array['desert'], 'beast', 0, 5, 'giant scorpions', 'a giant scorpion', array['Giant Scorpion', 'Sand Scorpion', 'Dune Viper', 'Giant Centipede']),
    (array['desert'], 'humanoid', 0, 8, 'dune raiders', 'a dune raider', array['Dune Raider', 'Camel Rider', 'Sand Scout', 'Water Thief']),
    (array['desert', 'ruins'], 'undead', 3, 16, 'wandering mummies', 'a wandering mummy', array['Mummy', 'Wrapped Priest', 'Dust Walker', 'Canopic Guard']),
    (array['desert', 'dungeon'], 'elemental', 4, 31, 'fire spirits', 'a fire spirit', array['Fire Elemental', 'Ember Wisp', 'Efreet', 'Glass Walker']),
    (array['desert'], 'monstrosity', 5, 31, 'sand worms', 'a sand worm', array['Sand Worm', 'Dune Crawler', 'Pit Maw']),
    (array['desert', 'plains', 'mountain'], 'monstrosity', 2, 10, 'hunting manticores', 'a hunting manticore', array['Manticore', 'Chimera', 'Lamia']),
    (array['coast'], 'beast', 0, 4, 'giant crabs', 'a giant crab', array['Giant Crab', 'Shore Crab', 'Reef Crab', 'Giant Seabird']),
    (array['coast'], 'humanoid', 0, 7, 'ship wreckers', 'a ship wrecker', array['Wrecker', 'Pirate', 'Harpooner', 'Boatswain', 'Gunner']),
    (array['coast'], 'humanoid', 1, 10, 'fish-eyed raiders', 'a fish-eyed raider', array['Deep Raider', 'Coral Spearman', 'Tide Priest', 'Net Caster']),
    (array['coast'], 'undead', 2, 13, 'drowned sailors', 'a drowned sailor', array['Drowned Sailor', 'Drowned Captain', 'Salt Ghost']),
    (array['coast'], 'monstrosity', 7, 31, 'tentacled horrors', 'a tentacled horror', array['Kraken Spawn', 'Reef Horror', 'Sea Serpent']),
    (array['city'], 'humanoid', 0, 5, 'street toughs', 'a street tough', array['Thug', 'Bruiser', 'Knife Fighter', 'Pickpocket']),
    (array['city', 'dungeon', 'ruins'], 'beast', 0, 3, 'plague rats', 'a monstrous rat', array['Giant Rat', 'Plague Rat', 'Sewer Rat']),
    (array['city'], 'humanoid', 2, 11, 'corrupt watchmen', 'a corrupt watchman', array['Watchman', 'Watch Sergeant', 'Informer', 'Jailer']),
    (array['city'], 'undead', 5, 20, 'hungry vampires', 'a hungry vampire', array['Vampire Spawn', 'Pale Servant', 'Blood Drinker']),
    (array['city'], 'construct', 2, 31, 'runaway automata', 'a runaway automaton', array['Clockwork Porter', 'Brass Hound', 'Lamplighter Golem']),
    (array['city', 'ruins'], 'fiend', 4, 31, 'summoned demons', 'a summoned demon', array['Quasit', 'Vrock', 'Hezrou', 'Dretch']),
    (array['plains'], 'humanoid', 0, 9, 'orc riders', 'an orc rider', array['Orc Rider', 'Orc Spearman', 'War Drummer', 'Boar Rider']),
    (array['plains', 'forest'], 'beast', 0, 6, 'giant boars', 'a giant boar', array['Giant Boar', 'Tusker', 'Razorback']),
    (array['plains', 'desert'], 'monstrosity', 3, 14, 'land sharks', 'a land shark', array['Bulette', 'Young Bulette', 'Fin Back']),
    (array['plains'], 'giant', 5, 31, 'hill giants', 'a hill giant', array['Hill Giant', 'Ettin', 'Stone Hurler']),
    (array['dungeon', 'ruins'], 'monstrosity', 2, 12, 'roaming minotaurs', 'a roaming minotaur', array['Minotaur', 'Minotaur Guard', 'Bull Skull']),
    (array['forest', 'cave', 'road', 'mountain', 'swamp', 'ruins', 'desert', 'coast', 'plains', 'dungeon', 'any'], 'dragon', 10, 31, 'quarrelling dragons', 'a raging dragon', array['Dragon', 'Wyvern', 'Drake', 'Wyrm']),
    (array['city', 'any'], 'humanoid', 0, 9, 'hired blades', 'a hired blade', array['Sellsword', 'Crossbowman', 'Tracker', 'Captain']),
    (array['any'], 'beast', 0, 5, 'half-starved hounds', 'a half-starved hound', array['Hound', 'Mastiff', 'Feral Dog']),
    (array['any'], 'monstrosity', 2, 14, 'stalking beasts', 'a stalking beast', array['Stalker', 'Night Hunter', 'Ridgeback']),
    (array['any'], 'undead', 0, 10, 'walking dead', 'a walking corpse', array['Skeleton', 'Zombie', 'Ghoul', 'Wight']),
    (array['any'], 'elemental', 5, 31, 'raging elementals', 'a raging elemental', array['Fire Elemental', 'Air Elemental', 'Earth Elemental', 'Water Elemental']),
    (array['any'], 'fiend', 7, 31, 'shadow demons', 'a shadow demon', array['Shadow Demon', 'Night Imp', 'Smoke Devil'])
$$;
comment on function worker.encounter_bands() is
'Who is met where: bands of enemies with the location types (any: those that are not listed) and the challenge ratings that suit them.';

create or replace function worker.encounter_types()
returns table (type text, looks text[], abilities text[])
language sql immutable set search_path = pg_catalog, pg_temp as $$
  -- {dc} becomes the difficulty of the saving throw.
  values
    ('beast', array['Scarred', 'Lean', 'Limping', 'Grizzled', 'Huge', 'Starved', 'Mangy', 'One-Eyed'], array[
      'Keen nose: cannot be surprised by anyone who can be smelled.', 'Pack tactics: has advantage while an ally stands beside the target.',
      'Pounce: after a charge the target makes a DC {dc} Strength save or falls prone.', 'Fears fire: will not step next to an open flame.',
      'Locked jaws: on a hit the target is held until it makes a DC {dc} Strength check.']),
    ('humanoid', array['Grinning', 'One-Eyed', 'Nervous', 'Silent', 'Veteran', 'Broad', 'Sharp-Eyed', 'Young', 'Tattooed'], array[
      'Parry: once a round adds 2 to AC against one hit that it sees coming.', 'Dirty trick: thrown sand, DC {dc} Dexterity save or blinded for one round.',
      'Shield wall: has +1 AC beside an ally of its own kind.', 'Aimed shot: has advantage on the first attack from hiding.',
      'Rallying cry: once, all allies who hear it move their speed at once.']),
    ('undead', array['Hollow', 'Rattling', 'Weeping', 'Charred', 'Headless', 'Chained', 'Mossy', 'Grinning'], array[
      'Deathless: at 0 hit points a DC {dc} Constitution save leaves it with 1, unless the damage is radiant.', 'Grave chill: those it hits cannot regain hit points until its next turn.',
      'Turned by light: has disadvantage on attacks in bright sunlight.', 'Dread: who first sees it makes a DC {dc} Wisdom save or is frightened for a round.',
      'Tireless: needs no air, food or sleep, and is immune to poison.']),
    ('ooze', array['Quivering', 'Milky', 'Spreading', 'Stinking', 'Amber', 'Steaming'], array[
      'Corrosive: a metal weapon that hits it takes a lasting -1 to damage.', 'Engulf: DC {dc} Dexterity save or be drawn in and unable to breathe.',
      'Split: a slashing hit divides it into two with half of its hit points each.', 'Seep: moves through any gap a finger wide.']),
    ('plant', array['Thorny', 'Rotting', 'Flowering', 'Gnarled', 'Pale', 'Towering'], array[
      'False appearance: cannot be told from an ordinary plant while it does not move.', 'Grasping roots: DC {dc} Strength save or restrained until the next turn.',
      'Spores: everyone beside it makes a DC {dc} Constitution save or is poisoned for a round.', 'Dry wood: takes double damage from fire.']),
    ('construct', array['Cracked', 'Rusted', 'Humming', 'Lopsided', 'Tireless', 'Verdigris'], array[
      'Immutable: cannot be poisoned, charmed, frightened or put to sleep.', 'Standing order: does not leave the place it guards.',
      'Crushing weight: on a hit the target makes a DC {dc} Strength save or is pushed ten feet.', 'Worn rune: a thief''s tools and a DC {dc} check stop it for a round.']),
    ('elemental', array['Roaring', 'Flickering', 'Restless', 'Howling', 'Glowing', 'Summoned'], array[
      'Formless: moves through enemies and narrow gaps without slowing.', 'Burst: at 0 hit points all beside it make a DC {dc} Dexterity save or take its damage once.',
      'Bound: breaking the summoning mark nearby takes half of its hit points.', 'Surge: once, moves twice its speed in a straight line.']),
    ('fey', array['Laughing', 'Barefoot', 'Veiled', 'Moonlit', 'Fickle', 'Painted'], array[
      'Cold iron: weapons of cold iron deal double damage to it.', 'Glamour: DC {dc} Wisdom save or the target sees it as a friend until hurt.',
      'Step aside: once a round vanishes and appears up to ten feet away.', 'Bound by manners: does not attack a guest who has been given bread.']),
    ('giant', array['Lumbering', 'Shaggy', 'Dull-Eyed', 'Bellowing', 'Bent', 'Ravenous'], array[
      'Hurl rock: throws a boulder with its usual attack, up to sixty feet.', 'Sweep: its attack may hit two targets that stand side by side.',
      'Slow wits: has disadvantage on saves against tricks and illusions.', 'Stomp: all beside it make a DC {dc} Dexterity save or fall prone.']),
    ('dragon', array['Sleek', 'Horned', 'Scorched', 'Proud', 'Sly', 'Battle-Scarred'], array[
      'Breath: once in three rounds, a 30-foot cone, DC {dc} Dexterity save, its damage twice or half of that.', 'Wing beat: all beside it make a DC {dc} Strength save or are knocked back ten feet.',
      'Vanity: listens for one round to a truly good compliment.', 'Frightful presence: DC {dc} Wisdom save or frightened for a round.']),
    ('monstrosity', array['Bristling', 'Eyeless', 'Shrieking', 'Patient', 'Armored', 'Starved'], array[
      'Rend: two hits on the same target in a round deal its damage once more.', 'Ambusher: has advantage against anyone who has not acted yet.',
      'Thick hide: the first hit of every fight deals half damage.', 'Maddening cry: all who hear it make a DC {dc} Wisdom save or lose their reaction.']),
    ('fiend', array['Smirking', 'Smouldering', 'Winged', 'Hooked', 'Ashen', 'Courteous'], array[
      'Magic resistance: has advantage on saves against spells.', 'Tempting offer: DC {dc} Charisma save or the target wastes its action listening.',
      'True name: who speaks it has advantage against this fiend.', 'Hellish wounds: those it hits bleed for 3 damage a round until treated.'])
$$;
comment on function worker.encounter_types() is
'Looks and special abilities by creature type, for the generator without a model.';

create or replace function worker.encounter_stats(p_cr numeric) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp
return jsonb_build_object(
  'hp', round(8 + 18 * p_cr),
  'damage', round(3 + 5 * p_cr, 1),
  'ac', round(least(12.5 + 0.4 * p_cr, 19)),
  'attack_bonus', round(3 + 0.36 * p_cr),
  'dc', round(12 + 0.36 * p_cr),
  'most_enemies', least(8, greatest(1, floor((8 + 18 * p_cr) / 5))),
  'loot_tier', case when p_cr < 3 then 'minimal' when p_cr < 9 then 'standard' else 'rich' end);
comment on function worker.encounter_stats(numeric) is
'What a challenge rating amounts to, close to the monsters of the 5e rules: hp and damage a round of all enemies together; ac, attack_bonus and dc of each; how many may share it; loot_tier (minimal below 3, standard below 9, then rich).';

create or replace function worker.encounter_dice(p_average numeric) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $$
  -- About two thirds of the damage is rolled, the rest is added.
  select jsonb_agg(format('%sd%s%s', o.dice, o.sides, '+' || nullif(o.plus, 0)) order by o.sides)
    from (select sides, dice, least(greatest(round(p_average - dice * (sides + 1) / 2.0), 0), 99) as plus
            from unnest(array[4, 6, 8, 10, 12]) as sides
           cross join lateral (select greatest(round(p_average * 4 / 3 / (sides + 1)), 1) as dice) d) o
   where o.sides = 4 or o.dice * (o.sides + 1) / 2.0 + o.plus <= p_average * 1.25 + 1
$$;
comment on function worker.encounter_dice(numeric) is
'Damage dice with about this average, such as ["2d4+2", "1d6+3"].';

create or replace function worker.context_encounter(p_parameters jsonb, p_facets jsonb, p_item_no integer, p_seed bigint) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_low numeric := p_parameters -> 'cr_range' -> 0;
  v_high numeric := p_parameters -> 'cr_range' -> 1;
  v_location text := p_parameters ->> 'location_type';
  v_cr numeric;
begin
  -- The location of which the pool has the least, then there the least of (at most 16) challenge ratings.
  if v_location is null then
    select p.location_type into v_location
      from worker.encounter_places() p
     cross join lateral (
       select count(*) as n from (select from public.combat_encounters e
         where not e.used and e.location_type = p.location_type and e.challenge_rating between v_low::real and v_high::real
         order by e.challenge_rating limit 20) t) stock
     order by stock.n, md5(p_seed::text || p.location_type)
     limit 1;
  end if;
  select c.cr into v_cr
    from (select r.cr
            from (select unnest(array[0.125, 0.25, 0.5]) as cr union all select generate_series(1, 30)) r
           where r.cr between v_low and v_high
           order by md5(p_seed::text || r.cr) limit 16) c
   cross join lateral (
     select count(*) as n from (select from public.combat_encounters e
       where not e.used and e.location_type = v_location and e.challenge_rating = c.cr::real
       order by e.pool_key limit 20) t) stock
   order by stock.n, md5(p_seed::text || c.cr)
   limit 1;
  -- A range between two ratings: its lower end.
  return worker.encounter_story(v_location, coalesce(v_cr, v_low), p_seed);
end $$;
comment on function worker.context_encounter(jsonb, jsonb, integer, bigint) is
'What an encounter''s prompt, schema and grammar are told: a location, a challenge rating within cr_range (both of which the pool has the least), and what worker.encounter_story makes of them.';

create or replace function worker.encounter_story(p_location text, p_cr numeric, p_seed bigint) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_seed text := p_seed::text;
  v_stats jsonb := worker.encounter_stats(p_cr);
  v_place record;
  v_band record;
  v_count integer;
  v_fit jsonb;
begin
  select * into v_place from worker.encounter_places() p where p.location_type = p_location;
  if not found then
    select array['Marker', 'Corner', 'Door', 'Hollow', 'Line', 'Rise'] as spots,
           array['The place lies open to all sides, and nothing in it has been moved for days.', 'There is one good way in, one bad way out, and little room between them.',
                 'Somebody has piled up whatever could be carried, as if to hold this place.', 'The ground is uneven, the light is poor, and every sound comes back twice.'] as scenes
      into v_place;
  end if;
  -- Bands that live here; where none of this challenge does, those that live anywhere.
  select b.*, t.looks, t.abilities into v_band
    from worker.encounter_bands() b join worker.encounter_types() t on t.type = b.type
   where p_cr between b.cr_low and b.cr_high and b.places && array[p_location, 'any']
   order by p_location = any (b.places) desc, md5(v_seed || b.many)
   limit 1;
  v_count := 1 + mod(worker.number_from_hash(v_seed || 'count'), (v_stats ->> 'most_enemies')::int);
  v_fit := worker.encounter_bounds(v_stats, v_count);
  return v_fit || jsonb_build_object(
    'location_type', p_location, 'challenge_rating', p_cr, 'loot_tier', v_stats -> 'loot_tier', 'dc', v_stats -> 'dc',
    'spot', v_place.spots[1 + mod(p_seed, cardinality(v_place.spots))],
    'scene', v_place.scenes[1 + mod(p_seed / 64, cardinality(v_place.scenes))],
    'foe_type', v_band.type, 'foe_band', case v_count when 1 then v_band.one else v_band.many end,
    'foe_title', initcap(case v_count when 1 then v_band.one else v_band.many end),
    'foes', v_band.foes, 'looks', v_band.looks,
    'abilities', (select jsonb_agg(replace(a, '{dc}', v_stats ->> 'dc')) from unnest(v_band.abilities) a),
    'narrow', jsonb_build_object(
      'challenge_rating', jsonb_build_object('enum', jsonb_build_array(p_cr)),
      'location_type', jsonb_build_object('enum', jsonb_build_array(p_location)),
      'loot_tier', jsonb_build_object('enum', jsonb_build_array(v_stats -> 'loot_tier')),
      'enemies', worker.encounter_enemies_schema(v_fit)));
end $$;
comment on function worker.encounter_story(text, numeric, bigint) is
'Place, enemies and numbers for one encounter, drawn by the seed from the lists of this kind.';

create or replace function worker.encounter_bounds(p_stats jsonb, p_count integer) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp
return jsonb_build_object(
  'enemy_count', p_count,
  'hp_min', greatest(floor(0.8 * (p_stats ->> 'hp')::numeric / p_count), 1),
  'hp_max', ceil(1.25 * (p_stats ->> 'hp')::numeric / p_count),
  'ac_min', (p_stats ->> 'ac')::int - 1, 'ac_max', (p_stats ->> 'ac')::int + 1,
  'attack_min', (p_stats ->> 'attack_bonus')::int - 1, 'attack_max', (p_stats ->> 'attack_bonus')::int + 1,
  'damage_dice', worker.encounter_dice((p_stats ->> 'damage')::numeric / p_count));
comment on function worker.encounter_bounds(jsonb, integer) is
'What each of this many enemies may have: the totals of worker.encounter_stats divided among them. Tighter than worker.check_encounter asks for.';

create or replace function worker.encounter_enemies_schema(p_bounds jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp
return jsonb_build_object('minItems', p_bounds -> 'enemy_count', 'maxItems', p_bounds -> 'enemy_count',
  'items', jsonb_build_object(
    'type', 'object', 'additionalProperties', false,
    'required', '["name", "type", "hp", "ac", "attack_bonus", "damage_dice", "special_abilities"]'::jsonb,
    'properties', jsonb_build_object(
      'name', '{"type": "string", "minLength": 3, "maxLength": 60}'::jsonb,
      'type', '{"type": "string", "minLength": 3, "maxLength": 40}'::jsonb,
      'hp', jsonb_build_object('type', 'integer', 'minimum', p_bounds -> 'hp_min', 'maximum', p_bounds -> 'hp_max'),
      'ac', jsonb_build_object('type', 'integer', 'minimum', p_bounds -> 'ac_min', 'maximum', p_bounds -> 'ac_max'),
      'attack_bonus', jsonb_build_object('type', 'integer', 'minimum', p_bounds -> 'attack_min', 'maximum', p_bounds -> 'attack_max'),
      'damage_dice', jsonb_build_object('enum', p_bounds -> 'damage_dice'),
      'special_abilities', '{"type": "array", "minItems": 0, "maxItems": 3, "items":
                             {"type": "string", "minLength": 10, "maxLength": 200}}'::jsonb)));
comment on function worker.encounter_enemies_schema(jsonb) is
'The JSON Schema of the enemies of one encounter: how many, and the bounds of each.';

create or replace function worker.check_encounter(p_item jsonb, p_parameters jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_cr numeric := p_item -> 'challenge_rating';
  v_range jsonb := p_parameters -> 'cr_range';
  v_location text := p_item ->> 'location_type';
begin
  if v_cr is null or v_cr < (v_range ->> 0)::numeric or v_cr > (v_range ->> 1)::numeric then
    return format('challenge_rating %s is outside of the wanted %s to %s', coalesce(v_cr::text, 'NULL'), v_range ->> 0, v_range ->> 1);
  elsif v_location is null or btrim(v_location) = '' or v_location <> coalesce(p_parameters ->> 'location_type', v_location) then
    return format('location_type %s is not the wanted %s', coalesce(quote_literal(v_location), 'NULL'),
                  coalesce(quote_literal(p_parameters ->> 'location_type'), 'name of a place'));
  elsif coalesce(p_item ->> 'loot_tier', '') not in ('minimal', 'standard', 'rich') then
    return 'loot_tier is none of minimal, standard, rich';
  elsif coalesce(btrim(p_item ->> 'name'), '') = ''
     or coalesce(worker.word_count(p_item ->> 'description'), 0) < 8 then
    return 'the name is blank or the description has fewer than 8 words';
  end if;
  return worker.check_enemies(p_item -> 'enemies', v_cr);
end $$;
comment on function worker.check_encounter(jsonb, jsonb) is
'The rules of an encounter: challenge rating within cr_range, location_type as asked, a known loot_tier, a description that says something, and enemies that fit the challenge (worker.check_enemies).';

create or replace function worker.check_enemies(p_enemies jsonb, p_cr numeric) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_stats jsonb := worker.encounter_stats(p_cr);
  v_hp numeric := 0;
  v_damage numeric := 0;
  v_enemy jsonb;
  v_dice text[];
begin
  if jsonb_typeof(p_enemies) is distinct from 'array' then
    return 'enemies is not a list';
  elsif jsonb_array_length(p_enemies) not between 1 and 8 then
    return format('%s enemies: 1 to 8 are allowed', jsonb_array_length(p_enemies));
  end if;
  for v_enemy in select e from jsonb_array_elements(p_enemies) e loop
    v_dice := regexp_match(v_enemy ->> 'damage_dice', '^(\d{1,2})d(4|6|8|10|12|20)([+-]\d{1,2})?$');
    if coalesce(btrim(v_enemy ->> 'name'), '') = '' or coalesce((v_enemy -> 'hp')::numeric, 0) < 1 then
      return 'an enemy has no name or no hp';
    elsif abs((v_enemy -> 'ac')::numeric - (v_stats ->> 'ac')::numeric) <= 3 is not true then
      return format('ac %s of %s does not fit challenge rating %s: %s is usual, give or take 3',
                    coalesce(v_enemy ->> 'ac', 'NULL'), v_enemy ->> 'name', p_cr, v_stats ->> 'ac');
    elsif abs((v_enemy -> 'attack_bonus')::numeric - (v_stats ->> 'attack_bonus')::numeric) <= 3 is not true then
      return format('attack_bonus %s of %s does not fit challenge rating %s: %s is usual, give or take 3',
                    coalesce(v_enemy ->> 'attack_bonus', 'NULL'), v_enemy ->> 'name', p_cr, v_stats ->> 'attack_bonus');
    elsif v_dice is null then
      return format('damage_dice %s of %s is not of the form 2d6+3', coalesce(v_enemy ->> 'damage_dice', 'NULL'), v_enemy ->> 'name');
    end if;
    v_hp := v_hp + (v_enemy -> 'hp')::numeric;
    v_damage := v_damage + v_dice[1]::int * (v_dice[2]::int + 1) / 2.0 + coalesce(v_dice[3]::int, 0);
  end loop;
  if v_hp not between (v_stats ->> 'hp')::numeric / 2 - 1 and (v_stats ->> 'hp')::numeric * 2 then
    return format('the enemies'' hp add up to %s, which does not fit challenge rating %s: %s in all is usual, half to double is allowed',
                  v_hp, p_cr, v_stats ->> 'hp');
  elsif v_damage not between (v_stats ->> 'damage')::numeric / 2 - 1
                         and (v_stats ->> 'damage')::numeric * 2 + jsonb_array_length(p_enemies) then
    return format('the enemies'' damage_dice average %s a round in all, which does not fit challenge rating %s: %s is usual, half to double is allowed',
                  round(v_damage, 1), p_cr, v_stats ->> 'damage');
  end if;
  return null;
end $$;
comment on function worker.check_enemies(jsonb, numeric) is
'Whether enemies fit a challenge rating, by worker.encounter_stats: 1 to 8 of them; hp in all, and average damage a round in all, from half to double; ac and attack_bonus of each at most 3 off. Returns what does not fit, or NULL.';

create or replace function worker.store_encounter(p_item jsonb, p_parameters jsonb, p_provenance jsonb) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_id uuid;
begin
  insert into public.combat_encounters (name, description, challenge_rating, enemies, loot_tier, location_type, provenance)
  values (p_item ->> 'name', p_item ->> 'description', (p_item ->> 'challenge_rating')::real, p_item -> 'enemies',
          p_item ->> 'loot_tier', p_item ->> 'location_type', p_provenance)
  returning id into v_id;
  return v_id;
end $$;
comment on function worker.store_encounter(jsonb, jsonb, jsonb) is
'Puts a checked encounter into its pool and returns its id.';

create or replace function worker.pick_encounter_in_band(p_location text, p_cr real, p_look boolean) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_key double precision := random();
  v_id uuid;
begin
  if p_look then
    select e.id into v_id from public.combat_encounters e
     where not e.used and e.location_type = p_location and e.challenge_rating = p_cr
     order by e.pool_key limit 1;
  else
    -- From a random key upwards, else from the bottom.
    select e.id into v_id from public.combat_encounters e
     where not e.used and e.location_type = p_location and e.challenge_rating = p_cr and e.pool_key >= v_key
     order by e.pool_key limit 1 for update skip locked;
    if not found then
      select e.id into v_id from public.combat_encounters e
       where not e.used and e.location_type = p_location and e.challenge_rating = p_cr and e.pool_key < v_key
       order by e.pool_key limit 1 for update skip locked;
    end if;
  end if;
  return v_id;
end $$;
comment on function worker.pick_encounter_in_band(text, real, boolean) is
'Locks an unused encounter of one location and challenge rating that nobody else has locked, and returns its id. p_look: locks nothing and finds also what others have locked.';

create or replace function worker.pick_encounter_at(p_location text, p_min_cr real, p_max_cr real, p_look boolean) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_lowest real;
  v_highest real;
  v_start real;
  v_cr real;
  v_key double precision;
  v_id uuid;
begin
  select e.challenge_rating into v_lowest from public.combat_encounters e
   where not e.used and e.location_type = p_location and e.challenge_rating >= p_min_cr and e.challenge_rating <= p_max_cr
   order by e.challenge_rating limit 1;
  if not found then
    return null;
  end if;
  select e.challenge_rating into v_highest from public.combat_encounters e
   where not e.used and e.location_type = p_location and e.challenge_rating >= p_min_cr and e.challenge_rating <= p_max_cr
   order by e.challenge_rating desc limit 1;
  -- Some of the usual ratings, in any order: the first that is there begins. Of unusual ones a random one.
  if v_lowest < v_highest then
    select e.challenge_rating into v_start
      from (select r.cr from unnest('{0.125,0.25,0.5,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30}'::real[]) r(cr)
             where r.cr between v_lowest and v_highest order by random() limit 8) draw
     cross join lateral (select e.challenge_rating from public.combat_encounters e
                          where not e.used and e.location_type = p_location and e.challenge_rating = draw.cr
                          order by e.pool_key limit 1) e
     limit 1;
  end if;
  v_start := coalesce(v_start, least(v_lowest + random() * (coalesce(v_highest, v_lowest) - v_lowest), p_max_cr));
  -- Two arcs of the circle of ratings: from a random start upwards, then from the bottom up to the start.
  for v_arc in 1..2 loop
    v_cr := case v_arc when 1 then v_start else p_min_cr end;
    -- No key lies below the first, none above the second: with the first a step may find v_cr itself, with the second it passes it.
    v_key := '-infinity';
    loop
      select e.challenge_rating into v_cr from public.combat_encounters e
       where not e.used and e.location_type = p_location and (e.challenge_rating, e.pool_key) > (v_cr, v_key)
         and e.challenge_rating <= case v_arc when 1 then p_max_cr else v_start end
       order by e.challenge_rating limit 1;
      exit when not found;
      v_id := worker.pick_encounter_in_band(p_location, v_cr, p_look);
      if v_id is not null then
        return v_id;
      end if;
      v_key := 'nan';
    end loop;
  end loop;
  return null;
end $$;
comment on function worker.pick_encounter_at(text, real, real, boolean) is
'Locks an unused encounter of one location within [p_min_cr, p_max_cr] and returns its id. Skips from one existing challenge rating to the next, beginning at a random one.';

create or replace function worker.pick_encounter(p_location text, p_min_cr real, p_max_cr real, p_look boolean) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_start text := chr(97 + floor(random() * 26)::int);
  v_location text;
  v_next text;
  v_beyond boolean;
  v_id uuid;
begin
  if p_location is not null then
    return worker.pick_encounter_at(p_location, p_min_cr, p_max_cr, p_look);
  end if;
  -- A random letter favours locations after a gap in the alphabet; a few random steps even that out.
  for v_step in 1..floor(random() * 4)::int loop
    select e.location_type into v_next from public.combat_encounters e
     where not e.used and e.location_type > v_start order by e.location_type limit 1;
    exit when not found;
    v_start := v_next;
  end loop;
  -- Two arcs of the circle of locations: those after the start, then from the first to the start.
  for v_arc in 1..2 loop
    v_location := case v_arc when 1 then v_start end;
    loop
      if v_location is null then
        select e.location_type, e.location_type > v_start into v_location, v_beyond from public.combat_encounters e
         where not e.used order by e.location_type limit 1;
      else
        select e.location_type, e.location_type > v_start into v_location, v_beyond from public.combat_encounters e
         where not e.used and e.location_type > v_location order by e.location_type limit 1;
      end if;
      exit when not found or (v_arc = 2 and v_beyond);
      v_id := worker.pick_encounter_at(v_location, p_min_cr, p_max_cr, p_look);
      if v_id is not null then
        return v_id;
      end if;
    end loop;
  end loop;
  return null;
end $$;
comment on function worker.pick_encounter(text, real, real, boolean) is
'Locks an unused encounter that fits that nobody else has locked, and returns its id; p_location NULL: of any location. p_look: locks nothing and finds also what others have locked. Reads a few index entries per location type and challenge rating that exists, however many encounters there are.';

create or replace function worker.claim_encounter(
  p_location_type text, p_min_cr real, p_max_cr real, p_spawn_location jsonb, p_request_id text
) returns table (encounter_id uuid, name text, description text, challenge_rating real, enemies jsonb, loot_tier text, location_type text)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  v_may_wait boolean := worker.begin_claim('encounter', p_request_id);
  v_id uuid;
  v_held uuid;
  v_until timestamptz := clock_timestamp() + interval '1 second';
begin
  perform worker.refuse_encounter_filter(p_location_type, p_min_cr, p_max_cr);
  if jsonb_typeof(p_spawn_location) = 'string' then
    perform worker.refuse_json_text('spawn_location', p_spawn_location);
  end if;
  if p_request_id is not null then
    return query
    select e.id, e.name, e.description, e.challenge_rating, e.enemies, e.loot_tier, e.location_type
      from public.combat_encounters e where e.request_id = p_request_id;
    if found then
      return;
    end if;
  end if;
  for v_round in 1..1000 loop
    begin
      v_id := worker.pick_encounter(p_location_type, coalesce(p_min_cr, '-infinity'), coalesce(p_max_cr, 'nan'), false);
      if v_id is null then
        raise exception using errcode = 'PW001';
      end if;
      return query
      update public.combat_encounters e
         set used = true, used_at = now(), spawned_at_location = p_spawn_location, request_id = p_request_id
       where e.id = v_id
      returning e.id, e.name, e.description, e.challenge_rating, e.enemies, e.loot_tier, e.location_type;
      return;
    exception when sqlstate 'PW001' then
      v_held := case when v_may_wait and clock_timestamp() < v_until
                     then worker.pick_encounter(p_location_type, coalesce(p_min_cr, '-infinity'), coalesce(p_max_cr, 'nan'), true) end;
      exit when v_held is null or not worker.await_item('public.combat_encounters', v_held, worker.request_key('encounter', p_request_id), current_setting('lock_timeout'));
    end;
  end loop;
  perform worker.want_encounter(p_location_type, p_min_cr, p_max_cr);
end $$;
comment on function worker.claim_encounter(text, real, real, jsonb, text) is
'The work of claim_encounter_from_pool, which cannot be in plpgsql itself: location_type is an argument and a column of its result.';

create or replace function worker.refuse_encounter_filter(p_location_type text, p_min_cr real, p_max_cr real) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if btrim(p_location_type) = '' then
    perform worker.refuse('location_type', p_location_type, 'a text that is not blank, or NULL for any location');
  elsif p_min_cr in ('nan', 'infinity', '-infinity') then
    perform worker.refuse('min_cr', p_min_cr::text, 'a number, or NULL for no lower bound');
  elsif p_max_cr in ('nan', 'infinity', '-infinity') then
    perform worker.refuse('max_cr', p_max_cr::text, 'a number, or NULL for no upper bound');
  end if;
  perform worker.refuse_above('min_cr', p_min_cr::numeric, 'max_cr', p_max_cr::numeric);
end $$;
comment on function worker.refuse_encounter_filter(text, real, real) is
'Refuses with 22023 what cannot be meant as a filter of encounters.';

create or replace function worker.want_encounter(p_location_type text, p_min_cr real, p_max_cr real) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_low real := greatest(coalesce(p_min_cr, 0.125), 0.125);
  v_high real := least(coalesce(p_max_cr, 30), 30);
begin
  -- What no job could be asked for is not wanted.
  if v_low <= v_high and length(coalesce(p_location_type, '')) <= 64 then
    perform worker.want('generate_encounters', jsonb_strip_nulls(jsonb_build_object(
      'location_type', p_location_type,
      'cr_range', case when p_min_cr is not null or p_max_cr is not null then jsonb_build_array(v_low, v_high) end)));
  end if;
end $$;
comment on function worker.want_encounter(text, real, real) is
'Asks for encounters of just the filter that a claim found nothing for.';

create or replace function public.claim_encounter_from_pool(
  location_type text default null, min_cr real default null, max_cr real default null,
  spawn_location jsonb default null, request_id text default null
) returns table (encounter_id uuid, name text, description text, challenge_rating real, enemies jsonb, loot_tier text, location_type text)
language sql set search_path = pg_catalog, pg_temp as $$
  select * from worker.claim_encounter($1, $2, $3, $4, $5)
$$;
comment on function public.claim_encounter_from_pool(text, real, real, jsonb, text) is
'Claims a random unused encounter: it is never handed out again. location_type, min_cr, max_cr: only one of that location and challenge rating; NULL leaves it open. spawn_location is stored as given. request_id: the same id gets the same encounter, so that a repeated call is harmless. No row: none fits; one is then made for just this filter.';
