-- Points of interest: a pool for each campaign. Everything about them is in this file.

create or replace function worker.setup_kind_poi() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $setup$
declare
  v_former regclass := worker.set_former_aside('public.campaign_pois');
begin
  if to_regclass('public.campaign_pois') is null then
    create table public.campaign_pois (
      id uuid primary key default gen_random_uuid(),
      campaign_seed text not null constraint campaign_pois_campaign_seed_check check (campaign_seed <> ''),
      name text not null,
      type text not null constraint campaign_pois_type_check
        check (type in ('village', 'ruin', 'cave', 'shrine', 'camp', 'tower', 'grove', 'bridge')),
      description text not null,
      encounter_chance real not null default 0.2 constraint campaign_pois_encounter_chance_check
        check (encounter_chance between 0 and 1),
      used boolean not null default false,
      created_at timestamptz not null default now(),
      used_at timestamptz,
      spawn_position jsonb
    );
    comment on table public.campaign_pois is
      'The pool of points of interest: one row is one place of one campaign. Take one with claim_poi_from_pool().';
    comment on column public.campaign_pois.campaign_seed is 'The campaign that the place was made for.';
    comment on column public.campaign_pois.type is 'village, ruin, cave, shrine, camp, tower, grove or bridge.';
    comment on column public.campaign_pois.encounter_chance is 'How likely a visit leads to an encounter, from 0 to 1.';
    comment on column public.campaign_pois.spawn_position is 'Where the claim put it.';
  end if;
  perform worker.take_up_former(v_former, 'public.campaign_pois', '{id,campaign_seed,name,type,description,used}');
  if worker.may_change('public.campaign_pois') then
    perform worker.setup_pool('public.campaign_pois');
    create index if not exists campaign_pois_claim on public.campaign_pois (campaign_seed, type, pool_key) where not used;
  end if;
  perform worker.setup_pool_triggers('public.campaign_pois');

  perform worker.put_kind(jsonb_build_object(
    'kind', 'poi', 'job_type', 'generate_pois', 'item_table', 'public.campaign_pois', 'title_field', 'name',
    'scope_parameter', 'campaign_seed', 'min_size', 50, 'batch_size', 25,
    'context_function', 'worker.context_poi', 'check_function', 'worker.check_poi', 'store_function', 'worker.store_poi',
    'parameters', '{"count": {"type": "integer", "min": 1, "max": 1000},
                    "campaign_seed": {"type": "text", "max_length": 200, "required": true},
                    "poi_type": {"type": "one_of", "values": ["village", "ruin", "cave", "shrine", "camp", "tower", "grove", "bridge"]}}'::jsonb,
    'stock_names', '["Elara", "Elias", "Thorne", "Kaelen", "Voss", "Mara", "Eldoria", "Whisperwood", "Ravenhold"]'::jsonb, 'typical_tokens', 150,
    'sampling', '{"temperature": 1.0, "min_p": 0.05, "max_tokens": 500}'::jsonb,
    'item_schema', '{
      "type": "object", "additionalProperties": false,
      "required": ["name", "type", "description", "encounter_chance"],
      "properties": {
        "name": {"type": "string", "minLength": 4, "maxLength": 80},
        "type": {"enum": ["village", "ruin", "cave", "shrine", "camp", "tower", "grove", "bridge"]},
        "description": {"type": "string", "minLength": 40, "maxLength": 500},
        "encounter_chance": {"type": "number", "minimum": 0, "maximum": 1}}}'::jsonb,
    'system_prompt', $$You invent places for the map of a fantasy role-playing game. You answer with one JSON object and nothing else:
no markdown, no explanation.$$,
    'prompt', $$Write one point of interest as a JSON object with these keys:
- "name": 1 to 5 words, as people of the country would say it. Do not begin with "The Whispering", "Shadow" or "Elder".
- "type": village, ruin, cave, shrine, camp, tower, grove or bridge, as given below.
- "description": 2 to 4 sentences that a game master reads aloud: what travellers see first, who or what is there, and one
  thing that makes them want to stay or to leave.
- "encounter_chance": a number from 0 to 1, how likely a visit leads to a fight or another encounter.
Avoid stock names ({{stock_names}}) and invent fitting ones.

This place:
- type {{poi_type}}; encounter_chance from {{chance_min}} to {{chance_max}}
- it lies {{terrain}}
- who is there: {{keeper}}
- its past: {{past}}
- what one notices first: {{sign}}
- the tone: {{tone}}

Places that this world has already; the new one is none of them:
{{known_places}}

These names were taken before; take another one that does not resemble them:
{{recent_titles}}$$,
    'facets', '{
      "terrain": ["on a chalk ridge above the ploughland", "beside a slow brown river", "in a wood of old beeches", "where two valleys meet", "at the edge of a peat bog", "under a cliff full of swallows", "on the shore of a shallow lake", "in a fold of the bare hills", "where the salt road turns north", "on the far side of a gorge", "between terraced vineyards", "in a field of standing stones", "above a waterfall", "on an island at low tide", "at the foot of a dead volcano", "in the shade of a great dam", "on a heath of yellow gorse", "where the pass begins to climb", "among abandoned lime kilns", "by a ford that freezes early", "at the end of a sunken lane", "on a spit of black sand", "below a glacier''s tongue", "in the bend of a canal"],
      "keeper": ["a beekeeper who knows every traveller", "a soldier who was never told to go home", "an old woman who counts the birds", "a tax clerk in hiding", "a boy with far too many dogs", "a hermit who cannot stop talking", "a smith without a forge", "a pilgrim who has given up the pilgrimage", "a surveyor with an unpaid crew", "a healer who takes stories as payment", "a poacher of good family", "a painter of inn signs", "a widow with a crossbow", "a scholar of bad weather", "a tinker who buys what others bury", "a retired river pirate", "a novice left in charge", "a shepherd who speaks in proverbs", "a ferrier of messages", "a dwarf looking for a road that was moved", "an exile who keeps a diary", "a cook waiting for the harvest hands"],
      "past": ["an army wintered here and left in a hurry", "it changed hands three times in one year", "it was paid for with a ransom", "a comet was seen from here first", "a treaty was signed here and never kept", "the founder is buried somewhere nearby", "it was moved stone by stone from elsewhere", "a saint is said to have slept here", "it burned twice and was rebuilt once", "it was won in a game of dice", "a river ran through it before the quake", "its name was struck from the king''s maps", "two lovers hid here for a summer", "a plague passed it by", "it belonged to a company of players", "a dragon was seen circling it, long ago", "a mint worked here in secret", "the last wolf hunt ended here"],
      "sign": ["a smell of wood smoke and thyme", "hundreds of coloured rags on strings", "a bell without a clapper", "a cart with three wheels", "fresh hoofprints that stop", "a row of painted stones", "crows that do not fly away", "a child''s kite in a tree", "water running the wrong way", "a table laid in the open", "a flag nobody knows", "chalk marks at knee height", "a song from somewhere below", "a fence of old oars", "a well with a locked lid", "a great many cats", "scaffolding without workmen", "a circle of dead grass"],
      "tone": ["dry and matter of fact", "warm and a little funny", "uneasy", "melancholy", "like an old folk tale", "grim but hopeful", "lively", "quiet and strange"]}'::jsonb,
    'grammar', '{
      "item": {
        "name": "{name}",
        "type": "{=poi_type}",
        "description": {"$join": ["{arrival}", {"$pick": "{=sights}"}, "{meeting}", {"$pick": ["{rumour}", {"$pick": "{=hooks}"}]}]},
        "encounter_chance": {"$real": ["{=chance_min}", "{=chance_max}", 2]}},
      "rules": {
        "name": [
          {"$join": ["The {^adj}", "{noun}"]}, {"$join": ["The {^adj}", "{noun}"]}, {"$join": ["{town}", "{noun}"]},
          {"$join": ["{town}", "{noun}"]}, {"$join": ["{first}''s", "{noun}"]}, {"$join": ["{^beast}", "{noun}"]},
          {"$join": ["{^folk}", "{noun}"]}, {"$join": ["{noun}", "of the {^adj} {^beast}"]}, {"$join": ["{first}''s {^adj}", "{noun}"]}],
        "noun": [{"$pick": "{=nouns}"}],
        "adj": ["barefoot", "barley", "beggar''s", "bent", "blue", "bramble", "broken", "chalk", "clay", "cold", "copper", "crooked", "drowned", "dry", "empty", "far", "flint", "foggy", "green", "half", "hollow", "honey", "hungry", "late", "leaning", "lonely", "low", "midden", "mossy", "nameless", "narrow", "nettle", "old", "painted", "patched", "quiet", "red", "reed", "rowan", "salt", "seven-mile", "singing", "slate", "split", "stubborn", "tall", "twice-built", "upper", "weeping", "white", "windy", "winter"],
        "beast": ["adder", "badger", "bat", "bear", "boar", "buzzard", "crane", "cricket", "crow", "cuckoo", "eel", "elk", "falcon", "fox", "gander", "goat", "hare", "hedgehog", "heron", "jackdaw", "kingfisher", "lark", "lynx", "mole", "moth", "newt", "otter", "owl", "ox", "pike", "quail", "ram", "raven", "salmon", "snipe", "stoat", "swan", "toad", "trout", "wren"],
        "folk": ["bargemen''s", "beggars''", "brothers''", "carters''", "charcoal burners''", "deserters''", "drovers''", "dyers''", "fiddlers''", "fowlers''", "friars''", "giants''", "hangman''s", "heretics''", "king''s", "lovers''", "mourners''", "orphans''", "pedlars''", "pilgrims''", "reapers''", "sisters''", "smugglers''", "spinners''", "thieves''", "tinkers''", "widow''s", "woodcutters''"],
        "town_a": ["Ald", "Apple", "Arn", "Bar", "Beck", "Birch", "Brock", "Burn", "Byre", "Cran", "Dal", "Dover", "Ear", "Eld", "Esk", "Fal", "Fern", "Gan", "Gar", "Gow", "Hag", "Hal", "Hax", "Hay", "Holm", "Ilk", "Ken", "Kirk", "Lan", "Lin", "Lod", "Mal", "Mer", "Nor", "Oss", "Pad", "Pen", "Rad", "Rush", "Scar", "Sel", "Shep", "Stan", "Swin", "Tad", "Tarn", "Thorn", "Ul", "Wal", "Wen", "Whit", "Yar"],
        "town_b": ["acre", "barrow", "bourne", "bury", "by", "cliffe", "cot", "croft", "dale", "den", "dyke", "ey", "fleet", "ford", "gill", "ham", "hope", "ing", "keld", "law", "leigh", "mere", "more", "ness", "port", "rigg", "shaw", "stead", "stow", "thwaite", "ton", "wade", "well", "wick", "with"],
        "town": ["{town_a}{town_b}"],
        "first": ["Aldith", "Ansel", "Arden", "Baldric", "Bettany", "Bram", "Cerys", "Cuthbert", "Dilys", "Drogo", "Eadwin", "Elspet", "Emlyn", "Ferris", "Flora", "Gerrit", "Greta", "Gwill", "Hanne", "Hob", "Idony", "Isolt", "Jasper", "Kester", "Keturah", "Lambert", "Leofa", "Lettice", "Madoc", "Maud", "Milo", "Nan", "Oswin", "Perrin", "Philippa", "Rafe", "Rhoda", "Rolf", "Sanna", "Seward", "Sidony", "Tobias", "Thea", "Ursel", "Vigo", "Wat", "Wilmot", "Ysolde"],
        "distance": ["an hour''s walk", "a morning''s ride", "half a day", "a bowshot", "two hours on foot", "a long day''s march", "a few hundred paces", "a night''s walk"],
        "far": ["An hour''s walk", "A morning''s ride", "Half a day", "Two hours on foot", "A long day''s march"],
        "arrival": ["This {=poi_type} lies {=terrain}, {distance} from {town}.", "You come upon the {=poi_type} {=terrain}, {distance} from {town}.", "{far} from {town}, {=terrain}, there is a {=poi_type}.", "What you notice first is {=sign}; then you see the {=poi_type}, {=terrain}."],
        "meeting": ["The first one to greet you is {=keeper}.", "Sooner or later you meet {=keeper}.", "Whoever stays for an hour gets to know {=keeper}.", "The only one who will talk to you is {=keeper}.", "Here lives {=keeper}, and is glad of company."],
        "rumour": ["They say that {=past}.", "It is told that {=past}; nobody here likes the question.", "Every child around {town} knows that {=past}.", "An inscription claims that {=past}."]}}'::jsonb));
end $setup$;
comment on function worker.setup_kind_poi() is
'Makes the pool of points of interest and its kind. Part of worker.setup().';

create or replace function worker.poi_fit(p_type text) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp
return '{
  "village": {
    "chance_min": 0.02, "chance_max": 0.15,
    "nouns": ["Corner", "Cross", "End", "Green", "Hearths", "Hollow", "Landing", "Market", "Row", "Steading", "Bottom", "Nook"],
    "sights": ["A dozen houses stand around a pond with one indignant goose.", "Every roof is thatched save one, and that one is copper.", "The only street is swept twice a day.", "The houses are built of the stones of something much larger.", "Washing hangs across the road, in the colours of a regiment.", "All the doors face away from the road.", "The inn has a new sign and the same old beer.", "Bread is baked in one oven for everybody, and the queue is the council."],
    "hooks": ["Three families have stopped speaking, and each of them wants a witness.", "Nobody has been born here for seven years, and they would like to know why.", "The miller pays in coins that have not been struck for a century.", "After dark everyone lights a candle in the same window.", "They are choosing a new reeve tomorrow, and strangers may vote."]},
  "ruin": {
    "chance_min": 0.3, "chance_max": 0.6,
    "nouns": ["Abbey", "Aqueduct", "Barracks", "Baths", "Gatehouse", "Granary", "Hall", "Keep", "Manor", "Priory", "Villa", "Walls"],
    "sights": ["Four walls are standing, and a stair that leads to none of them.", "Ivy holds up what the builders did not.", "The floor of the great room is whole, and it shows a map of the stars.", "Somebody has been taking the lead from the roof, and stopped halfway.", "A fireplace hangs in the air at the height of a second storey.", "Between the columns grows a crop of barley that nobody sowed.", "The arch of the gate carries a date that lies in the future.", "Rain has washed a row of sealed jars out of the bank."],
    "hooks": ["The cellar door is barred from the inside.", "Tracks of heavy boots lead in, and tracks of bare feet lead out.", "On some evenings the missing windows are lit.", "Diggers have left their tools here, and their supper.", "One stone is warm to the touch, even in the snow."]},
  "cave": {
    "chance_min": 0.35, "chance_max": 0.7,
    "nouns": ["Burrow", "Cave", "Cavern", "Cleft", "Den", "Grotto", "Gullet", "Hole", "Hollows", "Maw", "Sink", "Throat"],
    "sights": ["The mouth is no wider than a cart, and it breathes.", "The walls are covered with handprints, all of them left hands.", "A stream runs in and does not come out again.", "Bats leave it at noon, which is not their hour.", "Behind a curtain of ferns the rock glitters.", "The ground before it is trodden flat.", "A rope ladder, well oiled, goes down into the dark.", "Old soot on the ceiling shows that many fires have burned here."],
    "hooks": ["Somewhere inside, metal strikes on stone in a slow rhythm.", "A shepherd lost four ewes in there and found five.", "The bones at the entrance have been sorted by size.", "Whoever sleeps here dreams of the same staircase.", "A lantern stands on a ledge, and it is still lit."]},
  "shrine": {
    "chance_min": 0.03, "chance_max": 0.2,
    "nouns": ["Altar", "Chapel", "Font", "Image", "Niche", "Oratory", "Reliquary", "Sanctuary", "Shrine", "Stone", "Wayhouse", "Votive"],
    "sights": ["A stone figure without a face sits under a small roof.", "Hundreds of candle ends have grown into one white hill.", "A basin of clear water is never empty and never overflows.", "Travellers have left spoons, buckles and one glass eye.", "The god''s name has been scratched out and another one written over it.", "Wind chimes made of keys hang from the beam.", "The steps are worn hollow by knees.", "A saint carved in oak points down the road with a mended arm."],
    "hooks": ["The offering bowl was full last night and is empty now.", "Whoever tells a lie here hears it repeated.", "The priest should have come a week ago.", "One of the votive tablets bears the name of somebody in the party.", "Two faiths claim the place, and today is a feast of both."]},
  "camp": {
    "chance_min": 0.2, "chance_max": 0.5,
    "nouns": ["Bivouac", "Camp", "Encampment", "Firepit", "Fires", "Halt", "Lodge", "Palisade", "Rest", "Shelters", "Stockade", "Tents"],
    "sights": ["Six tents stand in a ring around a fire that is never let out.", "The wagons are drawn up with their shafts pointing to the road.", "Hides are drying on frames, and some are of beasts you do not know.", "A palisade of green wood still smells of resin.", "Somebody has dug a latrine, a well and a grave, in that order.", "Mules are tied up along a rope, packed and ready to leave.", "A large pot hangs over the coals, and everybody adds something to it.", "Pennants show the colours of a lord who died in spring."],
    "hooks": ["They were forty when they came, and they are thirty now.", "The sentries look inwards.", "They are short of salt and would trade a secret for it.", "A messenger is expected before dawn, and half of them hope that he is late.", "They offer a place at the fire and do not ask for names."]},
  "tower": {
    "chance_min": 0.15, "chance_max": 0.45,
    "nouns": ["Beacon", "Belfry", "Lantern", "Lookout", "Needle", "Observatory", "Pinnacle", "Spire", "Tower", "Turret", "Watch", "Windmill"],
    "sights": ["It leans so far that its shadow falls where it should not.", "The door is at the height of three men, and there is no ladder.", "The upper half is of newer stone than the lower half.", "Pigeons go in by hundreds, and a single one comes out.", "A telescope on the roof is turned to the ground.", "Its lamp burns by day and is dark by night.", "The stair winds around the outside and lacks a rail.", "Slits in the wall look to all sides save one."],
    "hooks": ["A basket is let down on a rope every evening, with a coin in it.", "Nobody remembers the windows having been bricked up.", "The clock in it strikes thirteen when it rains.", "Its owner wants an opinion on a sound behind the wall.", "From the top one sees a road that is on no map."]},
  "grove": {
    "chance_min": 0.1, "chance_max": 0.4,
    "nouns": ["Arbour", "Copse", "Coppice", "Covert", "Glade", "Grove", "Holt", "Orchard", "Ring", "Spinney", "Stand", "Thicket"],
    "sights": ["The trees stand in rows that are too straight for chance.", "In the middle grows an apple tree that bears in winter.", "The moss is deep and takes no footprints.", "Every trunk carries a small carved door.", "Birds fall silent where the shade begins.", "One oak has been struck by lightning seven times and is in leaf.", "Mushrooms make a ring in which a wagon could turn.", "Honey runs down the bark of a split lime tree."],
    "hooks": ["A woodcutter''s axe is stuck in a trunk, and the handle is sprouting.", "Something has been stacking white pebbles at the roots.", "The fruit tastes of whatever one misses most.", "The path out is longer than the path in.", "Deer come here to die, and today a stag is waiting."]},
  "bridge": {
    "chance_min": 0.1, "chance_max": 0.35,
    "nouns": ["Arch", "Arches", "Bridge", "Causeway", "Chains", "Crossing", "Footbridge", "Leap", "Planks", "Span", "Toll", "Viaduct"],
    "sights": ["Three arches are old, and the fourth is made of rope.", "A toll booth stands in the middle, with a cat and a money box.", "Half of the planks are new and none are nailed.", "Statues line the parapet, and all of them look down.", "Somebody has hung a swing below the main arch.", "The river under it has moved away and left it standing in a meadow.", "A house has been built across it, and the road goes through the kitchen.", "Chains as thick as a thigh hold it, and they hum in the wind."],
    "hooks": ["The toll is one true sentence, and the keeper can tell.", "Carters get off here and lead their horses, and will not say why.", "Something under the second arch pays well for news.", "Both banks have forbidden the other to mend it.", "A wedding party and a funeral have met in the middle, and neither turns back."]}}'::jsonb -> p_type;
comment on function worker.poi_fit(text) is
'What fits a type of place: the chance of an encounter, and for the built-in generator names, sights and what may come of a visit. NULL for an unknown type.';

create or replace function worker.known_places(p_campaign_seed text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  -- The game's own map. Where it is absent, of another shape or not to be read, the place is written without it.
  if worker.game_access('world_pois') is not null then
    return null;
  end if;
  return (select string_agg('- ' || w, E'\n') from worker.game_world_pois(p_campaign_seed) w);
exception when others then
  return null;
end $$;
comment on function worker.known_places(text) is
'Up to 30 names of places on the game''s own map (world_pois) of a campaign, as a list; NULL where there are none or they may not be read.';

create or replace function worker.context_poi(p_parameters jsonb, p_facets jsonb, p_item_no integer, p_seed bigint) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_campaign text := p_parameters ->> 'campaign_seed';
  v_type text := p_parameters ->> 'poi_type';
  v_fit jsonb;
begin
  if v_type is null then
    -- The one of which this campaign has the least.
    select t.name into v_type
      from unnest(array['village', 'ruin', 'cave', 'shrine', 'camp', 'tower', 'grove', 'bridge']) as t(name)
     cross join lateral (
       select count(*) as n from (select from public.campaign_pois q
         where not q.used and q.campaign_seed = v_campaign and q.type = t.name limit 50) l) stock
     order by stock.n, md5(p_seed::text || t.name)
     limit 1;
  end if;
  v_fit := worker.poi_fit(v_type);
  return v_fit || jsonb_build_object(
    'poi_type', v_type,
    'known_places', coalesce(worker.known_places(v_campaign), '(none yet)'),
    'narrow', jsonb_build_object(
      'type', jsonb_build_object('enum', jsonb_build_array(v_type)),
      'encounter_chance', jsonb_build_object('minimum', v_fit -> 'chance_min', 'maximum', v_fit -> 'chance_max')));
end $$;
comment on function worker.context_poi(jsonb, jsonb, integer, bigint) is
'What a place''s prompt, schema and grammar are told: the type (as asked, else the one that the campaign lacks most), what fits it, and the places that the campaign has.';

create or replace function worker.check_poi(p_item jsonb, p_parameters jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_type text := p_item ->> 'type';
begin
  if worker.poi_fit(v_type) is null then
    return format('type %s is none of village, ruin, cave, shrine, camp, tower, grove, bridge', coalesce(v_type, 'NULL'));
  elsif v_type <> p_parameters ->> 'poi_type' then
    return format('type is %s and should be %s', v_type, p_parameters ->> 'poi_type');
  elsif jsonb_typeof(p_item -> 'encounter_chance') is distinct from 'number' then
    return 'encounter_chance is not a number';
  elsif (p_item ->> 'encounter_chance')::numeric not between 0 and 1 then
    return format('encounter_chance %s is not from 0 to 1', p_item ->> 'encounter_chance');
  elsif coalesce(btrim(p_item ->> 'name'), '') = ''
     or coalesce(worker.word_count(p_item ->> 'description'), 0) < 8 then
    return 'the name is blank or the description has fewer than 8 words';
  end if;
  return null;
end $$;
comment on function worker.check_poi(jsonb, jsonb) is
'The rules of a point of interest: the type that was asked for, a chance from 0 to 1, a description that says something.';

create or replace function worker.store_poi(p_item jsonb, p_parameters jsonb, p_provenance jsonb) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_id uuid;
begin
  insert into public.campaign_pois (campaign_seed, name, type, description, encounter_chance, provenance)
  values (p_parameters ->> 'campaign_seed', p_item ->> 'name', p_item ->> 'type', p_item ->> 'description',
          (p_item ->> 'encounter_chance')::real, p_provenance)
  returning id into v_id;
  return v_id;
end $$;
comment on function worker.store_poi(jsonb, jsonb, jsonb) is
'Puts a checked point of interest into its campaign''s pool and returns its id.';

create or replace function worker.pick_poi(p_campaign_seed text, p_type text, p_look boolean) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_key double precision := random();
  v_bands text[] := array[p_type];
  v_band text := '';
  v_first integer := 0;
  v_id uuid;
begin
  if p_type is null then
    -- skip-scan: the types that the campaign has
    v_bands := '{}';
    loop
      select q.type into v_band from public.campaign_pois q
       where not q.used and q.campaign_seed = p_campaign_seed and q.type > v_band
       order by q.type limit 1;
      exit when not found;
      v_bands := v_bands || v_band;
    end loop;
    v_first := floor(random() * cardinality(v_bands));
  end if;
  for v_step in 0 .. cardinality(v_bands) - 1 loop
    v_band := v_bands[1 + (v_first + v_step) % cardinality(v_bands)];
    if p_look then
      select q.id into v_id from public.campaign_pois q
       where not q.used and q.campaign_seed = p_campaign_seed and q.type = v_band
       order by q.pool_key limit 1;
    else
      -- From a random key upwards, else from the bottom.
      select q.id into v_id from public.campaign_pois q
       where not q.used and q.campaign_seed = p_campaign_seed and q.type = v_band and q.pool_key >= v_key
       order by q.pool_key limit 1 for update skip locked;
      if not found then
        select q.id into v_id from public.campaign_pois q
         where not q.used and q.campaign_seed = p_campaign_seed and q.type = v_band and q.pool_key < v_key
         order by q.pool_key limit 1 for update skip locked;
      end if;
    end if;
    if v_id is not null then
      return v_id;
    end if;
  end loop;
  return null;
end $$;
comment on function worker.pick_poi(text, text, boolean) is
'Locks an unused place of this campaign and type (NULL: of any) that nobody else has locked, and returns its id. p_look: locks nothing and finds also what others have locked. Reads a few index entries per type, however many places there are.';

create or replace function worker.claim_poi(p_campaign_seed text, p_poi_type text, p_spawn_position jsonb, p_request_id text)
returns table (poi_id uuid, campaign_seed text, name text, type text, description text, encounter_chance real)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  v_may_wait boolean := worker.begin_claim('poi', p_request_id);
  v_id uuid;
  v_held uuid;
  v_until timestamptz := clock_timestamp() + interval '1 second';
begin
  if p_campaign_seed is null or btrim(p_campaign_seed) = '' or length(p_campaign_seed) > 200 then
    perform worker.refuse('campaign_seed', p_campaign_seed, 'a text of 1 to 200 characters');
  end if;
  perform worker.refuse_unless_listed('poi_type', p_poi_type,
    array['village', 'ruin', 'cave', 'shrine', 'camp', 'tower', 'grove', 'bridge']);
  if jsonb_typeof(p_spawn_position) = 'string' then
    perform worker.refuse_json_text('spawn_position', p_spawn_position);
  end if;
  if p_request_id is not null then
    return query
    select q.id, q.campaign_seed, q.name, q.type, q.description, q.encounter_chance from public.campaign_pois q where q.request_id = p_request_id;
    if found then
      return;
    end if;
  end if;
  for v_round in 1..1000 loop
    begin
      v_id := worker.pick_poi(p_campaign_seed, p_poi_type, false);
      if v_id is null then
        raise exception using errcode = 'PW001';
      end if;
      return query
      update public.campaign_pois q set used = true, used_at = now(), spawn_position = p_spawn_position, request_id = p_request_id
       where q.id = v_id
      returning q.id, q.campaign_seed, q.name, q.type, q.description, q.encounter_chance;
      return;
    exception when sqlstate 'PW001' then
      v_held := case when v_may_wait and clock_timestamp() < v_until then worker.pick_poi(p_campaign_seed, p_poi_type, true) end;
      exit when v_held is null or not worker.await_item('public.campaign_pois', v_held, worker.request_key('poi', p_request_id), current_setting('lock_timeout'));
    end;
  end loop;
  perform worker.want('generate_pois', jsonb_strip_nulls(jsonb_build_object('campaign_seed', p_campaign_seed, 'poi_type', p_poi_type)));
end $$;
comment on function worker.claim_poi(text, text, jsonb, text) is
'What claim_poi_from_pool does.';

-- A shell in SQL: in PL/pgSQL an argument and a result column cannot both be named campaign_seed.
create or replace function public.claim_poi_from_pool(
  campaign_seed text, poi_type text default null, spawn_position jsonb default null, request_id text default null
) returns table (poi_id uuid, campaign_seed text, name text, type text, description text, encounter_chance real)
language sql set search_path = pg_catalog, pg_temp as $$
  select * from worker.claim_poi($1, $2, $3, $4)
$$;
comment on function public.claim_poi_from_pool(text, text, jsonb, text) is
'Claims a random unused point of interest of a campaign: it is never handed out again. poi_type: village, ruin, cave, shrine, camp, tower, grove, bridge, or NULL for any. spawn_position: where it is put, kept with it. request_id: the same id gets the same place, so that a repeated call is harmless. No row: none fits; some are then made for just this campaign and type.';
