//! A hot standby: nobody works there, nothing is written and nothing goes wrong, until it is promoted.

use super::SERVED;
use pg_worker_tests::{BOUND, Cluster, Database, Executor};

#[test]
fn a_standby_is_left_alone_until_it_is_promoted() {
    // The check stays pending, because nobody does it on the primary.
    let primary = Cluster::own(&["pg_worker_ext.background_worker = off"]);
    let db = Database::with_extension(&primary);
    let standby = Cluster::standby_of(&primary, &["pg_worker_ext.tick_interval = 1"]);
    db.session().run("select schedule_pool_check()");

    let mut there = standby.session(db.name());
    there.wait_until_true("select exists (select from worker_jobs)", BOUND);
    let refusal = there.refused("select enqueue_worker_job('generate_quests')", &[]);
    assert_eq!(refusal.code(), "25006", "{refusal:?}");
    let ours = "select count(*) from pg_stat_activity where backend_type like 'pg_worker_ext%'";
    assert_eq!(there.value::<i64>(ours, &[]), 0);
    // An executor that was pointed at it waits, too.
    let executor = Executor::without_database()
        .env("DATABASE_URL", &standby.url("postgres", db.name()))
        .env("WORKER_POLL_INTERVAL_MS", "200")
        .start();
    executor.wait_for_log("read-only");
    let log = standby.log();
    assert!(!log.contains("pg_worker_ext: "), "{log}");

    there.run("select pg_promote()");
    there.wait_until_true(SERVED, BOUND);
    there.wait_until_true(
        "select status = 'completed' from worker_jobs where job_type = 'check_all_pools'",
        BOUND,
    );
    there.wait_until_true("select exists (select from quest_templates)", BOUND);
    assert!(executor.stop().success());
}
