//! Settings that are missing or wrong: said in one line with what is allowed, by the command line
//! itself with exit code 2, by a command with exit code 1.

use super::{PASSWORD, both, contract, ends, fit_to_show, says};
use pg_worker_tests::cluster::free_port;
use pg_worker_tests::{Database, Executor};
use std::net::TcpListener;

/// `run` ends with code 1 and one line, before it has done anything.
#[track_caller]
fn one_line(name: &str, value: Option<&str>, parts: &[&str]) {
    let setup = Executor::without_database().env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/x");
    let setup = match value {
        Some(value) => setup.env(name, value),
        None => Executor::without_database(),
    };
    let out = setup.output("run");
    let text = both(&out);
    assert_eq!(out.status.code(), Some(1), "{name}: {text}");
    assert_eq!(text.lines().count(), 1, "{name}: {text}");
    fit_to_show(&text);
    says(&text, &[name, "pg-worker-executor: "]);
    says(&text, parts);
}

#[test]
fn a_database_url_that_is_missing_or_malformed() {
    one_line("DATABASE_URL", None, &["it is missing", "--database-url"]);
    for value in [
        "",
        "game",
        &format!("mysql://keeper:{PASSWORD}@host/game"),
        &format!("postgres://keeper:{PASSWORD}@host:port/game"),
        &format!("postgres://keeper:{PASSWORD}@host/game?sslmode=perhaps"),
        &format!("host=here password='{PASSWORD}"),
    ] {
        one_line("DATABASE_URL", Some(value), &["Allowed is"]);
    }
}

#[test]
fn an_endpoint_that_is_no_url() {
    let with_password = format!("//keeper:{PASSWORD}@host:1234");
    for value in ["localhost:1234", "not a url", "ftp://host/v1", &with_password] {
        one_line("LOCAL_LLM_ENDPOINT", Some(value), &["http://", "/v1"]);
    }
}

#[test]
fn a_password_in_the_wrong_place_is_not_repeated() {
    let url = format!("postgres://keeper:{PASSWORD}@host/game");
    fit_to_show(&ends(Executor::without_database().arg(&url), "run", 2));
    fit_to_show(&ends(
        Executor::without_database().env("WORKER_PORT", &url),
        "run",
        2,
    ));
}

#[test]
fn a_variable_left_empty_is_not_set() {
    let database = Database::quiet();
    let empty = Executor::on(&database)
        .env("LOCAL_LLM_ENDPOINT", "")
        .env("LOCAL_LLM_API_KEY", "");
    says(&ends(empty, "once", 0), &["LOCAL_LLM_ENDPOINT is not set"]);
}

#[test]
fn a_log_filter_that_is_none() {
    one_line("WORKER_LOG", Some("info,=,,x=y=z"), &["debug"]);
}

/// Refused by the command line: code 2, the variable, what was given and what is allowed.
#[test]
fn numbers_out_of_range() {
    for (name, flag, value, allowed) in [
        ("WORKER_PORT", "--port", "0", "1 to 65535"),
        ("WORKER_PORT", "--port", "70000", "1 to 65535"),
        ("WORKER_PORT", "--port", "http", "1 to 65535"),
        (
            "WORKER_POLL_INTERVAL_MS",
            "--poll-interval-ms",
            "0",
            "100 to 86400000",
        ),
        (
            "WORKER_POLL_INTERVAL_MS",
            "--poll-interval-ms",
            "abc",
            "100 to 86400000",
        ),
        ("WORKER_LEASE_SECONDS", "--lease-seconds", "1", "5 to 3600"),
        ("WORKER_MAX_IN_FLIGHT", "--max-in-flight", "0", "1 to 256"),
        ("WORKER_LOG_FORMAT", "--log-format", "xml", "text, json"),
        ("WORKER_BIND", "--bind", "localhost", "IP address"),
    ] {
        let by_variable = ends(Executor::without_database().env(name, value), "run", 2);
        says(&by_variable, &[flag, value, allowed]);
        let by_flag = ends(
            Executor::without_database().arg(&format!("{flag}={value}")),
            "run",
            2,
        );
        says(&by_flag, &[flag, value, allowed]);
    }
}

/// Each is allowed, and together they would lose leases.
#[test]
fn a_database_timeout_beyond_a_third_of_the_lease() {
    let parts = ["11", "WORKER_LEASE_SECONDS", "30", "10"];
    one_line("WORKER_DATABASE_TIMEOUT", Some("11"), &parts);
    let database = Database::quiet();
    let just_so = Executor::on(&database)
        .env("WORKER_DATABASE_TIMEOUT", "11")
        .env("WORKER_LEASE_SECONDS", "33");
    ends(just_so, "once", 0);
}

/// Kubernetes sets these in every pod where a service is named worker.
#[test]
fn a_port_that_is_kubernetes_name_of_a_service() {
    let database = Database::quiet();
    let setup = Executor::on(&database)
        .env("WORKER_PORT", "tcp://10.0.0.1:3002")
        .env("WORKER_SERVICE_HOST", "10.0.0.1")
        .env("WORKER_SERVICE_PORT", "3002")
        .env("WORKER_PORT_3002_TCP", "tcp://10.0.0.1:3002")
        .env("WORKER_PORT_3002_TCP_ADDR", "10.0.0.1");
    let text = ends(setup, "once", 0);
    says(
        &text,
        &["WORKER_PORT", "tcp://10.0.0.1:3002", "Kubernetes", "3002"],
    );
    assert!(!text.contains("WORKER_SERVICE_HOST"), "{text}");
    for odd in ["tcp://10.0.0.1", "tcp://worker:3002", "http://10.0.0.1:3002"] {
        let text = ends(Executor::without_database().env("WORKER_PORT", odd), "run", 2);
        says(&text, &["--port", "1 to 65535"]);
    }
}

#[test]
fn called_wrongly() {
    says(&ends(Executor::without_database(), "rum", 2), &["rum", "run"]);
    says(&ends(Executor::without_database(), "preview", 2), &["KIND"]);
    says(
        &ends(Executor::without_database().arg("--prot=3"), "run", 2),
        &["--prot", "--port"],
    );
    says(
        &ends(Executor::without_database(), "--help", 0),
        &["doctor", "preview", "LOCAL_LLM_ENDPOINT"],
    );
}

#[test]
fn a_misspelt_variable_is_reported_with_the_nearest_name() {
    let setup = Executor::without_database()
        .env("WORKER_POLL_INTERVALL_MS", "5")
        .env("LOCAL_LLM_XYZZY", "5");
    let text = ends(setup, "doctor", 1);
    says(
        &text,
        &[
            "WORKER_POLL_INTERVALL_MS",
            "did you mean WORKER_POLL_INTERVAL_MS?",
            "LOCAL_LLM_XYZZY",
            "--help",
        ],
    );
}

#[test]
fn a_port_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port().to_string();
    let setup = Executor::on(&Database::quiet())
        .env("WORKER_PORT", &port)
        .env("WORKER_BIND", "127.0.0.1");
    let text = ends(setup, "run", 1);
    assert_eq!(text.lines().count(), 1, "{text}");
    says(&text, &[&port, "WORKER_PORT"]);
}

#[test]
fn a_contract_that_does_not_fit_ends_the_program() {
    let database = Database::quiet();
    database.session().run(&contract(99));
    for command in ["run", "once"] {
        let text = ends(Executor::on(&database), command, 1);
        let last = text
            .lines()
            .filter(|line| line.starts_with("pg-worker-executor: "))
            .collect::<Vec<_>>();
        assert_eq!(last.len(), 1, "{text}");
        says(last[0], &["99", "update"]);
    }
}

#[test]
fn healthcheck_without_an_executor_says_so() {
    let port = free_port().to_string();
    let text = ends(
        Executor::without_database().env("WORKER_PORT", &port),
        "healthcheck",
        1,
    );
    says(&text, &["no answer", &port]);
}
