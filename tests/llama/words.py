"""The words of the made model. No word may stand in two lists: a token is what the state is known by.

A server looks at the 40 likeliest tokens only, so about 40 words are what a list can use."""

TITLES = {
    "first": """A|The|Old|One|Their|Her|His|My|Another|No|Some|Both|Anselm's|Berit's|Corvin's|Dagny's|Edda's|Fenna's|Gisla's|Hedda's|Ivo's|Jorun's|Ketil's|Linnet's|Magda's|Nessa's|Odo's|Petra's|Quill's|Rowan's|Sigrid's|Tamsin's|Una's|Wenna's|Yorick's""".split("|"),
    "adjective": """Amber|Barren|Bitter|Borrowed|Bright|Broken|Buried|Careless|Clouded|Copper|Crooked|Distant|Drowned|Dusty|Empty|Faded|Frozen|Gentle|Gilded|Hidden|Hollow|Hungry|Iron|Jealous|Kindly|Leaning|Lonely|Mended|Mossy|Nameless|Painted|Patient|Quiet|Restless|Rusted|Salted|Silent|Stubborn|Tangled|Winter""".split("|"),
    "noun": """Anvil|Barge|Beacon|Bell|Bridge|Candle|Caravan|Chalice|Charter|Compass|Crown|Door|Ferry|Fiddle|Garden|Granary|Hammer|Harvest|Ink|Jewel|Kettle|Lantern|Ledger|Lute|Map|Mill|Needle|Oath|Orchard|Pilgrim|Quarry|Ring|Saddle|Shrine|Signpost|Tower|Urn|Vineyard|Wagon|Wheel""".split("|"),
    "link": "of|at|from|beyond|under|near|above|behind".split("|"),
    "place": """Alderbank|Ashford|Barrowdale|Blackmere|Bramcote|Coldwick|Copperton|Crowhurst|Dunstead|Eastmoor|Elmworth|Fenbridge|Goldley|Grayhaven|Hartfield|Highcombe|Ironmouth|Kestrelwood|Longridge|Marshgate|Millbrook|Mosswick|Northstow|Oakhollow|Otterham|Pikemarket|Quernby|Ravenbourne|Reedmill|Saltdale|Stonecote|Thistledown|Ulverton|Valewood|Westhurst|Windmere|Wolfcombe|Wrenford|Yarrowley|Zelbridge""".split("|"),
}

PROSE = {
    "opening": """This|That|Nobody's|Everybody's|Any|Last|Each|Neither|Either|Today's|Tonight's|Yesterday's|Somebody's|Your|Anyone's|Every|Our""".split("|"),
    "subject": """reeve|miller|brewer|sergeant|tinker|shepherd|widow|pilgrim|smuggler|ferryman|beekeeper|cook|clerk|mason|herald|innkeeper|piper|drover|tanner|weaver|potter|cooper|falconer|gravedigger|midwife|notary|painter|scribe|archer|baker|carter|dyer|fiddler|hermit|judge|locksmith|monk|sailor|thief|warden""".split("|"),
    "verb": """guards|hides|sells|follows|wants|buries|mends|counts|steals|fears|finds|keeps|loses|paints|carries|borrows|breaks|burns|chases|cleans|copies|draws|forgets|gathers|hears|hunts|judges|knows|leaves|marks|names|offers|owns|praises|remembers|saves|seeks|tends|trades|watches""".split("|"),
    "article": "a|the|another|some|her|his|our|their|every|no".split("|"),
    "object": """lantern|ledger|charter|key|barrel|bell|boat|bone|book|bottle|box|bundle|cart|chain|chest|cloak|coin|crate|dagger|drum|feather|flag|goat|harp|hound|jar|knife|ladder|letter|mirror|mule|pearl|purse|ring|rope|sack|seal|shovel|stone|sword""".split("|"),
    "link": """near the|behind the|under the|beside the|above the|below the|beyond the|inside the|before the|at the""".split("|"),
    "spot": """mill|bridge|well|tower|gate|chapel|quarry|orchard|ford|inn|barn|causeway|cellar|cliff|crossing|ditch|dock|farm|field|forest|garden|harbour|hill|kiln|lake|market|meadow|moor|mountain|pond|river|road|ruin|shore|shrine|square|stable|swamp|valley|wall""".split("|"),
}

# Values that schemas allow, in the field where they may stand.
ENUMS = """kill_enemies|reach_location|collect_items|escort_npc|investigate|village|ruin|cave|shrine|camp|tower|grove|bridge|easy|medium|hard|deadly|minimal|standard|rich""".split("|")
# A creature's type is free text.
CREATURES = "beast|undead|giant|construct|fiend|dragon|humanoid|monstrosity|ooze|plant|elemental|fey".split("|")

# Read in prompts and never written, so that a prompt is not read letter by letter.
READ = """ of| and| to| in| is| it| that| for| with| as| by| on| are| not| or| one| two| who| what| this| be| has| from|
 which| was| an| there| here| its| than| when| over| must| never| write| Write| words| sentences| list| given| names|
 name| title| titles| description| short| object| JSON| keys| quest| character| dungeon| encounter| place|ing|ed|er|es|
ly|th|en|on|an|in|re|st|ou|ar|al|le|or|it|: |; |": |- |""".replace("\n", "").split("|")[:-1]
