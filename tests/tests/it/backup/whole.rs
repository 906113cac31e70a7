//! A restored database is the one that was dumped, row by row and right by right.

use super::game::{goes_on, play};
use pg_worker_tests::backup::{Backup, WAYS, Way, dump_text};
use pg_worker_tests::{Cluster, Database};
use std::collections::BTreeSet;

/// Owners and rights of everything that is ours, as the catalogs have them: also those which a dump
/// leaves out because the extension's script gives them.
const RIGHTS: &str = "
    select format('%s: %s: %s', thing, owner, rights) from (
      select f::text as thing, p.proowner::regrole as owner, p.proacl as acl
        from worker.our_functions() f join pg_proc p on p.oid = f
      union all
      select r::text, c.relowner::regrole, c.relacl from worker.our_relations() r join pg_class c on c.oid = r
      union all
      select nspname::text, nspowner::regrole, nspacl from pg_namespace where nspname = 'worker') things
    cross join lateral (
      select string_agg(format('%s %s by %s', a.grantee::regrole, a.privilege_type, a.grantor::regrole), ', '
                        order by a.grantee::regrole::text, a.privilege_type)
        from aclexplode(things.acl) a) as x(rights)
    order by 1";

/// All there is to know of a database, line by line.
#[track_caller]
pub fn everything(database: &Database) -> Vec<String> {
    let mut lines: Vec<String> = dump_text(database).lines().map(str::to_owned).collect();
    lines.extend(rights(database));
    lines
}

/// [`RIGHTS`].
pub fn rights(database: &Database) -> Vec<String> {
    database.session().column(RIGHTS, &[])
}

/// Panics with the lines that differ.
#[track_caller]
pub fn assert_same(before: &[String], after: &[String], what: &str) {
    let lines = |of: &[String]| of.iter().cloned().collect::<BTreeSet<_>>();
    let (old, now) = (lines(before), lines(after));
    let missing: Vec<_> = old.difference(&now).collect();
    let new: Vec<_> = now.difference(&old).collect();
    assert!(
        missing.is_empty() && new.is_empty(),
        "{what}: missing {missing:#?}\nnew {new:#?}"
    );
    assert_eq!(before.len(), after.len(), "{what}");
}

/// Every way, and back again: what was restored is dumped and compared.
fn comes_back_whole(database: &Database, cluster: &'static Cluster) {
    let under_way = play(database);
    let before = everything(database);
    assert!(
        before.iter().any(|line| line.contains("my_tellers")),
        "the game is in the dump"
    );
    for way in WAYS {
        let restored = Database::empty(cluster);
        Backup::of(database, way).restore_into(&restored);
        assert_same(&before, &everything(&restored), &format!("{way:?}"));
        let problem: Option<String> = restored.session().value("select worker.ready()", &[]);
        assert_eq!(problem, None, "{way:?}");
        // The same text was restored; two of the ways are tried out as well.
        if matches!(way, Way::Plain | Way::DirectoryParallel) {
            goes_on(&restored, &under_way);
        }
    }
}

#[test]
fn every_way_of_restoring_gives_everything_back() {
    comes_back_whole(&Database::quiet(), Cluster::quiet());
}

#[test]
fn every_way_of_restoring_gives_everything_back_sql_only() {
    comes_back_whole(&Database::sql_only(), Cluster::plain());
}

/// The tables of a role that is no superuser are that role's again, and so is the code.
#[test]
fn what_another_role_owns_is_its_own_after_a_restore() {
    let cluster = Cluster::own(&["pg_worker_ext.background_worker = off"]);
    cluster
        .session("postgres")
        .run("create role backup_app login createdb");
    let database = Database::empty(&cluster);
    database.session().run(
        "grant create on schema public to backup_app;
         set pg_worker_ext.owner = 'backup_app'; create extension pg_worker_ext",
    );
    let under_way = play(&database);
    let before = everything(&database);
    assert!(
        before.iter().any(|line| line.starts_with("worker: backup_app: ")),
        "the role owns it"
    );
    for way in [Way::PlainInOneTransaction, Way::CustomParallel] {
        let restored = Database::empty(&cluster);
        Backup::of(&database, way).restore_into(&restored);
        assert_same(&before, &everything(&restored), &format!("{way:?}"));
        goes_on(&restored, &under_way);
    }
}
