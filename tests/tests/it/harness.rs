//! The harness itself: what a killed test process started must not outlive it, and the stub model
//! server must fail in the ways that it is asked to.

use pg_worker_tests::cluster::Stop;
use pg_worker_tests::{BOUND, Cluster, Database, Reply, StubLlm, http, wait_until};
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

#[test]
fn a_killed_test_process_leaves_no_server_and_no_folder() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_scratch"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start the scratch server");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().expect("a line").unwrap();
    let (_url, data) = (next(), PathBuf::from(next()));
    let pid = std::fs::read_to_string(data.join("postmaster.pid"))
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .to_owned();

    child.kill().unwrap();
    child.wait().unwrap();

    wait_until("the server's folder is gone", BOUND, || {
        !data.parent().unwrap().exists()
    });
    let left = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    assert!(
        !left.contains(data.to_str().unwrap()),
        "the server still runs: {left}"
    );
}

#[test]
fn a_cluster_keeps_its_rows_over_a_restart_and_a_crash() {
    let cluster = Cluster::own(&["pg_worker_ext.background_worker = off"]);
    let db = Database::with_extension(&cluster);
    db.session().run("select enqueue_worker_job('generate_quests')");
    cluster.restart(Stop::Fast);
    cluster.restart(Stop::Immediate);
    assert_eq!(db.session().count("worker_jobs"), 1);
}

/// What `initdb` writes is what a stock server runs with, and a panic in it would say where.
#[test]
fn a_stock_server_has_postgresqls_own_settings() {
    let cluster = Cluster::stock(&["pg_worker_ext.background_worker = off"]);
    let db = Database::with_extension(&cluster);
    let mut session = db.session();
    let changed = "select name from pg_settings where boot_val is distinct from reset_val and context <> 'internal'
                      and name in ('max_connections', 'max_worker_processes', 'max_parallel_workers', 'jit',
                                   'shared_buffers', 'statement_timeout', 'synchronous_commit', 'autovacuum')";
    assert_eq!(session.column::<String>(changed, &[]), [""; 0]);
    session.run("create temp table told (line text); copy told from program 'printenv RUST_BACKTRACE'");
    assert_eq!(session.value::<String>("select line from told", &[]), "1");
}

#[test]
fn a_server_can_have_another_locale() {
    let cluster = Cluster::in_locale(
        &["-E", "LATIN1", "--locale=C"],
        &["pg_worker_ext.background_worker = off"],
    );
    let told = "select current_setting('server_encoding') || ' ' || datcollate from pg_database where datname = 'postgres'";
    assert_eq!(cluster.session("postgres").value::<String>(told, &[]), "LATIN1 C");
}

/// One chat request as a client sends it; the whole answer as text.
fn chat(server: &StubLlm, body: &serde_json::Value) -> String {
    let address = server.url().replace("http://", "").replace("/v1", "");
    let mut stream = TcpStream::connect(address).unwrap();
    let body = body.to_string();
    write!(
        stream,
        "POST /v1/chat/completions HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn question(stream: bool) -> serde_json::Value {
    let schema = json!({"type": "object", "properties": {"title": {"const": "The Bell"}}});
    json!({"stream": stream, "response_format": {"type": "json_schema", "json_schema": {"schema": schema}}})
}

#[test]
fn the_stub_streams_an_item_that_fits_the_schema() {
    let server = StubLlm::start();
    let answer = chat(&server, &question(true));
    let text: String = answer
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line.strip_prefix("data: ")?).ok())
        .filter_map(|event| Some(event["choices"][0]["delta"]["content"].as_str()?.to_owned()))
        .collect();
    assert_eq!(text, r#"{"title":"The Bell"}"#);
    assert!(answer.ends_with("data: [DONE]\n\n"), "{answer}");
    assert_eq!(server.chats().len(), 1);
}

#[test]
fn the_stub_follows_its_script_and_then_answers_well() {
    let server = StubLlm::start();
    server.script([
        Reply::too_many(Some("3")),
        Reply::Length,
        Reply::Text("no".into()),
    ]);
    let answers: Vec<String> = (0..4).map(|_| chat(&server, &question(false))).collect();
    assert!(
        answers[0].starts_with("HTTP/1.1 429") && answers[0].contains("Retry-After: 3"),
        "{}",
        answers[0]
    );
    assert!(
        answers[1].contains(r#""finish_reason":"length""#),
        "{}",
        answers[1]
    );
    assert!(answers[2].contains(r#""content":"no""#), "{}", answers[2]);
    assert!(answers[3].contains("The Bell"), "{}", answers[3]);
}

#[test]
fn the_stub_can_be_closed_and_opened_again() {
    let mut server = StubLlm::start();
    let port = server.port();
    server.close();
    assert!(http::get(port, "/v1/models").is_err(), "refused");
    server.reopen();
    assert_eq!(
        http::get(port, "/v1/models").unwrap().json()["data"][0]["id"],
        "stub-model"
    );
    server.always(Reply::loading());
    assert_eq!(http::get(port, "/v1/models").unwrap().status, 503);
    server.recovers();
    assert_eq!(http::get(port, "/v1/models").unwrap().status, 200);
}
