//! Which job is leased, by whom, and what the lease says.

use crate::steps::{enqueue, enqueue_quests, heartbeat, lease, lease_one, of_job, status};
use pg_worker_tests::{Database, on_both_installs};
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

on_both_installs!(
    the_most_urgent_job_comes_first_then_the_one_that_is_due_longest,
    a_job_in_the_future_is_not_leased_but_foreseen,
    two_executors_never_wait_for_each_other,
    a_lease_tells_all_that_an_executor_needs,
    a_pool_check_is_never_leased,
    a_job_set_running_by_hand_gets_thirty_minutes,
    heartbeats_are_hot_updates,
    a_heartbeat_renews_only_what_is_held,
);

fn the_most_urgent_job_comes_first_then_the_one_that_is_due_longest(database: &Database) {
    let mut game = database.session();
    for (priority, due_seconds_ago) in [(5, 10), (5, 20), (10, 99), (1, 1), (2, 5), (2, 6)] {
        game.rows(
            "select enqueue_worker_job('generate_quests', null, $1, now() - make_interval(secs => $2))",
            &[&priority, &f64::from(due_seconds_ago)],
        );
    }
    let order = "select priority || ':' || round(extract(epoch from now() - run_at) / 10)::int || ':' || id
                   from worker_jobs order by priority, run_at";
    let expected: Vec<String> = game.column(order, &[]);
    assert_eq!(expected.len(), 6);
    let expected: Vec<Uuid> = game.column("select id from worker_jobs order by priority, run_at", &[]);
    let one_by_one: Vec<Uuid> = (0..3).map(|_| lease(&mut game, 1)[0].job).collect();
    let at_once: Vec<Uuid> = lease(&mut game, 10).iter().map(|lease| lease.job).collect();
    assert_eq!([one_by_one, at_once].concat(), expected);
    assert!(lease(&mut game, 10).is_empty());
}

fn a_job_in_the_future_is_not_leased_but_foreseen(database: &Database) {
    let mut game = database.session();
    let sql = "select enqueue_worker_job('generate_quests', null, 1, now() + interval '1 hour')";
    let job: Uuid = game.value(sql, &[]);
    assert!(lease(&mut game, 1).is_empty());
    let due = "select worker.next_due() = (select run_at from worker_jobs)";
    assert!(game.value::<bool>(due, &[]));
    game.run("update worker_jobs set run_at = now()");
    assert_eq!(lease_one(&mut game).job, job);
}

fn two_executors_never_wait_for_each_other(database: &Database) {
    let (mut one, mut other) = (database.session(), database.session());
    enqueue_quests(&mut one, 1);
    enqueue_quests(&mut one, 1);
    other.run("set lock_timeout = '5s'");
    one.run("begin");
    let first = lease_one_of(&mut one);
    let second = lease_one_of(&mut other);
    assert_ne!(first, second);
    assert!(lease(&mut other, 5).is_empty(), "the first is being leased");
    one.run("rollback");
    assert_eq!(lease_one_of(&mut other), first, "the lease was rolled back");
}

fn lease_one_of(session: &mut pg_worker_tests::Session) -> Uuid {
    lease(session, 1)[0].job
}

fn a_lease_tells_all_that_an_executor_needs(database: &Database) {
    let mut session = database.session();
    let parameters = json!({"count": 3, "level_range": [2, 4]});
    let job = enqueue(&mut session, "generate_quests", parameters.clone());
    let executor = Uuid::new_v4();
    let row = session.row(
        "select job_id, job_type, kind, priority, parameters, asked, stored, attempt, max_attempts,
                extract(epoch from expires_at - clock_timestamp())::float8 from worker.lease_jobs($1, 1, 60)",
        &[&executor],
    );
    assert_eq!(row.get::<_, Uuid>(0), job);
    assert_eq!(
        (row.get::<_, &str>(1), row.get::<_, &str>(2)),
        ("generate_quests", "quest")
    );
    assert_eq!(row.get::<_, serde_json::Value>(4), parameters);
    let numbers: Vec<i32> = [3, 5, 6, 7, 8].map(|at| row.get(at)).into();
    assert_eq!(numbers, [5, 3, 0, 1, 3]);
    let left = Duration::from_secs_f64(row.get(9));
    assert!(left.as_secs() >= 50 && left.as_secs() <= 60, "{left:?}");
    let seen = "status, executor_id, attempts, started_at is not null, lease_token is not null";
    let expected = format!("(running,{executor},1,t,t)");
    assert_eq!(of_job(&mut session, job, &format!("row({seen})")), Some(expected));
}

fn a_pool_check_is_never_leased(database: &Database) {
    let mut session = database.session();
    session.run("select schedule_pool_check()");
    assert!(
        lease(&mut session, 10).is_empty(),
        "the tick does it, no executor"
    );
}

fn a_job_set_running_by_hand_gets_thirty_minutes(database: &Database) {
    let mut session = database.session();
    let job = enqueue_quests(&mut session, 1);
    session.run("update worker_jobs set status = 'running', started_at = now()");
    let expected = "row(status, attempts, lease_token is not null, executor_id is null,
                        lease_expires_at = started_at + interval '30 minutes')";
    let row = of_job(&mut session, job, expected);
    assert_eq!(row.as_deref(), Some("(running,1,t,t,t)"));
    assert_eq!(
        session.value::<i32>("select worker.rescue_jobs()", &[]),
        0,
        "not yet"
    );
    session
        .run("update worker_jobs set lease_expires_at = lease_expires_at - interval '30 minutes 1 second'");
    assert_eq!(session.value::<i32>("select worker.rescue_jobs()", &[]), 1);
    assert_eq!(status(&mut session, job), "pending");
}

fn heartbeats_are_hot_updates(database: &Database) {
    let mut session = database.session();
    enqueue_quests(&mut session, 1);
    let lease = lease_one(&mut session);
    let before = updates(&mut session);
    for _ in 0..100 {
        assert_eq!(heartbeat(&mut session, &lease), "ok");
    }
    let after = updates(&mut session);
    assert_eq!(after.0 - before.0, 100);
    // Once in a while a page is full before the server prunes it.
    assert!(after.1 - before.1 >= 90, "{before:?} → {after:?}");
}

/// Updates of worker_jobs so far, and how many of them were HOT.
fn updates(session: &mut pg_worker_tests::Session) -> (i64, i64) {
    session.run("select pg_stat_force_next_flush()");
    session.run("select pg_stat_clear_snapshot()");
    let sql = "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relid = 'public.worker_jobs'::regclass";
    let row = session.row(sql, &[]);
    (row.get(0), row.get(1))
}

fn a_heartbeat_renews_only_what_is_held(database: &Database) {
    let mut session = database.session();
    let jobs: Vec<Uuid> = (0..3).map(|_| enqueue_quests(&mut session, 1)).collect();
    let leases = lease(&mut session, 3);
    assert_eq!(leases.iter().map(|l| l.job).collect::<Vec<_>>(), jobs);
    session.run("update worker_jobs set lease_expires_at = now() + interval '1 second'");
    session.rows("select cancel_worker_job($1)", &[&jobs[1]]);
    let tokens = [leases[0].token, leases[1].token, Uuid::new_v4()];
    let sql = "select outcome from worker.heartbeat($1, $2, 100) h
                 join unnest($1::uuid[]) with ordinality as o(id, n) on o.id = h.job_id order by o.n";
    let outcomes: Vec<String> = session.column(sql, &[&jobs, &tokens.as_slice()]);
    assert_eq!(outcomes, ["ok", "cancelled", "lease lost"]);
    let renewed = "select lease_expires_at > now() + interval '50 seconds' from worker_jobs
                    where status = 'running' order by run_at";
    assert_eq!(session.column::<bool>(renewed, &[]), [true, false]);
}
