//! Upgrades: from every released version, with data in it, to what a fresh install gives.

mod game;
mod schema;

use crate::steps::{enqueue_quests, store_quest};
use game::Game;
use pg_worker_tests::install::released_versions;
use pg_worker_tests::psql::Psql;
use pg_worker_tests::{BOUND, Cluster, Database, Executor};

const CURRENT: &str = env!("CARGO_PKG_VERSION");

fn install_extension(database: &Database, version: &str) {
    database
        .session()
        .run(&format!("create extension pg_worker_ext version '{version}'"));
}

fn install_single_file(database: &Database, version: &str) {
    let file = format!("sql/released/sql_only--{version}.sql");
    Psql::new(database).file(&file).succeeds();
}

/// Upgrades a game in full swing and compares it with one that was never anything else.
fn upgraded_equals_fresh(old: &Database, fresh: &Database, upgrade: impl Fn(&Database)) {
    let game = Game::in_full_swing(old);
    upgrade(old);
    game.has_lost_nothing(old);
    let mut session = fresh.session();
    game::grant(&mut session);
    game::customise(&mut session);
    let (is, wanted) = (schema::lines(&mut old.session()), schema::lines(&mut session));
    let missing: Vec<&String> = wanted.difference(&is).collect();
    let left: Vec<&String> = is.difference(&wanted).collect();
    assert!(
        missing.is_empty() && left.is_empty(),
        "missing: {missing:#?}\nleft over: {left:#?}"
    );
    assert!(wanted.len() > 500, "{} things compared", wanted.len());
    game.goes_on(old);
}

#[test]
fn the_extension_of_every_version_becomes_a_fresh_one() {
    for version in released_versions() {
        let old = Database::empty(Cluster::quiet());
        install_extension(&old, &version);
        upgraded_equals_fresh(&old, &Database::quiet(), |old| {
            let mut session = old.session();
            session.run("alter extension pg_worker_ext update");
            let notices = session.notices();
            assert!(
                notices
                    .iter()
                    .any(|notice| notice.contains("SELECT worker.setup();")),
                "{notices:?}"
            );
            let reason: Option<String> = session.value("select worker.ready()", &[]);
            assert!(
                reason.is_some_and(|reason| reason.contains(&version) && reason.contains("worker.setup()")),
                "nothing is generated before setup() has run"
            );
            let claimed = session.rows("select * from claim_quest_from_pool(null)", &[]);
            assert_eq!(claimed.len(), 1, "claims go on");
            session.run("select worker.setup(); select worker.setup()");
        });
    }
}

#[test]
fn the_single_file_over_every_earlier_one_becomes_a_fresh_one() {
    for version in released_versions() {
        let old = Database::empty(Cluster::plain());
        install_single_file(&old, &version);
        upgraded_equals_fresh(&old, &Database::sql_only(), |old| {
            old.install_sql_only();
            old.install_sql_only();
        });
    }
}

#[test]
fn the_new_library_and_the_new_executor_work_with_the_code_of_every_version() {
    for version in released_versions() {
        let database = Database::empty(Cluster::live());
        let mut session = database.session();
        // One transaction: the background worker sees no pool that it should fill.
        session.run(&format!(
            "create extension pg_worker_ext version '{version}'; update content_pools set enabled = false"
        ));
        let _executor = Executor::on(&database)
            .env("WORKER_POLL_INTERVAL", "3600")
            .start();
        let job = enqueue_quests(&mut session, 3);
        session.wait_until_true(
            &format!("select status = 'completed' from worker_jobs where id = '{job}'"),
            BOUND,
        );
        session.run("alter extension pg_worker_ext update; select worker.setup()");
        let job = enqueue_quests(&mut session, 3);
        session.wait_until_true(
            &format!("select status = 'completed' from worker_jobs where id = '{job}'"),
            BOUND,
        );
    }
}

#[test]
fn an_upgrade_waits_for_nobody_and_a_job_in_hand_goes_on_over_it() {
    for version in released_versions() {
        let database = Database::empty(Cluster::quiet());
        install_extension(&database, &version);
        let mut session = database.session();
        session.run("update content_pools set enabled = false");
        enqueue_quests(&mut session, 2);
        let lease = crate::steps::lease_one(&mut session);
        store_quest(&mut session, &lease, 1);
        session.run("set lock_timeout = '5s'; alter extension pg_worker_ext update; select worker.setup()");
        store_quest(&mut session, &lease, 2);
        let outcome = crate::steps::outcome(&mut session, "complete_job", &lease, "");
        assert_eq!(outcome, "completed");
    }
}

#[test]
fn code_that_is_older_than_the_tables_touches_nothing() {
    let database = Database::sql_only();
    let mut session = database.session();
    session.run("update worker.schema_version set version = '99.0.0'");
    let refusal = session.refused("select worker.setup()", &[]);
    assert!(
        refusal.message.contains("99.0.0") && refusal.message.contains(CURRENT),
        "{refusal:?}"
    );
}
