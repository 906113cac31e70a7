//! Rescue: jobs whose executor is gone come back, or fail when their attempts are spent.

use crate::steps::{
    enqueue_quests, lease, lease_one, let_lease_run_out, of_job, status, store_quest, together,
};
use pg_worker_tests::{Database, Session, on_both_installs};
use uuid::Uuid;

on_both_installs!(
    a_job_whose_lease_ran_out_is_due_at_once,
    a_job_whose_attempts_are_spent_fails_with_the_reason,
    a_twin_never_spoils_the_rescue_of_the_others,
    a_locked_job_is_left_for_the_next_rescue,
    two_rescues_at_once_rescue_each_job_once,
);

fn rescue(session: &mut Session) -> i32 {
    session.value("select worker.rescue_jobs()", &[])
}

fn a_job_whose_lease_ran_out_is_due_at_once(database: &Database) {
    let mut session = database.session();
    enqueue_quests(&mut session, 2);
    let lease = lease_one(&mut session);
    store_quest(&mut session, &lease, 1);
    assert_eq!(rescue(&mut session), 0, "its lease still holds");
    let_lease_run_out(&mut session, lease.job);
    assert_eq!(rescue(&mut session), 1);
    assert_eq!(rescue(&mut session), 0);
    let seen = "row(status, attempts, stored, lease_token, executor_id, error_message like 'attempt 1: lease ran out at %')";
    assert_eq!(
        of_job(&mut session, lease.job, seen).as_deref(),
        Some("(pending,1,1,,,t)")
    );
    assert_eq!(lease_one(&mut session).attempt, 2);
}

fn a_job_whose_attempts_are_spent_fails_with_the_reason(database: &Database) {
    let mut session = database.session();
    let job = enqueue_quests(&mut session, 2);
    for attempt in 1..=3 {
        let lease = lease_one(&mut session);
        assert_eq!(lease.attempt, attempt);
        if attempt == 1 {
            store_quest(&mut session, &lease, 1);
        }
        let_lease_run_out(&mut session, job);
        assert_eq!(rescue(&mut session), 1);
    }
    let seen = "row(status, stored, lease_token, completed_at is not null, error_message ~ '^lease ran out at .* in attempt 3 of 3$')";
    assert_eq!(
        of_job(&mut session, job, seen).as_deref(),
        Some("(failed,1,,t,t)")
    );
    assert_eq!(session.count("quest_templates"), 1, "what it stored stays");
}

fn a_twin_never_spoils_the_rescue_of_the_others(database: &Database) {
    let mut session = database.session();
    // a pool check that somebody set running, and a second one that came meanwhile
    let check: Uuid = session.value("select schedule_pool_check()", &[]);
    session.run("update worker_jobs set status = 'running'");
    let twin: Uuid = session.value("select schedule_pool_check()", &[]);
    for _ in 0..4 {
        enqueue_quests(&mut session, 1);
    }
    let others: Vec<Uuid> = lease(&mut session, 10).iter().map(|lease| lease.job).collect();
    assert_eq!(others.len(), 4);
    session.run(
        "update worker_jobs set lease_expires_at = now() - interval '1 minute' where status = 'running'",
    );
    assert_eq!(rescue(&mut session), 5);
    let message = of_job(&mut session, check, "row(status, error_message)");
    assert_eq!(message, Some(format!("(cancelled,\"superseded by {twin}\")")));
    for job in others {
        assert_eq!(status(&mut session, job), "pending");
    }
}

fn a_locked_job_is_left_for_the_next_rescue(database: &Database) {
    let (mut one, mut other) = (database.session(), database.session());
    enqueue_quests(&mut one, 1);
    enqueue_quests(&mut one, 1);
    let leases = lease(&mut one, 2);
    for lease in &leases {
        let_lease_run_out(&mut one, lease.job);
    }
    other.run("set lock_timeout = '5s'");
    one.run("begin");
    one.rows(
        "select from worker_jobs where id = $1 for update",
        &[&leases[0].job],
    );
    assert_eq!(rescue(&mut other), 1, "the other one, without waiting");
    one.run("rollback");
    assert_eq!(rescue(&mut other), 1);
}

fn two_rescues_at_once_rescue_each_job_once(database: &Database) {
    let mut session = database.session();
    for _ in 0..50 {
        enqueue_quests(&mut session, 1);
    }
    assert_eq!(lease(&mut session, 50).len(), 50);
    session.run("update worker_jobs set lease_expires_at = now() - interval '1 minute'");
    let rescued: i32 = together(database, 4, rescue).iter().sum();
    assert_eq!(rescued, 50);
    assert_eq!(
        session.count("worker_jobs where status = 'pending' and attempts = 1"),
        50
    );
}
