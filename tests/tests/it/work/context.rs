//! A context that is full: of what other requests put into it, of a correction, or of the job itself.

use super::{at_rest, wait_completed, wait_until_idle, woken};
use crate::steps::{enqueue_quests, of_job};
use pg_worker_tests::{BOUND, Reply, StubLlm};
use serde_json::{Value, json};

fn too_long() -> Reply {
    let error = json!({"message": "request (4097 tokens) exceeds the available context size (4096 tokens)",
                       "type": "exceed_context_size_error", "code": 400, "n_prompt_tokens": 4097, "n_ctx": 4096});
    Reply::Status {
        code: 400,
        headers: Vec::new(),
        body: json!({ "error": error }),
    }
}

/// LM Studio and llama-server with one cache for all: everybody in flight hears that the context is full.
#[test]
fn a_full_cache_shrinks_the_limit_and_charges_nobody() {
    for reply in [
        Reply::status(400, "Context size has been exceeded."),
        Reply::status(500, "Context size has been exceeded."),
        Reply::Status {
            code: 200,
            headers: Vec::new(),
            body: json!({"error": "Context size has been exceeded."}),
        },
        too_long(),
    ] {
        let (database, model) = (at_rest(), StubLlm::start());
        let mut session = database.session();
        model.holds_together(2, reply);
        let executor = woken(&database)
            .model(&model)
            .env("WORKER_MAX_IN_FLIGHT", "6")
            .start();
        wait_until_idle(&executor);
        let job = enqueue_quests(&mut session, 6);
        wait_completed(&mut session, job);
        let account = of_job(
            &mut session,
            job,
            "concat_ws(' ', attempts, stored, result -> 'rejected')",
        );
        assert_eq!(account.as_deref(), Some("1 6 {}"), "{}", executor.log());
        executor.wait_for_log("at once");
    }
}

/// The same with the settings that ship: the server says that it has four slots, and not that they share.
#[test]
fn a_server_that_promises_more_slots_than_its_context_holds_is_found_out() {
    let (database, model) = (at_rest(), StubLlm::start());
    let mut session = database.session();
    model.lists(json!({"data": [{"id": "stub-model", "owned_by": "llamacpp"}]}));
    let settings = json!({"n_ctx": 4096});
    model.serves(
        "/props",
        json!({"total_slots": 4, "default_generation_settings": settings}),
    );
    model.holds_together(2, Reply::status(500, "Context size has been exceeded."));
    let executor = woken(&database).model(&model).start();
    wait_until_idle(&executor);
    let job = enqueue_quests(&mut session, 12);
    wait_completed(&mut session, job);
    assert_eq!(of_job(&mut session, job, "attempts").as_deref(), Some("1"));
}

/// What LM Studio tells of its context bounds what is in flight from the beginning.
#[test]
fn what_shares_a_context_is_in_flight_only_as_far_as_it_fits() {
    let (database, model) = (at_rest(), StubLlm::start());
    let mut session = database.session();
    let loaded = json!({"id": "stub-model", "type": "llm", "state": "loaded", "loaded_context_length": 4096});
    model.serves("/api/v0/models", json!({"data": [loaded]}));
    model.answers(|_| Reply::Slow(std::time::Duration::from_millis(30)));
    let executor = woken(&database)
        .model(&model)
        .env("WORKER_MAX_IN_FLIGHT", "16")
        .start();
    wait_until_idle(&executor);
    let job = enqueue_quests(&mut session, 9);
    wait_completed(&mut session, job);
    // A quest has 900 tokens for its answer and a prompt of some hundred.
    let most = model.most_in_flight();
    assert!((2..=3).contains(&most), "{most} in flight");
}

#[test]
fn what_is_too_long_may_be_the_correction_and_not_the_job() {
    let (database, model) = (at_rest(), StubLlm::start());
    let mut session = database.session();
    let executor = woken(&database)
        .model(&model)
        .env("WORKER_MAX_IN_FLIGHT", "1")
        .start();
    wait_until_idle(&executor);
    model.script([Reply::Json(json!({"title": "A title and no more"}))]);
    model.answers(
        |request| match request.body["messages"].as_array().map_or(0, Vec::len) {
            0..=2 => Reply::Good,
            _ => too_long(),
        },
    );
    let job = enqueue_quests(&mut session, 2);
    wait_completed(&mut session, job);
    assert_eq!(
        of_job(&mut session, job, "concat_ws(' ', attempts, stored)").as_deref(),
        Some("1 2")
    );
}

/// An answer of some thousand characters is told of, and not put into the prompt again.
#[test]
fn a_long_answer_is_not_quoted_to_its_author() {
    let (database, model) = (at_rest(), StubLlm::start());
    let mut session = database.session();
    let executor = woken(&database).model(&model).start();
    wait_until_idle(&executor);
    let long = json!({"title": "x".repeat(5000)});
    model.script([Reply::Json(long)]);
    let job = enqueue_quests(&mut session, 1);
    wait_completed(&mut session, job);
    let sizes: Vec<usize> = model
        .chats()
        .iter()
        .map(|chat| chat.body["messages"].to_string().len())
        .collect();
    assert!(sizes[1] < sizes[0] + 1500, "{sizes:?}");
    let told = model.chats()[1].body["messages"].to_string();
    assert!(told.contains("was rejected because"), "{told}");
}

/// Alone, counted and refused by the server: no other try will fit either.
#[test]
fn a_job_that_is_too_long_by_itself_fails_with_the_reason() {
    let (database, model) = (at_rest(), StubLlm::start());
    let mut session = database.session();
    let executor = woken(&database).model(&model).start();
    wait_until_idle(&executor);
    model.answers(|_| too_long());
    let job = enqueue_quests(&mut session, 1);
    session.wait_until_true(
        &format!("select status = 'failed' and attempts = 1 from worker_jobs where id = '{job}'"),
        BOUND,
    );
    let reason = of_job(&mut session, job, "error_message").expect("a reason");
    assert!(
        reason.contains("context is too small") && reason.contains("4097"),
        "{reason}"
    );
}

/// The facts of an item, as its prompt has them.
fn brief(model: &StubLlm, chat: usize) -> Value {
    let messages = model.chats()[chat].body["messages"].clone();
    json!([messages[0], messages[1]])
}

#[test]
fn a_correction_goes_with_the_brief_that_it_corrects_and_a_duplicate_gets_another_one() {
    let (database, model) = (at_rest(), StubLlm::start());
    let mut session = database.session();
    let executor = woken(&database)
        .model(&model)
        .env("WORKER_MAX_IN_FLIGHT", "1")
        .start();
    wait_until_idle(&executor);
    model.script([Reply::Json(json!({"title": "A title and no more"})), Reply::Good]);
    let job = enqueue_quests(&mut session, 1);
    wait_completed(&mut session, job);
    assert_eq!(brief(&model, 0), brief(&model, 1));
    assert_ne!(model.chats()[0].body["seed"], model.chats()[1].body["seed"]);
    let facets =
        "select string_agg(f.value, ' ') from quest_templates, jsonb_each_text(provenance -> 'facets') f";
    let facets: String = session.value(facets, &[]);
    let prompt = brief(&model, 1).to_string();
    assert!(
        facets.split_whitespace().all(|word| prompt.contains(word)),
        "{facets} is not in {prompt}"
    );

    let title: String = session.value("select title from quest_templates", &[]);
    model.answers(move |request| {
        let schema = &request.body["response_format"]["json_schema"]["schema"];
        let mut item = pg_worker_tests::stub_llm::fill(schema, 77);
        if request.body["messages"]
            .as_array()
            .is_some_and(|messages| messages.len() > 2)
        {
            return Reply::status(500, "a duplicate is not to be corrected");
        }
        item["title"] = json!(title);
        Reply::Json(item)
    });
    let before = model.chats().len();
    let job = enqueue_quests(&mut session, 1);
    session.wait_until_true(
        &format!("select (progress ->> 'duplicates')::int >= 2 from worker_jobs where id = '{job}'"),
        BOUND,
    );
    assert_ne!(brief(&model, before), brief(&model, before + 1));
}
