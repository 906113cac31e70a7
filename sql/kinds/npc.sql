-- NPCs. Everything about them is in this file.

create or replace function worker.setup_kind_npc() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $setup$
declare
  v_former regclass := worker.set_former_aside('public.npc_personalities');
begin
  if to_regclass('public.npc_personalities') is null then
    create table public.npc_personalities (
      id uuid primary key default gen_random_uuid(),
      name text not null,
      race text not null,
      occupation text not null,
      personality text not null,
      quirk text not null,
      secret text not null,
      used boolean not null default false,
      created_at timestamptz not null default now(),
      used_at timestamptz,
      spawned_in_campaign text,
      position jsonb
    );
    comment on table public.npc_personalities is
      'The NPC pool: one row is one person. Take one with claim_npc_from_pool().';
    comment on column public.npc_personalities.secret is
      'For the game master, until the players find it out.';
    comment on column public.npc_personalities.spawned_in_campaign is
      'The campaign_seed that the claim gave.';
    comment on column public.npc_personalities.position is
      'The spawn_position that the claim gave.';
  end if;
  perform worker.take_up_former(v_former, 'public.npc_personalities', '{id,name,race,occupation,personality,quirk,secret,used}');
  if worker.may_change('public.npc_personalities') then
    perform worker.setup_pool('public.npc_personalities');
    create index if not exists npc_personalities_claim on public.npc_personalities (pool_key) where not used;
  end if;
  perform worker.setup_pool_triggers('public.npc_personalities');

  perform worker.put_kind(jsonb_build_object(
    'kind', 'npc', 'job_type', 'generate_npcs', 'item_table', 'public.npc_personalities', 'title_field', 'name',
    'min_size', 30, 'batch_size', 15,
    'context_function', 'worker.context_npc', 'check_function', 'worker.check_npc', 'store_function', 'worker.store_npc',
    'parameters', '{"count": {"type": "integer", "min": 1, "max": 1000}}'::jsonb,
    'stock_names', '["Elara", "Elias", "Thorne", "Kaelen", "Voss", "Mara", "Lyra", "Seraphina", "Aldric", "Borin"]'::jsonb, 'typical_tokens', 250, 'guide_seconds', '90–120',
    'sampling', '{"temperature": 1.0, "min_p": 0.05, "max_tokens": 700}'::jsonb,
    'item_schema', '{
      "type": "object", "additionalProperties": false,
      "required": ["name", "race", "occupation", "personality", "quirk", "secret"],
      "properties": {
        "name": {"type": "string", "minLength": 3, "maxLength": 60},
        "race": {"type": "string", "minLength": 3, "maxLength": 40},
        "occupation": {"type": "string", "minLength": 3, "maxLength": 60},
        "personality": {"type": "string", "minLength": 30, "maxLength": 400},
        "quirk": {"type": "string", "minLength": 10, "maxLength": 200},
        "secret": {"type": "string", "minLength": 20, "maxLength": 300}}}'::jsonb,
    'system_prompt', $$You write people for a fantasy role-playing game. You answer with one JSON object and nothing else:
no markdown, no explanation.$$,
    'prompt', $$Write one non-player character as a JSON object with these keys:
- "name": a first name and a family name or byname, 2 to 4 words, no title such as "Sir".
- "race", "occupation": as given below.
- "personality": 1 to 3 sentences: how this person deals with others, and what he or she wants. Show it, do not list adjectives.
- "quirk": 1 sentence: one habit that players see or hear at once and remember.
- "secret": 1 or 2 sentences: something true and concrete that would change a player's mind about this person.
The three texts belong to one person and do not contradict each other. Do not begin them with the name.
Avoid stock names ({{stock_names}}) and stock family names
made of two nouns (Ironfoot, Shadowbane, Stormwind).

This person:
- race: {{race}}
- occupation: {{occupation}}
- the name sounds: {{culture}}
- temperament: {{temperament}}
- wants: {{want}}
- a habit to start from: {{quirk}}
- a secret to start from: {{secret}}

These people exist already; share no first name and no family name with them:
{{recent_titles}}$$,
    'facets', '{
      "race": ["human", "hill dwarf", "mountain dwarf", "wood elf", "high elf", "half-elf", "halfling", "gnome", "half-orc", "orc", "goblin", "hobgoblin", "tiefling", "dragonborn", "lizardfolk", "satyr"],
      "occupation": ["apothecary", "archivist", "bailiff", "barge pilot", "barrel maker", "beekeeper", "bell founder", "bird catcher", "bone setter", "bookbinder", "brewer", "candle maker", "caravan cook", "cartographer", "charcoal burner", "cheese monger", "chimney sweep", "clockmaker", "customs clerk", "dog trainer", "dyer", "eel fisher", "ferry keeper", "fortune teller", "gardener", "glass blower", "gravedigger", "herald", "horse dealer", "innkeeper", "instrument maker", "judge", "laundress", "lighthouse keeper", "locksmith", "midwife", "miller", "money changer", "monk", "mule driver", "net mender", "night watchman", "notary", "painter of saints", "pastry cook", "pearl diver", "potter", "prison warden", "puppet player", "quarry master", "rat catcher", "retired soldier", "rope maker", "salt trader", "schoolteacher", "scribe for hire", "sculptor", "shepherd", "ship carpenter", "spice seller", "stable hand", "stone mason", "street singer", "tailor", "tanner", "tattooist", "tinker", "truffle hunter", "undertaker", "vintner", "weaver", "well digger", "wheelwright"],
      "culture": ["Old English", "Norse", "Welsh", "Gaelic", "Frankish", "Basque", "Italian", "Iberian", "Slavic", "Hungarian", "Byzantine Greek", "Turkish", "Persian", "Amharic", "West African", "Indian", "Japanese", "Polynesian"],
      "temperament": ["patient with animals and short with people", "cheerful until money is mentioned", "stern in public and soft at home", "curious to the point of rudeness", "gloomy and rather enjoying it", "restless, always half out of the door", "gentle and impossible to hurry", "proud of small things", "suspicious of good luck", "talkative about everything but the past", "dry as old bread", "loud and easily moved to tears", "polite like a drawn curtain", "stubborn and usually right", "brave with words and careful with deeds", "forgiving to everybody but one", "quick to laugh and quicker to leave", "solemn about trifles", "generous with advice and nothing else", "shy, and fierce when cornered", "vain about a beautiful voice", "calm in a crisis and lost without one", "jealous of every happy couple", "practical to the bone", "dreamy and surprisingly exact", "sarcastic as a kind of kindness", "pious in a bargaining way", "competitive about everything", "homesick for a place that is gone", "merry, with a long memory", "thrifty down to the candle ends", "honest at the wrong moments", "protective of anybody smaller", "easily bored and easily charmed", "weary of heroes", "hopeful against all evidence"],
      "want": ["to see the sea once", "to be asked for forgiveness", "to buy back the house with the blue door", "to be buried in foreign soil", "to win the autumn fair at last", "to learn to read", "to find a brother who went to war", "to be thanked by name", "to retire before the knees give out", "to outlive a rival", "to hear one particular song again", "to own a horse", "to leave the town a better bridge", "to be rid of an inheritance", "to teach somebody worth teaching", "to cook for a queen", "to prove an old map wrong", "to marry off three nephews", "to finish a letter begun long ago", "to sleep a whole night", "to be taken for a noble", "to break even, just once", "to plant an orchard", "to see a dragon from a safe distance", "to be left alone with a good book", "to clear a dead friend''s name", "to sit on the town council", "to go home without being recognised", "to pay a debt to the dead", "to invent something useful", "to beat the priest at dice", "to keep a promise made to a child"],
      "quirk": ["counts steps aloud", "hums the same four notes", "polishes a spoon on a sleeve", "speaks to a sparrow that may not be there", "ties knots in whatever lies at hand", "tastes the air like a snake", "answers a question with a proverb", "draws tiny faces in the dust", "bows to cats", "repeats the last word that was said", "sniffs every coin", "walks around a table before sitting down", "whistles through a missing tooth", "folds scraps of paper into boats", "rubs a smooth green pebble", "guesses everybody''s age, badly", "laughs before telling the joke", "spits over the left shoulder", "winks with the wrong eye", "quotes a grandmother", "knocks three times on wood", "cracks walnuts in one hand", "turns cups upside down", "looks for the nearest exit", "writes on the back of a hand", "smells of cloves and apologises for it", "touches every doorframe", "chews liquorice root", "names the direction of the wind", "swears by a saint nobody has heard of", "peels apples in one long ribbon", "stares at people''s shoes", "speaks of the weather as of a relative", "picks invisible threads from other people''s coats", "clicks a set of ivory dice", "breaks into rhyme", "straightens whatever hangs crooked", "measures things with a length of red string", "pretends to be a little deaf", "shuffles a deck with one card too few"],
      "secret": ["owes a frightening sum to river smugglers", "deserted on the eve of a battle that was won", "is the lawful heir of a house that thinks the line extinct", "buried a stranger''s gold and cannot find it again", "has been writing the threatening letters that frighten the town", "was married before, and the spouse is alive", "cannot do the work and pays somebody else to do it", "hides a wounded outlaw in the cellar", "sold a friend to the press gang", "once let a monster go, because it asked", "has a forged licence and twenty years of honest work", "feeds something in the old well", "informs for a foreign court", "set the fire that everybody calls an accident", "is slowly going blind", "took the name of a dead comrade", "knows where the missing tax chest lies", "left a child at a monastery door", "promised a favour to a devil, and the day is near", "hears a voice from a mirror and has begun to answer", "stole the recipe that made the family rich", "gives false testimony for a price", "was cursed never to cross running water", "killed a tax collector and was thanked by nobody", "prays to a god whose temple was burnt", "swapped two infants in their cradles", "keeps a map that two guilds would kill for", "sleepwalks, and wakes with mud on both feet", "lost the village''s savings at cards", "is the author of the banned ballads", "bought a potion for somebody who died of it", "has read the sealed will", "walled up a door and will not say why", "lets prisoners out, one each winter", "was a famous thief in another country", "has already sold what everybody comes to buy"]}'::jsonb,
    'grammar', '{
      "item": {
        "name": {"$pick": [
          {"$join": [{"$pick": "{=first_names}"}, {"$pick": "{=last_names}"}]},
          {"$join": [{"$pick": "{=first_names}"}, {"$pick": "{=last_names}"}]},
          {"$join": [{"$pick": "{=first_names}"}, {"$pick": "{=last_names}"}]},
          {"$join": [{"$pick": "{=first_names}"}, "{byname}"]}]},
        "race": "{=race}",
        "occupation": "{=occupation}",
        "personality": "{^nature}. {aim}",
        "quirk": "{^habit}.",
        "secret": "{^hidden}{after}"},
      "rules": {
        "byname": ["of {town}", "of {town}", "the {^trait}", "the {^trait}", "the Younger of {town}", "called {^nickname}", "called {^nickname}"],
        "trait": ["able", "amiable", "bald", "bold", "careful", "crooked", "deaf", "early", "fair", "freckled", "frugal", "gap-toothed", "gray", "honest", "idle", "lame", "late", "left-handed", "lucky", "mild", "narrow", "nimble", "pale", "plain", "quiet", "red", "round", "sleepless", "sly", "small", "stout", "tall", "unshaven", "wakeful", "widowed", "wry"],
        "nickname": ["acorn", "badger", "barleycake", "bellows", "bramble", "buttons", "cinder", "cricket", "crumbs", "dormouse", "elbows", "feather", "fiddle", "gander", "hailstone", "kettle", "lantern", "magpie", "mustard", "nettles", "pepper", "pigeon", "quill", "radish", "snuff", "sparrow", "thimble", "twice", "walnut", "weasel"],
        "town_a": ["Amber", "Apple", "Barley", "Birch", "Bright", "Candle", "Chalk", "Clay", "Crane", "Dove", "Drake", "Fern", "Flint", "Goose", "Hazel", "Heron", "Holly", "Lark", "Linden", "Lower", "Maple", "Meadow", "New", "Old", "Orchard", "Pebble", "Plum", "Quarry", "Rush", "Sand", "Sheep", "Silver", "Swan", "Tallow", "Upper", "Weir", "Willow", "Wren"],
        "town_b": [" Bridge", " Cross", " End", " Fell", " Green", " Landing", " Locks", " Quay", " Reach", " Row", " Stairs", "bury", "by", "cliff", "creek", "den", "fold", "garth", "grave", "grove", "head", "hythe", "leigh", "low", "marsh", "ness", "pool", "shaw", "side", "thorpe", "vale", "well", "worthy"],
        "town": ["{town_a}{town_b}"],
        "nature": ["{=temperament}; {manner}", "{=temperament}, and {manner}", "{=temperament}, yet {manner}", "{manner}, and {=temperament}"],
        "manner": ["slow to trust", "good with children", "never the first to speak", "careful with every coin", "generous after the second drink", "hard to lie to", "fond of long stories", "unable to say no to a friend", "quick to take offence for others", "at ease with rich and poor alike", "known for sound advice", "impossible to embarrass", "always a little late", "tidy to a fault", "well liked and seldom invited", "deaf to flattery", "happiest at work", "loyal beyond good sense", "fond of a wager", "blunt about the dead", "respectful of the old gods", "sparing with words", "full of plans", "kind to beggars"],
        "aim": ["Wants {=want}, and {way}. {greeting}", "Wants {=want}; {way}. {greeting}", "{greeting} Wants {=want}, and {way}.", "{greeting} What it is all for: {=want}."],
        "way": ["has told nobody", "saves for it coin by coin", "is running out of time", "knows that it is foolish", "talks of nothing else after dark", "would give up almost anything for it", "has come close twice", "blames the town that it has not happened", "will trade any favour for a chance", "laughs when somebody guesses it", "keeps a list of what is still missing", "makes a new plan every spring", "asks every traveller for news that might help"],
        "greeting": ["Strangers are met with a nod and a price.", "Strangers get warm bread and too many questions.", "Strangers are met with suspicion, then with soup.", "Armed people are asked to wipe their boots.", "Adventurers are treated like bad weather.", "Guests are given the better chair and watched closely.", "Whoever listens for an hour has a friend for life.", "Whoever pays on time is never forgotten.", "Those who brag are fed the oldest ale.", "A polite visitor learns more than a rich one.", "Newcomers are sized up from the shoes upwards.", "Anyone in trouble is taken in, and scolded.", "Officials are answered exactly, and not one word more.", "A joke opens the door faster than a coin."],
        "habit": ["{=quirk} {when}", "{=quirk} {when}", "{=quirk}, {aside}"],
        "when": ["when nobody seems to be looking", "before giving an answer", "at the worst possible moments", "in front of strangers", "whenever money is mentioned", "after dark", "when a bargain is close", "when somebody tells a lie", "when thinking hard", "whenever the door opens", "when the talk turns to family", "as soon as a silence falls", "when praised"],
        "aside": ["and denies it", "without noticing it", "as a matter of principle", "out of old habit", "and expects others to do the same", "and has done so since childhood", "which drives the neighbours mad", "for luck", "and nobody dares to ask why"],
        "hidden": ["{=secret}"],
        "after": [". Only {kin} knows.", ". The proof lies {place}.", ". Somebody from {town} has begun to ask questions about it.", ". It would come out after one kind word too many.", ", and {kin} has guessed half of it.", ", and sleep has not come easily since.", ". {^kin} has been paid for silence ever since.", ". A page that tells all of it is kept {place}.", ", and would do almost anything to keep it quiet.", ". A song that they sing in {town} comes close to the truth."],
        "kin": ["a sister in {town}", "the midwife", "an old priest", "a half-witted cousin", "the neighbour''s boy", "a ferryman", "a former master", "a retired judge", "the sexton", "an uncle at sea", "a card player in {town}", "the landlady", "a dying aunt", "the town drunk", "a pedlar who comes each spring"],
        "place": ["under the third stair", "in a tea caddy", "behind the saint in the chapel", "sewn into a winter coat", "in a hollow beam", "at the bottom of a flour bin", "in a grave with another name on it", "between two account books", "with a lawyer in {town}", "inside a fiddle without strings", "beneath a beehive", "in the lining of a drum"]}}'::jsonb));
end $setup$;
comment on function worker.setup_kind_npc() is
'Makes the NPC pool and its kind. Part of worker.setup().';

create or replace function worker.npc_names(p_culture text) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('first_names', to_jsonb(string_to_array(n.first, ' ')), 'last_names', to_jsonb(string_to_array(n.last, ' ')))
    from (values
      ('Old English', 'Aelric Alditha Beorn Cenred Cwen Cyneric Dunstan Eadgyth Eadwin Ealswith Godwin Goda Hereward Hild Leofric Mildred Osgyth Oswin Saewyn Sunniva Tilda Wilfrun Wulfstan Wystan',
       'Ashdown Brightwell Cotterill Dunstall Fairfax Goodbody Hathaway Hollin Kidd Loveday Merriman Ormerod Puttock Sallow Thackeray Woodruff'),
      ('Norse', 'Alfhild Arnbjorn Asgerd Bergthora Bolli Dotta Egil Eyvind Finnbogi Frakkok Gudrid Halldis Hallvard Hrafn Ingolf Kari Ljot Oddny Ottar Ragnfrid Skapti Svala Thorgrim Unnr',
       'Arnason Bjarnadottir Breidfjord Eiriksson Gormsen Hakonsdottir Hovland Kettilsson Lindal Myrdal Oddsson Ravnkil Skaldsen Steinar Torvald Ulfsdottir'),
      ('Welsh', 'Angharad Bleddyn Branwen Cadfael Ceinwen Dilwyn Efa Eluned Emrys Ffion Geraint Gwenllian Heledd Hywel Idris Iorwerth Llinos Madog Mererid Nest Owain Rhodri Tegwen Tudur',
       'Beddoe Cadwaladr Caradog Craddock Gethin Gwilym Kyffin Llewelyn Maddock Nannau Penry Prothero Pugh Rhydderch Trahern Wogan'),
      ('Gaelic', 'Aodhan Blathnaid Brigit Cathal Ciar Conall Deirbhile Donnchad Eimhear Faolan Fionnuala Gormlaith Iollan Lasair Muirgen Murchad Niamh Oisin Osgar Ronan Sadhbh Seanan Tadhg Ultan',
       'Branigan Cafferty Dorrian Fallon Geraghty Kinsella Lanigan MacAuley MacBrannan MacInnes Mulready Moynihan Quilligan Rafferty Scanlan Tierney'),
      ('Frankish', 'Adalgis Amalberga Bertrade Chlodio Clothild Drogo Emmelot Fastrada Fulrad Gerberga Gontran Hildegard Ingund Lambert Leutgard Odalric Pepin Radegund Rigobert Rotrude Thibaut Waldrada Wido Wulfram',
       'Barbarin Beaufort Caumont Delorme Fauconnier Gauthier Jumel Lavigne Malherbe Montclair Peltier Roussel Sauvage Taillefer Vasseur Villemin'),
      ('Basque', 'Aitor Amaia Andere Arantxa Argi Beltza Eneko Ekhi Garazi Gartzea Haizea Iker Itziar Joana Kattalin Lope Maider Nerea Oihan Otsanda Peru Sanda Unai Zuri',
       'Aguirre Arizmendi Beloki Echeverria Elizalde Garaikoa Goñi Ibarra Iturralde Larrea Mendizabal Oñate Otxoa Uriarte Zabala Zubiri'),
      ('Italian', 'Accursio Beppe Bice Caterina Cosima Duccio Fiammetta Galeazzo Ginevra Isotta Lapo Lionello Lucrezia Marsilio Nicolosa Oberto Orsola Piera Pippo Rinaldo Simonetta Taddeo Ugolina Vanni',
       'Baldovini Bonfante Calderone Cavalcanti Della-Rocca Ferragamo Garofalo Lombardi Malatesta Mezzanotte Pellegrino Quattrocchi Rondinelli Sassetti Tagliaferri Zaccaria'),
      ('Iberian', 'Aldonza Beatriz Bermudo Catalina Diego Elvira Fadrique Fruela Garcia Gontroda Ines Jimena Lopo Leonor Mencia Munio Nuño Ordoño Pelayo Sancha Telo Urraca Vasco Ximen',
       'Abarca Barbosa Carvalho Cordoba Escudero Figueroa Herrera Lobato Machado Noronha Pacheco Quintana Salgado Tavares Valverde Zapatero'),
      ('Slavic', 'Boguslav Bronislava Casimira Czeslaw Dobrava Dragan Gostislav Jaromir Jagna Kvetoslava Ludmila Mieszko Milosz Mstislav Nadezhda Ognyan Premysl Radmila Slavko Stana Vesna Vratislav Wanda Zbigniew',
       'Bartosh Chernov Dolezal Gorsky Horvatin Jablonska Kovalenko Lipnik Medved Novotny Petrovich Sokol Tomasik Vrana Zajic Zelenko'),
      ('Hungarian', 'Almos Bela Boglarka Csaba Csenge Dalma Dezso Emese Enikö Farkas Gyöngyi Hajna Ildiko Jenö Kalman Levente Mihaly Orsolya Piroska Reka Sarolt Tas Zoltan Zsofia',
       'Balogh Barta Csonka Deak Erdei Fazekas Gulyas Halasz Juhasz Kertesz Lakatos Molnar Olah Somogyi Takacs Vadasz'),
      ('Byzantine Greek', 'Agathe Alexios Anthousa Bardas Chryse Damaris Eudokia Evander Galene Herakleios Ioannina Kassia Kyriakos Leontios Melitta Nikephoros Pankratios Photine Romanos Sophronia Theophano Thekla Xene Zenon',
       'Akritas Argyros Botaneiates Chalkias Doukas Gabras Kalamaris Komnes Lekapenos Melissinos Palamas Rangabe Skleros Tornikes Vatatzes Xylas'),
      ('Turkish', 'Alparslan Aysel Bahadir Bashak Cemre Demir Defne Ertugrul Esra Feride Gökhan Gülbahar Halime Ilteber Kutlu Leyla Mahir Nilüfer Orhan Selcen Tomris Tugrul Yagmur Yunus',
       'Akbulut Balaban Bozkurt Çelik Degirmen Ekmekci Güler Ipekci Kaplan Kilic Ozgür Sarraf Terzi Toprak Yildirim Zeybek'),
      ('Persian', 'Anahita Ardashir Arash Azadeh Bahram Behnaz Bijan Darab Farhad Golnar Hormoz Jamshid Khosrow Laleh Mahin Manizheh Nariman Nooshin Parisa Rostam Roxane Shirin Siavash Vashti',
       'Abrishami Ahangar Bakhtiar Daryaie Esfandi Farrokhzad Golestan Javanmard Kashani Mehregan Nakhjavan Parvizi Rowshan Shahriar Tabrizi Zargar'),
      ('Amharic', 'Abebech Alemayehu Almaz Amare Bekele Birtukan Dawit Desta Eskender Fikirte Girma Hirut Iyasu Kebede Lemlem Makeda Mengesha Negasi Rahel Selamawit Tadesse Tsehay Worku Zewditu',
       'Abera Assefa Beyene Demissie Eshete Fanta Gebre Haile Kassahun Lakew Mekonnen Negash Retta Shiferaw Tessema Wolde'),
      ('West African', 'Abena Adunni Akin Amadou Ayotunde Bintou Chidi Djeneba Efua Folami Ikenna Jelani Kofi Kwabena Mariama Modibo Ngozi Nkechi Ousmane Oluchi Sekou Temilola Yaa Zainabu',
       'Adeyemi Amoah Balogun Camara Darko Diallo Ezeudu Keita Mensah Nwosu Okonjo Oyelaran Sarpong Sissoko Touray Yeboah'),
      ('Indian', 'Aditi Anirudh Bhanu Chandrika Devdas Gauri Harsha Indumati Jayanti Kamala Kartik Lakshman Malavika Nakul Padmini Prithvi Raghav Rukmini Sarasa Shankar Tara Uday Vasanti Yashoda',
       'Acharya Banerji Chaudhari Deshmukh Gokhale Iyengar Joshi Kulkarni Mahajan Nambiar Pillai Rathore Sundaram Thakur Varma Wadekar'),
      ('Japanese', 'Akane Chiyo Daigo Eizo Fumiko Genji Hanae Haruto Isamu Jubei Kaede Kenshin Masako Michi Noriko Osamu Ren Sachi Saburo Shizuka Tadashi Tomoe Umeko Yasuke',
       'Aoyama Fujiwara Hayakawa Ishida Kanemori Kitagawa Kuroda Matsunaga Minamoto Nakahara Okabe Sakamoto Shimizu Takeda Uchida Yamaguchi'),
      ('Polynesian', 'Afa Anahera Aperahama Fetu Hina Hoani Iolana Kahurangi Kaimana Keoni Lagi Leilani Makoa Manaia Moana Nalani Ngaire Palila Rangi Sina Tamati Tiare Wiremu Tevita',
       'Akana Faleolo Hauraki Ioane Kahale Kealoha Leavasa Mahuta Nainoa Palakiko Rarotoka Tamahori Taufa Tuilagi Vaimoana Wharepapa')
    ) as n(culture, first, last)
   where n.culture = p_culture
$$;
comment on function worker.npc_names(text) is
'First and family names of one of the cultures that the facets of NPCs name, for the generator without a model.';

create or replace function worker.context_npc(p_parameters jsonb, p_facets jsonb, p_item_no integer, p_seed bigint) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp
-- Facets only force variety where they are kept: race and occupation are not the model's to choose.
return worker.npc_names(p_facets ->> 'culture') || jsonb_build_object('narrow', jsonb_build_object(
  'race', jsonb_build_object('enum', jsonb_build_array(p_facets -> 'race')),
  'occupation', jsonb_build_object('enum', jsonb_build_array(p_facets -> 'occupation'))));
comment on function worker.context_npc(jsonb, jsonb, integer, bigint) is
'What an NPC''s prompt, schema and grammar are told besides the facets: names of the culture; race and occupation are fixed.';

create or replace function worker.check_npc(p_item jsonb, p_parameters jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_field text;
  v_value text;
begin
  for v_field, v_value in
    select f, p_item ->> f from unnest(array['name', 'race', 'occupation', 'personality', 'quirk', 'secret']) f
  loop
    if v_value is null or btrim(v_value) = '' then
      return format('%s is missing or blank', v_field);
    elsif v_field in ('personality', 'secret') and coalesce(worker.word_count(v_value), 0) < 5 then
      return format('%s has fewer than 5 words', v_field);
    end if;
  end loop;
  if lower(p_item ->> 'quirk') in (lower(p_item ->> 'personality'), lower(p_item ->> 'secret'))
     or lower(p_item ->> 'secret') = lower(p_item ->> 'personality') then
    return 'personality, quirk and secret must differ from one another';
  end if;
  return null;
end $$;
comment on function worker.check_npc(jsonb, jsonb) is
'The rules of an NPC: nothing blank, a personality and a secret that say something, and no text twice.';

create or replace function worker.store_npc(p_item jsonb, p_parameters jsonb, p_provenance jsonb) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_id uuid;
begin
  insert into public.npc_personalities (name, race, occupation, personality, quirk, secret, provenance)
  values (p_item ->> 'name', p_item ->> 'race', p_item ->> 'occupation', p_item ->> 'personality',
          p_item ->> 'quirk', p_item ->> 'secret', p_provenance)
  returning id into v_id;
  return v_id;
end $$;
comment on function worker.store_npc(jsonb, jsonb, jsonb) is
'Puts a checked NPC into its pool and returns its id.';

create or replace function worker.pick_npc(p_look boolean) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_key double precision := random();
  v_id uuid;
begin
  if p_look then
    select n.id into v_id from public.npc_personalities n
     where not n.used
     order by n.pool_key limit 1;
  else
    -- From a random key upwards, else from the bottom.
    select n.id into v_id from public.npc_personalities n
     where not n.used and n.pool_key >= v_key
     order by n.pool_key limit 1 for update skip locked;
    if not found then
      select n.id into v_id from public.npc_personalities n
       where not n.used and n.pool_key < v_key
       order by n.pool_key limit 1 for update skip locked;
    end if;
  end if;
  return v_id;
end $$;
comment on function worker.pick_npc(boolean) is
'Locks an unused NPC that nobody else has locked, and returns its id. p_look: locks nothing and finds also what others have locked. Reads a few index entries, however many NPCs there are.';

create or replace function public.claim_npc_from_pool(
  campaign_seed text, spawn_position jsonb, request_id text default null
) returns table (npc_id uuid, name text, race text, occupation text, personality text, quirk text, secret text)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  v_may_wait boolean := worker.begin_claim('npc', request_id);
  v_id uuid;
  v_held uuid;
  v_until timestamptz := clock_timestamp() + interval '1 second';
begin
  if jsonb_typeof($2) = 'string' then
    perform worker.refuse_json_text('spawn_position', $2);
  end if;
  if $3 is not null then
    return query
    select n.id, n.name, n.race, n.occupation, n.personality, n.quirk, n.secret from public.npc_personalities n where n.request_id = $3;
    if found then
      return;
    end if;
  end if;
  for v_round in 1..1000 loop
    begin
      v_id := worker.pick_npc(false);
      if v_id is null then
        raise exception using errcode = 'PW001';
      end if;
      return query
      update public.npc_personalities n
         set used = true, used_at = now(), spawned_in_campaign = $1, position = $2, request_id = $3
       where n.id = v_id
      returning n.id, n.name, n.race, n.occupation, n.personality, n.quirk, n.secret;
      return;
    exception when sqlstate 'PW001' then
      v_held := case when v_may_wait and clock_timestamp() < v_until then worker.pick_npc(true) end;
      exit when v_held is null or not worker.await_item('public.npc_personalities', v_held, worker.request_key('npc', $3), current_setting('lock_timeout'));
    end;
  end loop;
  perform worker.want('generate_npcs', '{}');
end $$;
comment on function public.claim_npc_from_pool(text, jsonb, text) is
'Claims a random unused NPC for a place in a campaign: it is never handed out again. campaign_seed and spawn_position are stored as given and may be NULL. request_id: the same id gets the same NPC, so that a repeated call is harmless. No row: none is left; more are then made.';
