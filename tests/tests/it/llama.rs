//! A real llama-server with a made model, and the real executor: what the server does, what the
//! executor makes of it, and what stands in the pools afterwards.

mod limits;
mod outage;
mod pools;
mod rules;
mod server;

use crate::steps::{of_job, status};
use pg_worker_tests::executor::Setup;
use pg_worker_tests::wait::wait_for;
use pg_worker_tests::{BOUND, Cluster, Database, Executor, LlamaServer, Session};
use serde_json::{Value, json};
use uuid::Uuid;

/// A request without a schema, for so many tokens whatever the model thinks of it.
fn request(prompt: &str, tokens: u32) -> Value {
    json!({"messages": [{"role": "user", "content": prompt}], "max_tokens": tokens, "ignore_eos": true, "seed": 1})
}

/// With a background worker, and pools as this SQL leaves them before anybody fills them.
fn begun_with(sql: &str) -> Database<'static> {
    let database = Database::empty(Cluster::live());
    // One transaction, so that the worker sees no pool before.
    let created = format!("create extension pg_worker_ext; {sql}");
    database.session().run(&created);
    database
}

/// With pools that nobody fills.
fn at_rest() -> Database<'static> {
    begun_with("update content_pools set enabled = false")
}

/// An executor that asks this server, and that only a notification can wake.
fn asking(server: &LlamaServer, database: &Database) -> Setup {
    Executor::on(database)
        .env("LOCAL_LLM_ENDPOINT", &server.url())
        .env("WORKER_POLL_INTERVAL_MS", "3600000")
}

/// Waits until a job has ended in this way.
#[track_caller]
fn wait_ended(session: &mut Session, job: Uuid, wanted: &str) {
    wait_for(&format!("the job is {wanted}"), 4 * BOUND, || {
        let status = status(session, job);
        let ended = status != "pending" && status != "running";
        let reason = of_job(session, job, "error_message");
        assert!(!ended || status == wanted, "{status}: {reason:?}");
        ended.then_some(())
    });
}

/// The count of a class of rejected answers in a job's result.
#[track_caller]
fn rejected(session: &mut Session, job: Uuid, class: &str) -> i32 {
    let sql = "select coalesce((result -> 'rejected' ->> $2)::int, 0) from worker_jobs where id = $1";
    session.value(sql, &[&job, &class])
}
