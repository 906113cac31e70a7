//! The fence: who has lost a lease, in whatever way, can neither store nor finish anything.

use crate::steps::{
    Lease, complete_together, enqueue_quests, heartbeat, lease_one, let_lease_run_out, of_job, outcome,
    quest, status, store, store_quest,
};
use pg_worker_tests::{Database, Session, on_both_installs};

on_both_installs!(
    after_a_rescue_the_old_token_is_stale_and_the_new_one_works,
    the_guides_reset_of_stuck_jobs_makes_the_token_stale,
    a_plain_update_back_to_pending_makes_the_token_stale,
    a_plain_update_to_running_makes_the_token_stale,
    a_token_of_another_job_fits_nothing,
    a_cancelled_job_says_so_and_takes_nothing_more,
    a_deleted_job_is_a_lost_lease,
);

/// Every call that an executor may make with a lease is refused as `lease lost`, and the job's row,
/// the pool and the ledger stay as they are.
#[track_caller]
fn is_shut_out(session: &mut Session, lease: &Lease) {
    let before = footprint(session);
    assert_eq!(heartbeat(session, lease), "lease lost");
    assert_eq!(outcome(session, "next_item", lease, ""), "lease lost");
    assert_eq!(store(session, lease, 2, &quest(99)).outcome, "lease lost");
    assert_eq!(outcome(session, "complete_job", lease, ""), "lease lost");
    assert_eq!(complete_together(session, &[lease]), ["lease lost"]);
    assert_eq!(outcome(session, "fail_job", lease, ", 'too late'"), "lease lost");
    assert_eq!(outcome(session, "release_job", lease, ""), "lease lost");
    let sql = "select worker.reject_item($1, $2, 1, 'schema', 'x')";
    assert_eq!(
        session.value::<String>(sql, &[&lease.job, &lease.token]),
        "lease lost"
    );
    assert_eq!(footprint(session), before, "nothing changed");
}

fn footprint(session: &mut Session) -> String {
    let sql = "select concat((select json_agg(j order by id) from worker_jobs j),
                             (select json_agg(q order by id) from quest_templates q),
                             (select json_agg(i order by job_id, item_no) from worker.items i))";
    session.value(sql, &[])
}

fn leased(session: &mut Session) -> Lease {
    enqueue_quests(session, 2);
    let lease = lease_one(session);
    store_quest(session, &lease, 1);
    lease
}

fn after_a_rescue_the_old_token_is_stale_and_the_new_one_works(database: &Database) {
    let mut session = database.session();
    let old = leased(&mut session);
    let_lease_run_out(&mut session, old.job);
    assert_eq!(session.value::<i32>("select worker.rescue_jobs()", &[]), 1);
    is_shut_out(&mut session, &old);
    let new = lease_one(&mut session);
    assert_eq!((new.job, new.attempt, new.stored), (old.job, 2, 1));
    is_shut_out(&mut session, &old);
    store_quest(&mut session, &new, 2);
    assert_eq!(outcome(&mut session, "complete_job", &new, ""), "completed");
    is_shut_out(&mut session, &old);
}

fn the_guides_reset_of_stuck_jobs_makes_the_token_stale(database: &Database) {
    let mut session = database.session();
    let lease = leased(&mut session);
    session.run("update worker_jobs set started_at = now() - interval '31 minutes'");
    session.run(
        "update worker_jobs set status = 'failed', error_message = 'Job timeout - reset by admin'
          where status = 'running' and started_at < now() - interval '30 minutes'",
    );
    let seen = of_job(
        &mut session,
        lease.job,
        "row(status, error_message, completed_at = now())",
    );
    // now() is the time of this statement's transaction: completed_at was set before it
    assert_eq!(
        seen.as_deref(),
        Some("(failed,\"Job timeout - reset by admin\",f)")
    );
    is_shut_out(&mut session, &lease);
}

fn a_plain_update_back_to_pending_makes_the_token_stale(database: &Database) {
    let mut session = database.session();
    let old = leased(&mut session);
    session.run("update worker_jobs set status = 'pending'");
    is_shut_out(&mut session, &old);
    assert_eq!(lease_one(&mut session).attempt, 2);
    is_shut_out(&mut session, &old);
}

fn a_plain_update_to_running_makes_the_token_stale(database: &Database) {
    let mut session = database.session();
    let old = leased(&mut session);
    session.run("update worker_jobs set status = 'failed'");
    session.run("update worker_jobs set status = 'running'");
    is_shut_out(&mut session, &old);
}

fn a_token_of_another_job_fits_nothing(database: &Database) {
    let mut session = database.session();
    let first = leased(&mut session);
    enqueue_quests(&mut session, 2);
    let second = lease_one(&mut session);
    let crossed = Lease {
        token: second.token,
        ..first
    };
    is_shut_out(&mut session, &crossed);
}

fn a_cancelled_job_says_so_and_takes_nothing_more(database: &Database) {
    let mut session = database.session();
    let lease = leased(&mut session);
    assert!(session.value::<bool>("select cancel_worker_job($1)", &[&lease.job]));
    let before = footprint(&mut session);
    assert_eq!(heartbeat(&mut session, &lease), "cancelled");
    assert_eq!(outcome(&mut session, "next_item", &lease, ""), "cancelled");
    assert_eq!(store(&mut session, &lease, 2, &quest(2)).outcome, "cancelled");
    assert_eq!(outcome(&mut session, "complete_job", &lease, ""), "cancelled");
    assert_eq!(outcome(&mut session, "fail_job", &lease, ", 'x'"), "cancelled");
    assert_eq!(outcome(&mut session, "release_job", &lease, ""), "cancelled");
    assert_eq!(footprint(&mut session), before, "nothing changed");
    assert_eq!(
        session.count("quest_templates"),
        1,
        "what was stored before stays"
    );
    assert!(session.value::<bool>("select retry_worker_job($1)", &[&lease.job]));
    is_shut_out(&mut session, &lease);
    assert_eq!(status(&mut session, lease.job), "pending");
}

fn a_deleted_job_is_a_lost_lease(database: &Database) {
    let mut session = database.session();
    let lease = leased(&mut session);
    session.run("delete from worker_jobs");
    is_shut_out(&mut session, &lease);
}
