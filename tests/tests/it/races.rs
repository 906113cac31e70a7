//! Two of us at the same rows, in every order, without luck: the second one really waits for the first
//! (or provably does not), and no order ends in a deadlock.

use crate::steps::{
    Lease, enqueue, enqueue_quests, heartbeat, in_background, lease, lease_one, let_lease_run_out, of_job,
    outcome, status, store_quest, wait_until_blocked,
};
use pg_worker_tests::{Database, Session, on_both_installs};
use serde_json::json;
use uuid::Uuid;

on_both_installs!(
    a_second_rescuer_leaves_what_the_first_has_in_hand,
    a_beat_that_waits_for_a_rescue_has_lost,
    a_beat_that_waits_for_a_rescue_that_is_rolled_back_has_not,
    a_rescue_leaves_a_job_that_is_just_beating,
    a_cancel_that_waits_for_a_completion_comes_too_late,
    a_completion_that_waits_for_a_cancel_comes_too_late,
    an_item_that_waits_for_a_cancel_is_not_stored,
    an_item_that_waits_for_a_rescue_is_not_stored,
    a_completion_counts_the_item_that_it_waited_for,
    a_retry_that_waits_for_a_prune_finds_nothing,
    a_prune_leaves_a_job_that_is_just_retried,
    two_retries_of_twins_make_one_job,
    two_refills_with_one_check_do_it_once,
    many_beats_in_opposite_order_are_no_deadlock,
);

fn rescue(session: &mut Session) -> i32 {
    session.value("select worker.rescue_jobs()", &[])
}

fn prune(session: &mut Session) -> i32 {
    session.value("select worker.prune_jobs()", &[])
}

fn retry(session: &mut Session, job: Uuid) -> bool {
    session.value("select retry_worker_job($1)", &[&job])
}

fn cancel(session: &mut Session, job: Uuid) -> bool {
    session.value("select cancel_worker_job($1)", &[&job])
}

fn leased(session: &mut Session, count: i32) -> Lease {
    enqueue_quests(session, count);
    lease_one(session)
}

/// One step in an open transaction, then another one in a session of its own that must wait for it,
/// then the end (commit or rollback) of the first. What the second one gave.
fn while_open<T: Send + 'static>(
    database: &Database,
    first: impl FnOnce(&mut Session),
    second: impl FnOnce(&mut Session) -> T + Send + 'static,
    end: &str,
) -> T {
    let (mut one, mut other) = (database.session(), database.session());
    one.run("begin");
    first(&mut one);
    let pid = other.backend_pid();
    let waiting = in_background(other, second);
    wait_until_blocked(&mut database.session(), pid);
    one.run(end);
    waiting.join().expect("the second step")
}

/// A session that would rather fail than wait.
fn impatient(database: &Database) -> Session {
    let mut session = database.session();
    session.run("set lock_timeout = '1ms'");
    session
}

fn a_second_rescuer_leaves_what_the_first_has_in_hand(database: &Database) {
    let mut one = database.session();
    for _ in 0..3 {
        enqueue_quests(&mut one, 1);
    }
    for lease in lease(&mut one, 3) {
        let_lease_run_out(&mut one, lease.job);
    }
    one.run("begin");
    assert_eq!(rescue(&mut one), 3);
    assert_eq!(rescue(&mut impatient(database)), 0, "without waiting");
    one.run("commit");
    assert_eq!(rescue(&mut one), 0);
    assert_eq!(
        one.count("worker_jobs where status = 'pending' and attempts = 1"),
        3
    );
}

fn a_beat_that_waits_for_a_rescue_has_lost(database: &Database) {
    let mut session = database.session();
    let lease = leased(&mut session, 1);
    let_lease_run_out(&mut session, lease.job);
    let late = lease.clone();
    let rescues = |session: &mut Session| assert_eq!(rescue(session), 1);
    let answer = while_open(
        database,
        rescues,
        move |session| heartbeat(session, &late),
        "commit",
    );
    assert_eq!(answer, "lease lost");
    assert_eq!(status(&mut session, lease.job), "pending");
}

fn a_beat_that_waits_for_a_rescue_that_is_rolled_back_has_not(database: &Database) {
    let mut session = database.session();
    let lease = leased(&mut session, 1);
    let_lease_run_out(&mut session, lease.job);
    let late = lease.clone();
    let rescues = |session: &mut Session| assert_eq!(rescue(session), 1);
    let answer = while_open(
        database,
        rescues,
        move |session| heartbeat(session, &late),
        "rollback",
    );
    assert_eq!(answer, "ok");
    assert_eq!(rescue(&mut session), 0, "its lease holds again");
}

fn a_rescue_leaves_a_job_that_is_just_beating(database: &Database) {
    let mut session = database.session();
    let lease = leased(&mut session, 1);
    let_lease_run_out(&mut session, lease.job);
    session.run("begin");
    assert_eq!(heartbeat(&mut session, &lease), "ok");
    assert_eq!(rescue(&mut impatient(database)), 0, "without waiting");
    session.run("commit");
    assert_eq!(rescue(&mut session), 0);
    assert_eq!(status(&mut session, lease.job), "running");
}

fn a_cancel_that_waits_for_a_completion_comes_too_late(database: &Database) {
    let mut session = database.session();
    let lease = leased(&mut session, 1);
    store_quest(&mut session, &lease, 1);
    let job = lease.job;
    let completes =
        |session: &mut Session| assert_eq!(outcome(session, "complete_job", &lease, ""), "completed");
    assert!(!while_open(
        database,
        completes,
        move |session| cancel(session, job),
        "commit"
    ));
    assert_eq!(status(&mut session, job), "completed");
}

fn a_completion_that_waits_for_a_cancel_comes_too_late(database: &Database) {
    let mut session = database.session();
    let lease = leased(&mut session, 1);
    store_quest(&mut session, &lease, 1);
    let job = lease.job;
    let cancels = |session: &mut Session| assert!(cancel(session, job));
    let completes = move |session: &mut Session| outcome(session, "complete_job", &lease, "");
    assert_eq!(while_open(database, cancels, completes, "commit"), "cancelled");
    assert_eq!(status(&mut session, job), "cancelled");
}

fn stores(lease: &Lease) -> impl FnOnce(&mut Session) -> String + Send + 'static {
    let lease = lease.clone();
    move |session| crate::steps::store(session, &lease, 1, &crate::steps::quest(1)).outcome
}

fn an_item_that_waits_for_a_cancel_is_not_stored(database: &Database) {
    let mut session = database.session();
    let lease = leased(&mut session, 1);
    let cancels = |session: &mut Session| assert!(cancel(session, lease.job));
    assert_eq!(
        while_open(database, cancels, stores(&lease), "commit"),
        "cancelled"
    );
    assert_eq!(session.count("quest_templates"), 0);
}

fn an_item_that_waits_for_a_rescue_is_not_stored(database: &Database) {
    let mut session = database.session();
    let lease = leased(&mut session, 1);
    let_lease_run_out(&mut session, lease.job);
    let rescues = |session: &mut Session| assert_eq!(rescue(session), 1);
    assert_eq!(
        while_open(database, rescues, stores(&lease), "commit"),
        "lease lost"
    );
    assert_eq!(session.count("quest_templates"), 0);
}

fn a_completion_counts_the_item_that_it_waited_for(database: &Database) {
    let mut session = database.session();
    let lease = leased(&mut session, 1);
    let shared = lease.clone();
    let last = |session: &mut Session| assert!(!store_quest(session, &lease, 1).is_nil());
    let completes = move |session: &mut Session| outcome(session, "complete_job", &shared, "");
    assert_eq!(while_open(database, last, completes, "commit"), "completed");
    assert_eq!(session.count("quest_templates"), 1);
}

/// A failed job that is old enough to be pruned.
fn old_failure(session: &mut Session) -> Uuid {
    let job = enqueue_quests(session, 1);
    session.rows(
        "update worker_jobs set status = 'failed', completed_at = now() - interval '8 days' where id = $1",
        &[&job],
    );
    job
}

fn a_retry_that_waits_for_a_prune_finds_nothing(database: &Database) {
    let mut session = database.session();
    let job = old_failure(&mut session);
    let prunes = |session: &mut Session| assert_eq!(prune(session), 1);
    assert!(!while_open(
        database,
        prunes,
        move |session| retry(session, job),
        "commit"
    ));
    assert_eq!(session.count("worker_jobs"), 0);
}

fn a_prune_leaves_a_job_that_is_just_retried(database: &Database) {
    let mut session = database.session();
    let job = old_failure(&mut session);
    session.run("begin");
    assert!(retry(&mut session, job));
    assert_eq!(prune(&mut impatient(database)), 0, "without waiting");
    session.run("commit");
    assert_eq!(prune(&mut session), 0);
    assert_eq!(status(&mut session, job), "pending");
}

fn two_retries_of_twins_make_one_job(database: &Database) {
    let mut session = database.session();
    let mut failed = || {
        let job: Uuid = session.value(
            "select enqueue_worker_job('generate_quests', p_dedupe_key => 'one at a time')",
            &[],
        );
        session.rows("update worker_jobs set status = 'failed' where id = $1", &[&job]);
        job
    };
    let (first, second) = (failed(), failed());
    let retries = |session: &mut Session| assert!(retry(session, first));
    assert!(!while_open(
        database,
        retries,
        move |session| retry(session, second),
        "commit"
    ));
    let mut session = database.session();
    assert_eq!(status(&mut session, first), "pending");
    let seen = of_job(&mut session, second, "concat_ws(' ', status, error_message)");
    assert_eq!(seen, Some(format!("cancelled superseded by {first}")));
}

fn two_refills_with_one_check_do_it_once(database: &Database) {
    let mut session = database.session();
    session.run("update content_pools set enabled = false where kind <> 'quest'");
    let check: Uuid = session.value("select schedule_pool_check()", &[]);
    let refill = |session: &mut Session| session.value::<i32>("select worker.refill_pools()", &[]);
    let first = |session: &mut Session| assert_eq!(refill(session), 2);
    assert_eq!(while_open(database, first, refill, "commit"), 0);
    assert_eq!(status(&mut session, check), "completed");
    assert_eq!(session.count("worker_jobs where status = 'pending'"), 2);
}

fn many_beats_in_opposite_order_are_no_deadlock(database: &Database) {
    let mut session = database.session();
    for _ in 0..2 {
        enqueue(&mut session, "generate_quests", json!({"count": 1}));
    }
    let mut leases = lease(&mut session, 2);
    leases.sort_by_key(|lease| lease.job);
    let beat = |leases: &[Lease]| {
        let (jobs, tokens): (Vec<Uuid>, Vec<Uuid>) =
            leases.iter().map(|lease| (lease.job, lease.token)).unzip();
        move |session: &mut Session| {
            let sql = "select outcome from worker.heartbeat($1, $2)";
            session.column::<String>(sql, &[&jobs, &tokens])
        }
    };
    let forwards = beat(&leases);
    let backwards = beat(&[leases[1].clone(), leases[0].clone()]);
    // Whoever comes second waits at the first job, whatever the order that it names them in.
    let (mut one, mut other) = (database.session(), database.session());
    one.run("begin");
    assert_eq!(heartbeat(&mut one, &leases[0]), "ok");
    let pid = other.backend_pid();
    let waiting = in_background(other, backwards);
    wait_until_blocked(&mut database.session(), pid);
    assert_eq!(forwards(&mut one), ["ok", "ok"]);
    one.run("commit");
    assert_eq!(waiting.join().expect("no deadlock"), ["ok", "ok"]);
}
