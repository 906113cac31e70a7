//! `psql` as a person runs it: for the SQL-only file, the guide's blocks and the demo.

use crate::Database;
use crate::paths::{pg_bin, root};
use std::process::{Command, Output};

/// One call of psql on a database, stopping at the first error.
pub struct Psql(Command);

impl Psql {
    /// Without the user's `.psqlrc`, unaligned, tuples only.
    pub fn new(database: &Database) -> Psql {
        let mut command = Command::new(pg_bin("psql"));
        command
            .args(["-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-d"])
            .arg(database.url());
        command.current_dir(root());
        Psql(command)
    }

    /// A further argument.
    #[must_use]
    pub fn arg(mut self, argument: &str) -> Psql {
        self.0.arg(argument);
        self
    }

    /// A file of the repository.
    #[must_use]
    pub fn file(self, relative: &str) -> Psql {
        self.arg("-f").arg(relative)
    }

    /// A statement.
    #[must_use]
    pub fn command(self, sql: &str) -> Psql {
        self.arg("-c").arg(sql)
    }

    /// Runs it, whatever comes out.
    pub fn output(mut self) -> Output {
        self.0.output().expect("psql")
    }

    /// Runs it and gives what it printed; panics with its errors where it fails.
    #[track_caller]
    pub fn succeeds(self) -> String {
        let out = self.output();
        assert!(
            out.status.success(),
            "psql: {}",
            String::from_utf8_lossy(&out.stderr)
        );
        String::from_utf8(out.stdout)
            .expect("psql prints UTF-8")
            .trim_end()
            .to_owned()
    }

    /// Runs it and gives the errors of a call that must fail.
    #[track_caller]
    pub fn fails(self) -> String {
        let out = self.output();
        assert!(
            !out.status.success(),
            "psql succeeded: {}",
            String::from_utf8_lossy(&out.stdout)
        );
        String::from_utf8_lossy(&out.stderr).into_owned()
    }
}
