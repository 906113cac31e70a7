//! The background worker in a real server: it announces what was committed, keeps the pools by
//! itself, gives way, comes back, and stops when it is told to.

mod databases;
mod owner;
mod rest;
mod standby;
mod stops;
mod trouble;
mod unannounced;

use pg_worker_tests::{BOUND, Cluster, Database, Session};
use std::time::Duration;

const SERVED: &str = "select (worker.native_info() ->> 'background_worker')::boolean";

/// The process id of the background worker that serves the session's database.
const WORKER: &str = "select pid from pg_stat_activity
    where datname = current_database() and backend_type like 'pg_worker_ext%'";

/// A database that its background worker has begun to serve.
fn served(db: &Database) -> Session {
    let mut session = db.session();
    session.wait_until_true(SERVED, BOUND);
    session
}

/// A served database whose worker has nothing to do of its own accord, because no pool is refilled,
/// and a session that listens to its announcements.
fn listening_at_rest() -> (Database<'static>, Session) {
    let db = Database::empty(Cluster::live());
    // One transaction, so that the worker never sees an empty pool that it may fill.
    db.session()
        .run("create extension pg_worker_ext; update content_pools set enabled = false");
    let mut listener = served(&db);
    listener.run("listen worker_jobs");
    // It begins with an announcement: nobody knows what was enqueued before it came.
    listener.notifiers(Duration::from_millis(500));
    (db, listener)
}

/// How many of 20 times the worker of any database was found at work and waiting for nothing.
fn times_found_busy(session: &mut Session) -> i64 {
    let busy = "select count(*) from pg_stat_activity where backend_type like 'pg_worker_ext background%'
                   and state <> 'idle' and wait_event_type is null";
    (0..20).map(|_| session.value::<i64>(busy, &[])).sum()
}

/// Fills the quest pool by hand, as a game may.
fn insert_quests(session: &mut Session, count: i32) {
    session.rows(
        "insert into quest_templates (title, description, level_min, level_max)
         select 'Quest ' || n, 'By hand.', 1, 5 from generate_series(1, $1) n returning id",
        &[&count],
    );
}

#[test]
fn an_enqueue_is_announced_at_commit_and_not_by_the_enqueueing_session() {
    let (db, mut listener) = listening_at_rest();
    let worker: i32 = listener.value(WORKER, &[]);
    let mut game = db.session();

    game.run("begin; select enqueue_worker_job('generate_quests')");
    let heard = listener.notifiers(Duration::from_millis(300));
    assert!(heard.is_empty(), "{heard:?}");
    game.run("commit");
    let first = listener.notifier(BOUND);
    assert_eq!(first, worker, "not the enqueueing session {}", game.backend_pid());
}

#[test]
fn a_rolled_back_enqueue_is_not_announced() {
    let (db, mut listener) = listening_at_rest();
    db.session()
        .run("begin; select enqueue_worker_job('generate_quests'); rollback");
    let heard = listener.notifiers(Duration::from_millis(500));
    assert!(heard.is_empty(), "{heard:?}");
}

#[test]
fn a_burst_is_announced_with_few_notifications() {
    let (db, mut listener) = listening_at_rest();
    // Each commits by itself, one right after the other.
    db.session().run(
        "do $$ begin for n in 1..200 loop perform enqueue_worker_job('generate_quests'); commit; end loop; end $$",
    );
    let heard = listener.notifiers(Duration::from_secs(1)).len();
    assert!((1..100).contains(&heard), "{heard} notifications for 200 jobs");
}

#[test]
fn a_pool_check_is_done_without_an_executor() {
    let db = Database::live();
    let mut game = served(&db);
    game.run("select schedule_pool_check()");
    game.wait_until_true(
        "select status = 'completed' from worker_jobs where job_type = 'check_all_pools'",
        BOUND,
    );
    assert!(game.count("worker_jobs where job_type = 'generate_quests'") > 0);
}

#[test]
fn a_claim_that_takes_a_pool_below_its_minimum_leads_to_a_refill() {
    let cluster = Cluster::own(&[]);
    let db = Database::empty(&cluster);
    let mut game = db.session();
    game.run("create extension pg_worker_ext; update content_pools set min_size = 0");
    insert_quests(&mut game, 5);
    game.run("update content_pools set min_size = 5 where kind = 'quest'");
    game.wait_until_true(SERVED, BOUND);
    assert_eq!(
        game.rows("select * from claim_quest_from_pool(null)", &[]).len(),
        1
    );
    game.wait_until_true(
        "select count(*) = 1 from worker_jobs where job_type = 'generate_quests' and asked = 1",
        BOUND,
    );
}

#[test]
fn refill_off_stops_the_workers_own_refills_but_not_a_check_that_is_asked_for() {
    let cluster = Cluster::own(&["pg_worker_ext.refill = off"]);
    let db = Database::with_extension(&cluster);
    let mut game = served(&db);
    insert_quests(&mut game, 1);
    game.run("select * from claim_quest_from_pool(null)");
    game.run("select schedule_pool_check()");
    game.wait_until_true(
        "select status = 'completed' from worker_jobs where job_type = 'check_all_pools'",
        BOUND,
    );
    // All quest jobs stem from that one check.
    let asked: i64 = game.value(
        "select coalesce(sum(asked), 0) from worker_jobs where job_type = 'generate_quests'",
        &[],
    );
    assert_eq!(asked, 20);
}

#[test]
fn an_idle_database_uses_no_transaction_ids() {
    let cluster = Cluster::own(&["pg_worker_ext.tick_interval = 1"]);
    let db = Database::with_extension(&cluster);
    let mut session = served(&db);
    session.run("update content_pools set enabled = false");
    session.wait_until_true(
        "select count(*) filter (where state = 'idle') = 1 from pg_stat_activity
          where datname = current_database() and backend_type like 'pg_worker_ext%'",
        BOUND,
    );
    let before: String = session.value("select pg_snapshot_xmax(pg_current_snapshot())::text", &[]);
    // Three ticks by the worker's own account of itself.
    for _ in 0..3 {
        let last: chrono::DateTime<chrono::Utc> = session.value(
            "select state_change from pg_stat_activity
              where datname = current_database() and backend_type like 'pg_worker_ext%'",
            &[],
        );
        session.wait_until_true(
            &format!(
                "select state_change > '{last}' and state = 'idle' from pg_stat_activity
                  where datname = current_database() and backend_type like 'pg_worker_ext%'"
            ),
            BOUND,
        );
    }
    let after: String = session.value("select pg_snapshot_xmax(pg_current_snapshot())::text", &[]);
    assert_eq!(before, after);
}

#[test]
fn what_the_worker_does_is_shown() {
    let db = Database::live();
    let mut session = served(&db);
    let name: String = session.value(
        "select application_name from pg_stat_activity where pid = any (array(select pid from pg_stat_activity
          where datname = current_database() and backend_type like 'pg_worker_ext%'))",
        &[],
    );
    assert!(name.contains("pg_worker_ext"), "{name}");
    session.wait_until_true(
        "select query = 'waiting for work' from pg_stat_activity
          where datname = current_database() and backend_type like 'pg_worker_ext%'",
        BOUND,
    );
}
