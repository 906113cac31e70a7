//! Servers that refuse a part of what they are asked: it is left out, that is told once, and it is tried again.

use super::{at_rest, wait_completed, wait_until_idle, woken};
use crate::steps::{enqueue, enqueue_quests};
use pg_worker_tests::http::Request;
use pg_worker_tests::{Reply, StubLlm};
use serde_json::{Value, json};

const TOLD: &str = "the model server refuses requests in their full form";

fn refusal(parameter: Option<&str>) -> Reply {
    let error = json!({"message": "not supported", "type": "invalid_request_error", "param": parameter, "code": null});
    Reply::Status {
        code: 400,
        headers: Vec::new(),
        body: json!({ "error": error }),
    }
}

fn forms(model: &StubLlm) -> Vec<Value> {
    let chats = model.chats();
    chats
        .iter()
        .map(|chat| chat.body["response_format"]["type"].clone())
        .collect()
}

#[test]
fn one_accidental_refusal_does_not_cost_the_schema_for_ever() {
    let (database, model) = (at_rest(), StubLlm::start());
    let mut session = database.session();
    let executor = woken(&database)
        .model(&model)
        .env("WORKER_MAX_IN_FLIGHT", "1")
        .start();
    wait_until_idle(&executor);
    model.script([refusal(None)]);
    let job = enqueue_quests(&mut session, 5);
    wait_completed(&mut session, job);
    let schema: Value = "json_schema".into();
    assert_eq!(
        forms(&model).iter().rev().take(3).collect::<Vec<_>>(),
        [&schema; 3],
        "{:?}",
        forms(&model)
    );
    let log = executor.log();
    assert_eq!(log.matches(TOLD).count(), 1, "{log}");
    assert_eq!(log.matches("in their full form again").count(), 1, "{log}");
}

/// A server that refuses whatever `unwanted` finds, and names the parameter or does not.
fn refusing(
    unwanted: impl Fn(&Request) -> bool + Send + Sync + 'static,
    parameter: Option<&'static str>,
) -> StubLlm {
    let model = StubLlm::start();
    model.answers(
        move |request| match request.body["max_tokens"] == 1 || !unwanted(request) {
            true => Reply::Good,
            false => refusal(parameter),
        },
    );
    model
}

#[test]
fn seed_and_token_counts_are_left_out_where_they_are_refused() {
    for (name, parameter) in [
        ("seed", Some("seed")),
        ("seed", None),
        ("stream_options", Some("stream_options")),
        ("stream_options", None),
    ] {
        let database = at_rest();
        let mut session = database.session();
        let model = refusing(move |request| request.body.get(name).is_some(), parameter);
        let executor = woken(&database).model(&model).start();
        wait_until_idle(&executor);
        let job = enqueue_quests(&mut session, 2);
        wait_completed(&mut session, job);
        executor.wait_for_log(TOLD);
        let named = parameter.is_some();
        let last = model.chats().pop().expect("a request");
        let kept = last.body["response_format"]["type"] == "json_schema"
            && (!named || last.body.get("min_p").is_some());
        assert!(kept, "{name}: no more is left out than must be: {}", last.body);
    }
}

/// gpt-oss and its like know low, medium and high; and a narrowed schema differs from item to item.
#[test]
fn a_model_that_thinks_is_told_not_to_for_every_kind_as_far_as_the_server_lets_it() {
    let (database, model) = (at_rest(), StubLlm::start());
    let mut session = database.session();
    let executor = woken(&database)
        .model(&model)
        .env("WORKER_MAX_IN_FLIGHT", "1")
        .start();
    wait_until_idle(&executor);
    model.answers(|request| match request.body["reasoning_effort"].as_str() {
        None => Reply::OnlyThoughts,
        Some("low") => Reply::Good,
        Some(_) => refusal(Some("reasoning_effort")),
    });
    let jobs = [
        enqueue(&mut session, "generate_npcs", json!({"count": 3})),
        enqueue(&mut session, "generate_encounters", json!({"count": 3})),
    ];
    for job in jobs {
        wait_completed(&mut session, job);
    }
    let efforts: Vec<Value> = model
        .chats()
        .iter()
        .map(|chat| chat.body["reasoning_effort"].clone())
        .collect();
    let free = efforts.iter().filter(|effort| effort.is_null()).count();
    assert_eq!(
        (free, efforts.iter().filter(|effort| *effort == "low").count()),
        (1, 6),
        "{efforts:?}"
    );
    executor.wait_for_log("it is told not to think");
}
