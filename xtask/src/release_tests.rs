use super::*;
use std::path::PathBuf;

/// A folder of the test's own, removed with it.
struct Root(PathBuf);

impl Root {
    fn new(name: &str) -> Root {
        let path = std::env::temp_dir().join(format!("xtask-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Root(path)
    }

    fn release(&self, version: &str, extension: &str, sql_only: &str) -> Result<()> {
        freeze(&self.0, EXTENSION, version, extension)?;
        freeze(&self.0, SQL_ONLY, version, sql_only)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[track_caller]
fn complains(result: Result<()>, of: &str) {
    let error = result.unwrap_err().to_string();
    assert!(error.contains(of), "{error}");
}

/// The check that a changed released text cannot pass.
#[test]
fn what_was_released_under_this_version_is_what_stands_here() {
    check(&crate::root()).unwrap();
}

#[test]
fn what_is_frozen_is_never_written_again() {
    let root = Root::new("frozen");
    root.release("0.1.0", "select 1;", "select 2;").unwrap();
    root.release("0.1.0", "select 1;", "select 2;").unwrap();
    complains(
        root.release("0.1.0", "select 9;", "select 2;"),
        "pg_worker_ext--0.1.0.sql was released",
    );
    complains(
        root.release("0.1.0", "select 1;", "select 9;"),
        "sql_only--0.1.0.sql was released",
    );
    let kept = read(&root.0, &frozen(EXTENSION, "0.1.0")).unwrap();
    assert_eq!(kept, "select 1;");
}

#[test]
fn a_released_version_must_not_change() {
    let root = Root::new("unchanged");
    check_version(&root.0, "0.1.0", "select 1;", "select 2;").unwrap();
    let complete = "create function of_the_library();\nselect 1;\n";
    root.release("0.1.0", complete, "select 2;").unwrap();
    check_version(&root.0, "0.1.0", "select 1;\n", "select 2;").unwrap();
    complains(
        check_version(&root.0, "0.1.0", "select 9;", "select 2;"),
        "raise the version above 0.1.0",
    );
    complains(
        check_version(&root.0, "0.1.0", "select 1;", "select 9;"),
        "sql_only--0.1.0.sql",
    );
}

#[test]
fn versions_are_sorted_by_their_numbers_and_a_later_one_may_differ() {
    let root = Root::new("later");
    for version in ["0.10.0", "0.9.0"] {
        root.release(version, "select 1;", "select 2;").unwrap();
    }
    assert_eq!(versions(&root.0).unwrap(), ["0.9.0", "0.10.0"]);
    check_version(&root.0, "0.11.0", "select 3;", "select 4;").unwrap();
}
