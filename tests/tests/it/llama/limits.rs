//! What the executor makes of answers that are cut off, of prompts that are too long, and what becomes of
//! a request that nobody waits for any more.

use super::{asking, at_rest, rejected, wait_ended};
use crate::steps::{enqueue, enqueue_quests, of_job};
use pg_worker_tests::{BOUND, LlamaServer, wait_until};
use serde_json::json;

#[test]
#[ignore = "needs a llama-server: scripts/suites/llama.sh"]
fn an_answer_that_is_cut_off_is_asked_for_again_with_more_room() {
    let (server, database) = (LlamaServer::start(2), at_rest());
    let mut session = database.session();
    // No quest is as short; most are shorter than what comes of doubling it twice.
    session.run("update content_pools set max_tokens = 50 where kind = 'quest'");
    let job = enqueue_quests(&mut session, 10);
    let executor = asking(&server, &database).start();
    wait_ended(&mut session, job, "completed");
    assert!(
        rejected(&mut session, job, "truncated") >= 10,
        "every first answer was cut off"
    );
    assert_eq!(
        of_job(&mut session, job, "concat_ws(' ', attempts, stored)").as_deref(),
        Some("1 10")
    );
    let tokens: i64 = session.value(
        "select min((provenance ->> 'completion_tokens')::bigint) from quest_templates",
        &[],
    );
    assert!(tokens > 50, "none was stored that fits into less: {tokens}");
    assert!(executor.stop().success());
}

#[test]
#[ignore = "needs a llama-server: scripts/suites/llama.sh"]
fn a_prompt_that_is_too_long_fails_its_job_at_once_and_no_other() {
    let (server, database) = (LlamaServer::start_with(1, &["-c", "2048"]), at_rest());
    let mut session = database.session();
    let executor = asking(&server, &database).start();
    let messages: Vec<_> = (0..6)
        .map(|_| json!({"role": "player", "content": "Zz".repeat(950)}))
        .collect();
    let summary = json!({"character_id": "7d0e0f5e-0d0d-4a3a-9f2b-6c1a5b1f0001", "messages": messages});
    let too_long = enqueue(&mut session, "summarize_session", summary);
    wait_ended(&mut session, too_long, "failed");
    let reason = of_job(&mut session, too_long, "error_message").expect("a reason");
    assert!(reason.contains("does not fit the model's context"), "{reason}");
    assert_eq!(
        of_job(&mut session, too_long, "attempts").as_deref(),
        Some("1"),
        "no other attempt would help"
    );
    let fits = enqueue_quests(&mut session, 2);
    wait_ended(&mut session, fits, "completed");
    assert_eq!(
        executor.health().json()["breaker"],
        "closed",
        "the host is not to blame"
    );
}

#[test]
#[ignore = "needs a llama-server: scripts/suites/llama.sh"]
fn a_cancelled_job_gives_its_slot_back() {
    let (server, database) = (LlamaServer::start(1), at_rest());
    let mut session = database.session();
    let job = enqueue_quests(&mut session, 1000);
    // The next beat, a third of this, brings the news.
    let executor = asking(&server, &database)
        .env("WORKER_LEASE_SECONDS", "5")
        .start();
    session.wait_until_true(
        &format!("select stored > 0 from worker_jobs where id = '{job}'"),
        BOUND,
    );
    // Frozen, so that no answer comes to its end by itself.
    server.signal(libc::SIGSTOP);
    assert!(session.value::<bool>("select cancel_worker_job($1)", &[&job]));
    wait_until("the executor drops it", BOUND, || {
        executor.health().json()["jobs"] == 0
    });
    server.thaw();
    wait_until("the slot is free", BOUND, || server.busy_slots() == 0);
    let next = enqueue_quests(&mut session, 1);
    wait_ended(&mut session, next, "completed");
    assert_eq!(of_job(&mut session, next, "attempts").as_deref(), Some("1"));
    assert_eq!(of_job(&mut session, job, "status").as_deref(), Some("cancelled"));
}
