//! What wakes an executor.

use super::{at_rest, wait_completed, wait_stored, wait_until_idle, woken};
use crate::steps::{enqueue, enqueue_quests, of_job};
use pg_worker_tests::wait::{wait_for, wait_until};
use pg_worker_tests::{BOUND, Database, Executor, Reply, Session, StubLlm};
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

#[test]
fn the_background_workers_notification_wakes_an_idle_executor() {
    let database = at_rest();
    let executor = woken(&database).start();
    wait_until_idle(&executor);
    let mut session = database.session();
    let job = enqueue_quests(&mut session, 1);
    wait_completed(&mut session, job);
}

#[test]
fn where_no_notification_comes_the_queue_is_polled() {
    let database = Database::quiet();
    let mut session = database.session();
    session.run(
        "alter table worker_jobs disable trigger job_enqueued; update content_pools set enabled = false",
    );
    let executor = Executor::on(&database)
        .env("WORKER_POLL_INTERVAL_MS", "300")
        .start();
    wait_until_idle(&executor);
    let job = enqueue_quests(&mut session, 1);
    wait_completed(&mut session, job);
}

#[test]
fn a_job_for_later_is_done_when_its_time_has_come() {
    for database in [at_rest(), Database::quiet()] {
        let mut session = database.session();
        session.run("update content_pools set enabled = false");
        let executor = woken(&database).start();
        wait_until_idle(&executor);
        let job: Uuid = session.value(
            "select enqueue_worker_job('generate_quests', '{\"count\": 1}', p_run_at => clock_timestamp() + interval '2 seconds')",
            &[],
        );
        wait_completed(&mut session, job);
        let in_time: bool = session.value(
            "select started_at >= run_at from worker_jobs where id = $1",
            &[&job],
        );
        assert!(in_time);
    }
}

fn claim_high(session: &mut Session) -> Option<Uuid> {
    session
        .column("select quest_id from claim_quest_from_pool(null, 7, 9)", &[])
        .pop()
}

#[test]
fn a_drained_level_band_fills_itself() {
    let database = Database::live();
    let executor = woken(&database).start();
    let mut session = database.session();
    session.wait_until_true(
        "select available >= minimum from content_pool_status where kind = 'quest'",
        BOUND,
    );
    // Drained under the executor's nose: it is frozen, so that what arrives was asked for by the claim.
    executor.signal(libc::SIGSTOP);
    while claim_high(&mut session).is_some() {}
    assert_eq!(claim_high(&mut session), None, "nothing is left");
    let wanted = "select count(*) = 1 from worker_jobs
        where dedupe_key like 'wanted%' and parameters -> 'level_range' = '[7, 9]' and status = 'pending'";
    assert!(
        session.value::<bool>(wanted, &[]),
        "asked for once, for just these levels"
    );
    executor.signal(libc::SIGCONT);
    wait_for("a quest of that band, with no hand", BOUND, || {
        claim_high(&mut session)
    });
}

#[test]
fn an_urgent_job_starts_after_one_items_time() {
    let database = at_rest();
    let model = StubLlm::start();
    model.answers(|_| Reply::Slow(Duration::from_millis(10)));
    let executor = woken(&database)
        .model(&model)
        .env("WORKER_MAX_IN_FLIGHT", "1")
        .start();
    wait_until_idle(&executor);
    let mut session = database.session();
    let long = enqueue_quests(&mut session, 200);
    wait_stored(&mut session, long, 2);
    let urgent: Uuid = session.value(
        "select enqueue_worker_job('generate_npcs', $1, 1)",
        &[&json!({"count": 1})],
    );
    wait_completed(&mut session, urgent);
    let between: i64 = session.value(
        "select count(*) from worker.items i, worker_jobs u
          where i.job_id = $1 and u.id = $2 and i.created_at between u.created_at and u.completed_at",
        &[&long, &urgent],
    );
    assert!(
        between <= 2,
        "{between} items of the long job came first: the one in hand, and perhaps one more"
    );
    // Dropping the executor would leave a job of 200 items running.
    session.run(&format!("select cancel_worker_job('{long}')"));
    executor.wait_for_log("cancelled");
}

#[test]
fn the_model_writes_the_next_item_while_the_last_one_is_stored() {
    let database = at_rest();
    let model = StubLlm::start();
    let executor = woken(&database)
        .model(&model)
        .env("WORKER_MAX_IN_FLIGHT", "1")
        .start();
    wait_until_idle(&executor);
    let mut storing_waits = database.session();
    storing_waits.run("begin; lock table quest_templates in share mode");
    let mut session = database.session();
    let job = enqueue_quests(&mut session, 5);
    wait_until("a second item is asked for", BOUND, || model.chats_begun() >= 2);
    assert_eq!(of_job(&mut session, job, "stored").as_deref(), Some("0"));
    storing_waits.run("commit");
    wait_completed(&mut session, job);
    assert_eq!(model.most_in_flight(), 1);
}

#[test]
fn an_executor_ticks_where_there_is_no_background_worker() {
    let database = Database::sql_only();
    let mut session = database.session();
    let executor = woken(&database).start();
    wait_until_idle(&executor);
    let check: Uuid = session.value("select schedule_pool_check()", &[]);
    wait_completed(&mut session, check);
    let quests = enqueue(&mut session, "generate_quests", json!({"count": 1}));
    wait_completed(&mut session, quests);
    session.wait_until_true(
        "select bool_and(available >= minimum) from content_pool_status",
        BOUND,
    );
}
