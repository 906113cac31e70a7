//! `run` where something else is broken: it stays, says why, and works when the cause is gone.
//! `/health` is 503 only while the executor itself cannot work.

use super::deaf;
use super::{KEY, PASSWORD, ends, fit_to_show, says, with_password, with_passwords};
use pg_worker_tests::cluster::{Stop, free_port};
use pg_worker_tests::executor::Setup;
use pg_worker_tests::{BOUND, Cluster, Database, Executor, Reply, StubLlm, wait_until};
use serde_json::Value;

/// Two polls are two seconds at least.
const POLL: &str = "500";

fn at(url: &str) -> Setup {
    Executor::without_database()
        .env("DATABASE_URL", url)
        .env("WORKER_POLL_INTERVAL_MS", POLL)
}

/// Waits for a status of `/health`, and gives its body.
#[track_caller]
fn becomes(executor: &Executor, status: u16) -> Value {
    executor.health();
    wait_until(
        &format!("status {status} of /health; log:\n{}", executor.log()),
        BOUND,
        || {
            executor
                .get("/health")
                .is_ok_and(|answer| answer.status == status)
        },
    );
    let answer = executor.get("/health").expect("an answer");
    fit_to_show(&answer.body);
    answer.json()
}

#[track_caller]
fn ends_well(executor: Executor, parts: &[&str]) {
    let log = executor.log();
    fit_to_show(&log);
    says(&log, parts);
    assert!(executor.stop().success(), "{log}");
}

#[test]
fn a_connection_that_ends_while_it_is_tried_is_not_taken_for_a_deaf_one() {
    let database = Database::quiet();
    let executor = at(&deaf::through(deaf::cutting_once, &database)).start();
    wait_until("it listens at the second try", BOUND, || {
        executor.health().json()["listening"] == true
    });
    let log = executor.log();
    assert!(!log.contains("notifications do not arrive"), "{log}");
}

#[test]
fn an_executor_that_turns_deaf_notices() {
    let database = Database::quiet();
    let executor = at(&deaf::through(deaf::deaf_after_one, &database)).start();
    executor.wait_for_log("notifications do not arrive");
    wait_until("it says so", BOUND, || {
        executor.health().json()["listening"] == false
    });
}

#[test]
fn a_server_that_is_down_at_the_start_is_waited_for() {
    let cluster = Cluster::own(&[]);
    let database = Database::with_extension(&cluster);
    cluster.stop_server(Stop::Fast);
    let executor = at(&database.url()).start();
    let broken = becomes(&executor, 503);
    assert_eq!(broken["status"], "error", "{broken}");
    says(&broken["lastRunError"].to_string(), &["refused"]);
    cluster.start_server();
    becomes(&executor, 200);
    database
        .session()
        .run("select enqueue_worker_job('generate_quests', '{\"count\": 1}', 1)");
    let done = "select count(*) > 0 from worker_jobs where priority = 1 and status = 'completed'";
    database.session().wait_until_true(done, BOUND);
    ends_well(executor, &["refused"]);
}

#[test]
fn an_extension_that_is_absent_is_waited_for() {
    let database = Database::empty(Cluster::quiet());
    let executor = at(&database.url()).start();
    let broken = becomes(&executor, 503);
    says(
        &broken["lastRunError"].to_string(),
        &["CREATE EXTENSION pg_worker_ext"],
    );
    database.session().run("create extension pg_worker_ext");
    becomes(&executor, 200);
    ends_well(executor, &["CREATE EXTENSION pg_worker_ext"]);
}

#[test]
fn a_wrong_password_is_told_and_not_shown() {
    let cluster = Cluster::own(&[]);
    let database = Database::with_extension(&cluster);
    with_passwords(&cluster, &database);
    let wrong = format!("{PASSWORD}-or-not");
    let executor = at(&with_password(&database, "keeper", &wrong)).start();
    becomes(&executor, 503);
    ends_well(executor, &["password authentication failed"]);
    let executor = at(&with_password(&database, "keeper", PASSWORD)).start();
    becomes(&executor, 200);
    ends_well(executor, &["starting"]);
}

#[test]
fn a_model_host_that_is_off_is_no_error_of_the_executor() {
    let database = Database::quiet();
    let model = StubLlm::start();
    model.always(Reply::status(404, &format!("not found, {KEY}")));
    let refused = format!("http://127.0.0.1:{}/v1", free_port());
    for (endpoint, reason) in [(refused, "refused"), (model.url(), "404")] {
        let executor = at(&database.url())
            .env("LOCAL_LLM_ENDPOINT", &endpoint)
            .env("LOCAL_LLM_API_KEY", KEY)
            .start();
        executor.wait_for_log(reason);
        // It is logged before it is shown.
        wait_until("the reason is shown", BOUND, || {
            executor.health().json()["reason"].is_string()
        });
        let health = becomes(&executor, 200);
        assert_eq!(health["llm"], "down", "{health}");
        says(&health["reason"].to_string(), &[reason]);
        ends_well(executor, &[reason]);
    }
}

#[test]
fn once_ends_with_the_reason_instead_of_waiting() {
    let nobody = format!("postgres://keeper:{PASSWORD}@127.0.0.1:{}/game", free_port());
    says(&ends(at(&nobody), "once", 1), &["refused"]);
    let empty = Database::empty(Cluster::quiet());
    says(
        &ends(at(&empty.url()), "once", 1),
        &["CREATE EXTENSION pg_worker_ext"],
    );
    let refused = format!("http://127.0.0.1:{}/v1", free_port());
    let database = Database::quiet();
    let text = ends(at(&database.url()).env("LOCAL_LLM_ENDPOINT", &refused), "once", 1);
    says(&text, &["no connection", "refused"]);
}

#[test]
fn what_stands_before_the_address_of_the_model_is_sent_as_a_header_and_shown_to_nobody() {
    let database = Database::quiet();
    for (before, header) in [
        (KEY.to_owned(), format!("Bearer {KEY}")),
        (format!("keeper:{PASSWORD}"), "Basic ".to_owned()),
    ] {
        let model = StubLlm::start();
        let endpoint = model.url().replace("://", &format!("://{before}@"));
        let executor = at(&database.url()).env("LOCAL_LLM_ENDPOINT", &endpoint).start();
        wait_until("the model host was asked", BOUND, || !model.requests().is_empty());
        let sent = model.requests()[0].header("authorization").map(ToOwned::to_owned);
        assert!(
            sent.as_deref().is_some_and(|sent| sent.starts_with(&header)),
            "{sent:?}"
        );
        model.always(Reply::Close);
        executor.wait_for_log("no jobs are leased");
        becomes(&executor, 200);
        ends_well(executor, &["a model writes"]);
    }
}

#[test]
fn a_password_that_is_a_word_masks_no_other_word() {
    let database = Database::quiet();
    let executor = at(&with_password(&database, "postgres", "postgres")).start();
    becomes(&executor, 200);
    let log = executor.log();
    assert!(log.contains("postgres") && !log.contains("***"), "{log}");
}
