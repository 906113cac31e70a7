//! A full pool must not be empty for the player: a claim that finds nothing asks for just that.

use super::pools::{POOLS, impatient};
use crate::steps::{lease_one, outcome};
use pg_worker_tests::{Database, Session, on_both_installs};
use serde_json::{Value, json};

on_both_installs!(
    a_claim_that_finds_nothing_asks_for_exactly_its_filter,
    each_filter_is_asked_for_once,
    what_is_wanted_goes_with_the_claim,
    nobody_waits_for_who_is_asking,
    odd_filters_make_no_queue,
    what_is_switched_off_is_not_asked_for,
    a_filter_is_asked_for_again_when_its_job_is_done,
    a_pool_in_trouble_is_not_asked_for,
    what_is_wanted_is_made_within_the_filter,
);

/// What is asked for: job type and parameters of the only job.
#[track_caller]
fn asked(session: &mut Session) -> (String, Value) {
    let row = session.row("select job_type, parameters from worker_jobs", &[]);
    (row.get(0), row.get(1))
}

fn a_claim_that_finds_nothing_asks_for_exactly_its_filter(database: &Database) {
    let mut session = database.session();
    let cases = [
        (
            "claim_quest_from_pool(null)",
            "generate_quests",
            json!({"level_range": [1, 10]}),
        ),
        (
            "claim_quest_from_pool(null, 12, 14)",
            "generate_quests",
            json!({"level_range": [12, 14]}),
        ),
        (
            "claim_quest_from_pool(null, -3, 99)",
            "generate_quests",
            json!({"level_range": [1, 20]}),
        ),
        ("claim_npc_from_pool('c', '{}')", "generate_npcs", json!({})),
        ("claim_encounter_from_pool()", "generate_encounters", json!({})),
        (
            "claim_encounter_from_pool('swamp', 0.5, 2)",
            "generate_encounters",
            json!({"location_type": "swamp", "cr_range": [0.5, 2.0]}),
        ),
        ("claim_dungeon_from_pool()", "generate_dungeons", json!({})),
        (
            "claim_dungeon_from_pool('deadly')",
            "generate_dungeons",
            json!({"difficulty": "deadly"}),
        ),
        (
            "claim_poi_from_pool('c')",
            "generate_pois",
            json!({"campaign_seed": "c"}),
        ),
        (
            "claim_poi_from_pool('c', 'ruin')",
            "generate_pois",
            json!({"campaign_seed": "c", "poi_type": "ruin"}),
        ),
    ];
    for (claim, job_type, parameters) in cases {
        assert!(session.rows(&format!("select * from {claim}"), &[]).is_empty());
        let (found_type, mut found) = asked(&mut session);
        assert_eq!(found_type, job_type, "{claim}");
        let count = found.as_object_mut().and_then(|found| found.remove("count"));
        assert_eq!(count, Some(json!(5)), "{claim}: a few at once");
        assert!(same_numbers(&found, &parameters), "{claim}: {found}");
        session.run("delete from worker_jobs");
    }
}

/// Equal, whether a number is written 2 or 2.0.
fn same_numbers(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_numbers(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, value)| b.get(key).is_some_and(|b| same_numbers(value, b)))
        }
        _ => one == other,
    }
}

fn each_filter_is_asked_for_once(database: &Database) {
    let mut session = database.session();
    for _ in 0..3 {
        for pool in &POOLS {
            assert_eq!(pool.claim(&mut session), None);
        }
        session.run("select * from claim_quest_from_pool(null, 3, 4)");
    }
    assert_eq!(session.count("worker_jobs"), 6);
    let lease = crate::steps::lease(&mut session, 10);
    assert_eq!(lease.len(), 6);
    for pool in &POOLS {
        assert_eq!(pool.claim(&mut session), None);
    }
    assert_eq!(session.count("worker_jobs"), 6, "they are being done");
}

fn what_is_wanted_goes_with_the_claim(database: &Database) {
    let mut session = database.session();
    for pool in &POOLS {
        session.run("begin");
        assert_eq!(pool.claim(&mut session), None);
        assert_eq!(session.count("worker_jobs"), 1);
        assert_eq!(
            database.session().count("worker_jobs"),
            0,
            "not before the commit"
        );
        session.run("rollback");
        assert_eq!(session.count("worker_jobs"), 0);
    }
}

/// Not even where that is undone: then the next claim asks.
fn nobody_waits_for_who_is_asking(database: &Database) {
    let (mut one, mut other) = (database.session(), impatient(database));
    for pool in &POOLS {
        one.run("begin");
        assert_eq!(pool.claim(&mut one), None);
        assert_eq!(pool.claim(&mut other), None, "{}: at once", pool.name);
        one.run("rollback");
        assert_eq!(one.count("worker_jobs"), 0);
        assert_eq!(pool.claim(&mut other), None);
        assert_eq!(one.count("worker_jobs"), 1, "{}", pool.name);
        one.run("delete from worker_jobs");
    }
}

fn odd_filters_make_no_queue(database: &Database) {
    let mut session = database.session();
    session.run(
        "select from generate_series(1, 100) n cross join lateral claim_encounter_from_pool('place ' || n)",
    );
    assert_eq!(session.count("worker_jobs"), 5);
    assert_eq!(
        session.value::<i32>("select max(asked) from worker_jobs", &[]),
        5,
        "items each"
    );
    session.run(
        "select from generate_series(1, 100) n cross join lateral claim_poi_from_pool('camp ' || n, 'ruin')",
    );
    assert_eq!(
        session.count("worker_jobs where job_type = 'generate_pois'"),
        50,
        "of all campaigns together"
    );
    // Those that are being done make room.
    assert_eq!(crate::steps::lease(&mut session, 2).len(), 2);
    session.run(
        "select from generate_series(1, 100) n cross join lateral claim_encounter_from_pool('hill ' || n)",
    );
    assert_eq!(
        session.count("worker_jobs where job_type = 'generate_encounters'"),
        7
    );
}

fn what_is_switched_off_is_not_asked_for(database: &Database) {
    let mut session = database.session();
    session.run("update content_pools set enabled = false where kind = 'quest'");
    for pool in &POOLS {
        assert_eq!(pool.claim(&mut session), None);
    }
    assert_eq!(session.count("worker_jobs"), 4);
    assert_eq!(session.count("worker_jobs where job_type = 'generate_quests'"), 0);
}

fn a_filter_is_asked_for_again_when_its_job_is_done(database: &Database) {
    let mut session = database.session();
    assert_eq!(POOLS[0].claim(&mut session), None);
    session.run("update worker_jobs set status = 'completed'");
    assert_eq!(POOLS[0].claim(&mut session), None);
    assert_eq!(session.count("worker_jobs"), 2);
}

fn a_pool_in_trouble_is_not_asked_for(database: &Database) {
    let mut session = database.session();
    assert_eq!(POOLS[0].claim(&mut session), None);
    let lease = lease_one(&mut session);
    assert_eq!(
        outcome(&mut session, "fail_job", &lease, ", 'no model', true"),
        "failed"
    );
    assert_eq!(POOLS[0].claim(&mut session), None);
    assert_eq!(session.count("worker_jobs"), 1, "it would fail again");
    session.run("update worker.pool_trouble set next_try_at = now()");
    assert_eq!(POOLS[0].claim(&mut session), None);
    assert_eq!(session.count("worker_jobs"), 2);
}

fn what_is_wanted_is_made_within_the_filter(database: &Database) {
    let mut session = database.session();
    session.run("select * from claim_quest_from_pool(null, 12, 13)");
    let lease = lease_one(&mut session);
    let sql =
        "select (context -> 'level_min')::int, (context -> 'level_max')::int from worker.next_item($1, $2)";
    let row = session.row(sql, &[&lease.job, &lease.token]);
    let (low, high): (i32, i32) = (row.get(0), row.get(1));
    assert!(12 <= low && low <= high && high <= 13, "{low} to {high}");
}
