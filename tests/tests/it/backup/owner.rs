//! A dump brings no roles: on a fresh server the extension makes its owner by itself, before the move from a
//! superuser and after it; for the single file he is made first.

use crate::steps::enqueue_quests;
use pg_worker_tests::backup::{Backup, Way};
use pg_worker_tests::install::released_versions;
use pg_worker_tests::psql::Psql;
use pg_worker_tests::{Cluster, Database};

/// The game's own tables belong to a role that is on both servers.
const GAME: &str = "
    create table characters (campaign_seed text); insert into characters values ('camp'); alter table characters owner to game;
    create table journal_entries (character_id uuid, entry_type text, content text, metadata jsonb)";

fn server() -> Cluster {
    let cluster = Cluster::own(&["pg_worker_ext.background_worker = off"]);
    cluster.role("game");
    cluster
}

#[track_caller]
fn works(database: &Database) {
    let mut session = database.session();
    assert_eq!(
        session.value::<Option<String>>("select worker.ready()", &[]),
        None
    );
    assert_eq!(
        session.value::<String>("select worker.about() ->> 'owner'", &[]),
        "worker_owner"
    );
    enqueue_quests(&mut session, 1);
    session.run("select schedule_pool_check(); select worker.tick()");
    let note = "select result ->> 'note' from worker_jobs where job_type = 'check_all_pools'";
    assert_eq!(session.value::<Option<String>>(note, &[]), None);
    assert_eq!(session.count("worker.campaigns where campaign_seed = 'camp'"), 1);
}

#[test]
fn a_fresh_server_needs_no_role_for_a_dump_of_the_extension() {
    let (old, fresh) = (server(), server());
    let database = Database::empty(&old);
    database.session().run(GAME);
    database.session().run("create extension pg_worker_ext");
    for way in [Way::Custom, Way::Plain] {
        let restored = Database::empty(&fresh);
        Backup::of(&database, way).restore_into(&restored);
        works(&restored);
        drop(restored);
        fresh.session("postgres").run("drop role worker_owner");
    }
}

#[test]
fn the_role_comes_before_a_dump_of_the_single_file() {
    let (old, fresh) = (server(), server());
    let database = Database::empty(&old);
    database.session().run(GAME);
    database.install_sql_only();
    let dump = Backup::of(&database, Way::Custom);
    let errors = dump.restore_fails(&Database::empty(&fresh));
    assert!(
        errors.contains("role \"worker_owner\" does not exist"),
        "{errors}"
    );
    fresh
        .session("postgres")
        .run("create role worker_owner nologin noinherit");
    let restored = Database::empty(&fresh);
    dump.restore_into(&restored);
    works(&restored);
}

#[test]
fn an_install_of_a_superusers_is_restored_and_then_moved() {
    let (old, fresh) = (server(), server());
    for version in released_versions() {
        for way in ["extension", "single file"] {
            let database = Database::empty(&old);
            let mut session = database.session();
            session.run(GAME);
            if way == "extension" {
                session.run(&format!("create extension pg_worker_ext version '{version}'"));
            } else {
                let file = format!("sql/released/sql_only--{version}.sql");
                Psql::new(&database).file(&file).succeeds();
            }
            let restored = Database::empty(&fresh);
            Backup::of(&database, Way::Custom).restore_into(&restored);
            if way == "extension" {
                restored.session().run("select worker.setup()");
            } else {
                restored.install_sql_only();
            }
            works(&restored);
        }
    }
}
