//! Content in any language, in a database of any locale: words are counted where no blanks are written,
//! and titles are told apart by their letters.

use crate::steps::{enqueue_quests, lease_one, store};
use pg_worker_tests::{Database, Session, on_both_installs};
use serde_json::{Value, json};

on_both_installs!(
    japanese_items_of_every_kind_pass,
    too_few_words_are_too_few_in_any_language,
    titles_are_told_apart_in_any_script,
    a_database_of_locale_c_reads_titles_the_same,
);

const TEXT: &str = "粉屋の主人が、市場に届かなかった八袋の小麦粉の行方を探してほしいと旅人に頼む。古い水車小屋には誰かの足跡が残っていた。";

/// One item of each kind, in Japanese.
fn items() -> [(&'static str, Value, Value); 6] {
    let enemy = json!({"name": "森の狼", "type": "beast", "hp": 5, "ac": 12, "attack_bonus": 3, "damage_dice": "1d4", "special_abilities": []});
    let room = |number: i32| json!({"room_number": number, "description": format!("{number}番目の部屋。{TEXT}"), "encounter": "静かな部屋", "loot": "銀貨が少し"});
    [
        (
            "quest",
            json!({}),
            json!({"title": "消えた小麦粉", "description": TEXT,
            "objectives": [{"type": "investigate", "target": "古い水車小屋", "count": 1}],
            "level_min": 1, "level_max": 3, "xp_reward": 100, "gold_reward": 50}),
        ),
        (
            "npc",
            json!({}),
            json!({"name": "山田太郎", "race": "人間族", "occupation": "粉挽き屋", "personality": TEXT,
            "quirk": "いつも同じ歌を口ずさんでいる。", "secret": "夜になると水車小屋で誰かと密かに会っている。"}),
        ),
        (
            "encounter",
            json!({"cr_range": [0.125, 0.25]}),
            json!({"name": "森の待ち伏せ", "description": TEXT, "challenge_rating": 0.125,
            "location_type": "forest", "loot_tier": "minimal", "enemies": [enemy]}),
        ),
        (
            "dungeon",
            json!({}),
            json!({"name": "忘れられた水車", "description": TEXT, "difficulty": "easy", "rooms": [room(1), room(2), room(3)]}),
        ),
        (
            "poi",
            json!({"campaign_seed": "c"}),
            json!({"name": "古い水車小屋", "type": "ruin", "description": TEXT, "encounter_chance": 0.5}),
        ),
        (
            "session_summary",
            json!({"character_id": "7f0c0c8e-6f0b-4f5e-9d3a-0c5d3a9b1e11"}),
            json!({"summary": TEXT, "key_events": ["小麦粉を見つけた"], "open_threads": []}),
        ),
    ]
}

fn japanese_items_of_every_kind_pass(database: &Database) {
    let mut session = database.session();
    for (kind, parameters, item) in items() {
        let reason: Option<String> = session.value(
            "select worker.check_item($1, $2, $3)",
            &[&kind, &parameters, &item],
        );
        let reason = reason.unwrap_or_default();
        // What an enemy must be like is no matter of language.
        let of_words = ["words", "blank", "sentence", "shorter", "missing"];
        assert!(
            !of_words.iter().any(|word| reason.contains(word)),
            "{kind}: {reason}"
        );
    }
}

fn too_few_words_are_too_few_in_any_language(database: &Database) {
    let mut session = database.session();
    let mut words = |text: &str| session.value::<i32>("select worker.word_count($1)", &[&text]);
    for (text, least, most) in [
        ("", 0, 0),
        (" \n ", 0, 0),
        ("eight sacks of flour", 4, 4),
        ("мельник просит найти муку", 4, 4),
        ("الطحان يطلب البحث عن الدقيق", 5, 5),
        ("粉屋の主人", 2, 4),
        ("ช่วยตามหาแป้งที่หายไป", 5, 13),
        (TEXT, 20, 40),
    ] {
        let counted = words(text);
        assert!((least..=most).contains(&counted), "{text}: {counted}");
    }
}

/// Each stands alone, but for those that are the same title.
const TITLES: [(&str, &str); 12] = [
    ("Ведьма из Ёлок", "ВЕДЬМА ИЗ ЁЛОК!"),
    ("Пропавшая мука", "«Пропавшая мука»"),
    ("消えた小麦粉", "「消えた小麦粉」"),
    ("桜の村の秘密", "桜の村の秘密。"),
    ("Το χαμένο αλεύρι", "ΤΟ ΧΑΜΈΝΟ ΑΛΕΎΡΙ"),
    ("الدقيق المفقود", "الدقيق المفقود؟"),
    ("🐉🔥", "🐉 🔥"),
    ("🐺🌲", "🐺\u{fe0f}🌲"),
    ("Die Müllerin", "DIE MÜLLERIN"),
    ("Ｆｕｌｌ width", "full width"),
    ("???", "???"),
    ("!!!", "!!!"),
];

#[track_caller]
fn keys_are_right(session: &mut Session) {
    let mut key = |title: &str| session.value::<String>("select worker.title_key($1)", &[&title]);
    let mut seen = std::collections::HashSet::new();
    for (one, other) in TITLES {
        let found = key(one);
        assert!(!found.is_empty(), "{one}");
        assert_eq!(key(other), found, "{one} {other}");
        assert!(seen.insert(found), "{one} is like another");
    }
    let grams = session.value::<i32>("select cardinality(worker.trigrams('Ведьма из Ёлок'))", &[]);
    assert!(grams > 8, "{grams}");
}

fn titles_are_told_apart_in_any_script(database: &Database) {
    let mut session = database.session();
    keys_are_right(&mut session);
    enqueue_quests(&mut session, 4);
    let lease = lease_one(&mut session);
    for (number, (title, outcome)) in [
        ("Пропавшая мука", "stored"),
        ("Ведьма и мельник", "stored"),
        ("ПРОПАВШАЯ МУКА", "duplicate"),
        ("🐉🔥", "stored"),
        ("🐺🌲", "stored"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut item = items()[0].2.clone();
        // Its kind asks for four characters at least.
        item["title"] = json!(if title.chars().count() < 4 {
            format!("{title}{title}")
        } else {
            title.to_owned()
        });
        let number = if number > 2 { number } else { number + 1 };
        let stored = store(&mut session, &lease, i32::try_from(number).expect("few"), &item);
        assert_eq!(stored.outcome, outcome, "{title}: {:?}", stored.reason);
    }
}

fn a_database_of_locale_c_reads_titles_the_same(database: &Database) {
    let name = format!("{}_c", database.name());
    let mut admin = database.session();
    admin.run(&format!(
        "create database {name} template {} lc_collate 'C' lc_ctype 'C'",
        "template0"
    ));
    {
        let mut session = database.cluster().session(&name);
        let functions = "select string_agg(pg_get_functiondef(p), ';') from unnest(array['worker.title_words(text)', 'worker.title_key(text)',
                            'worker.trigrams(text)', 'worker.word_count(text)']::regprocedure[]) p";
        let functions: String = admin.value(functions, &[]);
        session.run(&format!("create schema worker; {functions}"));
        keys_are_right(&mut session);
    }
    admin.run(&format!("drop database {name} with (force)"));
}
