//! Garbage by type: what has broken programs before, and what would be code somewhere else.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// Texts that mean something to SQL, to templates, to `format`, to JSON or to a shell.
pub const NASTY: [&str; 24] = [
    "",
    " ",
    "'",
    "\"",
    "\\",
    "$1",
    "$$",
    "%s %I %L %n %",
    "{{recent_titles}}",
    "{{theme}}{{{{item_no}}}}",
    "{name}{=theme}{^adj}",
    "'; alter role hostile_game superuser; --",
    "\"; drop table public.secrets; --",
    "$$; grant all on public.secrets to hostile_game; $$",
    "public.secrets",
    "public.secrets; delete from public.secrets",
    "(delete from public.secrets returning secret)",
    "pg_catalog.pg_sleep(3600)",
    "worker.setup",
    "hostile_game",
    "\u{202e}\u{feff}\u{fffd}\u{1f409}",
    "e\u{301}e\u{301}\n\r\t\u{1}\u{7f}",
    "`rm -rf /` $(id) &lt;",
    "\\u0000 \\x27 E'\\''",
];

/// Names that the functions know.
const KNOWN: [&str; 14] = [
    "quest",
    "poi",
    "npc",
    "generate_quests",
    "generate_pois",
    "summarize_session",
    "check_all_pools",
    "public.quest_templates",
    "worker_jobs",
    "campaign_seed",
    "builtin",
    "forest",
    "hard",
    "pending",
];

const IDS: [&str; 3] = [
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "00000000-0000-4000-8000-000000000001",
];

fn text() -> BoxedStrategy<String> {
    prop_oneof![
        4 => select(NASTY.as_slice()).prop_map(str::to_owned),
        3 => select(KNOWN.as_slice()).prop_map(str::to_owned),
        1 => "[^\u{0}]{0,40}",
        1 => Just("x".repeat(10_000)),
    ]
    .boxed()
}

fn number() -> BoxedStrategy<String> {
    let odd = vec![
        "0",
        "-1",
        "-0",
        "1e308",
        "-1e308",
        "1e-300",
        "0.1",
        "2147483648",
        "9223372036854775808",
    ];
    let vast = format!("1{}", "0".repeat(1000));
    prop_oneof![
        4 => (-3..30i32).prop_map(|n| n.to_string()),
        3 => select(odd).prop_map(str::to_owned),
        1 => Just(vast),
    ]
    .boxed()
}

/// JSON as its text, also such as no Rust number holds.
fn json_text() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        2 => select(vec!["null", "true", "false", "{}", "[]"]).prop_map(str::to_owned),
        3 => number(),
        4 => text().prop_map(|text| json!(text).to_string()),
    ];
    let names = select(vec![
        "count",
        "level_range",
        "campaign_seed",
        "character_id",
        "messages",
        "title",
        "description",
        "objectives",
        "level_min",
        "xp_reward",
        "prompt_tokens",
        "llm_seconds",
        "$int",
        "$ref",
        "pattern",
        "properties",
        "type",
        "x",
        "",
    ]);
    let any = leaf.prop_recursive(6, 40, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(|list| format!("[{}]", list.join(","))),
            vec((names.clone(), inner), 0..6).prop_map(object),
        ]
    });
    let deep =
        select(vec![120usize, 200, 2_000, 60_000]).prop_map(|depth| "[".repeat(depth) + &"]".repeat(depth));
    prop_oneof![12 => any, 4 => almost_a_quest(), 1 => deep].boxed()
}

fn object(members: Vec<(&str, String)>) -> String {
    let members: Vec<String> = members
        .into_iter()
        .map(|(name, value)| format!("{}:{value}", json!(name)))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// An item that would be stored but for one thing, or that is stored with a strange text.
fn almost_a_quest() -> BoxedStrategy<String> {
    let fields = vec!["title", "description", "objectives", "level_min", "xp_reward"];
    (0..1000i32, select(fields), text())
        .prop_map(|(number, field, text)| {
            let mut quest = crate::steps::quest(number);
            quest[field] = match field {
                "title" | "description" => {
                    Value::String(format!("{text} {}", quest[field].as_str().unwrap_or_default()))
                }
                _ => Value::String(text),
            };
            quest.to_string()
        })
        .boxed()
}

/// A value of a type as its text, or NULL.
pub fn of_type(name: &str) -> BoxedStrategy<Option<String>> {
    let list = |of: BoxedStrategy<String>| {
        vec(of, 0..5)
            .prop_map(|list| {
                let quoted = |one: &String| format!("\"{}\"", one.replace('\\', "\\\\").replace('"', "\\\""));
                format!("{{{}}}", list.iter().map(quoted).collect::<Vec<_>>().join(","))
            })
            .boxed()
    };
    let words = |words: &'static [&'static str]| select(words).prop_map(str::to_owned).boxed();
    let id = || words(IDS.as_slice());
    let integer = || {
        let odd: &[&str] = &["-2147483648", "2147483647", "0", "1000000"];
        prop_oneof![2 => (-3..30i32).prop_map(|n| n.to_string()), 1 => words(odd)].boxed()
    };
    let of = match name {
        "text" | "name" => text(),
        "jsonb" => json_text(),
        "uuid" => id(),
        "integer" => integer(),
        "oid" => words(&["0", "1", "16384", "4294967295"]),
        "bigint" => prop_oneof![integer(), words(&["-9223372036854775808", "9223372036854775807"])].boxed(),
        "real" | "numeric" | "double precision" => words(&["NaN", "0", "-1", "1e-30", "1", "1e30", "5"]),
        "boolean" => words(&["true", "false"]),
        "timestamp with time zone" => words(&[
            "infinity",
            "-infinity",
            "now",
            "4714-11-24 00:00:00+00 BC",
            "294276-12-31",
        ]),
        "integer[]" => list(integer()),
        "uuid[]" => list(id()),
        "text[]" | "name[]" => list(text()),
        "jsonb[]" => list(json_text()),
        "regclass" => words(&["public.secrets", "public.worker_jobs", "public.quest_templates"]),
        "regclass[]" => words(&[
            "{}",
            "{public.secrets}",
            "{public.worker_jobs,public.quest_templates,NULL}",
        ]),
        "regprocedure" => words(&["worker.version()"]),
        "aclitem[]" => words(&["{}", "{=r/postgres}"]),
        "interval" => words(&["-1 year", "0", "178000000 years"]),
        other => panic!("what would be garbage of type {other}?"),
    };
    prop_oneof![9 => of.prop_map(Some), 1 => Just(None)].boxed()
}
