//! A worker for each database that has the extension, and none in the way of whoever commands over a
//! whole database.

use super::{SERVED, WORKER, served};
use pg_worker_tests::{BOUND, Cluster, Database};

const CHECKED: &str =
    "select bool_and(status = 'completed') from worker_jobs where job_type = 'check_all_pools'";

#[test]
fn each_database_with_the_extension_has_a_worker_of_its_own() {
    let cluster = Cluster::own(&[]);
    let without = Database::empty(&cluster);
    let databases: Vec<_> = (0..3).map(|_| Database::with_extension(&cluster)).collect();
    for db in &databases {
        served(db).run("select schedule_pool_check()");
    }
    for db in &databases {
        db.session().wait_until_true(CHECKED, BOUND);
    }
    let mut watch = without.session();
    let sql = "select array_agg(datname::text order by datname) from pg_stat_activity
                where backend_type = 'pg_worker_ext background worker'";
    let mut names: Vec<&str> = databases.iter().map(Database::name).collect();
    names.sort_unstable();
    assert_eq!(watch.value::<Vec<String>>(sql, &[]), names);
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
    there.wait_until_true(&format!("select not exists ({WORKER})"), BOUND);
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
