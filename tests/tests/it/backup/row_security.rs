//! `row_security = off` is how the extension's script knows a restore. Others may set it, too.

use pg_worker_tests::psql::Psql;
use pg_worker_tests::{Cluster, Database};

const READY: &str = "select worker.ready()";

#[test]
fn an_extension_created_without_row_security_says_what_is_missing() {
    let database = Database::empty(Cluster::quiet());
    let mut session = database.session();
    session.run("set row_security = off; create extension pg_worker_ext");
    let problem: String = session.value(READY, &[]);
    assert!(problem.contains("SELECT worker.setup();"), "{problem}");
    session.run("select worker.setup()");
    assert_eq!(session.value::<Option<String>>(READY, &[]), None);
    session.run("select enqueue_worker_job('generate_quests')");
}

/// The single file sets up the tables whatever the session says: no dump runs it.
#[test]
fn the_single_file_sets_up_without_row_security() {
    let database = Database::empty(Cluster::plain());
    let psql = Psql::new(&database).command("set row_security = off");
    psql.file("sql/pg_worker_ext.sql").succeeds();
    assert_eq!(database.session().value::<Option<String>>(READY, &[]), None);
}
