//! Something in the database is broken: it is logged, tried again at growing intervals, and the rest
//! of the work goes on.

use super::{served, times_found_busy};
use crate::steps::{let_lease_run_out, let_worker_go_round};
use chrono::NaiveDateTime;
use pg_worker_tests::{BOUND, Cluster, Database, wait_until};

/// When the server logged these words.
fn times(log: &str, words: &str) -> Vec<NaiveDateTime> {
    let lines = log.lines().filter(|line| line.contains(words));
    lines
        .map(|line| NaiveDateTime::parse_from_str(&line[..23], "%Y-%m-%d %H:%M:%S%.3f").expect("a time"))
        .collect()
}

#[test]
fn a_step_that_fails_is_logged_and_the_rest_of_the_work_goes_on() {
    const FAILED: &str = "refilling pools failed in database";
    let cluster = Cluster::own(&["pg_worker_ext.tick_interval = 1", "log_timezone = UTC"]);
    let db = Database::empty(&cluster);
    let mut session = db.session();
    session.run(
        "begin; create extension pg_worker_ext;
         insert into worker_jobs (job_type, status) values ('generate_npcs', 'running');
         create function fail() returns trigger language plpgsql as $f$ begin raise exception 'not now' using detail = 'The game says so.'; end $f$;
         create trigger fail before insert on worker_jobs for each row when (new.refill) execute function fail(); commit",
    );
    let mut session = served(&db);
    wait_until("four failures", BOUND, || {
        times(&cluster.log(), FAILED).len() >= 4
    });
    let failures = times(&cluster.log(), FAILED);
    for (round, pair) in failures.windows(2).take(3).enumerate() {
        let pause = (pair[1] - pair[0]).num_milliseconds();
        // 1 s, 2 s, 4 s; a timer may be a little early by the clock of the log.
        assert!(
            pause >= (1000 << round) - 50,
            "{pause} ms before failure {}",
            round + 2
        );
    }

    let job: uuid::Uuid = session.value("select id from worker_jobs", &[]);
    let_lease_run_out(&mut session, job);
    session.wait_until_true("select status = 'pending' from worker_jobs", BOUND);
    let log = cluster.log();
    assert!(
        log.contains("The game says so.") && log.contains("Statement: select worker.refill_pools()"),
        "{log}"
    );
    session.run("drop trigger fail on worker_jobs");
    session.wait_until_true(
        "select exists (select from worker_jobs where job_type = 'generate_quests')",
        BOUND,
    );
    let settled = times(&cluster.log(), FAILED).len();
    let_worker_go_round(&mut session, 3);
    assert_eq!(times(&cluster.log(), FAILED).len(), settled);
}

/// A table that is gone altogether: it says so once, and takes up the work when it is back.
#[test]
fn a_missing_table_is_told_once() {
    let cluster = Cluster::own(&["pg_worker_ext.tick_interval = 1"]);
    let db = Database::with_extension(&cluster);
    let mut session = served(&db);
    session.run("alter table worker.items rename to mislaid");
    wait_until("it is told", BOUND, || cluster.log().contains("idle in database"));
    let_worker_go_round(&mut session, 3);
    assert_eq!(cluster.log().matches("idle in database").count(), 1);
    session.run("alter table worker.mislaid rename to items; select schedule_pool_check()");
    session.wait_until_true(
        "select bool_and(status = 'completed') from worker_jobs where job_type = 'check_all_pools'",
        BOUND,
    );
}

/// Nor the whole queue, with what was wished for before.
#[test]
fn a_missing_queue_keeps_no_core_busy() {
    let cluster = Cluster::own(&[]);
    let db = Database::with_extension(&cluster);
    let mut session = served(&db);
    session.run("begin; select enqueue_worker_job('generate_quests'); alter table worker_jobs rename to mislaid; commit");
    wait_until("it is told", BOUND, || {
        cluster.log().contains("its tables are not there")
    });
    let busy = times_found_busy(&mut session);
    assert!(busy <= 10, "{busy} of 20 times it was found busy");
    session.run("alter table mislaid rename to worker_jobs; select schedule_pool_check()");
    session.wait_until_true(
        "select bool_and(status = 'completed') from worker_jobs where job_type = 'check_all_pools'",
        BOUND,
    );
}
