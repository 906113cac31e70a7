//! What wakes nobody: COMMIT PREPARED, by whoever knows nothing of what was enqueued, and rows that come without
//! ordinary triggers. The polling of the executors and the regular visit of a worker are there for that.

use super::{SERVED, WORKER};
use pg_worker_tests::{BOUND, Cluster, Database, Executor, wait_until};
use std::time::Duration;

#[test]
fn a_job_of_a_prepared_transaction_is_done_once_that_is_committed() {
    let cluster = Cluster::own(&["max_prepared_transactions = 2", "pg_worker_ext.tick_interval = 1"]);
    let db = Database::empty(&cluster);
    let mut session = db.session();
    session.run("create extension pg_worker_ext; update content_pools set enabled = false");
    session.wait_until_true(SERVED, BOUND);
    let mut listener = db.session();
    listener.run("listen worker_jobs");
    listener.notifiers(Duration::from_millis(500));

    session.run(
        "begin; select enqueue_worker_job('generate_quests', '{\"count\": 1}'); prepare transaction 'later'",
    );
    // What the session does next has nothing to do with it.
    session.run("begin; create table unrelated (); commit");
    let heard = listener.notifiers(Duration::from_millis(500));
    assert!(heard.is_empty(), "{heard:?}");

    let executor = Executor::on(&db).env("WORKER_POLL_INTERVAL_MS", "300").start();
    session.run("commit prepared 'later'");
    session.wait_until_true("select status = 'completed' from worker_jobs", BOUND);
    assert!(executor.stop().success());
    assert_eq!(session.rows(WORKER, &[]).len(), 1);
}

/// As logical replication applies it. The executor would not look by itself for a minute.
#[test]
fn a_job_that_comes_without_triggers_is_announced_by_the_next_look() {
    let cluster = Cluster::own(&["pg_worker_ext.tick_interval = 1"]);
    let db = Database::empty(&cluster);
    let mut session = db.session();
    session.run("create extension pg_worker_ext; update content_pools set enabled = false");
    session.wait_until_true(SERVED, BOUND);
    let executor = Executor::on(&db).start();
    wait_until("it listens", BOUND, || {
        executor.health().body.contains("\"listening\":true")
    });
    session.run(
        "set session_replication_role = replica;
         insert into worker_jobs (job_type, parameters) values ('generate_quests', '{\"count\": 1}')",
    );
    session.wait_until_true("select status = 'completed' from worker_jobs", BOUND);
    assert!(executor.stop().success());
}
