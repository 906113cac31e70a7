//! Whoever ran the guide's own migration has its tables, with rows, its enumerations and its functions:
//! both installs adopt them.

mod kept;
mod moves;
mod refused;
mod script;

use pg_worker_tests::{Cluster, Database, Session};

/// An installation of the guide's: full pools, jobs in every state.
pub const GUIDE: &str = include_str!("adoption/guide.sql");

/// The two installs, as somebody runs them over what is there.
#[derive(Clone, Copy)]
enum Install {
    Extension,
    SqlOnly,
}

impl Install {
    /// A database as the guide's migration and some months of use left it.
    fn guide(self) -> Database<'static> {
        let database = Database::empty(match self {
            Install::Extension => Cluster::quiet(),
            Install::SqlOnly => Cluster::plain(),
        });
        database.session().run(GUIDE);
        database
    }

    fn over(self, database: &Database) {
        match self {
            Install::Extension => database.session().run("create extension pg_worker_ext"),
            Install::SqlOnly => database.install_sql_only(),
        }
    }

    /// The same where it must fail; gives the error's words.
    fn refused(self, database: &Database) -> String {
        match self {
            Install::Extension => {
                let refusal = database.session().refused("create extension pg_worker_ext", &[]);
                format!("{} {} {}", refusal.message, refusal.detail, refusal.hint)
            }
            Install::SqlOnly => pg_worker_tests::psql::Psql::new(database)
                .file("sql/pg_worker_ext.sql")
                .fails(),
        }
    }
}

/// Tests of functions that take an [`Install`], for both.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod on_extension {
            $(#[test]
            fn $name() {
                super::$name(crate::adoption::Install::Extension);
            })+
        }
        mod on_sql_only {
            $(#[test]
            fn $name() {
                super::$name(crate::adoption::Install::SqlOnly);
            })+
        }
    };
}
use on_both;

/// Every table, column, function and type of the database that is not PostgreSQL's.
fn everything(session: &mut Session) -> Vec<String> {
    session.column(
        "select format('%s.%s %s', a.attrelid::regclass, a.attname, a.atttypid::regtype) from pg_attribute a
           join pg_class c on c.oid = a.attrelid where c.relnamespace = 'public'::regnamespace and a.attnum > 0
         union all select oid::regprocedure::text from pg_proc where pronamespace = 'public'::regnamespace
         union all select nspname::text from pg_namespace
         union all select extname::text from pg_extension order by 1",
        &[],
    )
}
