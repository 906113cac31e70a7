//! The pages' TypeScript and the table of errors, with supabase-js and a real PostgREST.

use super::page::Page;
use super::place::{CHARACTER, Place};
use crate::supabase::api::Rest;
use crate::supabase::{self, Install, Public};
use pg_worker_tests::Database;
use serde_json::{Value, json};

/// A role whose transactions are not READ COMMITTED, for the error that tells so.
const CAREFUL: &str = "
create role careful bypassrls; grant service_role to careful; grant careful to authenticator;
alter role careful set default_transaction_isolation = 'serializable'";

const CONTENT: &str = "
insert into quest_templates (title, description, level_min, level_max) select 'Quest ' || n, 'x', 1, 5 from generate_series(1, 9) n;
insert into npc_personalities (name, race, occupation, personality, quirk, secret) values ('Una', 'elf', 'smith', 'x', 'x', 'x');
insert into combat_encounters (name, description, challenge_rating, location_type, loot_tier)
  select 'Wolves ' || n, 'x', 2, 'forest', 'minimal' from generate_series(1, 5) n;
insert into dungeon_content (name, description, difficulty) values ('Vault', 'x', 'hard');
insert into campaign_pois (campaign_seed, name, type, description) values ('abc123', 'Mill', 'ruin', 'x');";

#[test]
#[ignore = "needs supabase-js and PostgREST: scripts/suites/supabase.sh"]
fn the_typescript_and_the_errors() {
    let cluster = supabase::cluster(&["pg_worker_ext.background_worker = off"]);
    let database = supabase::database(&cluster, Public::Shipped, Install::Extension);
    supabase::admin(&cluster, database.name()).run(CAREFUL);
    a_game_with_content(&database);
    let calls = refused_calls();
    let asked: Vec<Value> = calls.iter().map(|(_, call)| call.clone()).collect();
    let results = Rest::start(&database).run(&blocks(), &asked);
    gives_what_the_pages_say(&results["blocks"]);
    let explained = Page::open("docs/developer.md").table("SQLSTATE");
    for ((code, call), result) in calls.iter().zip(results["calls"].as_array().expect("a list")) {
        let row = explained
            .iter()
            .find(|row| row[0] == *code)
            .unwrap_or_else(|| panic!("{code} is not explained"));
        assert_eq!(result["code"], *code, "{call} → {result}");
        assert_eq!(result["status"].to_string(), row[1], "{call} → {result}");
    }
}

fn a_game_with_content(database: &Database) {
    Place::new(database).talk();
    database.session().run(CONTENT);
}

/// Every TypeScript block of the pages, with the variables that it takes as given and what it has found.
fn blocks() -> Vec<Value> {
    let variables = json!({
        "characterId": CHARACTER, "requestId": "click-1", "seed": "abc123", "campaign_seed": "abc123",
        "x": 1, "y": 2, "playerLevel": 2,
    });
    let gives = [
        "null",
        "encounter",
        "{quest, npc, encounter, dungeon, poi, item}",
        "{jobId, error}",
    ];
    let pages = ["docs/guide.md", "docs/developer.md"].map(|name| Page::open(name).all());
    let blocks: Vec<_> = pages
        .into_iter()
        .flatten()
        .filter(|block| block.language == "typescript")
        .collect();
    assert_eq!(
        blocks.len(),
        gives.len(),
        "a TypeScript block that this test does not know"
    );
    let blocks = blocks.iter().zip(gives);
    blocks
        .map(|(block, gives)| json!({"code": block.text, "variables": variables, "gives": gives}))
        .collect()
}

fn gives_what_the_pages_say(results: &Value) {
    assert_eq!(
        results[0]["intervals"],
        json!([3_600_000]),
        "the pool check is asked for every hour"
    );
    assert_eq!(results[1]["value"]["location_type"], "forest");
    let claims = &results[2]["value"];
    for name in ["quest", "npc", "encounter", "dungeon", "poi"] {
        assert_eq!(
            claims[name]["data"].as_array().map(Vec::len),
            Some(1),
            "{name}: {claims}"
        );
    }
    assert!(claims["item"]["quest_id"].is_string());
    assert!(results[3]["value"]["jobId"].is_string(), "{}", results[3]);
}

/// A call for each row of the table of errors that a call can lead to.
fn refused_calls() -> Vec<(&'static str, Value)> {
    let call = |role: &str, name: &str, args: Value| json!({"role": role, "code": format!("supabase.rpc('{name}', {args})")});
    let enqueue = "enqueue_worker_job";
    vec![
        (
            "22023",
            call("service_role", enqueue, json!({"p_job_type": "make_coffee"})),
        ),
        (
            "22023",
            call(
                "service_role",
                enqueue,
                json!({"p_job_type": "generate_npcs", "p_parameters": "{\"count\": 1}"}),
            ),
        ),
        (
            "22P02",
            call(
                "service_role",
                "claim_quest_from_pool",
                json!({"character_id": "nobody"}),
            ),
        ),
        (
            "42501",
            call("authenticated", enqueue, json!({"p_job_type": "generate_npcs"})),
        ),
        (
            "25001",
            call("careful", enqueue, json!({"p_job_type": "generate_npcs"})),
        ),
        (
            "PGRST202",
            call(
                "service_role",
                "claim_quest_from_pool",
                json!({"hero": CHARACTER}),
            ),
        ),
    ]
}
