//! A model host that is down, busy or loading: nobody's job is charged for it.

use super::{at_rest, wait_completed, wait_stored, wait_until_idle, woken};
use crate::steps::{enqueue_quests, of_job};
use pg_worker_tests::wait::{wait_for, wait_until};
use pg_worker_tests::{BOUND, Database, Reply, StubLlm};
use serde_json::Value;
use std::time::Duration;

#[test]
fn a_host_that_goes_down_pauses_the_executor_and_work_resumes_by_itself() {
    let (database, mut model) = (at_rest(), StubLlm::start());
    model.answers(|_| Reply::Slow(Duration::from_millis(10)));
    let mut session = database.session();
    let executor = woken(&database)
        .model(&model)
        .env("WORKER_MAX_IN_FLIGHT", "1")
        .start();
    wait_until_idle(&executor);
    let job = enqueue_quests(&mut session, 8);
    wait_stored(&mut session, job, 2);
    model.close();
    let health: Value = wait_for("the breaker is open", BOUND, || {
        let answer = executor.health();
        let health: Value = answer.json();
        (health["breaker"] == "open" && health["jobs"] == 0).then(|| {
            assert_eq!(answer.status, 200, "a model that is off is no reason to restart");
            health
        })
    });
    assert_eq!(
        (&health["llm"], &health["state"]),
        (&"down".into(), &"paused".into())
    );
    session.wait_until_true(
        "select state = 'paused' and reason like '%no connection to%' from worker_executors",
        BOUND,
    );
    let job_now = of_job(
        &mut session,
        job,
        "concat_ws(' ', status, attempts, error_message)",
    )
    .expect("a text");
    assert!(job_now.starts_with("pending 0 no connection to"), "{job_now}");
    model.reopen();
    wait_completed(&mut session, job);
    assert_eq!(of_job(&mut session, job, "attempts").as_deref(), Some("1"));
    assert_eq!(session.count("quest_templates"), 8);
}

#[test]
fn busy_and_loading_hosts_charge_no_attempt() {
    for refusal in [
        Reply::too_many(Some("1")),
        Reply::too_many(None),
        Reply::loading(),
    ] {
        let (database, model) = (at_rest(), StubLlm::start());
        let mut session = database.session();
        let executor = woken(&database).model(&model).start();
        wait_until_idle(&executor);
        model.script([refusal]);
        let job = enqueue_quests(&mut session, 3);
        wait_completed(&mut session, job);
        let released = "concat_ws(' ', attempts, stored, result -> 'rejected')";
        assert_eq!(of_job(&mut session, job, released).as_deref(), Some("1 3 {}"));
        executor.wait_for_log("no jobs are leased until it answers");
    }
}

#[test]
fn answers_that_are_no_items_are_asked_for_again_and_counted() {
    let (database, model) = (at_rest(), StubLlm::start());
    let mut session = database.session();
    let executor = woken(&database)
        .model(&model)
        .env("WORKER_MAX_IN_FLIGHT", "1")
        .start();
    wait_until_idle(&executor);
    model.script([
        Reply::Json(serde_json::json!({"title": "Only a title"})),
        Reply::Text("I would rather not.".into()),
        Reply::Length,
    ]);
    let job = enqueue_quests(&mut session, 2);
    wait_completed(&mut session, job);
    let rejected = of_job(&mut session, job, "result -> 'rejected'").expect("an account");
    let rejected: Value = serde_json::from_str(&rejected).expect("JSON");
    assert_eq!(
        rejected,
        serde_json::json!({"not_json": 1, "truncated": 1, "schema": 1})
    );
    let told = model.chats().iter().any(|chat| {
        chat.body["messages"]
            .to_string()
            .contains("This was rejected because")
    });
    assert!(told, "the model is told what was wrong");
}

#[test]
fn a_model_that_never_writes_an_item_fails_the_job_with_the_reason() {
    let (database, model) = (at_rest(), StubLlm::start());
    let mut session = database.session();
    session.run("alter table worker_jobs alter max_attempts set default 1");
    let executor = woken(&database).model(&model).start();
    wait_until_idle(&executor);
    model.answers(|_| Reply::Text("I would rather not.".into()));
    let job = enqueue_quests(&mut session, 2);
    session.wait_until_true(
        &format!("select status = 'failed' from worker_jobs where id = '{job}'"),
        BOUND,
    );
    let reason = of_job(&mut session, job, "error_message").expect("a reason");
    assert!(
        reason.contains("no JSON object in the answer") && reason.contains("I would rather not"),
        "{reason}"
    );
}

#[test]
fn while_the_model_is_away_word_lists_may_fill_empty_pools() {
    let (database, mut model) = (at_rest(), StubLlm::start());
    model.close();
    let mut session = database.session();
    session.run("update content_pools set enabled = true where kind in ('quest', 'npc')");
    session.run(
        "insert into npc_personalities (name, race, occupation, personality, quirk, secret)
         values ('The last one', 'elf', 'cook', 'calm', 'hums', 'none')",
    );
    let executor = woken(&database)
        .model(&model)
        .env("WORKER_FALLBACK", "builtin")
        .start();
    // One pool is empty and gets word lists, the other one waits for the model.
    session.wait_until_true("select count(*) >= 10 from quest_templates", BOUND);
    let from = "select distinct provenance ->> 'generator' from quest_templates";
    assert_eq!(session.column::<String>(from, &[]), ["builtin"]);
    assert_eq!(session.count("npc_personalities"), 1);
    executor.wait_for_log("word lists write for it");
    model.reopen();
    session.wait_until_true(
        "select count(*) filter (where provenance ->> 'generator' = 'llm') >= 10 from npc_personalities",
        BOUND,
    );
}

#[test]
fn outside_of_its_hours_the_gpu_is_left_alone() {
    let (database, model) = (at_rest(), StubLlm::start());
    let later = |hours| {
        (chrono::Local::now() + chrono::Duration::hours(hours))
            .format("%H:%M")
            .to_string()
    };
    let hours = format!("{}-{}", later(2), later(3));
    let mut session = database.session();
    let job = enqueue_quests(&mut session, 1);
    let executor = woken(&database)
        .model(&model)
        .env("WORKER_ACTIVE_HOURS", &hours)
        .start();
    let health: Value = wait_for("it has looked at the queue and rests", BOUND, || {
        let health: Value = executor.health().json();
        (health["state"] == "paused" && !health["lastRunTime"].is_null()).then_some(health)
    });
    let reason = health["reason"].as_str().expect("a reason");
    assert!(
        reason.contains("WORKER_ACTIVE_HOURS") && reason.contains(&hours),
        "{reason}"
    );
    assert_eq!(
        of_job(&mut session, job, "concat_ws(' ', status, attempts)").as_deref(),
        Some("pending 0")
    );
    assert_eq!(model.requests().len(), 0, "not even for the list of its models");
    assert_eq!(health["llm"], "unknown");
    drop(executor);
    let _awake = woken(&database)
        .model(&model)
        .env("WORKER_ACTIVE_HOURS", "0-24")
        .start();
    wait_completed(&mut session, job);
}

#[test]
fn metrics_tell_of_items_pools_and_queue() {
    let (database, model) = (at_rest(), StubLlm::start());
    let executor = woken(&database).model(&model).start();
    let mut session = database.session();
    let job = enqueue_quests(&mut session, 2);
    wait_completed(&mut session, job);
    wait_until_idle(&executor);
    let text = executor.get("/metrics").expect("an answer").body;
    for line in [
        "pg_worker_items_stored_total 2",
        "pg_worker_answer_seconds_count 2",
        "pg_worker_pool_available{kind=\"quest\"} 2",
        "pg_worker_jobs{job_type=\"generate_quests\",status=\"completed\"} 1",
        "pg_worker_database_up 1.0",
        "pg_worker_breaker_open 0.0",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in:\n{text}"
        );
    }
}

/// A game of many campaigns, and somebody who asks without end.
#[test]
fn scrapes_are_answered_from_what_is_known_and_by_kind() {
    let database = Database::quiet();
    let mut session = database.session();
    session.run(
        "create sequence asked;
         alter function worker.pool_status() rename to pool_status_in_truth;
         create function worker.pool_status()
         returns table (kind text, scope text, available bigint, min_size integer, on_the_way bigint, level text,
                        last_failure text)
         language sql as $$
           select 'poi', 'campaign ' || n, 2::bigint, 50, n::bigint % 2, 'low', null
             from generate_series(1, 100) n, nextval('asked') $$",
    );
    let executor = woken(&database).start();
    wait_until_idle(&executor);
    let scrape = || executor.get("/metrics").expect("an answer").body;
    wait_until("the pools are told", BOUND, || {
        scrape().contains("pool_available")
    });
    let mut text = String::new();
    (0..100).for_each(|_| text = scrape());
    for line in [
        "pg_worker_pool_available{kind=\"poi\"} 200",
        "pg_worker_pool_minimum{kind=\"poi\"} 5000",
        "pg_worker_pool_on_the_way{kind=\"poi\"} 50",
        "pg_worker_pools{kind=\"poi\",level=\"low\"} 100",
        "pg_worker_pools{kind=\"poi\",level=\"empty\"} 0",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in:\n{text}"
        );
    }
    let asked: i64 = session.value("select last_value from asked", &[]);
    assert!(asked < 10, "a hundred scrapes asked the database {asked} times");
}
