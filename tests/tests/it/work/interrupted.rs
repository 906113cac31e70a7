//! Executors and databases that die, freeze, stop or come back in the middle of a job.

use super::{at_rest, wait_completed, wait_stored, wait_until_idle, woken};
use crate::steps::{enqueue_quests, of_job, status};
use pg_worker_tests::cluster::Stop;
use pg_worker_tests::executor::Setup;
use pg_worker_tests::wait::wait_for;
use pg_worker_tests::{BOUND, Cluster, Database, Executor, Reply, Session, StubLlm};
use std::time::Duration;
use uuid::Uuid;

/// A model that takes its time: about a fifth of a second for an item.
fn slow_model() -> StubLlm {
    let model = StubLlm::start();
    model.answers(|_| Reply::Slow(Duration::from_millis(10)));
    model
}

/// One request at a time, and a lease that ends soon.
fn careful(database: &Database, model: &StubLlm) -> Setup {
    woken(database)
        .model(model)
        .env("WORKER_MAX_IN_FLIGHT", "1")
        .env("WORKER_LEASE_SECONDS", "5")
}

/// Everything that was asked for is there, once.
#[track_caller]
fn exactly(session: &mut Session, job: Uuid, count: i64) {
    assert_eq!(session.count("quest_templates"), count);
    assert_eq!(
        session.count(&format!("worker.items where job_id = '{job}'")),
        count
    );
    let stored = of_job(session, job, "stored").expect("a number");
    assert_eq!(stored, count.to_string());
}

#[test]
fn after_kill_9_another_executor_goes_on_from_the_count_reached() {
    let (database, model) = (at_rest(), slow_model());
    let mut session = database.session();
    // Nobody waits for this lease to end: the executor is seen to die.
    let start = || {
        careful(&database, &model)
            .env("WORKER_LEASE_SECONDS", "3600")
            .start()
    };
    let victim = start();
    let job = enqueue_quests(&mut session, 6);
    wait_stored(&mut session, job, 2);
    victim.kill();
    let _heir = start();
    wait_completed(&mut session, job);
    exactly(&mut session, job, 6);
    assert_eq!(
        of_job(&mut session, job, "attempts").as_deref(),
        Some("1"),
        "not charged"
    );
}

#[test]
fn a_frozen_executor_that_wakes_up_late_changes_nothing() {
    let (database, model) = (at_rest(), slow_model());
    let mut session = database.session();
    let frozen = careful(&database, &model).start();
    let job = enqueue_quests(&mut session, 6);
    wait_stored(&mut session, job, 1);
    frozen.signal(libc::SIGSTOP);
    let heir = careful(&database, &model).start();
    wait_completed(&mut session, job);
    exactly(&mut session, job, 6);
    frozen.signal(libc::SIGCONT);
    frozen.wait_for_log("lease was lost");
    exactly(&mut session, job, 6);
    assert_eq!(status(&mut session, job), "completed");
    drop(heir);
    let next = enqueue_quests(&mut session, 1);
    wait_completed(&mut session, next);
}

#[test]
fn sigterm_finishes_the_item_at_hand_and_gives_the_job_back_uncharged() {
    let (database, model) = (at_rest(), slow_model());
    let mut session = database.session();
    let executor = careful(&database, &model).start();
    let job = enqueue_quests(&mut session, 100);
    wait_stored(&mut session, job, 1);
    assert!(executor.stop().success());
    let row = of_job(
        &mut session,
        job,
        "concat_ws(' ', status, attempts, stored >= 1, lease_expires_at is null, run_at <= now(), error_message)",
    );
    assert_eq!(row.as_deref(), Some("pending 0 t t t the executor was stopped"));
    assert_eq!(session.count("worker_executors"), 0);
}

#[test]
fn sigterm_does_not_wait_for_an_item_longer_than_it_is_told() {
    let (database, model) = (at_rest(), StubLlm::start());
    model.answers(|_| Reply::Hang);
    let mut session = database.session();
    let executor = careful(&database, &model)
        .env("WORKER_SHUTDOWN_SECONDS", "0.5")
        .start();
    wait_until_idle(&executor);
    let job = enqueue_quests(&mut session, 1);
    wait_for("the item is being written", BOUND, || {
        (model.in_flight() == 1).then_some(())
    });
    assert!(executor.stop().success());
    let row = of_job(&mut session, job, "concat_ws(' ', status, attempts)");
    assert_eq!(row.as_deref(), Some("pending 0"));
}

#[test]
fn a_cancelled_job_is_dropped_and_its_slot_is_freed() {
    let (database, model) = (at_rest(), StubLlm::start());
    model.answers(|_| Reply::Stall);
    let mut session = database.session();
    let executor = careful(&database, &model).start();
    let job = enqueue_quests(&mut session, 3);
    wait_for("the item is being written", BOUND, || {
        (model.in_flight() == 1).then_some(())
    });
    session.run(&format!("select cancel_worker_job('{job}')"));
    executor.wait_for_log("cancelled");
    wait_for("the server's slot is free", BOUND, || {
        (model.in_flight() == 0).then_some(())
    });
    assert_eq!(status(&mut session, job), "cancelled");
}

#[test]
fn a_database_that_restarts_costs_nothing() {
    for how in [Stop::Fast, Stop::Immediate] {
        let cluster = Cluster::own(&[]);
        let (database, model) = (Database::empty(&cluster), slow_model());
        let mut session = database.session();
        // One transaction: the background worker sees no pool that it should fill.
        session.run("create extension pg_worker_ext; update content_pools set enabled = false");
        let executor = careful(&database, &model)
            .env("WORKER_LEASE_SECONDS", "60")
            .start();
        let job = enqueue_quests(&mut session, 5);
        wait_stored(&mut session, job, 1);
        cluster.restart(how);
        let mut session = database.session();
        wait_completed(&mut session, job);
        let stored = "select count(*) from worker.items where job_id = $1";
        assert_eq!(session.value::<i64>(stored, &[&job]), 5);
        let next = enqueue_quests(&mut session, 1);
        wait_completed(&mut session, next);
        assert!(executor.stop().success());
    }
}

#[test]
fn terminated_connections_are_made_anew() {
    let (database, model) = (at_rest(), slow_model());
    let mut session = database.session();
    let executor: Executor = careful(&database, &model).start();
    wait_until_idle(&executor);
    let job = enqueue_quests(&mut session, 5);
    for stored in 1..4 {
        wait_stored(&mut session, job, stored);
        session.run(
            "select pg_terminate_backend(pid) from pg_stat_activity
              where application_name = 'pg-worker-executor' and datname = current_database()",
        );
    }
    wait_completed(&mut session, job);
    exactly(&mut session, job, 5);
    wait_until_idle(&executor);
    let next = enqueue_quests(&mut session, 1);
    wait_completed(&mut session, next);
}

#[test]
fn an_executor_that_gets_its_own_job_once_more_drops_what_it_had_begun() {
    let (database, model) = (at_rest(), StubLlm::start());
    model.script([Reply::Stall, Reply::Stall]);
    let mut session = database.session();
    let executor = careful(&database, &model)
        .env("WORKER_MAX_IN_FLIGHT", "2")
        .env("WORKER_LEASE_SECONDS", "3600")
        .env("WORKER_TOKEN_TIMEOUT", "600")
        .start();
    let job = enqueue_quests(&mut session, 3);
    wait_for("both slots are busy", BOUND, || {
        (model.in_flight() == 2).then_some(())
    });
    // As when its session was lost for longer than the grace.
    session.run(&format!(
        "select worker.rescue_from(executor_id, now()) from worker_jobs where id = '{job}'"
    ));
    wait_completed(&mut session, job);
    exactly(&mut session, job, 3);
    executor.wait_for_log("lease was lost");
    assert!(executor.stop().success());
}
