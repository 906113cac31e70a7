//! Every way in which a model server is known to answer badly: what is counted, who is charged, and that
//! the job gets its item all the same.

use super::{at_rest, wait_completed, wait_until_idle, woken};
use crate::steps::{enqueue_quests, of_job};
use pg_worker_tests::{BOUND, Database, Executor, Reply, Session, StubLlm, wait_until};
use serde_json::{Value, json};
use std::time::Duration;

/// Who is to blame, and so what becomes of the job.
enum Blame {
    /// The answer: counted under this reason, asked again within the same attempt.
    Answer(&'static str),
    /// The host: the job goes back, uncharged, and the host is asked until it is well.
    Host,
    /// Nobody: it is as good as any other answer.
    Nobody,
}

struct Place {
    database: Database<'static>,
    model: StubLlm,
    executor: Executor,
}

/// Bounds so short that silence is noticed soon.
fn place() -> Place {
    let (database, model) = (at_rest(), StubLlm::start());
    let executor = woken(&database)
        .model(&model)
        .env("WORKER_MAX_IN_FLIGHT", "1")
        .env("WORKER_FIRST_TOKEN_TIMEOUT", "0.7")
        .env("WORKER_TOKEN_TIMEOUT", "0.7")
        .start();
    wait_until_idle(&executor);
    Place {
        database,
        model,
        executor,
    }
}

impl Place {
    #[track_caller]
    fn try_out(&self, name: &str, reply: Reply, blame: &Blame) {
        let mut session = self.database.session();
        self.model.script([reply]);
        let pauses = |log: String| log.matches("no jobs are leased until it answers").count();
        let before = pauses(self.executor.log());
        let job = enqueue_quests(&mut session, 1);
        wait_completed(&mut session, job);
        let account = of_job(
            &mut session,
            job,
            "concat_ws(' ', attempts, stored, result -> 'rejected')",
        );
        let counted = match blame {
            Blame::Answer(reason) => json!({ *reason: 1 }),
            Blame::Host | Blame::Nobody => json!({}),
        };
        let account = account.expect("an account");
        let (numbers, rejected) = account.split_once(" {").expect("an account");
        let rejected: Value = serde_json::from_str(&format!("{{{rejected}")).expect("JSON");
        assert_eq!((numbers, rejected), ("1 1", counted), "{name}");
        let paused = pauses(self.executor.log()) > before;
        assert_eq!(
            paused,
            matches!(blame, Blame::Host),
            "{name}: {}",
            self.executor.log()
        );
    }

    fn session(&self) -> Session {
        self.database.session()
    }
}

fn status(code: u16, headers: &[(&str, &str)], body: Value) -> Reply {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Reply::Status {
        code,
        headers: headers.collect(),
        body,
    }
}

#[test]
fn hosts_that_refuse_are_waited_for() {
    let place = place();
    for (name, reply) in [
        ("a wrong key", Reply::status(401, "invalid key")),
        ("too many requests", Reply::too_many(None)),
        ("too many requests, come back", Reply::too_many(Some("1"))),
        ("loading", Reply::loading()),
        ("a proxy without its server", Reply::status(502, "bad gateway")),
    ] {
        place.try_out(name, reply, &Blame::Host);
    }
}

#[test]
fn answers_that_are_no_items_are_asked_for_again() {
    let place = place();
    let wrong_order =
        json!({"title": "A turn for the worse", "description": "x", "level_min": 9, "level_max": 2});
    let page = "<!doctype html>\n<html><body>Welcome</body></html>\n";
    for (name, reply, reason) in [
        ("silence before the first token", Reply::Hang, "timeout"),
        ("silence in the middle", Reply::Stall, "timeout"),
        ("a reset in the middle", Reply::Cut, "empty"),
        (
            "200 with an error",
            status(200, &[], json!({"error": "no model"})),
            "error",
        ),
        (
            "an internal error",
            Reply::status(500, "peg-native format"),
            "error",
        ),
        ("nothing", Reply::Text(String::new()), "empty"),
        ("cut off", Reply::Length, "truncated"),
        ("garbage", Reply::Text("\u{fffd}{{]] \u{0} \\".into()), "not_json"),
        (
            "white space without end",
            Reply::Text(" ".repeat(10 << 20)),
            "not_json",
        ),
        (
            "another shape",
            Reply::Json(json!({"quest": {"title": "x"}})),
            "schema",
        ),
        (
            "an item inside of an object that is not valid",
            Reply::Text("{\"quest\": {\"title\": \"A good one\"}, oops}".into()),
            "not_json",
        ),
        ("levels in the wrong order", Reply::Json(wrong_order), "schema"),
        (
            "the prompt",
            Reply::Text("Write one quest as a JSON object with these keys:".into()),
            "not_json",
        ),
        ("a page", Reply::Page(page.into()), "empty"),
        (
            "a redirect",
            status(302, &[("Location", "/elsewhere")], json!({})),
            "error",
        ),
    ] {
        place.try_out(name, reply, &Blame::Answer(reason));
    }
}

#[test]
fn odd_ways_to_answer_well_are_understood() {
    let place = place();
    place.try_out("everything in the reasoning", Reply::Reasoning, &Blame::Nobody);
    place.try_out(
        "a slow drip",
        Reply::Slow(Duration::from_millis(50)),
        &Blame::Nobody,
    );
}

/// A request that is refused as it stands is the job's trouble: it is charged, and told.
#[test]
fn a_model_that_is_not_there_charges_the_attempt() {
    let place = place();
    let mut session = place.session();
    place
        .model
        .answers(|request| match request.body["max_tokens"].as_i64() {
            Some(1) => Reply::Good,
            _ => Reply::status(404, "model not found"),
        });
    let job = enqueue_quests(&mut session, 1);
    wait_until("the attempt is charged", BOUND, || {
        of_job(&mut session, job, "concat_ws(' ', status, attempts)").as_deref() == Some("pending 1")
    });
    let reason = of_job(&mut session, job, "error_message").expect("a reason");
    assert!(
        reason.contains("404") && reason.contains("model not found"),
        "{reason}"
    );
}

/// A model that has but one idea: what is new is stored once, and the job ends with the reason.
#[test]
fn the_same_title_for_ever_is_stored_once() {
    let place = place();
    let mut session = place.session();
    session.run("alter table worker_jobs alter max_attempts set default 1");
    place.model.answers(|request| {
        let schema = &request.body["response_format"]["json_schema"]["schema"];
        let mut item = pg_worker_tests::stub_llm::fill(schema, 1);
        item["title"] = json!("The Whispering Woods");
        Reply::Json(item)
    });
    let job = enqueue_quests(&mut session, 3);
    session.wait_until_true(
        &format!("select status = 'failed' from worker_jobs where id = '{job}'"),
        BOUND,
    );
    let account = "concat_ws(' ', stored, (result ->> 'duplicates')::int >= 3, error_message)";
    let account = of_job(&mut session, job, account).expect("an account");
    assert!(
        account.starts_with("1 t ") && account.contains("\"The Whispering Woods\""),
        "{account}"
    );
    assert_eq!(session.count("quest_templates"), 1);
}
