//! `pg_upgrade` copies catalogs and links files: nothing of ours may run meanwhile, and no column may
//! have a type that it refuses.

use super::game::{goes_on, make_roles, play};
use super::whole::{assert_same, rights};
use pg_worker_tests::backup::dump_text;
use pg_worker_tests::cluster::Stop;
use pg_worker_tests::{BOUND, Cluster, Database};

#[test]
fn a_server_is_upgraded_with_everything_in_it() {
    let at_rest = ["pg_worker_ext.background_worker = off"];
    let old = Cluster::own(&at_rest);
    make_roles(&old);
    // As empty as pg_upgrade wants it: it brings the roles itself.
    let new = Cluster::own(&at_rest);
    let database = Database::with_extension(&old);
    let under_way = play(&database);
    let before = (dump_text(&database), rights(&database));
    old.stop_server(Stop::Fast);
    new.stop_server(Stop::Fast);
    new.upgrade_from(&old);
    new.start_server();
    let upgraded = database.in_cluster(&new);
    let after = (dump_text(&upgraded), rights(&upgraded));
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_same(&lines(&before.0), &lines(&after.0), "rows and schema");
    assert_same(&before.1, &after.1, "rights");
    new.alter_system("pg_worker_ext.background_worker = on");
    let mut session = upgraded.session();
    session.wait_until_true(
        "select (worker.native_info() ->> 'background_worker')::boolean",
        BOUND,
    );
    goes_on(&upgraded, &under_way);
}
