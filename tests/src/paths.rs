//! Where things lie: the repository, the PostgreSQL under test, the built extension and executor.
//!
//! `scripts/test.sh` builds once and names the results in `PG_WORKER_STAGE` and
//! `PG_WORKER_EXECUTOR`. A plain `cargo test` has no such names, so it builds here, once per
//! process, and never tests a stale library.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the repository")
}

/// A file of the repository as text.
#[track_caller]
pub fn read(relative: &str) -> String {
    let path = root().join(relative);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What `pg_config` says to an option such as `--bindir`.
pub fn pg_config(option: &str) -> String {
    ask_pg_config(&built("PG_CONFIG"), option)
}

/// What a certain `pg_config` says to it.
pub fn ask_pg_config(pg_config: &Path, option: &str) -> String {
    let out = Command::new(pg_config).arg(option).output().expect("pg_config");
    assert!(
        out.status.success(),
        "pg_config {option}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout)
        .expect("pg_config speaks UTF-8")
        .trim()
        .to_owned()
}

/// The `pg_config` of the PostgreSQL under test.
pub fn pg_config_path() -> PathBuf {
    built("PG_CONFIG")
}

/// A program of the PostgreSQL under test.
pub fn pg_bin(program: &str) -> PathBuf {
    static BINDIR: OnceLock<PathBuf> = OnceLock::new();
    BINDIR.get_or_init(|| pg_config("--bindir").into()).join(program)
}

/// The major version of the PostgreSQL under test.
pub fn pg_major() -> u32 {
    major_of(&built("PG_CONFIG"))
}

/// The major version of another one.
pub fn major_of(pg_config: &Path) -> u32 {
    let version = ask_pg_config(pg_config, "--version");
    let digits = version.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end]
        .parse()
        .unwrap_or_else(|_| panic!("no major version in '{version}'"))
}

/// The folder into which the extension was installed as if it were the root of the file system.
pub fn stage() -> PathBuf {
    built("PG_WORKER_STAGE")
}

/// The executor under test.
pub fn executor() -> PathBuf {
    built("PG_WORKER_EXECUTOR")
}

fn built(name: &str) -> PathBuf {
    static EXTENSION: OnceLock<Vec<(String, PathBuf)>> = OnceLock::new();
    static EXECUTOR: OnceLock<Vec<(String, PathBuf)>> = OnceLock::new();
    if let Some(path) = std::env::var_os(name) {
        return path.into();
    }
    let values = match name {
        "PG_WORKER_EXECUTOR" => EXECUTOR.get_or_init(|| build("executor")),
        _ => EXTENSION.get_or_init(|| build("extension")),
    };
    let found = values.iter().find(|(key, _)| key == name);
    found.map_or_else(
        || panic!("scripts/stage.sh did not print {name}"),
        |(_, path)| path.clone(),
    )
}

/// Runs the script that `make test` runs too; it prints the results as `NAME=value` lines.
fn build(part: &str) -> Vec<(String, PathBuf)> {
    let out = Command::new(root().join("scripts/stage.sh"))
        .arg(part)
        .output()
        .expect("scripts/stage.sh");
    assert!(
        out.status.success(),
        "scripts/stage.sh {part}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    let text = String::from_utf8(out.stdout).expect("scripts/stage.sh prints UTF-8");
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect()
}
