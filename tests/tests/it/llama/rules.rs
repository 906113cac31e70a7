//! The rules of the shipped kinds, written down once more: nothing here is shared with the schemas and
//! checks that the executor and the database use, so that a mistake in those shows.

use pg_worker_tests::Session;
use serde_json::Value;

/// Where the items of the kinds lie.
pub const TABLES: [&str; 6] = [
    "quest_templates",
    "npc_personalities",
    "combat_encounters",
    "dungeon_content",
    "campaign_pois",
    "session_summaries",
];

/// Every stored item keeps the rules of its kind.
#[track_caller]
pub fn hold(session: &mut Session) {
    let checks: [fn(&Value); 6] = [quest, npc, encounter, dungeon, poi, summary];
    for (table, check) in TABLES.into_iter().zip(checks) {
        let items: Vec<Value> = session.column(&format!("select to_jsonb(t) from {table} t"), &[]);
        assert!(!items.is_empty(), "{table} is empty");
        for item in &items {
            check(item);
            no_leftovers(item);
        }
    }
}

fn quest(item: &Value) {
    length(item, "title", 4, 80);
    says_something(item, "description", 8);
    length(item, "description", 40, 500);
    let (low, high) = (whole(item, "level_min"), whole(item, "level_max"));
    assert!(1 <= low && low <= high && high <= 10, "levels of {item}");
    within(item, "xp_reward", low * 50, high * 100);
    within(item, "gold_reward", low * 10, high * 30);
    for step in list(item, "objectives", 1, 4) {
        one_of(
            step,
            "type",
            &[
                "kill_enemies",
                "reach_location",
                "collect_items",
                "escort_npc",
                "investigate",
            ],
        );
        length(step, "target", 3, 80);
        within(step, "count", 1, 20);
    }
}

fn npc(item: &Value) {
    for (field, least, most) in [
        ("name", 3, 60),
        ("race", 3, 40),
        ("occupation", 3, 60),
        ("personality", 30, 400),
        ("quirk", 10, 200),
        ("secret", 20, 300),
    ] {
        length(item, field, least, most);
    }
    says_something(item, "personality", 5);
    says_something(item, "secret", 5);
    let texts = ["personality", "quirk", "secret"].map(|field| text(item, field).to_lowercase());
    assert!(
        texts[0] != texts[1] && texts[1] != texts[2] && texts[0] != texts[2],
        "{item}"
    );
}

fn encounter(item: &Value) {
    length(item, "name", 4, 80);
    length(item, "description", 40, 500);
    says_something(item, "description", 8);
    length(item, "location_type", 1, 64);
    let challenge = number(item, "challenge_rating");
    assert!((1.0..=5.0).contains(&challenge), "{item}");
    let tier = if challenge < 3.0 { "minimal" } else { "standard" };
    assert_eq!(text(item, "loot_tier"), tier, "{item}");
    enemies(item, challenge);
}

/// Hit points and damage of all together from half to double of what is usual, armour and attack of each
/// at most 3 off.
fn enemies(item: &Value, challenge: f64) {
    let enemies = list(item, "enemies", 1, 8);
    let (mut points, mut damage) = (0.0, 0.0);
    for enemy in enemies {
        length(enemy, "name", 3, 60);
        length(enemy, "type", 3, 40);
        assert!(
            (number(enemy, "ac") - (12.5 + 0.4 * challenge).round()).abs() <= 3.0,
            "{item}"
        );
        assert!(
            (number(enemy, "attack_bonus") - (3.0 + 0.36 * challenge).round()).abs() <= 3.0,
            "{item}"
        );
        assert!(number(enemy, "hp") >= 1.0, "{item}");
        points += number(enemy, "hp");
        damage += average(text(enemy, "damage_dice"));
        for ability in list(enemy, "special_abilities", 0, 3) {
            let length = ability.as_str().expect("a text").chars().count();
            assert!((10..=200).contains(&length), "{item}");
        }
    }
    let (usual, count) = (8.0 + 18.0 * challenge, enemies.len() as f64);
    assert!(
        (usual / 2.0 - 1.5..=usual * 2.0 + 1.0).contains(&points),
        "{points} hp of {item}"
    );
    let usual = 3.0 + 5.0 * challenge;
    assert!(
        (usual / 2.0 - 1.1..=usual * 2.0 + count + 0.1).contains(&damage),
        "{damage} damage of {item}"
    );
}

/// What dice such as 2d6+3 give on average.
fn average(dice: &str) -> f64 {
    let (count, rest) = dice.split_once('d').expect("dice");
    let at = rest.find(['+', '-']).unwrap_or(rest.len());
    let (sides, plus) = rest.split_at(at);
    let number = |text: &str| -> f64 { text.parse().unwrap_or_else(|_| panic!("{dice}")) };
    assert!(
        [4.0, 6.0, 8.0, 10.0, 12.0, 20.0].contains(&number(sides)),
        "{dice}"
    );
    let plus = if plus.is_empty() { 0.0 } else { number(plus) };
    number(count) * (number(sides) + 1.0) / 2.0 + plus
}

fn dungeon(item: &Value) {
    length(item, "name", 4, 80);
    length(item, "description", 40, 500);
    says_something(item, "description", 8);
    let (least, most) = match text(item, "difficulty") {
        "easy" => (3, 5),
        "medium" => (4, 7),
        "hard" => (5, 8),
        "deadly" => (6, 10),
        other => panic!("{other}: {item}"),
    };
    let rooms = list(item, "rooms", least, most);
    assert_eq!(whole(item, "room_count"), rooms.len() as i64, "{item}");
    for (room, wanted) in rooms.iter().zip(1..) {
        assert_eq!(whole(room, "room_number"), wanted, "{item}");
        length(room, "description", 20, 300);
        length(room, "encounter", 3, 200);
        length(room, "loot", 3, 160);
        let same = rooms
            .iter()
            .filter(|other| other["description"] == room["description"]);
        assert_eq!(same.count(), 1, "{item}");
    }
}

fn poi(item: &Value) {
    length(item, "name", 4, 80);
    length(item, "description", 40, 500);
    says_something(item, "description", 8);
    assert_eq!(text(item, "campaign_seed"), "salt-road", "{item}");
    let (least, most) = match text(item, "type") {
        "village" => (0.02, 0.15),
        "ruin" => (0.3, 0.6),
        "cave" => (0.35, 0.7),
        "shrine" => (0.03, 0.2),
        "camp" => (0.2, 0.5),
        "tower" => (0.15, 0.45),
        "grove" => (0.1, 0.4),
        "bridge" => (0.1, 0.35),
        other => panic!("{other}: {item}"),
    };
    assert!(
        (least..=most).contains(&number(item, "encounter_chance")),
        "{item}"
    );
}

fn summary(item: &Value) {
    length(item, "summary", 40, 2000);
    says_something(item, "summary", 8);
    for event in list(item, "key_events", 1, 8)
        .iter()
        .chain(list(item, "open_threads", 0, 6))
    {
        let length = event.as_str().expect("a text").chars().count();
        assert!((3..=300).contains(&length), "{item}");
    }
}

/// Marks of a template or of markdown, and control characters, in any text of the item.
fn no_leftovers(item: &Value) {
    match item {
        Value::String(text) => {
            assert!(!text.contains(['{', '}', '<', '>', '[', ']', '`']), "{text}");
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
        Value::Array(list) => list.iter().for_each(no_leftovers),
        Value::Object(map) => map.values().for_each(no_leftovers),
        _ => {}
    }
}

fn text<'a>(item: &'a Value, field: &str) -> &'a str {
    item[field]
        .as_str()
        .unwrap_or_else(|| panic!("{field} of {item}"))
}

fn number(item: &Value, field: &str) -> f64 {
    item[field]
        .as_f64()
        .unwrap_or_else(|| panic!("{field} of {item}"))
}

fn whole(item: &Value, field: &str) -> i64 {
    item[field]
        .as_i64()
        .unwrap_or_else(|| panic!("{field} of {item}"))
}

fn within(item: &Value, field: &str, least: i64, most: i64) {
    assert!((least..=most).contains(&whole(item, field)), "{field} of {item}");
}

fn length(item: &Value, field: &str, least: usize, most: usize) {
    let text = text(item, field);
    assert!(
        text.trim() != "" && (least..=most).contains(&text.chars().count()),
        "{field} of {item}"
    );
}

fn says_something(item: &Value, field: &str, words: usize) {
    assert!(
        text(item, field).split_whitespace().count() >= words,
        "{field} of {item}"
    );
}

fn one_of(item: &Value, field: &str, values: &[&str]) {
    assert!(values.contains(&text(item, field)), "{field} of {item}");
}

fn list<'a>(item: &'a Value, field: &str, least: usize, most: usize) -> &'a [Value] {
    let list = item[field]
        .as_array()
        .unwrap_or_else(|| panic!("{field} of {item}"));
    assert!((least..=most).contains(&list.len()), "{field} of {item}");
    list
}
