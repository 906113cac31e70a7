//! At rest there is the launcher alone; whoever commits something, or whatever becomes due, has a worker started, at
//! whatever step launcher and worker are just then.

use super::{SERVED, WORKER, listening_at_rest, served, times_found_busy};
use crate::steps::{enqueue_quests, lease_one, let_lease_run_out, status};
use pg_worker_tests::{BOUND, Cluster, Database, Session, wait_until};
use std::time::Duration;
use uuid::Uuid;

/// The worker of this database has left.
fn wait_until_asleep(session: &mut Session) {
    session.wait_until_true(&format!("select not exists ({WORKER})"), BOUND);
}

/// A database at rest whose pools nobody fills, on a server of its own.
fn at_rest(cluster: &Cluster) -> (Database<'_>, Session) {
    let db = Database::empty(cluster);
    db.session()
        .run("create extension pg_worker_ext; update content_pools set enabled = false");
    let mut session = served(&db);
    wait_until_asleep(&mut session);
    (db, session)
}

#[test]
fn a_worker_leaves_when_there_is_nothing_to_do_and_says_when_the_next_one_looks() {
    let (db, mut session) = listening_at_rest();
    wait_until_asleep(&mut session);
    let about = "select (worker.about() ->> 'background_worker')::boolean and not (worker.about() ->> 'awake')::boolean
                   and (worker.about() ->> 'next_look')::timestamptz between now() + interval '1 minute' and now() + interval '1 hour'";
    assert!(session.value::<bool>(about, &[]));
    db.session().run("select enqueue_worker_job('generate_quests')");
    session.notifier(BOUND);
    wait_until_asleep(&mut session);
}

/// The log says once that a database is served, not at every start.
#[test]
fn the_log_is_quiet_about_workers_that_come_and_go() {
    let cluster = Cluster::own(&[]);
    let (db, mut session) = at_rest(&cluster);
    session.run("listen worker_jobs");
    for _ in 0..3 {
        db.session().run("select enqueue_worker_job('generate_quests')");
        session.notifier(BOUND);
        wait_until_asleep(&mut session);
    }
    let log = cluster.log();
    let ours: Vec<_> = log
        .lines()
        .filter(|line| line.contains("pg_worker_ext"))
        .collect();
    assert_eq!(ours.len(), 1, "{ours:#?}");
}

/// Where a process of ours can be stopped. An enqueue at that moment is announced all the same.
#[test]
fn an_enqueue_at_whatever_step_is_announced() {
    let cluster = Cluster::own(&[]);
    let (db, mut listener) = at_rest(&cluster);
    listener.run("listen worker_jobs");
    let mut game = db.session();
    for step in [
        "launcher: before its sleep",
        "launcher: before a start",
        "worker: before it enters",
        "worker: has taken the flags",
        "worker: before it leaves",
        "worker: after it has left",
    ] {
        let stopped = || cluster.log().matches(&format!("stopped at {step}")).count();
        let before = stopped();
        cluster.alter_system(&format!("pg_worker_ext.stop_at = '{step}'"));
        game.run("select enqueue_worker_job('generate_quests')");
        wait_until(step, BOUND, || stopped() > before);
        // What was sent up to here is of the first one.
        listener.notifiers(Duration::from_millis(100));
        game.run("select enqueue_worker_job('generate_quests')");
        cluster.alter_system("pg_worker_ext.stop_at = ''");
        let heard = listener.notifier(BOUND);
        assert_ne!(heard, game.backend_pid(), "{step}: the worker announces");
        wait_until_asleep(&mut listener);
    }
}

/// The worker that was told of the lease's end is long gone when it comes.
#[test]
fn the_end_of_a_lease_wakes_a_worker() {
    let cluster = Cluster::own(&[]);
    let (_db, mut session) = at_rest(&cluster);
    let job = enqueue_quests(&mut session, 1);
    session.rows("select worker.lease_jobs($1, 1, 5)", &[&Uuid::new_v4()]);
    session.wait_until_true(
        "select status = 'pending' and attempts = 1 from worker_jobs",
        BOUND,
    );
    let reason: String = session.value("select error_message from worker_jobs where id = $1", &[&job]);
    assert!(reason.contains("lease ran out"), "{reason}");
}

/// No worker watches it: the end of its session is told.
#[test]
fn an_executors_end_wakes_a_worker() {
    let cluster = Cluster::own(&[]);
    let (db, mut session) = at_rest(&cluster);
    let executor = Uuid::new_v4();
    let mut life = db.session();
    assert!(life.value::<bool>("select worker.show_presence($1)", &[&executor]));
    enqueue_quests(&mut session, 1);
    session.rows("select worker.lease_jobs($1, 1, 3600)", &[&executor]);
    wait_until_asleep(&mut session);
    drop(life);
    session.wait_until_true(
        "select status = 'pending' and attempts = 0 from worker_jobs",
        BOUND,
    );
    let reason: String = session.value("select error_message from worker_jobs", &[]);
    assert!(reason.contains("its executor is gone"), "{reason}");
}

/// The game's own worker, as the guide's migration knows it, leases with a plain UPDATE.
#[test]
fn a_lease_taken_by_a_plain_update_is_looked_at_when_it_ends() {
    let cluster = Cluster::own(&[]);
    let (_db, mut session) = at_rest(&cluster);
    let job = enqueue_quests(&mut session, 1);
    session.run(
        "update worker_jobs set status = 'running', started_at = now(), lease_token = gen_random_uuid(),
                lease_expires_at = now() + interval '3 seconds'",
    );
    wait_until_asleep(&mut session);
    session.wait_until_true("select status = 'pending' from worker_jobs", BOUND);
    assert_eq!(status(&mut session, job), "pending");
}

#[test]
fn a_job_for_later_is_announced_when_its_time_comes() {
    let cluster = Cluster::own(&[]);
    let (db, mut session) = at_rest(&cluster);
    session.run("listen worker_jobs");
    db.session()
        .run("select enqueue_worker_job('generate_quests', p_run_at => now() + interval '4 seconds')");
    session.notifier(BOUND);
    wait_until_asleep(&mut session);
    session.notifier(BOUND);
    assert!(session.value::<bool>("select run_at <= clock_timestamp() from worker_jobs", &[]));
}

/// As a crash or a `pg_terminate_backend` does it, in the middle of a step.
#[test]
fn what_a_killed_worker_had_taken_up_is_done_by_the_next_one() {
    let cluster = Cluster::own(&["pg_worker_ext.stop_at = 'worker: has taken the flags'"]);
    let db = Database::with_extension(&cluster);
    let mut session = db.session();
    session.run("listen worker_jobs");
    wait_until("it is stopped", BOUND, || {
        cluster.log().contains("stopped at worker")
    });
    session.run("select enqueue_worker_job('generate_quests')");
    session.notifiers(Duration::from_millis(100));
    session.run(&format!("select pg_terminate_backend(pid) from ({WORKER}) w"));
    cluster.alter_system("pg_worker_ext.stop_at = ''");
    session.notifier(BOUND);
    session.wait_until_true(SERVED, BOUND);
}

/// A statement of somebody else's cannot keep it: not a slow trigger, not a lock.
#[test]
fn a_step_that_takes_too_long_is_cancelled_and_the_others_go_on() {
    let cluster = Cluster::own(&[]);
    let (db, mut session) = at_rest(&cluster);
    session.run(
        "create function dawdle() returns trigger language plpgsql as $$ begin perform pg_sleep(600); return new; end $$;
         create trigger dawdle before insert on worker_jobs for each row when (new.refill) execute function dawdle();",
    );
    let job = enqueue_quests(&mut session, 1);
    lease_one(&mut session);
    let_lease_run_out(&mut session, job);
    session.run("update content_pools set enabled = true where kind = 'npc'");
    wait_until("it is cancelled", BOUND, || {
        cluster.log().contains("refilling pools failed") && cluster.log().contains("(ERRCODE_QUERY_CANCELED)")
    });
    let log = cluster.log();
    assert!(log.contains("Statement: select worker.refill_pools()"), "{log}");
    session.run("select worker.wake_at(null)");
    session.wait_until_true(
        "select status = 'pending' from worker_jobs where attempts = 1",
        BOUND,
    );
    // Nobody who wants the database for himself waits for it.
    let name = db.name().to_owned();
    drop(session);
    cluster.session("postgres").run(&format!("drop database {name}"));
}

/// A look that cannot be done is tried again at growing intervals, whatever is enqueued meanwhile.
#[test]
fn a_look_that_fails_does_not_keep_a_core_busy() {
    let cluster = Cluster::own(&[]);
    let (db, mut session) = at_rest(&cluster);
    session.run("begin; lock table worker.kinds in access exclusive mode; lock table worker.low_water in access exclusive mode");
    let mut game = db.session();
    game.run("select worker.wake_at(null)");
    wait_until("two looks fail", BOUND, || {
        cluster.log().matches("looking at the queue failed").count() >= 2
    });
    let busy = times_found_busy(&mut game);
    assert!(busy <= 10, "{busy} of 20 times it was found busy");
    session.run("commit");
    game.wait_until_true("select (worker.about() ->> 'awake')::boolean is not null", BOUND);
}
