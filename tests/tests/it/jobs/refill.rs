//! Refills: a pool's deficit is enqueued once, in batches, and not again while its jobs fail.

use crate::steps::{enqueue_quests, in_background, lease_one, outcome, store_quest, wait_until_blocked};
use pg_worker_tests::{Database, Session, on_both_installs};
use serde_json::Value;

on_both_installs!(
    a_refill_closes_the_deficit_in_batches,
    a_refill_counts_what_is_on_the_way,
    jobs_for_later_or_for_a_filter_fill_no_gap,
    two_refills_at_once_enqueue_once,
    used_and_deleted_items_are_refilled,
    sizes_are_obeyed_at_the_next_refill,
    a_failed_job_makes_its_pool_rest,
    the_rest_doubles_and_ends_with_a_change_or_a_success,
    a_campaign_in_trouble_does_not_stop_another,
    the_refill_setting_stops_refills_but_no_check_that_is_asked_for,
);

/// Only quests are kept filled, so that a test sees what it is about.
fn only_quests(database: &Database) -> Session {
    let mut session = database.session();
    session.run("update content_pools set enabled = false where kind <> 'quest'");
    session
}

fn refill(session: &mut Session) -> i32 {
    session.value("select worker.refill_pools()", &[])
}

fn add_quests(session: &mut Session, count: i32) {
    let sql = "insert into quest_templates (title, description)
               select 'By hand ' || gen_random_uuid(), 'Written by hand.' from generate_series(1, $1)";
    assert_eq!(
        session.execute(sql, &[&count]).unwrap(),
        u64::from(count.unsigned_abs())
    );
}

fn counts_asked(session: &mut Session) -> Vec<i32> {
    session.column(
        "select asked from worker_jobs where status = 'pending' and job_type = 'generate_quests' order by asked",
        &[],
    )
}

fn a_refill_closes_the_deficit_in_batches(database: &Database) {
    let mut session = only_quests(database);
    session.run("update content_pools set min_size = 25 where kind = 'quest'");
    assert_eq!(refill(&mut session), 3);
    assert_eq!(counts_asked(&mut session), [5, 10, 10]);
    assert_eq!(refill(&mut session), 0, "all of it is on the way");
}

fn a_refill_counts_what_is_on_the_way(database: &Database) {
    let mut session = only_quests(database);
    add_quests(&mut session, 5);
    enqueue_quests(&mut session, 4);
    let lease = lease_one(&mut session);
    store_quest(&mut session, &lease, 1);
    enqueue_quests(&mut session, 2);
    // 20 − (5 + 1 there) − (3 running + 2 pending)
    assert_eq!(refill(&mut session), 1);
    assert_eq!(counts_asked(&mut session), [2, 9]);
}

/// A thousand high quests for next quarter leave the beginners nothing.
fn jobs_for_later_or_for_a_filter_fill_no_gap(database: &Database) {
    let mut session = only_quests(database);
    session.run(
        "select enqueue_worker_job('generate_quests', '{\"count\": 1000, \"level_range\": [18, 20]}', p_run_at => now() + interval '90 days');
         select enqueue_worker_job('generate_quests', '{\"count\": 1000}', p_run_at => 'infinity');
         select enqueue_worker_job('generate_quests', '{\"count\": 1000}', p_run_at => now() + interval '2 hours');
         select enqueue_worker_job('generate_quests', '{\"count\": 1000, \"level_range\": [18, 20]}')",
    );
    let on_the_way = "select on_the_way from content_pool_status where kind = 'quest'";
    assert_eq!(session.value::<i64>(on_the_way, &[]), 0);
    assert_eq!(refill(&mut session), 2);
    session.run("delete from worker_jobs");
    // What asks for what a refill asks for does count: the default range, a retry within the hour.
    session.run(
        "select enqueue_worker_job('generate_quests', '{\"count\": 7, \"level_range\": [1, 10]}', p_run_at => now() + interval '50 minutes')",
    );
    assert_eq!(session.value::<i64>(on_the_way, &[]), 7);
    assert_eq!(refill(&mut session), 2);
    assert_eq!(counts_asked(&mut session), [3, 7, 10]);
}

fn two_refills_at_once_enqueue_once(database: &Database) {
    let mut one = only_quests(database);
    let mut other = database.session();
    one.run("begin");
    assert_eq!(refill(&mut one), 2);
    let pid = other.backend_pid();
    let second = in_background(other, refill);
    wait_until_blocked(&mut database.session(), pid);
    one.run("commit");
    assert_eq!(
        second.join().unwrap(),
        0,
        "it counts after the first has committed"
    );
    assert_eq!(counts_asked(&mut one), [10, 10]);
}

fn used_and_deleted_items_are_refilled(database: &Database) {
    let mut session = only_quests(database);
    add_quests(&mut session, 20);
    assert_eq!(refill(&mut session), 0);
    session
        .run("update quest_templates set used = true where id in (select id from quest_templates limit 2)");
    session.run(
        "delete from quest_templates where id in (select id from quest_templates where not used limit 1)",
    );
    assert_eq!(refill(&mut session), 1);
    assert_eq!(counts_asked(&mut session), [3]);
}

fn sizes_are_obeyed_at_the_next_refill(database: &Database) {
    let mut session = only_quests(database);
    session.run("update content_pools set min_size = 3, batch_size = 2 where kind = 'quest'");
    assert_eq!(refill(&mut session), 2);
    assert_eq!(counts_asked(&mut session), [1, 2]);
    session.run("update content_pools set min_size = 4 where kind = 'quest'");
    assert_eq!(refill(&mut session), 1);
    session.run("update content_pools set min_size = 50, enabled = false where kind = 'quest'");
    assert_eq!(refill(&mut session), 0, "disabled");
}

/// Fails the one due job for good.
fn fail(session: &mut Session) {
    session.run("update worker_jobs set run_at = now() where status = 'pending'");
    let lease = lease_one(session);
    assert_eq!(
        outcome(session, "fail_job", &lease, ", 'model not found', true"),
        "failed"
    );
}

/// Seconds until the quests' pool is tried again, as the view says it.
fn rest(session: &mut Session) -> Option<i32> {
    let sql = "select round(extract(epoch from next_try_at - last_failed_at))::int from content_pool_status where kind = 'quest'";
    session.value(sql, &[])
}

fn a_failed_job_makes_its_pool_rest(database: &Database) {
    let mut session = only_quests(database);
    session.run("update content_pools set min_size = 10 where kind = 'quest'");
    assert_eq!(refill(&mut session), 1);
    fail(&mut session);
    assert_eq!(refill(&mut session), 0, "it would fail again");
    assert_eq!(rest(&mut session), Some(60));
    let sql = "select last_failure from content_pool_status where kind = 'quest'";
    assert_eq!(session.value::<String>(sql, &[]), "model not found");
    let due = "select worker.next_due() = (select min(next_try_at) from worker.pool_trouble)";
    assert!(session.value::<bool>(due, &[]));
    session.run("update worker.pool_trouble set next_try_at = now()");
    assert_eq!(refill(&mut session), 1, "the rest is over");
}

fn the_rest_doubles_and_ends_with_a_change_or_a_success(database: &Database) {
    let mut session = only_quests(database);
    session.run("update content_pools set min_size = 1 where kind = 'quest'");
    for expected in [60, 120, 240, 480] {
        assert_eq!(refill(&mut session), 1);
        fail(&mut session);
        assert_eq!(rest(&mut session), Some(expected));
        session.run("update worker.pool_trouble set next_try_at = now()");
    }
    session.run("update worker.pool_trouble set failures = 40");
    refill(&mut session);
    fail(&mut session);
    assert_eq!(rest(&mut session), Some(3600), "an hour at most");
    session.run("update content_pools set model = 'another' where kind = 'quest'");
    assert_eq!(rest(&mut session), None);
    assert_eq!(refill(&mut session), 1, "at once");
    fail(&mut session);
    enqueue_quests(&mut session, 1);
    let lease = lease_one(&mut session);
    store_quest(&mut session, &lease, 1);
    assert_eq!(outcome(&mut session, "complete_job", &lease, ""), "completed");
    assert_eq!(session.count("worker.pool_trouble"), 0);
}

fn a_campaign_in_trouble_does_not_stop_another(database: &Database) {
    let mut session = database.session();
    session.run("update content_pools set enabled = kind = 'poi'");
    session.run("insert into worker.campaigns values ('calm'), ('cursed')");
    session.run(
        "insert into worker.pool_trouble values ('poi', 'cursed', 1, 'it burned', now(), now() + interval '1 hour')",
    );
    assert_eq!(refill(&mut session), 2);
    let campaigns = "select distinct parameters ->> 'campaign_seed' from worker_jobs";
    assert_eq!(session.column::<String>(campaigns, &[]), ["calm"]);
    session.run("delete from worker_jobs");
    for campaign in ["calm", "cursed"] {
        session.run(&format!("select * from claim_poi_from_pool('{campaign}')"));
    }
    assert_eq!(
        session.column::<String>(campaigns, &[]),
        ["calm"],
        "claims ask alike"
    );
}

fn the_refill_setting_stops_refills_but_no_check_that_is_asked_for(database: &Database) {
    let mut session = only_quests(database);
    if session.value::<i64>(
        "select count(*) from pg_extension where extname = 'pg_worker_ext'",
        &[],
    ) == 1
    {
        return; // there it is a setting of the server: jobs::tick has a server of its own for it
    }
    // A session's own setting moves nothing.
    session.run(&format!(
        "set pg_worker_ext.refill = on; alter database {} set pg_worker_ext.refill = off",
        database.name()
    ));
    assert_eq!(refill(&mut session), 0);
    session.run("select schedule_pool_check()");
    assert_eq!(refill(&mut session), 2);
    let result: Value = session.value(
        "select result from worker_jobs where job_type = 'check_all_pools'",
        &[],
    );
    assert_eq!(result["jobs"], 2);
}
