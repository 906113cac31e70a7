//! Each call of the guide through the real API, for the three roles: `docs/supabase-transcript.md` is what came
//! out. `PG_WORKER_WRITE_TRANSCRIPT=1` writes that page anew.

use super::api::Rest;
use super::{WAYS, cluster, database};
use pg_worker_tests::{Database, paths};
use serde_json::{Value, json};

const PAGE: &str = "docs/supabase-transcript.md";

const HEAD: &str = "\
# Through supabase-js

Every call of [the guide](guide.md) and of [developer.md](developer.md), made with supabase-js and a real PostgREST on a server
set up as Supabase's, and what came back. Ids and times are cut to …; the outcome is the same for both installs and for both
kinds of default privileges in schema public. Written and checked by `scripts/suites/supabase.sh`.
";

/// One item of each sort, so that a claim can only find that one.
const CONTENT: &str = "
insert into quest_templates (title, description, objectives, xp_reward, gold_reward, level_min, level_max)
  values ('The Goblin Menace', 'Goblins are raiding the village.', '[{\"type\": \"kill_enemies\", \"target\": \"goblins\", \"count\": 5}]', 100, 50, 1, 5);
insert into npc_personalities (name, race, occupation, personality, quirk, secret) values ('Una', 'elf', 'smith', 'gruff', 'hums', 'owes money');
insert into combat_encounters (name, description, challenge_rating, location_type, loot_tier)
  values ('Wolves', 'Three wolves.', 2, 'forest', 'minimal'), ('Bandits', 'Four bandits.', 2, 'road', 'standard');
insert into dungeon_content (name, description, room_count, difficulty) values ('Vault', 'Damp.', 3, 'hard');
insert into campaign_pois (campaign_seed, name, type, description) values ('abc123', 'Mill', 'ruin', 'Its wheel turns by itself.')";

/// The calls, in this order. `…` is not part of any.
const CALLS: [&str; 34] = [
    "supabase.rpc('enqueue_worker_job', { p_job_type: 'check_all_pools', p_priority: 1 })",
    "supabase.rpc('schedule_pool_check')",
    "supabase.rpc('enqueue_worker_job', { p_job_type: 'generate_quests', p_parameters: { count: 20, level_range: [1, 10] }, p_priority: 5 })",
    "supabase.rpc('enqueue_worker_job', { p_job_type: 'generate_npcs', p_parameters: { count: 15 } })",
    "supabase.rpc('enqueue_worker_job', { p_job_type: 'generate_encounters', p_parameters: { count: 10, cr_range: [1, 5] } })",
    "supabase.rpc('enqueue_worker_job', { p_job_type: 'generate_dungeons', p_parameters: { count: 5 } })",
    "supabase.rpc('enqueue_worker_job', { p_job_type: 'generate_pois', p_parameters: { campaign_seed: 'abc123', count: 25 } })",
    "supabase.rpc('enqueue_worker_job', { p_job_type: 'summarize_session', p_parameters: { character_id: '7d0e0f5e-0d0d-4a3a-9f2b-6c1a5b1f0001', message_count: 30 }, p_dedupe_key: 'summary' })",
    "supabase.rpc('enqueue_worker_job', { p_job_type: 'generate_quests', p_parameters: { count: 'ten' } })",
    "supabase.rpc('enqueue_worker_job', { p_job_type: 'generate_npcs', p_parameters: '{\"count\": 1}' })",
    "supabase.rpc('enqueue_worker_job', { job: 'generate_npcs' })",
    "supabase.from('worker_jobs').select('job_type, priority').eq('status', 'pending').order('priority').order('created_at')",
    "supabase.from('worker_jobs').select('job_type, status, started_at, completed_at, result').in('status', ['completed', 'failed']).order('completed_at', { ascending: false }).limit(10)",
    "supabase.from('quest_templates').select('*', { count: 'exact', head: true }).eq('used', false)",
    "supabase.from('npc_personalities').select('*', { count: 'exact', head: true }).eq('used', false)",
    "supabase.from('combat_encounters').select('*', { count: 'exact', head: true }).eq('used', false)",
    "supabase.from('dungeon_content').select('*', { count: 'exact', head: true }).eq('used', false)",
    "supabase.rpc('claim_quest_from_pool', { character_id: '7d0e0f5e-0d0d-4a3a-9f2b-6c1a5b1f0001', min_level: 1, max_level: 5, request_id: 'click-1' })",
    "supabase.rpc('claim_quest_from_pool', { character_id: '7d0e0f5e-0d0d-4a3a-9f2b-6c1a5b1f0001', min_level: 1, max_level: 5, request_id: 'click-1' })",
    "supabase.rpc('claim_quest_from_pool', { character_id: '7d0e0f5e-0d0d-4a3a-9f2b-6c1a5b1f0001', min_level: 1, max_level: 5 })",
    "supabase.rpc('claim_npc_from_pool', { campaign_seed: 'abc123', spawn_position: { x: 100, y: 200 } })",
    "supabase.rpc('claim_encounter_from_pool', { location_type: 'forest', min_cr: 1, max_cr: 3, spawn_location: { x: 1, y: 2 } })",
    "supabase.rpc('claim_dungeon_from_pool', { difficulty: 'hard' })",
    "supabase.rpc('claim_poi_from_pool', { campaign_seed: 'abc123', poi_type: 'ruin' })",
    "supabase.from('combat_encounters').select('name').eq('used', false).eq('location_type', 'road').gte('challenge_rating', 1).lte('challenge_rating', 3).order('random()').limit(1).single()",
    "supabase.from('combat_encounters').select('name').eq('used', false).eq('location_type', 'road').gte('challenge_rating', 1).lte('challenge_rating', 3).limit(1).single()",
    "supabase.from('combat_encounters').update({ used: true, used_at: new Date().toISOString(), spawned_at_location: { x: 1, y: 2, campaign_seed: 'abc123' } }).eq('name', 'Bandits')",
    "supabase.from('quest_templates').insert({ title: 'By hand', description: 'Claimable at once.', level_min: 1, level_max: 3 })",
    "supabase.from('content_pools').update({ min_size: 50 }).eq('kind', 'quest')",
    "supabase.from('content_pool_status').select('kind, available, minimum, level').order('kind').limit(2)",
    "supabase.from('worker_queue_status').select('job_type, status, jobs').eq('job_type', 'generate_npcs')",
    "supabase.from('worker_jobs').update({ status: 'failed', error_message: 'Job timeout - reset by admin' }).eq('status', 'running')",
    "supabase.rpc('cancel_worker_job', { p_job_id: '00000000-0000-4000-8000-000000000000' })",
    "supabase.rpc('retry_worker_job', { p_job_id: '00000000-0000-4000-8000-000000000000' })",
];

#[test]
#[ignore = "needs supabase-js and PostgREST: scripts/suites/supabase.sh"]
fn every_call_of_the_guide_for_the_three_roles() {
    let cluster = cluster(&["pg_worker_ext.background_worker = off"]);
    let mut pages: Vec<String> = Vec::new();
    for (public, install) in WAYS {
        let database = database(&cluster, public, install);
        database.session().run(CONTENT);
        pages.push(page(&database));
        let (first, this) = (&pages[0], pages.last().expect("a page"));
        assert_eq!(this, first, "{public:?} {install:?}");
    }
    if std::env::var_os("PG_WORKER_WRITE_TRANSCRIPT").is_some() {
        std::fs::write(paths::root().join(PAGE), &pages[0]).expect("write the page");
    }
    assert_eq!(
        paths::read(PAGE),
        pages[0],
        "PG_WORKER_WRITE_TRANSCRIPT=1 writes {PAGE} anew"
    );
}

fn page(database: &Database) -> String {
    let rest = Rest::start(database);
    let mut page = HEAD.to_owned();
    for role in ["service_role", "anon", "authenticated"] {
        let calls: Vec<Value> = CALLS
            .iter()
            .map(|code| json!({"role": role, "code": code}))
            .collect();
        let results = rest.run(&[], &calls);
        let results = results["calls"].as_array().expect("a list");
        page.push_str(&format!(
            "\n## As {role}\n\n| call | status | body |\n|---|---|---|\n"
        ));
        for (code, result) in CALLS.iter().zip(results) {
            if role != "service_role" {
                nothing(role, code, result);
            }
            page.push_str(&format!(
                "| `{code}` | {} | {} |\n",
                result["status"],
                body(result)
            ));
        }
    }
    page
}

/// Not even the shape of what is there: a function is not found or forbidden, a table forbidden.
#[track_caller]
fn nothing(role: &str, code: &str, result: &Value) {
    let status = result["status"].as_u64().unwrap_or_default();
    // A misspelt argument and a malformed order are refused before anybody asks who calls.
    let malformed = code.contains("{ job:") || code.contains("random()");
    assert!(
        matches!(status, 401 | 403) || malformed && matches!(status, 400 | 404),
        "{role}: {code} → {result}"
    );
    assert!(
        result["data"].is_null() && result["count"].is_null(),
        "{role}: {code} → {result}"
    );
}

fn body(result: &Value) -> String {
    let text = match (&result["code"], &result["count"]) {
        (Value::String(code), _) => format!("{code}: {}", result["message"].as_str().unwrap_or_default()),
        (_, Value::Number(count)) => format!("count {count}"),
        _ => result["data"].to_string(),
    };
    cut(&text).replace('|', "\\|")
}

/// The text with ids and times as `…`: what looks like a uuid or an ISO time.
fn cut(text: &str) -> String {
    let mut out = String::new();
    for part in text.split_inclusive('"') {
        let (word, quote) = part.strip_suffix('"').map_or((part, ""), |word| (word, "\""));
        let dashes: Vec<usize> = word.match_indices('-').map(|(at, _)| at).collect();
        let uuid = word.len() == 36 && dashes == [8, 13, 18, 23];
        let time = word.len() > 18 && dashes.starts_with(&[4, 7]) && word.as_bytes()[10] == b'T';
        out.push_str(if uuid || time { "…" } else { word });
        out.push_str(quote);
    }
    out
}
