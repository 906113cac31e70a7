//! Executors that are seen to die: a session stands for each of them.

use crate::steps::{Lease, enqueue_quests, of_job, quest, status, store, store_quest};
use pg_worker_tests::time::let_time_pass;
use pg_worker_tests::{BOUND, Database, Session, on_both_installs};
use uuid::Uuid;

on_both_installs!(
    a_job_whose_executor_is_gone_goes_back_uncharged,
    a_reconnect_within_the_grace_keeps_the_job,
    a_report_within_the_grace_keeps_the_job,
    the_old_session_may_end_after_the_new_one_began,
    a_job_that_takes_its_executors_with_it_is_charged_and_fails,
    an_executor_that_nobody_watches_keeps_its_lease,
    the_next_look_comes_within_the_grace_while_a_watched_executor_works,
);

/// Longer than the grace, shorter than a lease.
const BEYOND_THE_GRACE: f64 = 3.0;

/// A session that stands for the life of an executor.
fn presence(database: &Database, executor: Uuid) -> Session {
    let mut session = database.session();
    assert!(session.value::<bool>("select worker.show_presence($1)", &[&executor]));
    session
}

/// Ends a session and waits until the server has noticed.
fn end(session: Session, watch: &mut Session) {
    let mut session = session;
    let pid = session.backend_pid();
    drop(session);
    watch.wait_until_true(
        &format!("select not exists (select from pg_locks where pid = {pid} and locktype = 'advisory')"),
        BOUND,
    );
}

fn lease_as(session: &mut Session, executor: Uuid) -> Lease {
    let sql = "select job_id, lease_token, attempt, stored from worker.lease_jobs($1, 1)";
    let row = session.row(sql, &[&executor]);
    Lease {
        job: row.get(0),
        token: row.get(1),
        attempt: row.get(2),
        stored: row.get(3),
    }
}

fn rescue(session: &mut Session) -> i32 {
    session.value("select worker.rescue_jobs()", &[])
}

/// Notes that an executor is gone, and lets its grace pass.
fn miss(session: &mut Session) {
    assert_eq!(rescue(session), 0, "there is a grace");
    let_time_pass(session, BEYOND_THE_GRACE);
}

/// An executor that was seen to go with a job in its hands; its grace has passed.
fn missed(database: &Database) -> (Session, Uuid, Uuid) {
    let (mut session, executor) = (database.session(), Uuid::new_v4());
    let life = presence(database, executor);
    let job = enqueue_quests(&mut session, 1);
    lease_as(&mut session, executor);
    end(life, &mut session);
    miss(&mut session);
    (session, executor, job)
}

fn state(session: &mut Session, executor: Uuid) -> String {
    let sql = "select concat_ws(', ', state, reason) from worker_executors where id = $1";
    session.value(sql, &[&executor])
}

fn a_job_whose_executor_is_gone_goes_back_uncharged(database: &Database) {
    let (mut session, executor) = (database.session(), Uuid::new_v4());
    let life = presence(database, executor);
    enqueue_quests(&mut session, 2);
    let lease = lease_as(&mut session, executor);
    store_quest(&mut session, &lease, 1);
    miss(&mut session);
    assert_eq!(rescue(&mut session), 0, "it lives");
    end(life, &mut session);
    miss(&mut session);
    assert_eq!(state(&mut session, executor), "gone, its session has ended");
    assert_eq!(rescue(&mut session), 1);
    assert_eq!(rescue(&mut session), 0);
    let seen = "row(status, attempts, stored, lease_token, error_message ~ '^attempt 1: its executor is gone since ')";
    assert_eq!(
        of_job(&mut session, lease.job, seen).as_deref(),
        Some("(pending,0,1,,t)")
    );
    let late = store(&mut session, &lease, 2, &quest(2));
    assert_eq!(late.outcome, "lease lost", "were it alive, it could do no harm");
}

fn a_reconnect_within_the_grace_keeps_the_job(database: &Database) {
    let (mut session, executor, job) = missed(database);
    let _again = presence(database, executor);
    miss(&mut session);
    assert_eq!(rescue(&mut session), 0);
    assert_eq!(status(&mut session, job), "running");
}

fn a_report_within_the_grace_keeps_the_job(database: &Database) {
    let (mut session, executor, job) = missed(database);
    session.rows(
        "select worker.report_executor($1, '{\"state\": \"working\"}')",
        &[&executor],
    );
    assert_eq!(state(&mut session, executor), "working");
    assert_eq!(rescue(&mut session), 0, "the grace begins anew");
    assert_eq!(status(&mut session, job), "running");
}

fn the_old_session_may_end_after_the_new_one_began(database: &Database) {
    let (mut session, executor) = (database.session(), Uuid::new_v4());
    let old = presence(database, executor);
    let job = enqueue_quests(&mut session, 1);
    lease_as(&mut session, executor);
    let _new = presence(database, executor);
    end(old, &mut session);
    miss(&mut session);
    assert_eq!(rescue(&mut session), 0);
    assert_eq!(status(&mut session, job), "running");
}

fn a_job_that_takes_its_executors_with_it_is_charged_and_fails(database: &Database) {
    let mut session = database.session();
    let job = enqueue_quests(&mut session, 2);
    let mut lose = |stores: Option<i32>| {
        let executor = Uuid::new_v4();
        let life = presence(database, executor);
        let lease = lease_as(&mut session, executor);
        if let Some(item) = stores {
            store_quest(&mut session, &lease, item);
        }
        end(life, &mut session);
        miss(&mut session);
        assert_eq!(rescue(&mut session), 1);
        of_job(&mut session, job, "concat_ws(' ', status, attempts)").expect("a row")
    };
    // The first loss is bad luck; so is one after progress.
    assert_eq!(lose(None), "pending 0");
    assert_eq!(lose(Some(1)), "pending 0");
    assert_eq!(lose(None), "pending 1");
    assert_eq!(lose(None), "pending 2");
    assert_eq!(lose(None), "failed 3");
    let reason = of_job(&mut session, job, "error_message").expect("a reason");
    assert!(
        reason.starts_with("attempt 3: its executor is gone since "),
        "{reason}"
    );
}

fn an_executor_that_nobody_watches_keeps_its_lease(database: &Database) {
    let (mut session, executor) = (database.session(), Uuid::new_v4());
    let job = enqueue_quests(&mut session, 1);
    lease_as(&mut session, executor);
    miss(&mut session);
    assert_eq!(rescue(&mut session), 0);
    assert_eq!(status(&mut session, job), "running");
    let_time_pass(&mut session, 60.0);
    assert_eq!(rescue(&mut session), 1);
}

fn the_next_look_comes_within_the_grace_while_a_watched_executor_works(database: &Database) {
    let (mut session, executor) = (database.session(), Uuid::new_v4());
    let soon = "select worker.next_due() <= clock_timestamp() + worker.presence_grace()";
    let _life = presence(database, executor);
    assert_eq!(session.value::<Option<bool>>(soon, &[]), None, "nothing to watch");
    enqueue_quests(&mut session, 1);
    lease_as(&mut session, executor);
    assert!(session.value::<bool>(soon, &[]));
}
