//! `doctor` where an executor cannot work: exit code 1, what is wrong with a remedy under it, and the
//! checks that do not depend on it still run.

use super::doctor::{at, finds, lines};
use super::{KEY, PASSWORD, contract, ends, says, with_password, with_passwords};
use pg_worker_tests::cluster::{Stop, free_port};
use pg_worker_tests::executor::Setup;
use pg_worker_tests::{Cluster, Database, Executor, Reply, StubLlm};
use serde_json::json;

/// What is broken is the only failure, a remedy stands under it, and the exit code is 1.
#[track_caller]
fn one_failure(setup: Setup, name: &str, text: &str, remedy: &str) -> String {
    let report = ends(setup, "doctor", 1);
    finds(&report, "fail", name, text);
    assert_eq!(lines(&report, "fail").len(), 1, "{report}");
    let below = report
        .lines()
        .skip_while(|line| !line.starts_with("fail"))
        .nth(1)
        .unwrap_or_default();
    assert!(
        below.starts_with("      → ") && below.contains(remedy),
        "'{remedy}' is not in: {below}"
    );
    says(&report, &[" 1 fail"]);
    report
}

#[test]
fn an_address_that_leads_nowhere() {
    let missing = one_failure(
        Executor::without_database(),
        "database",
        "DATABASE_URL: it is missing",
        "DATABASE_URL",
    );
    finds(&missing, "warn", "endpoint", "");
    let malformed = format!("postgres://keeper:{PASSWORD}@127.0.0.1:port/game");
    one_failure(at(&malformed), "database", "DATABASE_URL", "DATABASE_URL");
    let nobody = format!("postgres://keeper:{PASSWORD}@127.0.0.1:{}/game", free_port());
    one_failure(at(&nobody), "database", "refused", "listen_addresses");
    let nowhere = format!("postgres://keeper:{PASSWORD}@no-such-host.invalid/game");
    one_failure(at(&nowhere), "database", "no-such-host.invalid", "spelt");
    let roots = "postgres://keeper@127.0.0.1/game?sslmode=verify-full&sslrootcert=/nowhere/ca.pem";
    one_failure(at(roots), "database", "/nowhere/ca.pem", "sslrootcert");
    let other = Cluster::quiet().url("postgres", "no_such_database");
    one_failure(at(&other), "database", "no_such_database", "after the last /");
}

#[test]
fn a_server_that_is_down_or_wants_another_password() {
    let cluster = Cluster::own(&[]);
    let database = Database::with_extension(&cluster);
    with_passwords(&cluster, &database);
    let right = ends(at(&with_password(&database, "keeper", PASSWORD)), "doctor", 0);
    finds(&right, "ok", "rights", "");
    let wrong = with_password(&database, "keeper", "a-wrong-guess");
    let report = one_failure(
        at(&wrong),
        "database",
        "password authentication failed",
        "p@ss is p%40ss",
    );
    assert!(!report.contains("a-wrong-guess"), "{report}");
    one_failure(at(&database.url_as("keeper")), "database", "password", "has none");
    cluster.stop_server(Stop::Fast);
    one_failure(
        at(&with_password(&database, "keeper", PASSWORD)),
        "database",
        "refused",
        "does the server run",
    );
}

#[test]
fn what_is_installed_there_does_not_fit() {
    let empty = Database::empty(Cluster::quiet());
    let report = one_failure(
        Executor::on(&empty),
        "schema worker",
        "not in this database",
        "CREATE EXTENSION pg_worker_ext",
    );
    finds(&report, "ok", "notification", "");
    assert!(
        !report.contains("sample"),
        "what needs schema worker is left out: {report}"
    );

    for (version, remedy) in [
        (99, "update this program"),
        (0, "ALTER EXTENSION pg_worker_ext UPDATE"),
    ] {
        let database = Database::quiet();
        database.session().run(&contract(version));
        one_failure(
            Executor::on(&database),
            "contract",
            &format!("version {version}"),
            remedy,
        );
    }

    let database = Database::quiet();
    database.session().run("drop table worker.pool_trouble cascade");
    one_failure(
        Executor::on(&database),
        "versions",
        "worker.pool_trouble",
        "SELECT worker.setup()",
    );
}

#[test]
fn rights_and_modes_that_an_executor_cannot_work_with() {
    let database = Database::quiet();
    let mut session = database.session();
    session.run("create role half_granted login");
    let patient = || at(&database.url_as("half_granted"));
    one_failure(
        patient(),
        "schema worker",
        "permission denied",
        "worker.grant_executor('half_granted')",
    );
    session.run("select worker.grant_executor('half_granted')");
    session.run("revoke execute on function worker.store_item from half_granted");
    let report = one_failure(
        patient(),
        "rights",
        "worker.store_item(",
        "worker.grant_executor('half_granted')",
    );
    finds(&report, "ok", "clock", "");
    session.run("select worker.grant_executor('half_granted')");
    session.run("alter role half_granted set default_transaction_isolation = 'repeatable read'");
    one_failure(patient(), "rights", "repeatable read", "read committed");
    session.run("alter role half_granted set default_transaction_read_only = on");
    one_failure(patient(), "database", "read-only", "primary");
    session.run("drop owned by half_granted; drop role half_granted");
}

#[test]
fn a_model_host_that_cannot_be_used() {
    let database = Database::quiet();
    let doctor = |endpoint: &str| {
        Executor::on(&database)
            .env("LOCAL_LLM_ENDPOINT", endpoint)
            .env("LOCAL_LLM_API_KEY", KEY)
    };
    one_failure(
        doctor("localhost:1234"),
        "endpoint",
        "LOCAL_LLM_ENDPOINT",
        "http://",
    );
    let refused = format!("http://127.0.0.1:{}/v1", free_port());
    let report = one_failure(doctor(&refused), "model host", "refused", "0.0.0.0");
    assert!(
        lines(&report, "warn")
            .iter()
            .any(|line| line.starts_with("pools")),
        "the others still run: {report}"
    );

    let model = StubLlm::start();
    for (status, remedy) in [
        (404, "/v1"),
        (401, "LOCAL_LLM_API_KEY"),
        (503, "wait"),
        (500, "logs"),
    ] {
        // A server may well repeat the key that it does not like.
        model.always(Reply::status(status, &format!("not with {KEY}")));
        one_failure(doctor(&model.url()), "model host", &status.to_string(), remedy);
    }
}

#[test]
fn a_model_that_writes_nothing_usable() {
    let database = Database::quiet();
    let model = StubLlm::start();
    let doctor = || Executor::on(&database).model(&model);
    for (reply, text, remedy) in [
        (
            Reply::Text("As a language model I cannot.".into()),
            "no JSON object",
            "JSON Schema",
        ),
        (
            Reply::Json(json!({"title": 7})),
            "required property",
            "JSON Schema",
        ),
        (Reply::Length, "cut off", "max_tokens"),
    ] {
        model.answers(move |_| reply.clone());
        let report = one_failure(doctor(), "sample", text, remedy);
        finds(&report, "ok", "model host", "");
    }
    model.answers(|_| Reply::Good);
    model.script([Reply::Text("no".into())]);
    let late = ends(doctor(), "doctor", 0);
    finds(&late, "warn", "sample", "1 before it did not");
    let other = ends(doctor().env("LOCAL_LLM_MODEL", "no-such-model"), "doctor", 0);
    finds(&other, "warn", "model", "stub-model");
}
