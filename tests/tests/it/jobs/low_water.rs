//! Where a lease begins to look while dead entries cannot be cleaned up, and that no job is lost below.

use crate::steps::{lease, lease_one};
use pg_worker_tests::{Database, Session, on_both_installs};
use uuid::Uuid;

on_both_installs!(
    marks_are_kept_only_where_they_are_of_use,
    a_job_below_the_mark_is_found_by_the_next_walk,
    marks_of_a_clock_that_was_set_back_are_renewed_at_once,
);

/// As many dead rows as vacuum leaves where it cannot do its work, and the session that it waits for.
fn with_dead_rows(database: &Database) -> (Session, Session) {
    let mut holder = database.session();
    holder.run("begin isolation level repeatable read; select from worker_jobs");
    let mut session = database.session();
    session.run("update content_pools set enabled = false");
    session.run("select count(enqueue_worker_job('generate_quests')) from generate_series(1, 2500)");
    session.run("delete from worker_jobs");
    session.run("select pg_stat_force_next_flush()");
    (holder, session)
}

fn enqueue(session: &mut Session, priority: i32, minutes_ago: i32) -> Uuid {
    let sql = "select enqueue_worker_job('generate_quests', null, $1, now() - make_interval(mins => $2))";
    session.value(sql, &[&priority, &minutes_ago])
}

fn tick(session: &mut Session) {
    session.run("select worker.tick()");
}

/// As if a minute had passed since the last walk.
fn tick_a_minute_later(session: &mut Session) {
    session.run("update worker.low_water set walked_at = walked_at - interval '61 seconds'");
    tick(session);
}

fn marks_are_kept_only_where_they_are_of_use(database: &Database) {
    let mut young = database.session();
    tick(&mut young);
    assert!(young.value::<bool>("select run_at is null from worker.low_water", &[]));
    let (mut holder, mut session) = with_dead_rows(database);
    let job = enqueue(&mut session, 5, 60);
    tick(&mut session);
    let fits = "select run_at[5] = (select run_at from worker_jobs)
                   and array_length(run_at, 1) = 10
                   and run_at[4] between now() - interval '3 minutes' and now() - interval '2 minutes'
                  from worker.low_water";
    assert!(session.value::<bool>(fits, &[]));
    let walked = "select walked_at::text from worker.low_water";
    let before: String = session.value(walked, &[]);
    tick(&mut session);
    assert_eq!(session.value::<String>(walked, &[]), before, "once a minute");
    assert_eq!(lease_one(&mut session).job, job);
    session.run("update worker_jobs set lease_expires_at = now() + interval '1 hour'");
    let due = "select worker.next_due() = walked_at + interval '1 minute' from worker.low_water";
    assert!(session.value::<bool>(due, &[]), "the lease ends later than that");
    holder.run("commit");
    session.run("vacuum worker_jobs");
    tick(&mut session);
    assert!(session.value::<bool>("select run_at is null from worker.low_water", &[]));
}

fn a_job_below_the_mark_is_found_by_the_next_walk(database: &Database) {
    let (_holder, mut session) = with_dead_rows(database);
    tick(&mut session);
    let late = enqueue(&mut session, 5, 30);
    assert_eq!(lease(&mut session, 1).len(), 0, "the mark is not looked below");
    tick_a_minute_later(&mut session);
    assert_eq!(lease_one(&mut session).job, late);
}

fn marks_of_a_clock_that_was_set_back_are_renewed_at_once(database: &Database) {
    let (_holder, mut session) = with_dead_rows(database);
    tick(&mut session);
    session.run("update worker.low_water set walked_at = now() + interval '1 hour', run_at = array_fill(now() + interval '1 hour', array[10])");
    let job = enqueue(&mut session, 5, 0);
    tick(&mut session);
    assert_eq!(lease_one(&mut session).job, job);
}
