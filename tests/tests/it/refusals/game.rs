//! The game's door: enqueueing, by call and by plain INSERT, and claims.

use super::refuses;
use crate::claims::POOLS;
use pg_worker_tests::{Database, on_both_installs};

on_both_installs!(
    what_no_job_can_be_asked_for_is_refused,
    what_no_job_type_takes_is_refused,
    priorities_and_keys_out_of_range_are_refused,
    claims_refuse_what_cannot_be_meant,
    what_is_not_json_says_so,
    the_bounds_themselves_are_accepted,
);

/// Job type, parameters, what is refused, and what the detail allows.
const PARAMETERS: &str = r#"
generate_quests | {"count": 0} | parameters.count: 0 | an integer from 1 to 1000
generate_quests | {"count": -1} | parameters.count: -1 | 1 to 1000
generate_quests | {"count": 1000000000} | parameters.count: 1000000000 | 1 to 1000
generate_quests | {"count": "ten"} | parameters.count: "ten" | 1 to 1000
generate_quests | {"count": "10"} | parameters.count: "10" | 1 to 1000
generate_quests | {"count": 2.5} | parameters.count: 2.5 | 1 to 1000
generate_npcs | {"count": 1001} | parameters.count: 1001 | 1 to 1000
generate_dungeons | {"count": true} | parameters.count: true | 1 to 1000
generate_quests | {"level_range": [5, 1]} | parameters.level_range: [5, 1] | from 1 to 20, low not above high
generate_quests | {"level_range": [1]} | parameters.level_range: [1] | two integers [low, high]
generate_quests | {"level_range": [1, 2, 3]} | parameters.level_range: [1, 2, 3] | two integers
generate_quests | {"level_range": [0, 99]} | parameters.level_range: [0, 99] | from 1 to 20
generate_quests | {"level_range": [1, 21]} | parameters.level_range: [1, 21] | from 1 to 20
generate_quests | {"level_range": [1.5, 3]} | parameters.level_range: [1.5, 3] | two integers
generate_quests | {"level_range": ["1", "5"]} | parameters.level_range: ["1", "5"] | two integers
generate_quests | {"level_range": "1-5"} | parameters.level_range: "1-5" | two integers
generate_quests | {"level_range": 5} | parameters.level_range: 5 | two integers
generate_encounters | {"cr_range": [5, 1]} | parameters.cr_range: [5, 1] | low not above high
generate_encounters | {"cr_range": [0, 5]} | parameters.cr_range: [0, 5] | from 0.125 to 30
generate_encounters | {"cr_range": [1, 31]} | parameters.cr_range: [1, 31] | from 0.125 to 30
generate_encounters | {"location_type": " "} | parameters.location_type: " " | a text of 1 to 64 characters
generate_encounters | {"location_type": 7} | parameters.location_type: 7 | a text
generate_dungeons | {"difficulty": "lethal"} | parameters.difficulty: "lethal" | easy, medium, hard, deadly
generate_pois | {"campaign_seed": "c", "poi_type": "spaceship"} | parameters.poi_type: "spaceship" | village, ruin
generate_pois | {} | parameters.campaign_seed: null | a text of 1 to 200 characters
generate_pois | {"campaign_seed": null} | parameters.campaign_seed: null | 1 to 200 characters
generate_pois | {"campaign_seed": ""} | parameters.campaign_seed: "" | 1 to 200 characters
generate_pois | {"campaign_seed": "   "} | parameters.campaign_seed: "   " | 1 to 200 characters
generate_pois | {"campaign_seed": 5} | parameters.campaign_seed: 5 | 1 to 200 characters
summarize_session | {} | parameters.character_id: null | a uuid
summarize_session | {"character_id": "uuid"} | parameters.character_id: "uuid" | a uuid
summarize_session | {"character_id": 12} | parameters.character_id: 12 | a uuid
summarize_session | {"character_id": "00000000-0000-4000-8000-000000000001", "message_count": 0} | parameters.message_count: 0 | an integer from 1 to 200
summarize_session | {"character_id": "00000000-0000-4000-8000-000000000001", "message_count": 201} | parameters.message_count: 201 | 1 to 200
generate_quests | [] | parameters: [] | a JSON object
generate_quests | "{\"count\": 1}" | parameters: "{\"count\": 1}" | this is a JSON string: pass the object itself
generate_quests | 5 | parameters: 5 | a JSON object
"#;

/// By call and by INSERT alike.
fn what_no_job_can_be_asked_for_is_refused(database: &Database) {
    let mut session = database.session();
    for case in PARAMETERS.trim().lines() {
        let fields: Vec<&str> = case.split(" | ").collect();
        let [job_type, parameters, given, allowed] = fields[..] else {
            panic!("four fields: {case}");
        };
        let call = format!("select enqueue_worker_job('{job_type}', '{parameters}')");
        refuses(&mut session, &call, given, allowed);
        let insert =
            format!("insert into worker_jobs (job_type, parameters) values ('{job_type}', '{parameters}')");
        refuses(&mut session, &insert, given, allowed);
    }
}

fn what_no_job_type_takes_is_refused(database: &Database) {
    let mut session = database.session();
    let types = "check_all_pools, generate_dungeons, generate_encounters, generate_npcs, generate_pois, generate_quests, summarize_session";
    refuses(
        &mut session,
        "select enqueue_worker_job('make_coffee')",
        "job_type: make_coffee",
        types,
    );
    refuses(
        &mut session,
        "select enqueue_worker_job('')",
        "job_type: ''",
        types,
    );
    refuses(
        &mut session,
        "insert into worker_jobs (job_type) values ('quests')",
        "job_type: quests",
        types,
    );
    for (job_type, key, known) in [
        ("generate_quests", "cuont", "count, level_range"),
        ("generate_quests", "cr_range", "count, level_range"),
        ("generate_npcs", "race", "count"),
        (
            "generate_encounters",
            "level_range",
            "count, cr_range, location_type",
        ),
        ("generate_dungeons", "campaign_seed", "count, difficulty"),
        ("generate_pois", "difficulty", "campaign_seed, count, poi_type"),
        (
            "summarize_session",
            "count",
            "character_id, message_count, messages",
        ),
        ("check_all_pools", "kind", "no parameters for this job type"),
    ] {
        let call = format!("select enqueue_worker_job('{job_type}', '{{\"{key}\": 1}}')");
        refuses(&mut session, &call, &format!("parameters: {key}"), known);
    }
}

fn priorities_and_keys_out_of_range_are_refused(database: &Database) {
    let mut session = database.session();
    for priority in [0, 11, -1, i32::MAX] {
        let call = format!("select enqueue_worker_job('generate_quests', null, {priority})");
        let given = format!("priority: {priority}");
        refuses(
            &mut session,
            &call,
            &given,
            "an integer from 1 (most urgent) to 10",
        );
        let insert =
            format!("insert into worker_jobs (job_type, priority) values ('generate_npcs', {priority})");
        refuses(&mut session, &insert, &given, "1 (most urgent) to 10");
    }
    let call = "select enqueue_worker_job('generate_quests', p_dedupe_key => '')";
    refuses(
        &mut session,
        call,
        "dedupe_key: ''",
        "a text of 1 to 500 characters",
    );
}

fn claims_refuse_what_cannot_be_meant(database: &Database) {
    let mut session = database.session();
    for pool in &POOLS {
        pool.fill(&mut session, 3);
    }
    let long = "x".repeat(201);
    for (call, given, allowed) in [
        (
            "quest_from_pool(null, 6, 5)",
            "min_level: 6",
            "at most max_level, which is 5",
        ),
        (
            "quest_from_pool(null, 12, 11)",
            "min_level: 12",
            "at most max_level, which is 11",
        ),
        (
            r#"npc_from_pool('camp', '"{}"')"#,
            r#"spawn_position: "{}""#,
            "pass the object itself",
        ),
        (
            r#"encounter_from_pool(spawn_location => '"{}"')"#,
            r#"spawn_location: "{}""#,
            "pass the object itself",
        ),
        (
            r#"dungeon_from_pool(spawn_location => '"{}"')"#,
            r#"spawn_location: "{}""#,
            "pass the object itself",
        ),
        (
            r#"poi_from_pool('camp', spawn_position => '"{}"')"#,
            r#"spawn_position: "{}""#,
            "pass the object itself",
        ),
        (
            "encounter_from_pool(null, 3, 2)",
            "min_cr: 3",
            "at most max_cr, which is 2",
        ),
        (
            "encounter_from_pool(' ')",
            "location_type: ' '",
            "a text that is not blank",
        ),
        ("encounter_from_pool(null, 'nan')", "min_cr: NaN", "a number"),
        (
            "encounter_from_pool(null, null, 'infinity')",
            "max_cr: Infinity",
            "a number",
        ),
        (
            "dungeon_from_pool('lethal')",
            "difficulty: lethal",
            "easy, medium, hard, deadly",
        ),
        (
            "dungeon_from_pool('')",
            "difficulty: ''",
            "easy, medium, hard, deadly",
        ),
        (
            "poi_from_pool('camp', 'spaceship')",
            "poi_type: spaceship",
            "village, ruin",
        ),
        (
            "poi_from_pool('')",
            "campaign_seed: ''",
            "a text of 1 to 200 characters",
        ),
        (
            "poi_from_pool(null)",
            "campaign_seed: NULL",
            "a text of 1 to 200 characters",
        ),
        (
            "quest_from_pool(null, request_id => '')",
            "request_id: ''",
            "a text of 1 to 200 characters",
        ),
        (
            &format!("npc_from_pool('camp', null, '{long}')"),
            &format!("request_id: {}…", &long[..100]),
            "1 to 200 characters",
        ),
    ] {
        refuses(
            &mut session,
            &format!("select * from claim_{call}"),
            given,
            allowed,
        );
    }
}

/// Here the server speaks before the function does.
fn what_is_not_json_says_so(database: &Database) {
    let mut session = database.session();
    for (sql, code) in [
        (
            "select enqueue_worker_job('generate_quests', 'count: 5')",
            "22P02",
        ),
        (
            "select enqueue_worker_job('generate_quests', null, 'high')",
            "22P02",
        ),
        ("select * from claim_quest_from_pool('me')", "22P02"),
        ("select cancel_worker_job('job')", "22P02"),
    ] {
        assert_eq!(session.refused(sql, &[]).code(), code, "{sql}");
    }
}

fn the_bounds_themselves_are_accepted(database: &Database) {
    let mut session = database.session();
    let good = [
        ("generate_quests", r#"{"count": 1, "level_range": [1, 20]}"#),
        ("generate_quests", r#"{"count": 1000, "level_range": [20, 20]}"#),
        ("generate_quests", r#"{"count": null, "level_range": null}"#),
        (
            "generate_encounters",
            r#"{"cr_range": [0.125, 30], "location_type": "a bar of my own"}"#,
        ),
        ("generate_dungeons", r#"{"difficulty": "deadly"}"#),
        (
            "generate_pois",
            r#"{"campaign_seed": "abc123", "poi_type": "bridge"}"#,
        ),
        (
            "summarize_session",
            r#"{"character_id": "00000000-0000-4000-8000-000000000001", "message_count": 200}"#,
        ),
    ];
    for (job_type, parameters) in good {
        session.run(&format!(
            "select enqueue_worker_job('{job_type}', '{parameters}', 1)"
        ));
    }
    session.run("select enqueue_worker_job('generate_npcs', '{}', 10)");
    assert_eq!(session.count("worker_jobs"), 8);
}
