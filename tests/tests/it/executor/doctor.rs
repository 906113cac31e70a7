//! `doctor` where an executor can work: exit code 0, with a warning and a remedy for what could be
//! better.

use super::{KEY, deaf, ends, says};
use pg_worker_tests::executor::Setup;
use pg_worker_tests::{Cluster, Database, Executor, Reply, StubLlm};
use std::time::Duration;

/// What the doctor looks at when nothing stands in its way.
const CHECKS: [&str; 14] = [
    "database",
    "contract",
    "versions",
    "background worker",
    "notification",
    "rights",
    "clock",
    "endpoint",
    "model host",
    "model",
    "sample",
    "batches",
    "pools",
    "queue",
];

/// The lines of a level, as `name  text`.
pub fn lines<'r>(report: &'r str, level: &str) -> Vec<&'r str> {
    let begins = format!("{level:<4}  ");
    report
        .lines()
        .filter_map(|line| line.strip_prefix(&begins))
        .collect()
}

#[track_caller]
pub fn finds(report: &str, level: &str, name: &str, text: &str) {
    let found = lines(report, level)
        .into_iter()
        .any(|line| line.starts_with(&format!("{name} ")) && line.contains(text));
    assert!(found, "no {level} {name} with '{text}' in:\n{report}");
}

/// With an own database address.
pub fn at(url: &str) -> Setup {
    Executor::without_database().env("DATABASE_URL", url)
}

#[test]
fn all_is_well() {
    let database = Database::live();
    let model = StubLlm::start();
    model.answers(|_| Reply::Slow(Duration::from_millis(2)));
    Executor::on(&database).succeeds("once");
    let report = ends(
        Executor::on(&database)
            .model(&model)
            .env("LOCAL_LLM_API_KEY", KEY),
        "doctor",
        0,
    );
    assert!(
        report
            .trim_end()
            .ends_with(&format!("{} ok, 0 warn, 0 fail", CHECKS.len())),
        "{report}"
    );
    CHECKS.iter().for_each(|name| finds(&report, "ok", name, ""));
    finds(&report, "ok", "model", "stub-model");
    finds(&report, "ok", "sample", "tokens");
    finds(&report, "ok", "batches", "10 quest in about");
    finds(&report, "ok", "pools", "quest 20 of 20");
    assert!(!report.contains('→') && !report.contains('\x1b'), "{report}");
    let authorised = model
        .requests()
        .iter()
        .all(|request| request.header("authorization") == Some(&format!("Bearer {KEY}")));
    assert!(authorised);
}

#[test]
fn an_executors_role_is_enough_and_nothing_is_changed() {
    let database = Database::quiet();
    database.session().run("create role doctors_patient login");
    database
        .session()
        .run("select worker.grant_executor('doctors_patient')");
    let report = ends(at(&database.url_as("doctors_patient")), "doctor", 0);
    finds(&report, "ok", "rights", "");
    finds(&report, "warn", "endpoint", "built-in word lists");
    finds(&report, "warn", "pools", "quest 0 of 20");
    for table in [
        "worker_jobs",
        "quest_templates",
        "worker.items",
        "worker.executors",
    ] {
        assert_eq!(database.session().count(table), 0, "{table}");
    }
    database
        .session()
        .run("drop owned by doctors_patient; drop role doctors_patient");
}

#[test]
fn without_background_worker_it_says_why() {
    let quiet = ends(Executor::on(&Database::quiet()), "doctor", 0);
    finds(&quiet, "warn", "background worker", "preloaded");
    let plain = ends(
        Executor::on(&Database::with_extension(Cluster::plain())),
        "doctor",
        0,
    );
    finds(&plain, "warn", "background worker", "not preloaded");
    says(&plain, &["→ shared_preload_libraries = 'pg_worker_ext'"]);
    let sql_only = ends(Executor::on(&Database::sql_only()), "doctor", 0);
    finds(&sql_only, "ok", "background worker", "without library");
}

#[test]
fn a_pooler_that_swallows_notifications_is_a_warning() {
    let database = Database::quiet();
    let report = ends(at(&deaf::through(deaf::swallowing, &database)), "doctor", 0);
    finds(&report, "warn", "notification", "nothing arrives");
    says(&report, &["port 5432"]);
}

#[test]
fn work_that_nobody_does_is_a_warning() {
    let database = Database::quiet();
    let mut session = database.session();
    session.run(
        "select enqueue_worker_job('generate_npcs', '{\"count\": 3}', p_run_at => now() - interval '1 hour')",
    );
    let report = ends(Executor::on(&database), "doctor", 0);
    finds(&report, "warn", "queue", "generate_npcs");
    finds(&report, "warn", "pools", "npc 0 of 30 (+3)");
}
