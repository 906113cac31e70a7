//! What the extension's script grants counts as the script's own, and a dump leaves it out. So rights
//! that were given again by DROP and CREATE EXTENSION are missing in a restored database, until
//! `worker.setup()` gives them to everybody whose policies it finds.

use super::game::{goes_on, play};
use super::whole::{assert_same, rights};
use pg_worker_tests::backup::{Backup, Way};
use pg_worker_tests::{Cluster, Database};

#[test]
fn setup_after_a_restore_gives_the_roles_their_rights_again() {
    let database = Database::quiet();
    let under_way = play(&database);
    let mut owner = database.session();
    let before = rights(&database);
    owner.run("drop extension pg_worker_ext cascade; create extension pg_worker_ext");
    assert_same(
        &before,
        &rights(&database),
        "everybody has his rights again at once",
    );
    for way in [Way::Plain, Way::CustomParallel] {
        let restored = Database::empty(Cluster::quiet());
        Backup::of(&database, way).restore_into(&restored);
        // What the game gave to whom, on tables and on the schema, is in the dump; a right to call a function is not.
        let restored_rights = rights(&restored);
        let lost: Vec<&String> = before
            .iter()
            .filter(|line| !restored_rights.contains(line))
            .collect();
        assert!(
            !lost.is_empty() && lost.iter().all(|line| line.contains("): ")),
            "{way:?}: {lost:#?}"
        );
        let mut game = restored.session_as("backup_game");
        assert_eq!(
            game.refused("select * from claim_quest_from_pool(null)", &[])
                .code(),
            "42501"
        );
        restored.session().run("select worker.setup()");
        assert_same(&before, &rights(&restored), &format!("{way:?}"));
        goes_on(&restored, &under_way);
    }
}
