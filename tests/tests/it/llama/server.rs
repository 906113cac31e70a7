//! What a llama-server does, whoever asks: the executor's client is built on this.

use super::request;
use pg_worker_tests::{BOUND, LlamaServer, http, wait_until};
use serde_json::{Value, json};
use std::io::Read;

/// A request that keeps a slot busy for as long as the context lasts.
fn endless(stream: bool) -> Value {
    let mut request = request("Write.", 100_000);
    request["stream"] = stream.into();
    request
}

#[test]
#[ignore = "needs a llama-server: scripts/suites/llama.sh"]
fn while_it_loads_every_path_answers_503() {
    let mut server = LlamaServer::prepare(1, &[]);
    assert_eq!(server.health(), None, "nobody listens yet");
    server.restart_loading();
    // Frozen: what it answers, it answers in the moments in which it runs.
    let asked = server.port();
    let answer = std::thread::spawn(move || http::get(asked, "/v1/models"));
    wait_until("the question is there", BOUND, || server.is_asked());
    while !answer.is_finished() {
        server.crawl();
    }
    let answer = answer.join().expect("no panic").expect("an answer");
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(answer.json()["error"]["message"], "Loading model");
    assert_eq!(answer.json()["error"]["type"], "unavailable_error");
    server.thaw();
    assert_eq!(http::get(asked, "/v1/models").expect("an answer").status, 200);
}

#[test]
#[ignore = "needs a llama-server: scripts/suites/llama.sh"]
fn a_streaming_client_that_goes_away_frees_its_slot() {
    let server = LlamaServer::start(1);
    let mut stream = server.ask(&endless(true));
    let mut first = [0; 64];
    stream.read_exact(&mut first).expect("it begins to answer");
    assert!(
        first.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&first)
    );
    assert_eq!(server.busy_slots(), 1);
    drop(stream);
    wait_until("the slot is free", BOUND, || server.busy_slots() == 0);
    let log = server.log();
    assert!(
        log.contains("cancel task"),
        "ended by the client's going, not by itself:\n{log}"
    );
}

#[test]
#[ignore = "needs a llama-server: scripts/suites/llama.sh"]
fn an_answer_that_reaches_max_tokens_is_200_and_says_length() {
    let server = LlamaServer::start(1);
    let schema = json!({"type": "object", "required": ["title"], "properties": {"title": {"type": "string", "minLength": 60}}});
    let mut request = request("Write.", 4);
    request["response_format"] =
        json!({"type": "json_schema", "json_schema": {"name": "item", "schema": schema}});
    let (status, answer) = server.answer(&request);
    assert_eq!(status, 200);
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    let text = answer["choices"][0]["message"]["content"]
        .as_str()
        .expect("a text");
    assert!(
        text.starts_with('{') && serde_json::from_str::<Value>(text).is_err(),
        "{text}"
    );
}

#[test]
#[ignore = "needs a llama-server: scripts/suites/llama.sh"]
fn a_prompt_that_is_too_long_is_refused_with_the_numbers() {
    let server = LlamaServer::start_with(1, &["-c", "256"]);
    let (status, answer) = server.answer(&request(&"Zz".repeat(4000), 10));
    assert_eq!(status, 400, "{answer}");
    let error = &answer["error"];
    assert_eq!(error["type"], "exceed_context_size_error");
    assert_eq!(error["n_ctx"], 256);
    assert!(error["n_prompt_tokens"].as_u64() > Some(256), "{error}");
}

#[test]
#[ignore = "needs a llama-server: scripts/suites/llama.sh"]
fn whole_numbers_keep_within_their_schema_and_others_do_not() {
    let server = LlamaServer::start(1);
    let number = |kind: &str| json!({"type": kind, "minimum": 3, "maximum": 5});
    let schema = json!({"type": "object", "required": ["level_min", "challenge_rating"], "properties": {
        "level_min": number("integer"), "challenge_rating": number("number")}});
    let mut outside = 0;
    for seed in 0..20 {
        let mut request = request("Write.", 200);
        request["seed"] = seed.into();
        request["ignore_eos"] = false.into();
        request["response_format"] =
            json!({"type": "json_schema", "json_schema": {"name": "item", "schema": schema}});
        let (_, answer) = server.answer(&request);
        let text = answer["choices"][0]["message"]["content"]
            .as_str()
            .expect("a text");
        let item: Value = serde_json::from_str(text).expect("JSON");
        assert!(
            (3..=5).contains(&item["level_min"].as_i64().expect("whole")),
            "{item}"
        );
        let free = item["challenge_rating"].as_f64().expect("a number");
        outside += usize::from(!(3.0..=5.0).contains(&free));
    }
    assert!(outside > 0, "so every answer is checked again on our side");
}
