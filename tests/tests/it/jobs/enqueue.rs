//! Enqueueing: in the caller's transaction, and never two where one was promised.

use crate::steps::{
    enqueue_quests, in_background, lease_one, of_job, outcome, status, store_quest, together,
    wait_until_blocked,
};
use pg_worker_tests::{Database, Session, on_both_installs};
use uuid::Uuid;

on_both_installs!(
    a_dedupe_key_gives_the_unfinished_job_back,
    eight_at_once_with_one_dedupe_key_make_one_job,
    eight_pool_checks_at_once_make_one,
    a_pool_check_waits_for_one_that_is_rolled_back,
    a_new_pool_check_may_wait_while_one_runs,
    a_retry_beside_a_twin_ends_as_superseded,
    a_rolled_back_enqueue_leaves_nothing,
    a_plain_insert_takes_the_same_defaults,
);

const TONIGHT: &str =
    "select enqueue_worker_job('generate_quests', '{\"count\": 1}', p_dedupe_key => 'tonight')";

fn a_dedupe_key_gives_the_unfinished_job_back(database: &Database) {
    let mut session = database.session();
    let job: Uuid = session.value(TONIGHT, &[]);
    assert_eq!(session.value::<Uuid>(TONIGHT, &[]), job, "pending");
    let lease = lease_one(&mut session);
    assert_eq!(session.value::<Uuid>(TONIGHT, &[]), job, "running");
    store_quest(&mut session, &lease, 1);
    assert_eq!(outcome(&mut session, "complete_job", &lease, ""), "completed");
    let next: Uuid = session.value(TONIGHT, &[]);
    assert_ne!(next, job, "that one is done");
    assert_eq!(session.count("worker_jobs"), 2);
    let other = "select enqueue_worker_job('generate_quests', p_dedupe_key => 'tomorrow')";
    assert_ne!(session.value::<Uuid>(other, &[]), next);
}

fn eight_at_once_with_one_dedupe_key_make_one_job(database: &Database) {
    let ids = together(database, 8, |session| session.value::<Uuid>(TONIGHT, &[]));
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(database.session().count("worker_jobs"), 1);
}

fn eight_pool_checks_at_once_make_one(database: &Database) {
    let sql = "select schedule_pool_check()";
    let ids = together(database, 8, |session| session.value::<Option<Uuid>>(sql, &[]));
    assert_eq!(ids.iter().flatten().count(), 1, "{ids:?}");
    let mut session = database.session();
    assert_eq!(session.count("worker_jobs where job_type = 'check_all_pools'"), 1);
    assert_eq!(session.value::<Option<Uuid>>(sql, &[]), None, "it is pending");
    let by_name: Uuid = session.value("select enqueue_worker_job('check_all_pools', null, 1)", &[]);
    assert!(
        ids.contains(&Some(by_name)),
        "the guide's call gives the pending one"
    );
}

fn a_pool_check_waits_for_one_that_is_rolled_back(database: &Database) {
    let (mut one, mut other) = (database.session(), database.session());
    one.run("begin; select schedule_pool_check()");
    let pid = other.backend_pid();
    let second = in_background(other, |session| {
        session.value::<Option<Uuid>>("select schedule_pool_check()", &[])
    });
    wait_until_blocked(&mut database.session(), pid);
    one.run("rollback");
    assert!(second.join().unwrap().is_some(), "the first one never was");
    assert_eq!(one.count("worker_jobs"), 1);
}

fn a_new_pool_check_may_wait_while_one_runs(database: &Database) {
    let mut session = database.session();
    session.run("select schedule_pool_check()");
    session.run("update worker_jobs set status = 'running'");
    assert!(
        session
            .value::<Option<Uuid>>("select schedule_pool_check()", &[])
            .is_some(),
        "what changes while the first one counts is seen by the second"
    );
}

fn a_retry_beside_a_twin_ends_as_superseded(database: &Database) {
    let mut session = database.session();
    let old: Uuid = session.value(TONIGHT, &[]);
    session.run("update worker_jobs set status = 'failed'");
    let new: Uuid = session.value(TONIGHT, &[]);
    assert!(!retry(&mut session, old));
    assert_eq!(status(&mut session, old), "cancelled");
    let message = of_job(&mut session, old, "error_message");
    assert_eq!(message, Some(format!("superseded by {new}")));
    assert_eq!(status(&mut session, new), "pending");
}

fn retry(session: &mut Session, job: Uuid) -> bool {
    session.value("select retry_worker_job($1)", &[&job])
}

fn a_rolled_back_enqueue_leaves_nothing(database: &Database) {
    let mut session = database.session();
    session.run("begin");
    enqueue_quests(&mut session, 1);
    session.run("rollback");
    assert_eq!(session.count("worker_jobs"), 0);
}

fn a_plain_insert_takes_the_same_defaults(database: &Database) {
    let mut session = database.session();
    let seen =
        "row(parameters, priority, status, asked, attempts, max_attempts, run_at <= clock_timestamp())";
    let called: Uuid = session.value("select enqueue_worker_job('generate_quests')", &[]);
    let sql = "insert into worker_jobs (job_type) values ('generate_quests') returning id";
    let inserted: Uuid = session.value(sql, &[]);
    let expected = Some("({},5,pending,10,0,3,t)".to_owned());
    assert_eq!(of_job(&mut session, called, seen), expected);
    assert_eq!(of_job(&mut session, inserted, seen), expected);
}
