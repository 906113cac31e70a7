//! `docs/gpu-owner.md`: an executor that has the rights of one and no more, with a model server.

use super::page::Page;
use super::place::Place;
use pg_worker_tests::{BOUND, Cluster, Database, Executor, StubLlm, paths};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const WITH_A_ROLE: &str = "create role executor login; select worker.grant_executor('executor')";

#[test]
fn the_gpu_owners_page() {
    let cluster = Cluster::own(&[]);
    let database = Database::with_extension(&cluster);
    database.session().run(WITH_A_ROLE);
    let model = StubLlm::start();
    let mut page = Page::open("docs/gpu-owner.md");
    let mut place = Place::new(&database);

    let variables = page.take("shell", "Start");
    let names: Vec<&str> = variables
        .commands()
        .iter()
        .filter_map(|line| line.split('=').next())
        .collect();
    assert_eq!(names, ["DATABASE_URL", "LOCAL_LLM_ENDPOINT"]);
    let (url, endpoint) = (database.url_as("executor"), model.url());
    let variables = [
        ("DATABASE_URL", url.as_str()),
        ("LOCAL_LLM_ENDPOINT", endpoint.as_str()),
    ];

    let report = place.bash_with(&page.bash("Start"), &variables);
    assert!(report.contains("stub-model"), "{report}");
    let preview = place.bash_with(&page.bash("Start"), &variables);
    assert!(preview.contains("\"title\""), "{preview}");
    assert_eq!(
        place.session().count("quest_templates"),
        0,
        "a preview stores nothing"
    );
    place
        .session()
        .run("select enqueue_worker_job('generate_quests', '{\"count\": 2}', 1)");
    place.bash_with(&page.bash("Start"), &variables);
    place
        .session()
        .wait_until_true("select bool_and(status = 'completed') from worker_jobs", BOUND);

    let run = page.bash("Start");
    assert!(run.text.starts_with("pg-worker-executor run "));
    let executor = Executor::on(&database)
        .env("DATABASE_URL", &url)
        .model(&model)
        .start();
    executor.health();
    place.with_health(executor.port());
    retires(&mut page, &place);
    let health: Value = serde_json::from_str(&place.bash(&page.bash("Is it well?"))).expect("JSON");
    assert_eq!(health["llm"], "up", "{health}");
    page.is_over();
    assert!(executor.stop().success());
}

fn retires(page: &mut Page, place: &Place) {
    const BUILTIN: &str = "'{\"generator\": \"builtin\"}'";
    let mut session = place.session();
    session.run(&format!(
        "insert into quest_templates (title, description, provenance) values ('From lists', 'x', {BUILTIN})"
    ));
    let retired: i64 = place
        .sql(&page.sql("The model server"))
        .trim()
        .parse()
        .expect("a number");
    assert!(retired >= 1);
    assert_eq!(
        session.count(&format!(
            "quest_templates where not used and provenance @> {BUILTIN}"
        )),
        0
    );
}

/// The page, `.env.example` and `--help` know the same variables with the same defaults.
#[test]
fn every_variable_is_explained_everywhere() {
    let help = std::process::Command::new(paths::executor())
        .arg("--help")
        .env_clear()
        .output()
        .expect("--help");
    let help = variables_of_help(&String::from_utf8_lossy(&help.stdout));
    let page = Page::open("docs/gpu-owner.md").table("variable");
    let explained: BTreeSet<&str> = page.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(explained, help.keys().map(String::as_str).collect());
    for row in &page {
        if let Some(default) = &help[&row[0]] {
            assert_eq!(&row[1], default, "{}", row[0]);
        }
    }
    let example = paths::read(".env.example");
    let assigned = example
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once('='));
    let assigned: BTreeMap<&str, &str> = assigned.collect();
    for (name, default) in &help {
        let value = assigned
            .get(name.as_str())
            .unwrap_or_else(|| panic!("{name} is not in .env.example"));
        assert!(
            default.as_deref().is_none_or(|default| default == *value),
            "{name}={value}"
        );
    }
    for name in assigned.keys() {
        let ours = name.starts_with("WORKER_") || name.starts_with("LOCAL_LLM_");
        assert!(
            !ours || help.contains_key(*name),
            "{name} is unknown to the executor"
        );
    }
}

/// `[env: NAME]` and `[default: value]` of each option. clap wraps lines anywhere.
fn variables_of_help(help: &str) -> BTreeMap<String, Option<String>> {
    let flat = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let after = |text: &str, key: &str| Some(text.split_once(key)?.1.split(']').next()?.trim().to_owned());
    let options = flat.split(" --").skip(1);
    let variables = options.filter_map(|option| {
        let name = after(option, "[env: ")?;
        Some((name.trim_end_matches('=').to_owned(), after(option, "[default: ")))
    });
    variables.collect()
}
