//! A worker for each database that has the extension, and none in the way of whoever commands over a
//! whole database.

use super::{SERVED, WORKER, served};
use pg_worker_tests::{BOUND, Cluster, Database, wait_until};

const CHECKED: &str =
    "select bool_and(status = 'completed') from worker_jobs where job_type = 'check_all_pools'";

/// A dozen databases, and two workers at a time at most, which take turns.
#[test]
fn each_database_with_the_extension_is_served_by_few_workers() {
    let cluster = Cluster::own(&[]);
    let without = Database::empty(&cluster);
    let databases: Vec<_> = (0..12).map(|_| Database::with_extension(&cluster)).collect();
    for db in &databases {
        db.session().run("select schedule_pool_check()");
    }
    let mut watch = without.session();
    let mut most = 0;
    for db in &databases {
        let mut session = db.session();
        wait_until("its pool check is done", BOUND, || {
            let running: i64 = watch.value(
                "select count(*) from pg_stat_activity where backend_type = 'pg_worker_ext background worker'",
                &[],
            );
            most = most.max(running);
            session.value::<Option<bool>>(CHECKED, &[]) == Some(true)
        });
    }
    assert!((1..=2).contains(&most), "{most} workers at a time");
}

/// One database in which there is always something to do does not keep the only worker from the others.
#[test]
fn a_busy_database_makes_room_for_others() {
    let cluster = Cluster::own(&["pg_worker_ext.max_workers = 1", "pg_worker_ext.tick_interval = 1"]);
    let busy = Database::with_extension(&cluster);
    let mut session = served(&busy);
    session.wait_until_true(&format!("select exists ({WORKER})"), BOUND);
    let first: i32 = session.value(WORKER, &[]);
    let other = Database::with_extension(&cluster);
    let mut elsewhere = other.session();
    elsewhere.run("select schedule_pool_check()");
    elsewhere.wait_until_true(CHECKED, BOUND);
    // And it comes back to the busy one.
    session.wait_until_true(&format!("select exists ({WORKER} and pid <> {first})"), BOUND);
}

/// Other extensions and parallel queries have taken all places: executors are told all the same, by the sessions themselves.
#[test]
fn without_room_for_a_worker_sessions_notify_by_themselves() {
    // One place for the launcher, one for the server's own launcher of logical replication.
    let cluster = Cluster::own(&["max_worker_processes = 2"]);
    let db = Database::with_extension(&cluster);
    wait_until("it is told", BOUND, || {
        cluster.log().contains("max_worker_processes")
    });
    let mut session = db.session();
    session.run("listen worker_jobs");
    for _ in 0..2 {
        let mut game = db.session();
        game.run("select enqueue_worker_job('generate_quests')");
        assert_eq!(session.notifier(BOUND), game.backend_pid());
    }
    assert!(!session.value::<bool>(SERVED, &[]));
    assert_eq!(
        cluster.log().matches("max_worker_processes").count(),
        1,
        "told once"
    );
}

/// By a reload alone: who is served, whether pools are refilled, how long the sleep may be.
#[test]
fn settings_are_obeyed_after_a_reload() {
    let cluster = Cluster::own(&["pg_worker_ext.refill = off"]);
    let served_always = Database::with_extension(&cluster);
    let served_at_times = Database::with_extension(&cluster);
    let mut here = served(&served_always);
    let mut there = served(&served_at_times);
    assert_eq!(here.count("worker_jobs"), 0, "not refilled");

    cluster.alter_system(&format!("pg_worker_ext.databases = '{}'", served_always.name()));
    there.wait_until_true(
        &format!("select not {}", SERVED.trim_start_matches("select ")),
        BOUND,
    );
    cluster.alter_system("pg_worker_ext.refill = on");
    // What wakes it is the reload; that a pool is low is seen at the next claim, change or round.
    here.run("update content_pools set min_size = min_size");
    here.wait_until_true("select count(*) > 0 from worker_jobs", BOUND);
    assert_eq!(there.count("worker_jobs"), 0);

    cluster.alter_system("pg_worker_ext.databases = ''");
    there.wait_until_true(SERVED, BOUND);
    cluster.alter_system("pg_worker_ext.background_worker = off");
    for session in [&mut here, &mut there] {
        session.wait_until_true(&format!("select not exists ({WORKER})"), BOUND);
    }
    cluster.alter_system("pg_worker_ext.background_worker = on");
    there.wait_until_true(SERVED, BOUND);
}

#[test]
fn a_served_database_can_be_copied_and_dropped() {
    let db = Database::live();
    served(&db);
    let mut admin = db.cluster().session("postgres");
    let copy = format!("{}_copy", db.name());
    admin.run(&format!("create database {copy} template {}", db.name()));
    db.cluster().session(&copy).wait_until_true(SERVED, BOUND);
    let renamed = format!("{copy}_renamed");
    admin.run(&format!("alter database {copy} rename to {renamed}"));
    db.cluster().session(&renamed).wait_until_true(SERVED, BOUND);
    admin.run(&format!("drop database {renamed}"));
}

/// A worker that waits for somebody's lock is sent away all the same.
#[test]
fn a_database_is_dropped_while_its_worker_waits() {
    let cluster = Cluster::own(&[]);
    let db = Database::with_extension(&cluster);
    let mut session = served(&db);
    session.run("begin; lock table worker_jobs in access exclusive mode");
    let mut other = db.session();
    other.run("update content_pools set min_size = min_size");
    other.wait_until_true(
        &format!("select exists ({WORKER} and wait_event_type = 'Lock')"),
        BOUND,
    );
    cluster
        .session("postgres")
        .run(&format!("drop database {} with (force)", db.name()));
    served(&Database::with_extension(&cluster));
    assert!(
        !cluster.log().contains("terminated by signal"),
        "{}",
        cluster.log()
    );
}
