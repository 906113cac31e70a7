//! `pg_dump`, `pg_restore` and `psql` as an operator calls them.

use crate::Database;
use crate::paths::pg_bin;
use crate::psql::Psql;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A way to dump a database and to restore it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A script for psql.
    Plain,
    /// … run by `psql --single-transaction`.
    PlainInOneTransaction,
    /// `pg_dump -Fc`, `pg_restore`.
    Custom,
    /// … with `pg_restore --single-transaction`.
    CustomInOneTransaction,
    /// … with `pg_restore -j 3`.
    CustomParallel,
    /// `pg_dump -Fd -j 3`, `pg_restore -j 3`.
    DirectoryParallel,
}

/// All of them.
pub const WAYS: [Way; 6] = [
    Way::Plain,
    Way::PlainInOneTransaction,
    Way::Custom,
    Way::CustomInOneTransaction,
    Way::CustomParallel,
    Way::DirectoryParallel,
];

/// A dump, removed when it goes out of scope.
pub struct Backup {
    folder: tempfile::TempDir,
    way: Way,
}

impl Backup {
    /// Dumps a database.
    #[track_caller]
    pub fn of(database: &Database, way: Way) -> Backup {
        let folder = tempfile::tempdir().expect("a folder");
        let backup = Backup { folder, way };
        let mut dump = Command::new(pg_bin("pg_dump"));
        dump.args(match way {
            Way::Plain | Way::PlainInOneTransaction => ["-Fp"].as_slice(),
            Way::Custom | Way::CustomInOneTransaction | Way::CustomParallel => &["-Fc"],
            Way::DirectoryParallel => &["-Fd", "-j", "3"],
        });
        dump.arg("-f").arg(backup.path()).arg(database.url());
        succeeds(&mut dump);
        backup
    }

    /// Restores it into an empty database, stopping at the first error.
    #[track_caller]
    pub fn restore_into(&self, database: &Database) {
        let path = self.path();
        let script = path.to_str().expect("a path");
        let psql = Psql::new(database).arg("-f").arg(script);
        let options: &[&str] = match self.way {
            Way::Plain => {
                psql.succeeds();
                return;
            }
            Way::PlainInOneTransaction => {
                psql.arg("--single-transaction").succeeds();
                return;
            }
            Way::Custom => &[],
            Way::CustomInOneTransaction => &["--single-transaction"],
            Way::CustomParallel | Way::DirectoryParallel => &["-j", "3"],
        };
        let mut restore = Command::new(pg_bin("pg_restore"));
        restore.arg("--exit-on-error").args(options);
        succeeds(restore.arg("-d").arg(database.url()).arg(&path));
    }

    /// The errors of a restore that must stop at one.
    #[track_caller]
    pub fn restore_fails(&self, database: &Database) -> String {
        let mut restore = Command::new(pg_bin("pg_restore"));
        restore.arg("--exit-on-error").arg("-d").arg(database.url());
        let out = restore.arg(self.path()).output().expect("start a program");
        assert!(!out.status.success(), "the restore succeeded");
        String::from_utf8_lossy(&out.stderr).into_owned()
    }

    /// Restores one section of a custom dump: `pre-data`, `data` or `post-data`.
    #[track_caller]
    pub fn restore_section(&self, section: &str, database: &Database) {
        let mut restore = Command::new(pg_bin("pg_restore"));
        restore.args(["--exit-on-error", "--section", section]);
        succeeds(restore.arg("-d").arg(database.url()).arg(self.path()));
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("dump")
    }
}

/// A plain dump as text: every row and all that `pg_dump` knows of the schema, without what differs
/// between two dumps of the same.
#[track_caller]
pub fn dump_text(database: &Database) -> String {
    let dump = Backup::of(database, Way::Plain);
    let text = read(&dump.path());
    let is_kept = |line: &&str| {
        !(line.is_empty() || line.starts_with("--") || line.starts_with('\\') && line.len() > 2)
    };
    text.lines().filter(is_kept).collect::<Vec<_>>().join("\n")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a dump in UTF-8")
}

#[track_caller]
fn succeeds(command: &mut Command) {
    let out = command.output().expect("start a program");
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{command:?}: {errors}");
}
