//! Past one machine: executors at two addresses, a primary with a streaming standby. The primary dies, the standby
//! is promoted, and the executors, who know both, go on there.

use pg_worker_tests::cluster::Stop;
use pg_worker_tests::{BOUND, Cluster, Database, Executor, Session, wait_until};
use uuid::Uuid;

const QUESTS: i64 = 300;

/// An executor that knows both servers and works on whichever takes writes.
fn executor(primary: &Cluster, standby: &Cluster, database: &str, address: &str) -> Executor {
    let url = format!(
        "postgres://gpu@127.0.0.1:{},127.0.0.1:{}/{database}?target_session_attrs=read-write",
        primary.port(),
        standby.port()
    );
    Executor::without_database()
        .env("DATABASE_URL", &url)
        .env("WORKER_BIND", address)
        .env("WORKER_POLL_INTERVAL_MS", "500")
        .start()
}

/// A standby of `primary` that every commit waits for.
fn synchronous_standby(primary: &Cluster) -> Cluster {
    let standby = Cluster::standby_of(primary, &[]);
    primary.alter_system("synchronous_standby_names = '*'");
    let mut session = primary.session("postgres");
    session.wait_until_true(
        "select exists (select from pg_stat_replication where sync_state = 'sync')",
        BOUND,
    );
    standby
}

fn quests(session: &mut Session) -> Vec<Uuid> {
    session.column("select id from quest_templates order by id", &[])
}

#[test]
fn a_promoted_standby_has_all_that_was_committed_and_the_executors_follow() {
    let primary = Cluster::own(&[]);
    let database = Database::empty(&primary);
    let mut session = database.session();
    // One transaction: the background worker sees no pool that it should fill.
    session.run(
        "create extension pg_worker_ext; update content_pools set enabled = false;
         create role gpu login; select worker.grant_executor('gpu')",
    );
    let standby = synchronous_standby(&primary);
    let executors =
        ["127.0.0.2", "127.0.0.3"].map(|address| executor(&primary, &standby, database.name(), address));
    session.wait_until_true("select count(*) = 2 from worker.executors", BOUND);
    let job: Uuid = session.value(
        "select enqueue_worker_job('generate_quests', jsonb_build_object('count', $1::bigint))",
        &[&QUESTS],
    );
    session.wait_until_true("select count(*) > 20 from quest_templates", BOUND);
    let claimed: Uuid = session.value("select quest_id from claim_quest_from_pool(null)", &[]);
    let before = quests(&mut session);
    assert!(
        (before.len() as i64) < QUESTS,
        "it dies in the middle of the work"
    );
    primary.stop_server(Stop::Immediate);
    drop(session);

    let mut promoted = standby.session(database.name());
    assert!(promoted.value::<bool>("select pg_promote(true)", &[]));
    let after = quests(&mut promoted);
    assert!(
        before.iter().all(|id| after.binary_search(id).is_ok()),
        "a committed quest is gone"
    );
    promoted.wait_until_true(
        "select (worker.native_info() ->> 'background_worker')::boolean",
        BOUND,
    );
    wait_until("the job is done there", 3 * BOUND, || {
        promoted.value::<String>("select status from worker_jobs where id = $1", &[&job]) == "completed"
    });
    assert_eq!(
        promoted.count("quest_templates"),
        QUESTS,
        "all that was asked for, and nothing twice"
    );
    assert_eq!(
        promoted.count(&format!("quest_templates where id = '{claimed}' and used")),
        1
    );
    for executor in executors {
        assert!(executor.stop().success());
    }
}
