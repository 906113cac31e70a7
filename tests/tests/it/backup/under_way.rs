//! A restore that is watched: background worker and executor are there before the database is whole.
//! They would find empty pools, tables without their unique indexes, jobs without triggers.

use super::game::{goes_on, make_roles, play};
use crate::steps::let_worker_go_round;
use pg_worker_tests::backup::{Backup, Way};
use pg_worker_tests::{BOUND, Cluster, Database, Executor, Session};

/// Of tables that are there already: how much is in them.
const ROWS: &str =
    "select concat((select count(*) from worker_jobs), ' ', (select count(*) from worker.items), ' ',
    (select count(*) from quest_templates), ' ', (select count(*) from worker.campaigns))";

fn rows(session: &mut Session) -> String {
    session.value(ROWS, &[])
}

#[test]
fn nobody_touches_a_database_that_is_being_restored() {
    let cluster = Cluster::own(&["pg_worker_ext.tick_interval = 1"]);
    make_roles(&cluster);
    let source = Database::quiet();
    let under_way = play(&source);
    // Whole, its pools are full: whoever refills one has not seen all of it.
    source
        .session()
        .run("update content_pools set enabled = true, min_size = 1");
    let dumped = rows(&mut source.session());
    let backup = Backup::of(&source, Way::Custom);

    let restored = Database::empty(&cluster);
    backup.restore_section("pre-data", &restored);
    let executor = Executor::on(&restored)
        .env("WORKER_POLL_INTERVAL_MS", "200")
        .start();
    executor.wait_for_log("incomplete, missing");
    let mut session = restored.session();
    let_worker_go_round(&mut session, 2);
    assert_eq!(rows(&mut session), "0 0 0 0", "tables without rows");
    backup.restore_section("data", &restored);
    let_worker_go_round(&mut session, 2);
    assert_eq!(rows(&mut session), dumped, "rows without indexes");
    backup.restore_section("post-data", &restored);

    // From here on they work, and what they do is what was left to do.
    session.wait_until_true(
        "select status = 'completed' and stored = 1 from worker_jobs where note = 'due'",
        BOUND,
    );
    assert!(executor.stop().success());
    assert!(cluster.log().contains("idle in database"), "{}", cluster.log());
    let_worker_go_round(&mut session, 2);
    let jobs = "worker_jobs";
    assert_eq!(
        session.count(jobs),
        source.session().count(jobs),
        "no pool was taken for empty"
    );
    goes_on(&restored, &under_way);
}
