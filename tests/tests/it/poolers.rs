//! Executors behind a real pgbouncer. In transaction mode LISTEN is answered and nothing arrives; in
//! session mode everything does.

use crate::executor::doctor::{at, finds};
use pg_worker_tests::executor::Setup;
use pg_worker_tests::{BOUND, Database, Executor, PgBouncer, PoolMode, Session, wait_until};

const DEAF: &str = "notifications do not arrive, as through a transaction pooler";

/// A database with a role that may be an executor and nothing else.
fn database() -> (Database<'static>, String) {
    let database = Database::quiet();
    let role = format!("{}_gpu", database.name());
    database.session().run(&format!(
        "create role {role} login; select worker.grant_executor('{role}')"
    ));
    (database, role)
}

fn gone(database: &Database, role: &str) {
    database
        .session()
        .run(&format!("drop owned by {role}; drop role {role}"));
}

fn pools_are_full(session: &mut Session) -> bool {
    session.count("content_pool_status where available < minimum") == 0
}

/// Sessions that hold the lock by which an executor's end is seen.
fn watched(session: &mut Session) -> i64 {
    session.count("pg_locks l join pg_database d on d.oid = l.database where l.locktype = 'advisory' and d.datname = current_database()")
        + session.count("worker.executors where watched")
}

fn through(bouncer: &PgBouncer, database: &Database) -> Setup {
    at(&bouncer.url(database))
}

#[test]
#[ignore = "needs pgbouncer: scripts/suites/poolers.sh"]
fn in_transaction_mode_executors_work_and_hear_nothing() {
    let (database, role) = database();
    // Fewer connections than the executors would like, so that their transactions take turns on them.
    let bouncer = PgBouncer::start(&database, &role, PoolMode::Transaction, 2);
    let executors: Vec<Executor> = (0..3).map(|_| through(&bouncer, &database).start()).collect();
    let mut session = database.session();
    session.run("select schedule_pool_check()");
    for executor in &executors {
        executor.wait_for_log(DEAF);
        executor.wait_for_log("session pooler");
    }
    wait_until("the pools are full", 2 * BOUND, || pools_are_full(&mut session));
    // Nobody calls: this job is found by looking, long before the 60 seconds of an executor that hears.
    session.run("select enqueue_worker_job('generate_quests', '{\"count\": 3}', 1)");
    wait_until("the job is done", BOUND, || {
        session.count("worker_jobs where status <> 'completed'") == 0
    });
    assert_eq!(
        watched(&mut session),
        0,
        "no lock on a connection that is everybody's"
    );
    assert_eq!(session.count("worker_jobs where attempts > 1"), 0);
    for executor in executors {
        let log = executor.log();
        assert!(
            !log.contains("ERROR") && !log.contains("prepared statement"),
            "{log}"
        );
        assert!(executor.stop().success());
    }
    assert!(!bouncer.log().contains("prepared statement"), "{}", bouncer.log());
    gone(&database, &role);
}

#[test]
#[ignore = "needs pgbouncer: scripts/suites/poolers.sh"]
fn in_transaction_mode_doctor_says_what_is_missing_and_which_address_has_it() {
    let (database, role) = database();
    let bouncer = PgBouncer::start(&database, &role, PoolMode::Transaction, 2);
    let out = through(&bouncer, &database).output("doctor");
    let report = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{report}");
    finds(
        &report,
        "warn",
        "notification",
        "nothing arrives, as through a transaction pooler; executors look every 5 s",
    );
    finds(&report, "ok", "rights", "");
    assert!(
        report.contains("→ take the direct connection or the session pooler (port 5432)"),
        "{report}"
    );
    gone(&database, &role);
}

#[test]
#[ignore = "needs pgbouncer: scripts/suites/poolers.sh"]
fn in_transaction_mode_a_kill_is_seen_by_the_lease_alone() {
    let (database, role) = database();
    let bouncer = PgBouncer::start(&database, &role, PoolMode::Transaction, 2);
    let model = pg_worker_tests::StubLlm::start();
    model.answers(|_| pg_worker_tests::Reply::Slow(std::time::Duration::from_secs(60)));
    let executor = through(&bouncer, &database).model(&model).start();
    executor.wait_for_log(DEAF);
    let mut session = database.session();
    session.run("select enqueue_worker_job('generate_quests', '{\"count\": 3}', 1)");
    session.wait_until_true(
        "select exists (select from worker_jobs where status = 'running')",
        BOUND,
    );
    executor.kill();
    session.run("select worker.rescue_jobs()");
    assert_eq!(
        session.count("worker_jobs where status = 'running'"),
        1,
        "its lease has not run out"
    );
    session.run("update worker_jobs set lease_expires_at = now() where status = 'running'");
    assert_eq!(session.value::<i32>("select worker.rescue_jobs()", &[]), 1);
    gone(&database, &role);
}

#[test]
#[ignore = "needs pgbouncer: scripts/suites/poolers.sh"]
fn in_session_mode_an_executor_hears_and_is_watched() {
    let (database, role) = database();
    let bouncer = PgBouncer::start(&database, &role, PoolMode::Session, 8);
    let report = through(&bouncer, &database).succeeds("doctor");
    finds(&report, "ok", "notification", "arrives after");
    let executor = through(&bouncer, &database).start();
    let mut session = database.session();
    session.wait_until_true(
        "select exists (select from worker.executors where watched)",
        BOUND,
    );
    session.run("select schedule_pool_check()");
    wait_until("the pools are full", BOUND, || pools_are_full(&mut session));
    session.run("select enqueue_worker_job('generate_quests', '{\"count\": 3}', 1)");
    // Within half of the 60 seconds between two looks: it was called.
    wait_until("the job is done", BOUND, || {
        session.count("worker_jobs where status <> 'completed'") == 0
    });
    assert!(!executor.log().contains(DEAF), "{}", executor.log());
    executor.kill();
    session.wait_until_true(
        "select not exists (select from pg_locks l join pg_database d on d.oid = l.database
                             where l.locktype = 'advisory' and d.datname = current_database())",
        BOUND,
    );
    gone(&database, &role);
}
