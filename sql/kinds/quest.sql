-- Quests. Everything about them is in this file.

create or replace function worker.setup_kind_quest() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $setup$
declare
  v_former regclass := worker.set_former_aside('public.quest_templates');
begin
  if to_regclass('public.quest_templates') is null then
    create table public.quest_templates (
      id uuid primary key default gen_random_uuid(),
      title text not null,
      description text not null,
      objectives jsonb not null default '[]',
      xp_reward integer not null default 0,
      gold_reward integer not null default 0,
      level_min integer not null default 1,
      level_max integer not null default 5,
      used boolean not null default false,
      created_at timestamptz not null default now(),
      used_at timestamptz,
      assigned_to_character uuid
    );
    comment on table public.quest_templates is
      'The quest pool: one row is one quest. Take one with claim_quest_from_pool().';
    comment on column public.quest_templates.objectives is
      'A list of {"type", "target", "count"}; type: kill_enemies, reach_location, collect_items, escort_npc, investigate.';
  end if;
  perform worker.take_up_former(v_former, 'public.quest_templates', '{id,title,description,objectives,used}');
  if worker.may_change('public.quest_templates') then
    perform worker.setup_pool('public.quest_templates');
    create index if not exists quest_templates_claim on public.quest_templates (level_min, level_max, pool_key) where not used;
  end if;
  perform worker.setup_pool_triggers('public.quest_templates');

  perform worker.put_kind(jsonb_build_object(
    'kind', 'quest', 'job_type', 'generate_quests', 'item_table', 'public.quest_templates', 'title_field', 'title',
    'min_size', 20, 'batch_size', 10,
    'context_function', 'worker.context_quest', 'check_function', 'worker.check_quest', 'store_function', 'worker.store_quest',
    'parameters', '{"count": {"type": "integer", "min": 1, "max": 1000},
                    "level_range": {"type": "integer_range", "min": 1, "max": 20, "default": [1, 10]}}'::jsonb,
    'stock_names', '["Elara", "Elias", "Thorne", "Kaelen", "Voss", "Mara", "Eldoria"]'::jsonb, 'typical_tokens', 300, 'guide_seconds', '60–90',
    'sampling', '{"temperature": 1.0, "min_p": 0.05, "max_tokens": 900}'::jsonb,
    'item_schema', '{
      "type": "object", "additionalProperties": false,
      "required": ["title", "description", "objectives", "level_min", "level_max", "xp_reward", "gold_reward"],
      "properties": {
        "title": {"type": "string", "minLength": 4, "maxLength": 80},
        "description": {"type": "string", "minLength": 40, "maxLength": 500},
        "objectives": {"type": "array", "minItems": 1, "maxItems": 4, "items": {
          "type": "object", "additionalProperties": false, "required": ["type", "target", "count"],
          "properties": {
            "type": {"enum": ["kill_enemies", "reach_location", "collect_items", "escort_npc", "investigate"]},
            "target": {"type": "string", "minLength": 3, "maxLength": 80},
            "count": {"type": "integer", "minimum": 1, "maximum": 20}}}},
        "level_min": {"type": "integer", "minimum": 1, "maximum": 20},
        "level_max": {"type": "integer", "minimum": 1, "maximum": 20},
        "xp_reward": {"type": "integer", "minimum": 0, "maximum": 100000},
        "gold_reward": {"type": "integer", "minimum": 0, "maximum": 100000}}}'::jsonb,
    'system_prompt', $$You write quests for a fantasy role-playing game. You answer with one JSON object and nothing else:
no markdown, no explanation.$$,
    'prompt', $$Write one quest as a JSON object with these keys:
- "title": 2 to 8 words. Do not begin with "The Whispering" or "Shadows of".
- "description": 2 to 4 sentences, told to the player by whoever gives the quest: what is wrong, why it matters, where to begin.
- "objectives": 1 to 4 steps in the order in which they are done. Each is {"type", "target", "count"}; type is one of
  kill_enemies, reach_location, collect_items, escort_npc, investigate; target is short and concrete; count is 1 where
  there is one of it.
- "level_min", "level_max": the character levels it is for.
- "xp_reward", "gold_reward": whole numbers.
Avoid stock names ({{stock_names}}) and invent fitting ones.

This quest:
- levels {{level_min}} to {{level_max}}; xp_reward from {{xp_min}} to {{xp_max}}, gold_reward from {{gold_min}} to {{gold_max}}
- about: {{theme}}
- it begins at: {{place}}
- it is given by: {{giver}}
- the twist: {{twist}}
- the tone: {{tone}}

These titles exist already; take another one that does not resemble them:
{{recent_titles}}$$,
    'facets', '{
      "theme": ["a caravan that never arrived", "a debt that is paid in secret", "a beast that grew too bold", "a shrine that lost its keeper", "a bridge toll gone wrong", "a stolen wedding gift", "a well that turned bitter", "a map with one torn corner", "a bell that rings by itself", "a harvest that vanishes by night", "an heir nobody wants found", "smugglers with a conscience", "a mine that was closed for a reason", "a ferry without a ferryman", "a duel that must not happen", "a plague of clever rats", "letters from a dead man", "a lighthouse gone dark", "a stray golem", "a race against a rival band", "a tax collector in hiding", "a lost pack mule", "wolves that walk on two legs", "a festival under threat"],
      "place": ["a mill below a weir", "a salt road inn", "a half-drowned village", "a hill fort market", "a monastery orchard", "a charcoal burners'' camp", "a toll gate in the rain", "a quarry with a chapel", "a fishing hamlet on stilts", "a border watchtower", "a walled cattle town", "a vineyard on terraces", "a bog-iron smithy", "a windswept causeway", "a forest sawmill", "a ruined bathhouse", "a mountain pass hospice", "a canal lock", "a herders'' summer camp", "a town of rope makers"],
      "giver": ["a weary reeve", "a widowed brewer", "a novice priest", "a retired sergeant", "a blunt midwife", "a travelling tinker", "a guild clerk with inky hands", "a shepherd boy", "a disgraced knight", "a cartographer", "a herbalist with a limp", "a nervous moneylender", "a toll keeper", "a bell founder", "a court jester on leave", "a beekeeper", "a ship''s cook ashore", "a gravedigger", "a hedge witch", "a customs officer"],
      "twist": ["the culprit is asking for help too", "the prize is not what it seems", "somebody arrives first", "the giver has left out one thing", "it can be solved without a fight", "an old friend is on the other side", "the danger comes back at night", "two wrongs are mixed up", "time runs out at dawn", "a child knows the truth", "the map is older than the road", "the law is on the wrong side", "the victim is not sorry", "a rumour turns out to be true", "the reward belongs to somebody else"],
      "tone": ["dry and matter of fact", "warm and a little funny", "tense", "melancholy", "like an old folk tale", "grim but hopeful", "boisterous", "eerie"]}'::jsonb,
    'grammar', '{
      "item": {
        "title": "{title}",
        "description": "{speech} {trouble} {plea}",
        "objectives": {"$pick": ["{plan_hunt}", "{plan_find}", "{plan_guard}", "{plan_fetch}", "{plan_ask}"]},
        "level_min": "{=level_min}",
        "level_max": "{=level_max}",
        "xp_reward": {"$int": ["{=xp_min}", "{=xp_max}"]},
        "gold_reward": {"$int": ["{=gold_min}", "{=gold_max}"]}},
      "rules": {
        "title": ["The {^adj} {^thing}", "The {^thing} of {town}", "{^doing} the {^thing}", "A {^thing} for {first}", "{first}''s {^adj} {^thing}", "{^doing} {town}", "The {^adj} Road to {town}", "What the {^folk} Lost", "The {^thing} and the {^folk}", "No {^thing} for the {^folk}"],
        "adj": ["bitter", "borrowed", "broken", "buried", "crooked", "drowned", "empty", "forgotten", "frozen", "gilded", "hollow", "hungry", "iron", "last", "laughing", "lonely", "mended", "nameless", "painted", "patient", "quiet", "restless", "rusted", "salted", "second", "silent", "sleeping", "stolen", "stubborn", "sunken", "tangled", "thirsty", "unpaid", "unwelcome", "wandering", "winter"],
        "thing": ["anvil", "barge", "beacon", "bell", "bridge", "caravan", "chalice", "charter", "crown", "debt", "door", "ferry", "fiddle", "gate", "granary", "harvest", "key", "lantern", "ledger", "lute", "map", "mill", "mine", "mule", "oath", "orchard", "promise", "quarry", "ring", "road", "shrine", "signpost", "tollgate", "tower", "wagon", "well", "wheel"],
        "doing": ["breaking", "burying", "calming", "chasing", "defending", "finding", "following", "guarding", "mending", "minding", "moving", "opening", "ransoming", "reclaiming", "righting", "saving", "seeking", "tending", "waking", "watching"],
        "folk": ["bargemen", "beekeepers", "brewers", "carters", "charcoal burners", "coopers", "drovers", "eel fishers", "falconers", "ferrymen", "foresters", "goatherds", "masons", "millers", "pilgrims", "potters", "quarrymen", "rope makers", "salt diggers", "shepherds", "tanners", "tinkers", "vintners", "weavers"],
        "town_a": ["Alder", "Ash", "Barrow", "Black", "Bram", "Cold", "Copper", "Crow", "Dun", "East", "Elm", "Fen", "Gold", "Gray", "Hart", "High", "Iron", "Kestrel", "Long", "Marsh", "Mill", "Moss", "North", "Oak", "Otter", "Pike", "Raven", "Reed", "Salt", "Stone", "Thistle", "West", "Wind", "Wolf"],
        "town_b": ["bank", "bourne", "bridge", "brook", "combe", "cote", "dale", "ferry", "field", "ford", "gate", "ham", "haven", "hollow", "hurst", "ley", "market", "mere", "mill", "moor", "mouth", "ridge", "stead", "stow", "ton", "wick", "wood", "worth"],
        "town": ["{town_a}{town_b}"],
        "first": ["Abrec", "Adda", "Aldous", "Alwen", "Amity", "Anselm", "Arlen", "Averil", "Bastian", "Berit", "Bettany", "Bodo", "Brannoc", "Brenna", "Cador", "Caswin", "Celia", "Clemence", "Corvin", "Dagny", "Darro", "Demelza", "Dorrit", "Drystan", "Edda", "Edric", "Eluned", "Emeric", "Enid", "Esmond", "Eudora", "Faro", "Fenna", "Fergal", "Fulk", "Garrick", "Gerda", "Gisla", "Godwin", "Greta", "Gwilym", "Hale", "Hanne", "Hedda", "Herrick", "Hesper", "Hobart", "Idony", "Ingram", "Isolde", "Ivo", "Jocasta", "Jorun", "Joss", "Judoc", "Kasimir", "Kendra", "Kerensa", "Ketil", "Lambert", "Leofric", "Linnet", "Lorcan", "Lowenna", "Ludo", "Mabyn", "Magda", "Marten", "Merle", "Mildred", "Morcant", "Nessa", "Niall", "Noll", "Odo", "Olwen", "Oriel", "Osric", "Ottilie", "Pascoe", "Perrin", "Petra", "Piran", "Quill", "Ragna", "Ralph", "Rhoswen", "Rowan", "Rufus", "Sabin", "Senara", "Sigrid", "Silas", "Steren", "Tamsin", "Tegen", "Theda", "Tibor", "Tobias", "Ulla", "Una", "Urban", "Valten", "Verity", "Wenna", "Wilmot", "Wystan", "Yestin", "Yorick", "Ysolt", "Zelda", "Zennor"],
        "last_a": ["Apple", "Barley", "Bramble", "Cobble", "Copper", "Corn", "Dun", "Eddle", "Ember", "Fern", "Gallow", "Green", "Hazel", "Heather", "Holly", "Iron", "Juniper", "Kettle", "Lark", "Lock", "Mallow", "Marl", "Nettle", "Oak", "Penny", "Quick", "Red", "Rush", "Salt", "Sorrel", "Tallow", "Thatch", "Under", "Wain", "Weather", "Winter", "Yarrow"],
        "last_b": ["bourne", "by", "combe", "croft", "dale", "feather", "field", "garth", "hart", "hithe", "ley", "more", "ridge", "shaw", "stead", "stone", "thorn", "wain", "well", "wick", "wood", "worth"],
        "last": ["{last_a}{last_b}"],
        "speech": ["{who:first} {last}, {=giver}, meets you at {=place} and speaks of {=theme}.", "At {=place} you are stopped by {who:first} {last}, {=giver}, who knows of {=theme}.", "{who:first} {last} is {=giver} and has waited at {=place} for somebody like you: it is about {=theme}."],
        "trouble": ["Three nights ago {foes} were seen near {town}, and nobody has slept well since.", "The {folk} of {town} have shut their doors, and the one who asked questions did not come home.", "There was an agreement with {town}, sealed with a handshake, and now it is broken.", "The road by {town} is watched by {foes}, and the {folk} pay twice for everything.", "What began as a joke among the {folk} of {town} has turned serious."],
        "plea": ["“Begin where the tracks are fresh, and be careful: {=twist}.”", "“I can pay, though not much, and I will tell you one thing more: {=twist}.”", "“Go before the weather turns. And should you hear that {=twist}, believe it.”", "“Ask for {first} in {town}. People there will tell you that {=twist}.”"],
        "foes": ["bandits", "boar riders", "bog goblins", "deserters", "feral dogs", "ghouls", "gnolls", "hill trolls", "kobolds", "masked riders", "raiders", "river pirates", "rogue hunters", "skeletons", "wolves", "young ogres"],
        "goods": ["barrels of salt", "bundles of marsh herbs", "carved seals", "charter pages", "iron fittings", "lantern glasses", "pots of honey", "ram''s horns", "sacks of seed", "silver nails", "stolen rings", "toll tokens", "witness statements"],
        "spot": ["the old tollhouse near {town}", "the sunken lane at {town}", "the chapel above {town}", "the ford below {town}", "the burnt mill of {town}", "the standing stone by {town}"],
        "plan_hunt": [[{"type": "reach_location", "target": "{spot}", "count": 1}, {"type": "kill_enemies", "target": "{foes}", "count": {"$int": [3, 8]}}]],
        "plan_find": [[{"type": "investigate", "target": "{spot}", "count": 1}, {"type": "collect_items", "target": "{goods}", "count": {"$int": [2, 6]}}]],
        "plan_guard": [[{"type": "escort_npc", "target": "{first} {last}", "count": 1}, {"type": "reach_location", "target": "{spot}", "count": 1}]],
        "plan_fetch": [[{"type": "collect_items", "target": "{goods}", "count": {"$int": [3, 9]}}, {"type": "kill_enemies", "target": "{foes}", "count": {"$int": [2, 5]}}]],
        "plan_ask": [[{"type": "investigate", "target": "{spot}", "count": 1}, {"type": "escort_npc", "target": "{first} {last}", "count": 1}, {"type": "kill_enemies", "target": "{foes}", "count": {"$int": [1, 4]}}]]}}'::jsonb));
end $setup$;
comment on function worker.setup_kind_quest() is
'Makes the quest pool and its kind. Part of worker.setup().';

create or replace function worker.context_quest(p_parameters jsonb, p_facets jsonb, p_item_no integer, p_seed bigint) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_first integer := p_parameters -> 'level_range' -> 0;
  v_last integer := p_parameters -> 'level_range' -> 1;
  v_low integer;
  v_high integer;
  v_fit jsonb;
begin
  -- Bands of three levels; the one of which the pool has the least comes next.
  select b.low, least(b.low + 2, v_last) into v_low, v_high
    from generate_series(v_first, v_last, 3) as b(low)
   cross join lateral (
     select count(*) as n from (select from public.quest_templates q
       where not q.used and q.level_min = b.low and q.level_max = least(b.low + 2, v_last)
       -- the order is the index's: without it a planner that knows nothing yet may read the whole table
       order by q.pool_key limit 50) t) stock
   order by stock.n, md5(p_seed::text || b.low)
   limit 1;
  v_fit := worker.quest_rewards(v_low, v_high);
  return v_fit || jsonb_build_object('level_min', v_low, 'level_max', v_high, 'narrow', jsonb_build_object(
    'level_min', jsonb_build_object('minimum', v_low, 'maximum', v_low),
    'level_max', jsonb_build_object('minimum', v_high, 'maximum', v_high),
    'xp_reward', jsonb_build_object('minimum', v_fit -> 'xp_min', 'maximum', v_fit -> 'xp_max'),
    'gold_reward', jsonb_build_object('minimum', v_fit -> 'gold_min', 'maximum', v_fit -> 'gold_max')));
end $$;
comment on function worker.context_quest(jsonb, jsonb, integer, bigint) is
'What a quest''s prompt, schema and grammar are told: a level band within level_range and the rewards that fit it.';

create or replace function worker.quest_rewards(p_level_min integer, p_level_max integer) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp
return jsonb_build_object('xp_min', p_level_min * 50, 'xp_max', p_level_max * 100,
                          'gold_min', p_level_min * 10, 'gold_max', p_level_max * 30);
comment on function worker.quest_rewards(integer, integer) is
'Rewards that fit a level band: 50 to 100 xp and 10 to 30 gold for each level.';

create or replace function worker.check_quest(p_item jsonb, p_parameters jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_low integer := p_item -> 'level_min';
  v_high integer := p_item -> 'level_max';
  v_range jsonb := p_parameters -> 'level_range';
  v_fit jsonb;
begin
  if v_low > v_high then
    return format('level_min %s is above level_max %s', v_low, v_high);
  elsif v_low < (v_range ->> 0)::int or v_high > (v_range ->> 1)::int then
    return format('levels %s to %s are outside of the wanted %s to %s', v_low, v_high, v_range ->> 0, v_range ->> 1);
  end if;
  v_fit := worker.quest_rewards(v_low, v_high);
  if (p_item ->> 'xp_reward')::int not between (v_fit ->> 'xp_min')::int and (v_fit ->> 'xp_max')::int then
    return format('xp_reward %s does not fit levels %s to %s: %s to %s', p_item ->> 'xp_reward', v_low, v_high, v_fit ->> 'xp_min', v_fit ->> 'xp_max');
  elsif (p_item ->> 'gold_reward')::int not between (v_fit ->> 'gold_min')::int and (v_fit ->> 'gold_max')::int then
    return format('gold_reward %s does not fit levels %s to %s: %s to %s', p_item ->> 'gold_reward', v_low, v_high, v_fit ->> 'gold_min', v_fit ->> 'gold_max');
  elsif btrim(p_item ->> 'title') = '' or coalesce(worker.word_count(p_item ->> 'description'), 0) < 8 then
    return 'the title is blank or the description has fewer than 8 words';
  end if;
  return worker.check_objectives(p_item -> 'objectives');
end $$;
comment on function worker.check_quest(jsonb, jsonb) is
'The rules of a quest: levels in order and within level_range, rewards that fit them, a description that says something, objectives as worker.check_objectives has them.';

create or replace function worker.check_objectives(p_objectives jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_bad jsonb;
begin
  -- What the schema says too: not every server has a library that checks it.
  if jsonb_typeof(p_objectives) is distinct from 'array' then
    return 'objectives is not a list';
  elsif jsonb_array_length(p_objectives) not between 1 and 4 then
    return format('%s objectives: 1 to 4 are allowed', jsonb_array_length(p_objectives));
  end if;
  select o into v_bad from jsonb_array_elements(p_objectives) o
   where (jsonb_typeof(o) = 'object' and jsonb_typeof(o -> 'target') = 'string' and btrim(o ->> 'target') <> ''
          and o ->> 'type' in ('kill_enemies', 'reach_location', 'collect_items', 'escort_npc', 'investigate')
          and worker.fits('{"type": "integer", "min": 1, "max": 20}', o -> 'count')) is not true
   limit 1;
  return case when v_bad is not null then format(
    'the objective %s is not {"type", "target", "count"}: type kill_enemies, reach_location, collect_items, escort_npc or investigate, count from 1 to 20',
    left(v_bad::text, 200)) end;
end $$;
comment on function worker.check_objectives(jsonb) is
'The rules of a quest''s objectives: a list of 1 to 4 {"type", "target", "count"}. Returns what does not fit, or NULL.';

create or replace function worker.store_quest(p_item jsonb, p_parameters jsonb, p_provenance jsonb) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_id uuid;
begin
  insert into public.quest_templates (title, description, objectives, xp_reward, gold_reward, level_min, level_max, provenance)
  values (p_item ->> 'title', p_item ->> 'description', p_item -> 'objectives', (p_item ->> 'xp_reward')::int,
          (p_item ->> 'gold_reward')::int, (p_item ->> 'level_min')::int, (p_item ->> 'level_max')::int, p_provenance)
  returning id into v_id;
  return v_id;
end $$;
comment on function worker.store_quest(jsonb, jsonb, jsonb) is
'Puts a checked quest into its pool and returns its id.';

create or replace function worker.pick_quest(p_min_level integer, p_max_level integer, p_look boolean) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_key double precision := random();
  v_start integer;
  v_low integer;
  v_high integer;
  v_id uuid;
begin
  -- A level is drawn, and the first that hits a band begins: so each band is as likely as any other, wherever the gaps
  -- are. Most draws hit where most levels are there; the order is the index's: else a planner may read the whole table
  -- for a level that is not there.
  v_low := 1 + floor(random() * p_max_level)::int;
  select q.level_min into v_start from public.quest_templates q
   where not q.used and q.level_min = v_low and q.level_max >= p_min_level
   order by q.level_min, q.level_max limit 1;
  if v_start is null then
    -- Then among those that are there.
    select b.low, b.high into v_low, v_high
      from (select (select q.level_min from public.quest_templates q
                     where not q.used and q.level_min <= p_max_level order by q.level_min limit 1) as low,
                   (select q.level_min from public.quest_templates q
                     where not q.used and q.level_min <= p_max_level order by q.level_min desc limit 1) as high) b;
    if v_low is null then
      return null;
    end if;
    select q.level_min into v_start
      from (select v_low + floor(random() * (v_high - v_low + 1))::int as level from generate_series(1, 6)) draw
     cross join lateral (select q.level_min from public.quest_templates q
                          where not q.used and q.level_min = draw.level and q.level_max >= p_min_level
                          order by q.level_min, q.level_max limit 1) q
     limit 1;
  end if;
  v_start := coalesce(v_start, v_low + floor(random() * (v_high - v_low + 1))::int);
  -- Two arcs of the circle of lowest levels: from the start upwards, then from the bottom to the start.
  for v_arc in 1..2 loop
    v_low := case v_arc when 1 then v_start - 1 end;
    loop
      select q.level_min, q.level_max into v_low, v_high from public.quest_templates q
       where not q.used and q.level_min > coalesce(v_low, -2147483648)
         and q.level_min <= case v_arc when 1 then p_max_level else v_start - 1 end
       order by q.level_min, q.level_max limit 1;
      exit when not found;
      loop
        if v_high >= p_min_level then
          if p_look then
            select q.id into v_id from public.quest_templates q
             where not q.used and q.level_min = v_low and q.level_max = v_high
             order by q.pool_key limit 1;
          else
            select q.id into v_id from public.quest_templates q
             where not q.used and q.level_min = v_low and q.level_max = v_high and q.pool_key >= v_key
             order by q.pool_key limit 1 for update skip locked;
            if not found then
              select q.id into v_id from public.quest_templates q
               where not q.used and q.level_min = v_low and q.level_max = v_high and q.pool_key < v_key
               order by q.pool_key limit 1 for update skip locked;
            end if;
          end if;
          if v_id is not null then
            return v_id;
          end if;
        end if;
        -- skip-scan: the next band that exists and overlaps the wanted levels
        select q.level_max into v_high from public.quest_templates q
         where not q.used and q.level_min = v_low and q.level_max > greatest(v_high, p_min_level - 1)
         order by q.level_max limit 1;
        exit when not found;
      end loop;
    end loop;
  end loop;
  return null;
end $$;
comment on function worker.pick_quest(integer, integer, boolean) is
'Locks an unused quest whose levels overlap [p_min_level, p_max_level] that nobody else has locked, and returns its id. p_look: locks nothing and finds also what others have locked. Reads a few index entries per level band that exists, however many quests there are.';

create or replace function public.claim_quest_from_pool(
  character_id uuid, min_level integer default 1, max_level integer default 10, request_id text default null
) returns table (quest_id uuid, title text, description text, objectives jsonb, xp_reward integer, gold_reward integer)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  v_min integer := greatest(coalesce(min_level, 1), 0);
  v_max integer := least(coalesce(max_level, 10), 100000);
  v_may_wait boolean := worker.begin_claim('quest', request_id);
  v_id uuid;
  v_held uuid;
  v_until timestamptz := clock_timestamp() + interval '1 second';
begin
  if v_max = 10 and v_min > 10 then
    -- Only the lowest level was given, most likely, and 10 is the default of the highest.
    v_max := v_min;
  end if;
  if v_min > v_max then
    perform worker.refuse_above('min_level', v_min, 'max_level', v_max);
  end if;
  if $4 is not null then
    return query
    select q.id, q.title, q.description, q.objectives, q.xp_reward, q.gold_reward from public.quest_templates q where q.request_id = $4;
    if found then
      return;
    end if;
  end if;
  for v_round in 1..1000 loop
    begin
      v_id := worker.pick_quest(v_min, v_max, false);
      if v_id is null then
        raise exception using errcode = 'PW001';
      end if;
      return query
      update public.quest_templates q set used = true, used_at = now(), assigned_to_character = $1, request_id = $4
       where q.id = v_id
      returning q.id, q.title, q.description, q.objectives, q.xp_reward, q.gold_reward;
      return;
    exception when sqlstate 'PW001' then
      v_held := case when v_may_wait and clock_timestamp() < v_until then worker.pick_quest(v_min, v_max, true) end;
      exit when v_held is null or not worker.await_item('public.quest_templates', v_held, worker.request_key('quest', $4), current_setting('lock_timeout'));
    end;
  end loop;
  if v_max >= 1 and v_min <= 20 then
    perform worker.want('generate_quests', jsonb_build_object('level_range', jsonb_build_array(greatest(v_min, 1), least(v_max, 20))));
  end if;
end $$;
comment on function public.claim_quest_from_pool(uuid, integer, integer, text) is
'Claims a random unused quest for a character: it is never handed out again. Fits when the quest''s levels overlap min_level (1) to max_level (10; with a min_level above 10, just that level). request_id: the same id gets the same quest, so that a repeated call is harmless. No row: none fits; one is then made for just these levels.';
