//! Several models on one host: the trouble of one is no other's, and a model that was swapped is not asked
//! for any more.

use super::{at_rest, wait_completed, wait_until_idle, woken};
use crate::steps::{enqueue, enqueue_quests, of_job, status};
use pg_worker_tests::wait::wait_for;
use pg_worker_tests::{BOUND, Executor, Reply, Session, StubLlm, wait_until};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Both kinds of requests: for items, and for a sign that the model writes.
fn asked_for(model: &StubLlm, name: &str) -> usize {
    model
        .chats()
        .iter()
        .filter(|chat| chat.body["model"] == name)
        .count()
}

/// A server with a model that has trouble while the switch is on.
fn with_trouble_of(name: &'static str) -> (StubLlm, Arc<AtomicBool>) {
    let (model, trouble) = (StubLlm::start(), Arc::new(AtomicBool::new(true)));
    let switch = Arc::clone(&trouble);
    model.answers(move |request| {
        if request.body["model"] == name && switch.load(Ordering::SeqCst) {
            Reply::too_many(None)
        } else {
            Reply::Good
        }
    });
    (model, trouble)
}

fn enqueue_npcs(session: &mut Session, count: i32) -> uuid::Uuid {
    enqueue(session, "generate_npcs", json!({ "count": count }))
}

#[test]
fn a_kinds_own_model_that_is_busy_stops_nobody_else() {
    let database = at_rest();
    let (model, trouble) = with_trouble_of("own-model");
    let mut session = database.session();
    session.run("update content_pools set model = 'own-model' where kind = 'npc'");
    let executor = woken(&database).model(&model).start();
    wait_until_idle(&executor);
    let npcs = enqueue_npcs(&mut session, 2);
    executor.wait_for_log("wait until it answers");
    wait_until("it is given back", BOUND, || {
        status(&mut session, npcs) == "pending"
    });
    let quests = enqueue_quests(&mut session, 3);
    wait_completed(&mut session, quests);
    let health: Value = executor.health().json();
    assert_eq!(
        (&health["llm"], &health["breaker"]),
        (&"up".into(), &"closed".into())
    );
    assert_eq!(of_job(&mut session, npcs, "attempts").as_deref(), Some("0"));
    // What is in question is asked for a word, and nobody else.
    let probes = |name: &str| {
        let words = model
            .chats()
            .into_iter()
            .filter(|chat| chat.body["max_tokens"] == 1);
        words.filter(|chat| chat.body["model"] == name).count()
    };
    wait_until("its model is asked again", BOUND, || probes("own-model") > 0);
    assert_eq!(probes("stub-model"), 0);
    trouble.store(false, Ordering::SeqCst);
    wait_completed(&mut session, npcs);
    assert_eq!(of_job(&mut session, npcs, "attempts").as_deref(), Some("1"));
    assert!(
        !executor.log().contains("no jobs are leased"),
        "{}",
        executor.log()
    );
}

#[test]
fn a_usual_model_that_is_busy_does_not_stop_a_kinds_own() {
    let database = at_rest();
    let (model, trouble) = with_trouble_of("stub-model");
    let mut session = database.session();
    session.run("update content_pools set model = 'own-model' where kind = 'npc'");
    let executor = woken(&database).model(&model).start();
    wait_until_idle(&executor);
    wait_completed_of(&mut session, &executor, |session| enqueue_npcs(session, 1));
    let quests = enqueue_quests(&mut session, 2);
    executor.wait_for_log("no jobs are leased");
    wait_completed_of(&mut session, &executor, |session| enqueue_npcs(session, 2));
    wait_until("the other one waits, uncharged", BOUND, || {
        of_job(&mut session, quests, "concat_ws(' ', status, attempts)").as_deref() == Some("pending 0")
    });
    assert!(asked_for(&model, "own-model") >= 3);
    trouble.store(false, Ordering::SeqCst);
    wait_completed(&mut session, quests);
}

#[track_caller]
fn wait_completed_of(
    session: &mut Session,
    executor: &Executor,
    enqueue: impl Fn(&mut Session) -> uuid::Uuid,
) {
    let job = enqueue(session);
    wait_for(
        &format!("the job is completed; log:\n{}", executor.log()),
        BOUND,
        || (status(session, job) == "completed").then_some(()),
    );
}

/// The model host is asked every now and then which model it has, where nobody named one.
#[test]
fn a_model_that_was_swapped_is_not_asked_for_by_its_old_name() {
    let (database, model) = (at_rest(), StubLlm::start());
    let mut session = database.session();
    let executor = woken(&database)
        .model(&model)
        .env("WORKER_POLL_INTERVAL_MS", "500")
        .start();
    wait_until_idle(&executor);
    let job = enqueue_quests(&mut session, 1);
    wait_completed(&mut session, job);
    model.lists(json!({"data": [{"id": "another-model", "owned_by": "tests"}]}));
    wait_until("it knows of the other model", BOUND, || {
        let health: Value = executor.health().json();
        health["model"] == "another-model"
    });
    let before = asked_for(&model, "stub-model");
    let job = enqueue_quests(&mut session, 1);
    wait_completed(&mut session, job);
    assert_eq!(
        (
            asked_for(&model, "stub-model"),
            asked_for(&model, "another-model")
        ),
        (before, 1)
    );
}

#[test]
fn a_host_that_died_while_nobody_needed_it_is_known_to_be_down() {
    let (database, mut model) = (at_rest(), StubLlm::start());
    let executor = woken(&database)
        .model(&model)
        .env("WORKER_POLL_INTERVAL_MS", "500")
        .start();
    wait_until_idle(&executor);
    model.close();
    let llm = |wanted: &str| {
        wait_until(&format!("the model host is {wanted}"), BOUND, || {
            let health: Value = executor.health().json();
            health["llm"] == wanted
        });
    };
    llm("down");
    model.reopen();
    llm("up");
    assert_eq!(model.chats().len(), 0, "no text is written for a sign of life");
}

/// What it told is not forgotten because a proxy before it broke connections for a while.
#[test]
fn behind_a_proxy_that_accepts_and_closes_the_limit_stays_what_the_server_told() {
    let (database, model) = (at_rest(), StubLlm::start());
    let mut session = database.session();
    model.lists(json!({"data": [{"id": "stub-model", "owned_by": "llamacpp"}]}));
    model.serves("/props", json!({"total_slots": 4}));
    let executor = woken(&database).model(&model).start();
    wait_until_idle(&executor);
    model.always(Reply::Close);
    let job = enqueue_quests(&mut session, 8);
    executor.wait_for_log("no jobs are leased");
    model.recovers();
    wait_completed(&mut session, job);
    let health: Value = executor.health().json();
    assert_eq!(health["budget"], 4, "{}", executor.log());
}
