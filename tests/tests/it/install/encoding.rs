//! A database in another encoding than UTF8 is refused in one line, before anything is made.

use pg_worker_tests::psql::Psql;
use pg_worker_tests::{Cluster, Database};

#[test]
fn a_database_that_is_not_in_utf8_is_refused_in_one_line() {
    for encoding in ["LATIN1", "SQL_ASCII", "WIN1252"] {
        let database = Database::empty(Cluster::quiet());
        let name = database.name();
        let mut admin = database.cluster().session("postgres");
        admin.run(&format!("drop database {name}"));
        admin.run(&format!(
            "create database {name} template template0 encoding '{encoding}' locale 'C'"
        ));
        let line = format!("pg_worker_ext needs a database in UTF8, this one is in {encoding}");
        let mut session = database.session();
        assert_eq!(
            session.refused("create extension pg_worker_ext", &[]).message,
            line
        );
        let errors = Psql::new(&database).file("sql/pg_worker_ext.sql").fails();
        let errors: Vec<&str> = errors.lines().filter(|line| line.contains("ERROR")).collect();
        assert!(
            matches!(errors.as_slice(), [one] if one.ends_with(&line)),
            "{errors:?}"
        );
        assert_eq!(session.count("pg_namespace where nspname = 'worker'"), 0);
    }
}
