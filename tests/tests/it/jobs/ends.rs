//! How an attempt ends: complete, fail, release, cancel, and what a retry goes on from.

use crate::steps::{
    Lease, call, complete_together, enqueue_quests, lease, lease_one, of_job, outcome, quest, status, store,
    store_quest,
};
use pg_worker_tests::{Database, Session, on_both_installs};
use serde_json::{Value, json};
use uuid::Uuid;

on_both_installs!(
    a_job_that_owes_items_is_not_completed,
    jobs_that_are_completed_together_end_one_by_one,
    a_batch_that_is_completed_ends_the_wait_of_its_pools,
    a_completed_job_says_what_came_of_it,
    a_call_repeated_with_its_token_is_already_done,
    a_failed_attempt_comes_back_later,
    spent_attempts_fail_with_the_reason_and_keep_the_items,
    a_permanent_failure_is_not_tried_again,
    a_retry_goes_on_from_the_count_reached,
    a_release_is_not_charged,
    only_pending_and_running_jobs_are_cancelled_only_ended_ones_retried,
);

fn leased(session: &mut Session, count: i32) -> Lease {
    enqueue_quests(session, count);
    lease_one(session)
}

/// Makes a pending job due now, as time would.
fn make_due(session: &mut Session, job: Uuid) {
    session.rows("update worker_jobs set run_at = now() where id = $1", &[&job]);
}

fn a_job_that_owes_items_is_not_completed(database: &Database) {
    let mut session = database.session();
    let lease = leased(&mut session, 2);
    store_quest(&mut session, &lease, 1);
    let before = of_job(&mut session, lease.job, "worker_jobs");
    let (outcome, reason) = call(&mut session, "complete_job", &lease, "");
    assert_eq!(outcome, "incomplete");
    assert_eq!(reason.as_deref(), Some("1 of 2 items are stored"));
    assert_eq!(of_job(&mut session, lease.job, "worker_jobs"), before);
}

/// Each job of a batch meets its own end, and a batch of any composition may be told again.
fn jobs_that_are_completed_together_end_one_by_one(database: &Database) {
    let mut session = database.session();
    for _ in 0..4 {
        enqueue_quests(&mut session, 1);
    }
    let mut leases = lease(&mut session, 4);
    leases.sort_by_key(|lease| lease.job);
    for (lease, number) in leases[..3].iter().zip(1..) {
        assert_eq!(store(&mut session, lease, 1, &quest(number)).outcome, "stored");
    }
    session.rows("select cancel_worker_job($1)", &[&leases[1].job]);
    let stranger = Lease {
        token: Uuid::new_v4(),
        ..leases[2]
    };
    let batch = [&leases[0], &leases[1], &stranger, &leases[3]];
    let ends = ["completed", "cancelled", "lease lost", "incomplete"];
    assert_eq!(complete_together(&mut session, &batch), ends);
    let statuses = leases.iter().map(|lease| status(&mut session, lease.job));
    let statuses: Vec<String> = statuses.collect();
    assert_eq!(statuses, ["completed", "cancelled", "running", "running"]);
    let ends = ["already done", "cancelled", "completed", "incomplete"];
    assert_eq!(
        complete_together(&mut session, &leases.iter().collect::<Vec<_>>()),
        ends
    );
    let result: Value = session.value("select result from worker_jobs where id = $1", &[&leases[2].job]);
    assert_eq!((&result["asked"], &result["stored"]), (&json!(1), &json!(1)));
}

fn a_batch_that_is_completed_ends_the_wait_of_its_pools(database: &Database) {
    let mut session = database.session();
    session.run(
        "insert into worker.pool_trouble values ('quest', '', 3, 'x', now(), now()), ('npc', '', 3, 'x', now(), now())",
    );
    enqueue_quests(&mut session, 1);
    let lease = lease_one(&mut session);
    store_quest(&mut session, &lease, 1);
    assert_eq!(complete_together(&mut session, &[&lease]), ["completed"]);
    let left: Vec<String> = session.column("select kind from worker.pool_trouble", &[]);
    assert_eq!(left, ["npc"]);
}

fn a_completed_job_says_what_came_of_it(database: &Database) {
    let mut session = database.session();
    let lease = leased(&mut session, 1);
    store_quest(&mut session, &lease, 1);
    assert_eq!(outcome(&mut session, "complete_job", &lease, ""), "completed");
    let row = session.row(
        "select status, result, completed_at is not null, lease_expires_at is null, error_message from worker_jobs",
        &[],
    );
    assert_eq!(row.get::<_, &str>(0), "completed");
    let result: Value = row.get(1);
    for (key, value) in [
        ("asked", json!(1)),
        ("stored", json!(1)),
        ("model", json!("m")),
        ("duplicates", json!(0)),
        ("rejected", json!({})),
    ] {
        assert_eq!(result[key], value, "{result}");
    }
    assert!(row.get::<_, bool>(2) && row.get::<_, bool>(3));
    assert_eq!(row.get::<_, Option<&str>>(4), None);
}

fn a_call_repeated_with_its_token_is_already_done(database: &Database) {
    let mut session = database.session();
    let calls = [
        ("complete_job", ""),
        ("fail_job", ", 'e'"),
        ("fail_job", ", 'e', true"),
        ("release_job", ", 3600"),
    ];
    for (function, rest) in calls {
        let lease = leased(&mut session, 1);
        store_quest_of_its_own(&mut session, &lease);
        assert!(
            ["completed", "retry later", "failed", "released"]
                .contains(&outcome(&mut session, function, &lease, rest).as_str())
        );
        let after = of_job(&mut session, lease.job, "worker_jobs");
        for (again, rest) in calls {
            assert_eq!(
                outcome(&mut session, again, &lease, rest),
                "already done",
                "{function}, then {again}"
            );
        }
        assert_eq!(
            of_job(&mut session, lease.job, "worker_jobs"),
            after,
            "nothing changed"
        );
    }
}

fn store_quest_of_its_own(session: &mut Session, lease: &Lease) {
    let mut item = quest(1);
    item["title"] = json!(format!("Errand {}", lease.job));
    let answer = store(session, lease, 1, &item);
    assert_eq!(answer.outcome, "stored", "{answer:?}");
}

fn a_failed_attempt_comes_back_later(database: &Database) {
    let mut session = database.session();
    let lease = leased(&mut session, 1);
    assert_eq!(
        outcome(&mut session, "fail_job", &lease, ", 'it rained'"),
        "retry later"
    );
    let seen = "row(status, attempts, error_message, run_at between now() + interval '20 seconds' and now() + interval '31 seconds', completed_at)";
    assert_eq!(
        of_job(&mut session, lease.job, seen).as_deref(),
        Some("(pending,1,\"it rained\",t,)")
    );
    assert!(
        crate::steps::lease(&mut session, 1).is_empty(),
        "it is not due yet"
    );
    make_due(&mut session, lease.job);
    let second = lease_one(&mut session);
    assert_eq!(second.attempt, 2);
    outcome(&mut session, "fail_job", &second, ", 'again'");
    let delay = "run_at > now() + interval '50 seconds'";
    assert_eq!(
        of_job(&mut session, lease.job, delay).as_deref(),
        Some("true"),
        "it doubles"
    );
}

fn spent_attempts_fail_with_the_reason_and_keep_the_items(database: &Database) {
    let mut session = database.session();
    let job = enqueue_quests(&mut session, 3);
    for attempt in 1..=3 {
        make_due(&mut session, job);
        let lease = lease_one(&mut session);
        assert_eq!(lease.attempt, attempt);
        if attempt == 2 {
            store_quest(&mut session, &lease, 1);
        }
        let expected = if attempt < 3 { "retry later" } else { "failed" };
        assert_eq!(
            outcome(&mut session, "fail_job", &lease, ", 'no model of this name'"),
            expected
        );
    }
    let seen = "row(status, error_message, stored, completed_at is not null, result ->> 'stored')";
    assert_eq!(
        of_job(&mut session, job, seen).as_deref(),
        Some("(failed,\"no model of this name\",1,t,1)")
    );
    assert_eq!(session.count("quest_templates where not used"), 1);
}

fn a_permanent_failure_is_not_tried_again(database: &Database) {
    let mut session = database.session();
    let lease = leased(&mut session, 1);
    assert_eq!(
        outcome(&mut session, "fail_job", &lease, ", 'never', true"),
        "failed"
    );
    assert_eq!(
        of_job(&mut session, lease.job, "row(status, attempts)").as_deref(),
        Some("(failed,1)")
    );
}

fn a_retry_goes_on_from_the_count_reached(database: &Database) {
    let mut session = database.session();
    let first = leased(&mut session, 3);
    store_quest(&mut session, &first, 1);
    store_quest(&mut session, &first, 2);
    assert_eq!(outcome(&mut session, "fail_job", &first, ", 'x', true"), "failed");
    assert!(session.value::<bool>("select retry_worker_job($1)", &[&first.job]));
    let again = lease_one(&mut session);
    assert_eq!((again.job, again.stored, again.attempt), (first.job, 2, 1));
    let sql = "select item_no from worker.next_item($1, $2)";
    assert_eq!(session.value::<i32>(sql, &[&again.job, &again.token]), 3);
    store_quest(&mut session, &again, 3);
    assert_eq!(outcome(&mut session, "complete_job", &again, ""), "completed");
    assert_eq!(session.count("quest_templates"), 3);
}

fn a_release_is_not_charged(database: &Database) {
    let mut session = database.session();
    let job = enqueue_quests(&mut session, 1);
    for _ in 0..5 {
        make_due(&mut session, job);
        let lease = lease_one(&mut session);
        assert_eq!(lease.attempt, 1, "however often");
        assert_eq!(
            outcome(&mut session, "release_job", &lease, ", 600, 'no model host'"),
            "released"
        );
    }
    let seen = "row(status, attempts, error_message, run_at > now() + interval '590 seconds')";
    assert_eq!(
        of_job(&mut session, job, seen).as_deref(),
        Some("(pending,0,\"no model host\",t)")
    );
}

fn only_pending_and_running_jobs_are_cancelled_only_ended_ones_retried(database: &Database) {
    let mut session = database.session();
    for (state, cancels, retries) in [
        ("pending", true, false),
        ("running", true, false),
        ("completed", false, false),
        ("failed", false, true),
        ("cancelled", false, true),
    ] {
        for (function, works, end) in [
            ("cancel_worker_job", cancels, "cancelled"),
            ("retry_worker_job", retries, "pending"),
        ] {
            let job = enqueue_quests(&mut session, 1);
            session.rows(
                "update worker_jobs set status = $2 where id = $1",
                &[&job, &state],
            );
            let answer: bool = session.value(&format!("select {function}($1)"), &[&job]);
            assert_eq!(answer, works, "{function} of a {state} job");
            assert_eq!(status(&mut session, job), if works { end } else { state });
        }
    }
    for function in ["cancel_worker_job", "retry_worker_job"] {
        let sql = format!("select {function}(gen_random_uuid())");
        assert!(!session.value::<bool>(&sql, &[]), "no such job");
    }
}
