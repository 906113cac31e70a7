-- Dungeons. Everything about them is in this file.

create or replace function worker.setup_kind_dungeon() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $setup$
declare
  v_former regclass := worker.set_former_aside('public.dungeon_content');
begin
  if to_regclass('public.dungeon_content') is null then
    create table public.dungeon_content (
      id uuid primary key default gen_random_uuid(),
      name text not null,
      description text not null,
      room_count integer not null default 0,
      rooms jsonb not null default '[]',
      difficulty text default 'medium' constraint dungeon_content_difficulty_check
        check (difficulty in ('easy', 'medium', 'hard', 'deadly')),
      used boolean not null default false,
      created_at timestamptz not null default now(),
      used_at timestamptz,
      spawned_at_location jsonb
    );
    comment on table public.dungeon_content is
      'The dungeon pool: one row is one small dungeon with all its rooms. Take one with claim_dungeon_from_pool().';
    comment on column public.dungeon_content.room_count is 'The number of rooms: the length of the list rooms.';
    comment on column public.dungeon_content.rooms is
      'A list of {"room_number", "description", "encounter", "loot"}, numbered from 1 in order.';
    comment on column public.dungeon_content.difficulty is 'easy, medium, hard or deadly.';
  end if;
  perform worker.take_up_former(v_former, 'public.dungeon_content', '{id,name,description,rooms,used}');
  if worker.may_change('public.dungeon_content') then
    perform worker.setup_pool('public.dungeon_content');
    -- coalesce: a table that was there before may have dungeons of no difficulty, and they are to be found too
    create index if not exists dungeon_content_claim on public.dungeon_content (coalesce(difficulty, 'none'), pool_key) where not used;
  end if;
  perform worker.setup_pool_triggers('public.dungeon_content');

  perform worker.put_kind(jsonb_build_object(
    'kind', 'dungeon', 'job_type', 'generate_dungeons', 'item_table', 'public.dungeon_content', 'title_field', 'name',
    'min_size', 10, 'batch_size', 5,
    'context_function', 'worker.context_dungeon', 'check_function', 'worker.check_dungeon', 'store_function', 'worker.store_dungeon',
    'parameters', '{"count": {"type": "integer", "min": 1, "max": 1000},
                    "difficulty": {"type": "one_of", "values": ["easy", "medium", "hard", "deadly"]}}'::jsonb,
    'stock_names', '["Elara", "Elias", "Thorne", "Kaelen", "Voss", "Mara", "Eldoria", "Blackwood", "Ravenhold"]'::jsonb, 'typical_tokens', 550, 'guide_seconds', '60–100',
    'sampling', '{"temperature": 1.0, "min_p": 0.05, "max_tokens": 2400}'::jsonb,
    'item_schema', '{
      "type": "object", "additionalProperties": false,
      "required": ["name", "description", "difficulty", "rooms"],
      "properties": {
        "name": {"type": "string", "minLength": 4, "maxLength": 80},
        "description": {"type": "string", "minLength": 40, "maxLength": 500},
        "difficulty": {"enum": ["easy", "medium", "hard", "deadly"]},
        "rooms": {"type": "array", "minItems": 3, "maxItems": 10, "items": {
          "type": "object", "additionalProperties": false, "required": ["room_number", "description", "encounter", "loot"],
          "properties": {
            "room_number": {"type": "integer", "minimum": 1, "maximum": 10},
            "description": {"type": "string", "minLength": 20, "maxLength": 300},
            "encounter": {"type": "string", "minLength": 3, "maxLength": 200},
            "loot": {"type": "string", "minLength": 3, "maxLength": 160}}}}}}'::jsonb,
    'system_prompt', $$You design small dungeons for a fantasy role-playing game. You answer with one JSON object and nothing else:
no markdown, no explanation.$$,
    'prompt', $$Write one dungeon as a JSON object with these keys:
- "name": 2 to 6 words. Do not begin with "The Whispering", "Shadow" or "Forgotten".
- "description": 2 to 4 sentences for the game master: who made the place, what became of it, why somebody goes there now.
- "difficulty": easy, medium, hard or deadly, as given below.
- "rooms": a list in the order in which they are reached, from the entrance to the end. Each is
  {"room_number", "description", "encounter", "loot"}: room_number counts from 1; description is 1 or 2 sentences that can be
  read aloud; encounter is what lives, waits or threatens there and fits the difficulty ("none" where it is quiet); loot is what
  can be found ("none" where there is nothing). No two rooms are alike, and the last one is worth the way.
Avoid stock names ({{stock_names}}) and invent fitting ones.

This dungeon:
- difficulty {{difficulty}}: {{danger}}
- exactly {{room_count}} rooms
- made by: {{builder}}
- given up after: {{fall}}
- people go there because {{lure}}
- the place is {{mood}}
- something to play with: {{device}}

These names exist already; take another one that does not resemble them:
{{recent_titles}}$$,
    'facets', '{
      "builder": ["a guild of salt miners", "monks who had vowed silence", "a duke with many enemies", "dwarves on their way elsewhere", "a family of counterfeiters", "the old royal mint", "a college of bell founders", "river smugglers", "an order of plague doctors", "a mad cartographer", "giants, judging by the stairs", "a cult of the drowned moon", "prisoners who were promised freedom", "a clan of gnome clockmakers", "a wine merchant with a second trade", "the engineers of a lost legion", "a necromancer''s landlord", "a sisterhood of archivists", "goblins with a stolen plan", "a sect that worshipped an echo", "masons who hid from a tax", "an elven court in exile"],
      "fall": ["a flood that rose in one night", "a strike of the miners", "a quarrel between two brothers", "the opening of a wrong door", "a fire nobody could explain", "a long siege", "the death of the last key bearer", "a sickness that came up with the water", "a wall that should not have been broken", "a king''s pardon that came too late", "a winter that lasted two years", "the theft of its only map", "an earthquake on a feast day", "a bargain that somebody kept too well", "a swarm that came out of the rock", "the day when all the lamps went out", "a trial with no survivors", "a collapse of the great stair"],
      "lure": ["a surveyor''s strongbox was never brought up", "a bell can be heard from below at noon", "the heir of the place has finally been found", "somebody has been lighting the lamps again", "a herb grows there that cures the grey cough", "a stolen altar cloth was carried inside", "three apprentices went in on a wager", "the well of the next village runs dry from there", "an old debt was written on its walls", "the lock has rusted through at last", "a rival band has hired diggers", "a child drew its plan without having been there", "its silver still pays the garrison", "a prisoner inside is said to be alive", "the last page of a spell book was hidden there", "a flock of sheep vanished down its shaft", "the baron wants it sealed and pays for it", "a dead man''s letter describes the way in"],
      "mood": ["damp and full of echoes", "dry, cold and very quiet", "warmer with every step down", "so narrow that shields scrape the walls", "painted from end to end", "half under water", "tidy, as if swept this morning", "overgrown with pale roots", "crooked, with no level floor", "smoky and close", "grand beyond any use", "patched up by many hands", "full of draughts that blow out candles", "lit by mould that glows faintly", "noisy with running water", "sticky with old tar"],
      "device": ["a lift that moves by counterweight", "doors that open one at a time only", "a speaking tube between two rooms", "a mirror that shows another room", "a sluice that floods the lower rooms", "a bridge that folds away", "a riddle scratched by a child", "a guardian that obeys the wrong password", "a stair that is missing every third step", "a cage with its key inside", "a floor map made of coloured tiles", "a bell that wakes everything", "a shrine that asks for a small lie", "two levers and one warning sign", "a shortcut that only works downwards", "a candle that burns while somebody lies"]}'::jsonb,
    'grammar', '{
      "item": {
        "name": "{name}",
        "description": "{origin} {today} {reason}",
        "difficulty": "{=difficulty}",
        "rooms": {"$repeat": {"count": ["{=room_count}", "{=room_count}"], "distinct_by": "description", "of": {
          "room_number": "{=index}",
          "description": "{room}",
          "encounter": {"$pick": [
            {"$join": [{"$pick": "{=prowlers}"}, "{prowling}"]}, {"$join": [{"$pick": "{=prowlers}"}, "{prowling}"]},
            {"$join": [{"$pick": "{=folk}"}, "{dealing}"]}, {"$join": [{"$pick": "{=folk}"}, "{dealing}"]},
            "{trap}", "{quiet}"]},
          "loot": {"$pick": [
            {"$join": [{"$pick": "{=treasures}"}, "{hidden}"]}, {"$join": [{"$pick": "{=treasures}"}, "{hidden}"]},
            {"$join": ["{oddment}", "{hidden}"]}, "None."]}}}}},
      "rules": {
        "name": ["The {^adj} {^place}", "The {^adj} {^place}", "{town} {^place}", "{last}''s {^place}", "The {^place} under {town}", "The {^place} of the {^adj} {^relic}", "The {^relic} {^place}", "Below {town} {^above}", "{last}''s {^adj} {^place}", "The {^trade} {^place}"],
        "adj": ["ashen", "backward", "barred", "blind", "bricked-up", "broken", "brass", "candle-lit", "cold", "crooked", "deaf", "drained", "dry", "false", "flooded", "honest", "inverted", "iron", "lame", "leaning", "lidless", "lower", "mended", "numbered", "patient", "quiet", "red", "rusted", "sealed", "second", "seventh", "smoking", "spiral", "starving", "sunken", "tarred", "twice-dug", "unfinished", "unlucky", "waxen", "windowless"],
        "place": ["archive", "burrow", "catacombs", "cellars", "cistern", "crypt", "deeps", "delve", "foundry", "galleries", "gaol", "halls", "kennels", "labyrinth", "mine", "mint", "ossuary", "pit", "prison", "quarry", "shafts", "sinkhole", "stair", "tunnels", "undercroft", "vault", "warren", "waterworks", "workings"],
        "relic": ["anvil", "bell", "candle", "chain", "coin", "compass", "crown", "drum", "feather", "hammer", "hourglass", "key", "ladle", "lantern", "loom", "mask", "mirror", "nail", "needle", "plough", "quill", "scales", "seal", "skull", "spoon", "tooth", "wheel"],
        "trade": ["assayers''", "beggars''", "brewers''", "cooks''", "debtors''", "diggers''", "executioners''", "glaziers''", "lamplighters''", "locksmiths''", "masons''", "oil pressers''", "pilgrims''", "rat catchers''", "saddlers''", "scribes''", "tanners''", "toll keepers''", "widows''"],
        "above": ["Abbey", "Bakery", "Bathhouse", "Brewery", "Bridge", "Castle", "Chapel", "Gallows", "Granary", "Hill", "Inn", "Kiln", "Market", "Mill", "Orchard", "Priory", "Smithy", "Stables", "Tannery", "Theatre", "Tollhouse", "Well"],
        "town_a": ["Amber", "Bitter", "Brack", "Calder", "Chalk", "Clay", "Crab", "Deep", "Drake", "Dusk", "Ebb", "Ember", "Flint", "Fox", "Gall", "Glass", "Grim", "Hazel", "Heron", "Horn", "Kettle", "Lark", "Lime", "Mud", "Nettle", "Oyster", "Peat", "Quill", "Rook", "Rust", "Sedge", "Slate", "Sorrel", "Tallow", "Teasel", "Under", "Whin", "Yarrow"],
        "town_b": ["bank", "beck", "borough", "bourne", "by", "cleave", "combe", "cross", "den", "end", "fell", "ford", "garth", "gate", "ham", "hithe", "holt", "ley", "low", "march", "mere", "ness", "pool", "reach", "side", "stoke", "thorpe", "ton", "wath", "worth"],
        "town": ["{town_a}{town_b}"],
        "last": ["Ambrose", "Ashdown", "Balfour", "Bellweather", "Brannock", "Cardew", "Cobbold", "Corrigan", "Dacre", "Danvers", "Eversley", "Fairweather", "Fitch", "Gaunt", "Gorse", "Grimshaw", "Haddock", "Harrow", "Inchbald", "Jessop", "Kestrel", "Ludlow", "Marchbanks", "Mossop", "Nightingale", "Orrery", "Peverell", "Quarles", "Rackham", "Sallow", "Standish", "Tarrant", "Thackeray", "Umber", "Vance", "Wickham", "Yelland"],
        "origin": ["It was made by {=builder} and given up after {=fall}.", "What {=builder} began here came to an end with {=fall}.", "Few know today that {=builder} dug this place; it stands empty since {=fall}.", "The work is by {=builder}, as the marks on the lintel show. Nobody stayed after {=fall}."],
        "today": ["It is {=mood}, and whoever listens can hear {=device} at work.", "Inside it is {=mood}. The one thing that everybody remembers is {=device}.", "Those who came back say that it is {=mood}, and they all speak of {=device}.", "Below it is {=mood}, and somewhere on the way there is {=device}."],
        "reason": ["Now {=lure}, and in {town} they look for somebody brave.", "In {town} they say that {=lure}.", "One goes there because {=lure}.", "The talk of {town} is that {=lure}."],
        "room": ["A {state} {chamber} {feature}. {sense}", "A {state} {chamber} {feature}. {sense}", "{sense} This is a {state} {chamber} {feature}.", "A {chamber}, {state} and low, {feature}. {sense}"],
        "state": ["bare", "blackened", "broad", "circular", "cold", "cramped", "dripping", "dusty", "flooded", "half-collapsed", "lofty", "long", "muddy", "narrow", "neglected", "painted", "pillared", "rough-hewn", "sloping", "smoky", "tiled", "tilted", "vaulted", "well-kept"],
        "chamber": ["bathhouse", "bell chamber", "bone store", "brewery", "cell block", "chapel", "cistern", "cloakroom", "counting room", "crypt", "dining hall", "dormitory", "dressing room", "forge", "gallery", "gatehouse", "guardroom", "infirmary", "kennel", "kitchen", "laboratory", "larder", "laundry", "library", "map room", "mess hall", "pump room", "robing room", "shaft", "shrine", "smelting hall", "stable", "storeroom", "throne room", "treadmill", "wash house", "wine cellar", "workshop"],
        "feature": ["with a floor of loose slates", "with a ceiling held up by ship''s timbers", "where somebody has chalked a tally of days", "with a dry fountain in the middle", "with a pit that was covered by a carpet", "where all the furniture is nailed to the wall", "with seven niches and six statues", "with a brazier that is still warm", "where roots have pushed the stones apart", "with a gutter of slow black water", "with a row of hooks and one coat", "where the far wall is a single mirror", "with a hoist and a frayed rope", "with names scratched into every tile", "where a cart lies on its side", "with a balcony that cannot be reached", "where the tables are set for nine", "with shelves of labelled jars", "with an iron door that has no handle", "with a stair that ends at the ceiling", "where the echo answers a moment too late", "with two skeletons holding hands", "with a map of the place on the floor", "where a grate opens on a deeper shaft", "with a great wheel that turns by itself", "with bedding for a dozen and ashes for one"],
        "sense": ["The air tastes of iron.", "Something drips, and then stops.", "It smells of cold wax.", "A draught comes from behind the plaster.", "Small bones crunch underfoot.", "Dust lies thick, save for one line of prints.", "A low hum can be felt in the teeth.", "The light of a torch turns bluish here.", "There is a smell of wet dog.", "Far off, a chain is being let down.", "Moths rise at the first step.", "The walls are slick and warm.", "Every sound is swallowed.", "It smells of vinegar and old rope.", "Water stands a hand deep.", "Somebody has been here today."],
        "prowling": ["wait in the dark on both sides of the door.", "hunt whatever carries a light.", "feed on something that was alive this morning.", "stand so still that they are taken for stone.", "come up through the floor once the door falls shut.", "circle the room and keep to the walls.", "lie in a heap and stir at the first loud word.", "follow the party and strike at the next corner.", "guard a nest under the rubble.", "drop from the ceiling when the middle is reached.", "are drawn by blood and by nothing else.", "shun fire, but not for long."],
        "dealing": ["argue over a torn map.", "guard the far door and will not leave it.", "are packing up to leave and want no trouble.", "have heard the party coming and put out the lights.", "keep a prisoner tied to a post.", "gamble for a lantern and look up too late.", "demand a toll in food.", "dig at the wall in shifts.", "are cut off by a rockfall and will bargain.", "have barricaded themselves in and shoot first.", "pretend to be the owners of the place.", "wait for a messenger who will not come."],
        "trap": ["A floor plate looses darts from the east wall (DC {=trap_dc} to notice).", "The door swings shut and sand runs in from above (DC {=trap_dc} to stop it).", "A blade on a pendulum crosses the room when the lid is lifted (DC {=trap_dc} to notice).", "The third step tips into a pit (DC {=trap_dc} to leap clear).", "A wire brings down a net of hooks (DC {=trap_dc} to cut it safely).", "Spores burst from a sagging ceiling (DC {=trap_dc} to hold one''s breath in time)."],
        "quiet": ["None; but the door does not stay open by itself.", "None. The dust has not been stirred for years.", "None, save for a rat with better manners than most.", "None; whoever was here has just left.", "None, though something breathes behind the wall."],
        "oddment": ["A tin whistle", "A bundle of letters in cipher", "A jar of pickled eels", "A left boot of fine leather", "Half of a signet ring", "A ledger with one page torn out", "A coil of sound rope", "A tinderbox that never fails", "A bottle without a label", "A child''s slate with a drawing of the next room", "A ring of unmarked keys", "A pot of luminous paint"],
        "hidden": ["behind a loose brick.", "in a rusted coffer.", "under the ashes.", "in the hand of a skeleton.", "on a nail by the door.", "at the bottom of a barrel.", "inside a hollow candlestick.", "wrapped in oilcloth on a beam.", "below the third flagstone.", "in plain sight on a shelf.", "sewn into a mattress.", "in a niche that opens at a push."]}}'::jsonb));
end $setup$;
comment on function worker.setup_kind_dungeon() is
'Makes the dungeon pool and its kind. Part of worker.setup().';

create or replace function worker.dungeon_fit(p_difficulty text) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp
return '{
  "easy": {
    "room_min": 3, "room_max": 5, "trap_dc": 10,
    "danger": "vermin, a few weak foes, small change; beginners come out alive",
    "prowlers": ["Two giant rats", "Three fire beetles", "Four cave bats", "Two giant centipedes", "Three crawling hands", "Two stirges", "Two bony dogs", "Three jelly slugs"],
    "folk": ["Two kobolds", "Three goblin children", "Two runaway apprentices", "Two clumsy tomb robbers", "Three hungry beggars", "Two young cultists", "Two drunken deserters", "Three mudlarks"],
    "treasures": ["A purse of 14 silver coins", "A brass bracelet worth 5 gold coins", "A dented silver cup", "A pouch with 9 gold coins", "A healing potion, nearly full", "A pair of good gloves", "A string of glass beads worth 3 gold coins", "A short sword that needs sharpening"]},
  "medium": {
    "room_min": 4, "room_max": 7, "trap_dc": 12,
    "danger": "organised foes and a trap or two; a careful party is bruised",
    "prowlers": ["Four skeletons", "Two giant spiders", "Three ghouls", "Two grey oozes", "Three shadows", "Two carrion crawlers", "Five zombies in livery", "Two cave lizards"],
    "folk": ["Four goblins", "Five bandits", "Three hobgoblin guards", "Four cultists in grey", "Two gnoll trackers", "Three orc smugglers", "Four rival treasure hunters", "Two wererats and their spies"],
    "treasures": ["A casket with 60 gold coins", "A silver brooch worth 45 gold coins", "Two healing potions", "A scroll of a minor spell", "A garnet the size of a pea", "A fine shield with a scraped-off crest", "A bag of 120 silver coins", "A bronze idol worth 50 gold coins"]},
  "hard": {
    "room_min": 5, "room_max": 8, "trap_dc": 15,
    "danger": "strong foes who know the ground; mistakes cost dearly",
    "prowlers": ["Two owlbears", "Three wights", "Four ghasts", "Two basilisks", "Three phase spiders", "Two gelatinous cubes", "Three mummies", "Two animated suits of armour"],
    "folk": ["Two ogres and their handler", "Six bugbears", "A bandit captain and five archers", "Two cult priests and their guards", "Four veteran mercenaries", "Three duergar overseers", "Two hags and their bound servants", "Three werewolves in human shape"],
    "treasures": ["A chest with 350 gold coins", "A magic dagger that hums near water", "A ruby worth 200 gold coins", "A wand with four charges left", "A cloak that sheds rain and arrows", "A deed to a house in the capital", "Three strong healing potions", "A ceremonial mask worth 250 gold coins"]},
  "deadly": {
    "room_min": 6, "room_max": 10, "trap_dc": 18,
    "danger": "foes that kill the unprepared; retreat is part of the plan, and the prize is great",
    "prowlers": ["Three trolls", "Two wraiths and their spawn", "Two stone golems", "Two young dragons", "Four flameskulls", "Two hydras", "Four vampire spawn", "Two iron cobras as long as the room"],
    "folk": ["A mage and four bound guards", "Two fire giants", "Four hired assassins", "A warlord and eight veterans", "Three drow priestesses", "Two rakshasas in the shape of merchants", "A death knight and three squires", "Two mind flayers and their thralls"],
    "treasures": ["A hoard of 2,000 gold coins", "A sword that cuts stone", "A crown worth 1,500 gold coins", "A staff with a will of its own", "A black pearl worth 900 gold coins", "A ring that turns one spell aside each day", "A sealed tome of great spells", "A king''s ransom in marked bars of silver"]}}'::jsonb -> p_difficulty;
comment on function worker.dungeon_fit(text) is
'What fits a difficulty: how many rooms, how dangerous, and for the built-in generator who is met and what is found. NULL for anything but easy, medium, hard, deadly.';

create or replace function worker.context_dungeon(p_parameters jsonb, p_facets jsonb, p_item_no integer, p_seed bigint) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_difficulty text := p_parameters ->> 'difficulty';
  v_fit jsonb;
  v_low integer;
  v_high integer;
begin
  if v_difficulty is null then
    -- The one of which the pool has the least.
    select d.name into v_difficulty
      from unnest(array['easy', 'medium', 'hard', 'deadly']) as d(name)
     cross join lateral (
       select count(*) as n from (select from public.dungeon_content q
         where not q.used and coalesce(q.difficulty, 'none') = d.name limit 50) t) stock
     order by stock.n, md5(p_seed::text || d.name)
     limit 1;
  end if;
  v_fit := worker.dungeon_fit(v_difficulty);
  v_low := v_fit -> 'room_min';
  v_high := v_fit -> 'room_max';
  return v_fit || jsonb_build_object(
    'difficulty', v_difficulty,
    'room_count', v_low + p_seed % (v_high - v_low + 1),
    'narrow', jsonb_build_object(
      'difficulty', jsonb_build_object('enum', jsonb_build_array(v_difficulty)),
      'rooms', jsonb_build_object('minItems', v_low, 'maxItems', v_high)));
end $$;
comment on function worker.context_dungeon(jsonb, jsonb, integer, bigint) is
'What a dungeon''s prompt, schema and grammar are told: the difficulty (as asked, else the one that the pool lacks most) and what fits it.';

create or replace function worker.check_dungeon(p_item jsonb, p_parameters jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_difficulty text := p_item ->> 'difficulty';
  v_fit jsonb := worker.dungeon_fit(v_difficulty);
  v_rooms jsonb := p_item -> 'rooms';
  v_room jsonb;
  v_no integer := 0;
begin
  if v_fit is null then
    return format('difficulty %s is none of easy, medium, hard, deadly', coalesce(v_difficulty, 'NULL'));
  elsif v_difficulty <> p_parameters ->> 'difficulty' then
    return format('difficulty is %s and should be %s', v_difficulty, p_parameters ->> 'difficulty');
  elsif jsonb_typeof(v_rooms) is distinct from 'array' then
    return 'rooms is not a list';
  elsif jsonb_array_length(v_rooms) not between (v_fit ->> 'room_min')::int and (v_fit ->> 'room_max')::int then
    return format('%s rooms do not fit a dungeon that is %s: %s to %s', jsonb_array_length(v_rooms), v_difficulty,
                  v_fit ->> 'room_min', v_fit ->> 'room_max');
  elsif coalesce(btrim(p_item ->> 'name'), '') = ''
     or coalesce(worker.word_count(p_item ->> 'description'), 0) < 8 then
    return 'the name is blank or the description has fewer than 8 words';
  end if;
  for v_room in select r from jsonb_array_elements(v_rooms) r loop
    v_no := v_no + 1;
    if v_room -> 'room_number' is distinct from to_jsonb(v_no) then
      return format('room_number %s stands where %s should be: rooms are numbered from 1 in order',
                    coalesce(v_room ->> 'room_number', 'NULL'), v_no);
    elsif coalesce(btrim(v_room ->> 'description'), '') = '' or coalesce(btrim(v_room ->> 'encounter'), '') = ''
       or coalesce(btrim(v_room ->> 'loot'), '') = '' then
      return format('room %s lacks its description, encounter or loot', v_no);
    end if;
  end loop;
  if (select count(distinct lower(btrim(r ->> 'description'))) from jsonb_array_elements(v_rooms) r) < v_no then
    return 'two rooms have the same description';
  end if;
  return null;
end $$;
comment on function worker.check_dungeon(jsonb, jsonb) is
'The rules of a dungeon: the difficulty that was asked for, as many rooms as fit it, numbered from 1 in order, complete, no two the same.';

create or replace function worker.store_dungeon(p_item jsonb, p_parameters jsonb, p_provenance jsonb) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_id uuid;
begin
  insert into public.dungeon_content (name, description, room_count, rooms, difficulty, provenance)
  values (p_item ->> 'name', p_item ->> 'description', jsonb_array_length(p_item -> 'rooms'), p_item -> 'rooms',
          p_item ->> 'difficulty', p_provenance)
  returning id into v_id;
  return v_id;
end $$;
comment on function worker.store_dungeon(jsonb, jsonb, jsonb) is
'Puts a checked dungeon into its pool, with its rooms and their number, and returns its id.';

create or replace function worker.pick_dungeon(p_difficulty text, p_look boolean) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_key double precision := random();
  v_bands text[] := array[p_difficulty];
  v_band text := '';
  v_first integer := 0;
  v_id uuid;
begin
  if p_difficulty is null then
    -- skip-scan: the difficulties that exist
    v_bands := '{}';
    loop
      select coalesce(q.difficulty, 'none') into v_band from public.dungeon_content q
       where not q.used and coalesce(q.difficulty, 'none') > v_band
       order by coalesce(q.difficulty, 'none') limit 1;
      exit when not found;
      v_bands := v_bands || v_band;
    end loop;
    v_first := floor(random() * cardinality(v_bands));
  end if;
  for v_step in 0 .. cardinality(v_bands) - 1 loop
    v_band := v_bands[1 + (v_first + v_step) % cardinality(v_bands)];
    if p_look then
      select q.id into v_id from public.dungeon_content q
       where not q.used and coalesce(q.difficulty, 'none') = v_band
       order by q.pool_key limit 1;
    else
      -- From a random key upwards, else from the bottom.
      select q.id into v_id from public.dungeon_content q
       where not q.used and coalesce(q.difficulty, 'none') = v_band and q.pool_key >= v_key
       order by q.pool_key limit 1 for update skip locked;
      if not found then
        select q.id into v_id from public.dungeon_content q
         where not q.used and coalesce(q.difficulty, 'none') = v_band and q.pool_key < v_key
         order by q.pool_key limit 1 for update skip locked;
      end if;
    end if;
    if v_id is not null then
      return v_id;
    end if;
  end loop;
  return null;
end $$;
comment on function worker.pick_dungeon(text, boolean) is
'Locks an unused dungeon of this difficulty (NULL: of any) that nobody else has locked, and returns its id. p_look: locks nothing and finds also what others have locked. Reads a few index entries per difficulty, however many dungeons there are.';

create or replace function worker.claim_dungeon(p_difficulty text, p_spawn_location jsonb, p_request_id text)
returns table (dungeon_id uuid, name text, description text, room_count integer, rooms jsonb, difficulty text)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  v_may_wait boolean := worker.begin_claim('dungeon', p_request_id);
  v_id uuid;
  v_held uuid;
  v_until timestamptz := clock_timestamp() + interval '1 second';
begin
  perform worker.refuse_unless_listed('difficulty', p_difficulty, array['easy', 'medium', 'hard', 'deadly']);
  if jsonb_typeof(p_spawn_location) = 'string' then
    perform worker.refuse_json_text('spawn_location', p_spawn_location);
  end if;
  if p_request_id is not null then
    return query
    select q.id, q.name, q.description, q.room_count, q.rooms, q.difficulty from public.dungeon_content q where q.request_id = p_request_id;
    if found then
      return;
    end if;
  end if;
  for v_round in 1..1000 loop
    begin
      v_id := worker.pick_dungeon(p_difficulty, false);
      if v_id is null then
        raise exception using errcode = 'PW001';
      end if;
      return query
      update public.dungeon_content q set used = true, used_at = now(), spawned_at_location = p_spawn_location, request_id = p_request_id
       where q.id = v_id
      returning q.id, q.name, q.description, q.room_count, q.rooms, q.difficulty;
      return;
    exception when sqlstate 'PW001' then
      v_held := case when v_may_wait and clock_timestamp() < v_until then worker.pick_dungeon(p_difficulty, true) end;
      exit when v_held is null or not worker.await_item('public.dungeon_content', v_held, worker.request_key('dungeon', p_request_id), current_setting('lock_timeout'));
    end;
  end loop;
  perform worker.want('generate_dungeons', jsonb_strip_nulls(jsonb_build_object('difficulty', p_difficulty)));
end $$;
comment on function worker.claim_dungeon(text, jsonb, text) is
'What claim_dungeon_from_pool does.';

-- A shell in SQL: in PL/pgSQL an argument and a result column cannot both be named difficulty.
create or replace function public.claim_dungeon_from_pool(
  difficulty text default null, spawn_location jsonb default null, request_id text default null
) returns table (dungeon_id uuid, name text, description text, room_count integer, rooms jsonb, difficulty text)
language sql set search_path = pg_catalog, pg_temp as $$
  select * from worker.claim_dungeon($1, $2, $3)
$$;
comment on function public.claim_dungeon_from_pool(text, jsonb, text) is
'Claims a random unused dungeon with all its rooms: it is never handed out again. difficulty: easy, medium, hard, deadly, or NULL for any. spawn_location: where it is put, kept with it. request_id: the same id gets the same dungeon, so that a repeated call is harmless. No row: none fits; some are then made for just this difficulty.';
