//! `preview KIND`: the item alone on stdout, the story of it on stderr, and nothing in the database.

use super::{both, ends, fit_to_show, says};
use pg_worker_tests::executor::Setup;
use pg_worker_tests::{Database, Executor, Reply, StubLlm, on_both_installs};
use serde_json::{Value, json};

on_both_installs!(
    every_kind_can_be_shown_without_a_model,
    wrong_kinds_and_parameters_are_refused_with_what_is_allowed,
);

/// `preview` with parameters; the kind follows.
fn with(database: &Database, parameters: &str) -> Setup {
    Executor::on(database)
        .arg("preview")
        .arg("--parameters")
        .arg(parameters)
}

fn plain(database: &Database) -> Setup {
    Executor::on(database).arg("preview")
}

/// stdout as JSON, and stderr, of a preview that succeeds.
#[track_caller]
fn shown(preview: Setup, kind: &str) -> (Value, String) {
    let out = preview.output(kind);
    fit_to_show(&both(&out));
    assert!(out.status.success(), "{kind}: {}", both(&out));
    let item = serde_json::from_slice(&out.stdout).expect("an item as JSON and nothing else");
    (item, String::from_utf8_lossy(&out.stderr).into_owned())
}

#[track_caller]
fn stores_nothing(database: &Database) {
    for table in [
        "worker_jobs",
        "worker.items",
        "quest_templates",
        "npc_personalities",
        "campaign_pois",
    ] {
        assert_eq!(database.session().count(table), 0, "{table}");
    }
}

fn every_kind_can_be_shown_without_a_model(database: &Database) {
    for (kind, field) in [
        ("quest", "title"),
        ("npc", "name"),
        ("encounter", "description"),
        ("dungeon", "rooms"),
    ] {
        let (item, story) = shown(plain(database), kind);
        assert!(!item[field].is_null(), "{item}");
        says(
            &story,
            &[
                "LOCAL_LLM_ENDPOINT is not set",
                "prompt version",
                "builtin",
                "nothing was stored",
            ],
        );
    }
    let poi = with(database, "{\"campaign_seed\": \"abc\"}");
    assert!(shown(poi, "poi").0["name"].is_string());
    stores_nothing(database);
}

fn wrong_kinds_and_parameters_are_refused_with_what_is_allowed(database: &Database) {
    let unknown = ends(plain(database), "queste", 1);
    says(
        &unknown,
        &["queste", "dungeon", "encounter", "npc", "poi", "quest", "22023"],
    );
    says(&ends(plain(database), "poi", 1), &["campaign_seed"]);
    says(
        &ends(with(database, "{\"level_range\": [5, 1]}"), "quest", 1),
        &["level_range", "Allowed"],
    );
    says(
        &ends(with(database, "[1]"), "quest", 2),
        &["--parameters", "object"],
    );
    says(
        &ends(with(database, "{"), "quest", 2),
        &["--parameters", "no JSON"],
    );
    stores_nothing(database);
}

#[test]
fn parameters_are_obeyed() {
    let (item, _) = shown(with(&Database::quiet(), "{\"level_range\": [7, 7]}"), "quest");
    assert_eq!((&item["level_min"], &item["level_max"]), (&json!(7), &json!(7)));
}

#[test]
fn a_model_is_told_why_its_answer_was_rejected() {
    let database = Database::quiet();
    let model = StubLlm::start();
    model.script([
        Reply::Text("I would rather not.".into()),
        Reply::Json(json!({"title": 7})),
    ]);
    let (item, story) = shown(plain(&database).model(&model), "quest");
    assert!(item["title"].is_string(), "{item}");
    says(
        &story,
        &[
            "stub-model",
            "tokens",
            "try 1",
            "try 2",
            "on try 3",
            "no JSON object",
            "required property",
        ],
    );
    let last = model.chats().pop().expect("three requests").body["messages"].to_string();
    says(&last, &["This was rejected because", "required property"]);
    stores_nothing(&database);
}

#[test]
fn when_no_answer_passes_there_is_no_item() {
    let database = Database::quiet();
    let model = StubLlm::start();
    model.answers(|_| Reply::Json(json!({"title": "Only this"})));
    let out = plain(&database).model(&model).output("quest");
    let text = both(&out);
    assert_eq!((out.status.code(), out.stdout.len()), (Some(1), 0), "{text}");
    says(&text, &["3 tries", "required"]);
    assert_eq!(model.chats().len(), 3);
    model.always(Reply::loading());
    says(
        &ends(plain(&database).model(&model), "quest", 1),
        &["Loading model", "model host"],
    );
}
