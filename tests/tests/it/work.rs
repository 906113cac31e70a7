//! The real executor at work on a real server: what wakes it, many of them on one queue, what becomes
//! of a job when something dies, and what the built-in generator writes.

mod answers;
mod content;
mod context;
mod crowd;
mod forms;
mod host;
mod interrupted;
mod models;
mod summary;
mod wake;

use crate::steps::{of_job, status};
use pg_worker_tests::wait::wait_for;
use pg_worker_tests::{BOUND, Cluster, Database, Executor, Session, executor::Setup};
use uuid::Uuid;

/// So long that nothing in a test is found by polling.
const NO_POLLING: &str = "3600000";

/// With a background worker that does nothing of its own accord, because no pool is refilled.
fn at_rest() -> Database<'static> {
    let database = Database::empty(Cluster::live());
    // One transaction, so that the worker never sees an empty pool that it may fill.
    database
        .session()
        .run("create extension pg_worker_ext; update content_pools set enabled = false");
    database
}

/// An executor that only a notification can wake.
fn woken(database: &Database) -> Setup {
    Executor::on(database).env("WORKER_POLL_INTERVAL_MS", NO_POLLING)
}

/// Waits until it hears notifications and has looked at the queue.
#[track_caller]
fn wait_until_idle(executor: &Executor) {
    wait_for("the executor listens and is idle", BOUND, || {
        let health: serde_json::Value = executor.health().json();
        (health["listening"] == true && health["state"] == "idle").then_some(())
    });
}

#[track_caller]
fn wait_completed(session: &mut Session, job: Uuid) {
    wait_for("the job is completed", BOUND, || {
        let status = status(session, job);
        let reason = of_job(session, job, "error_message");
        assert!(
            status != "failed" && status != "cancelled",
            "{status}: {reason:?}"
        );
        (status == "completed").then_some(())
    });
}

/// Waits until a job has stored so many items.
#[track_caller]
fn wait_stored(session: &mut Session, job: Uuid, count: i32) {
    session.wait_until_true(
        &format!("select stored >= {count} from worker_jobs where id = '{job}'"),
        BOUND,
    );
}
