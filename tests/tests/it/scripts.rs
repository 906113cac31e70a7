//! The shell scripts behind `make`: what they refuse before they touch the machine, and what they
//! write. Nothing here installs anything.

use pg_worker_tests::paths;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// A call of a script that writes its results into a folder of its own.
struct Script {
    command: Command,
    folder: TempDir,
}

impl Script {
    fn new(name: &str) -> Script {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("bash");
        command
            .arg(paths::root().join("scripts").join(name))
            .env("CARGO_TARGET_DIR", folder.path());
        command.env_remove("PG_CONFIG").current_dir(folder.path());
        Script { command, folder }
    }

    /// A program of this name that prints a text whatever it is asked, in front of the real ones.
    fn with_program(self, name: &str, body: &str) -> Script {
        write_program(&self.folder.path().join(name), body);
        let path = format!(
            "{}:{}",
            self.folder.path().display(),
            std::env::var("PATH").unwrap()
        );
        self.with("PATH", &path)
    }

    fn with(mut self, name: &str, value: &str) -> Script {
        self.command.env(name, value);
        self
    }

    fn refuses_with(mut self, expected: &str) {
        let out = self.command.output().unwrap();
        let text = String::from_utf8_lossy(&out.stderr);
        assert!(
            !out.status.success(),
            "succeeded: {}",
            String::from_utf8_lossy(&out.stdout)
        );
        assert!(text.contains(expected), "'{expected}' expected in: {text}");
        assert_eq!(text.lines().count(), 1, "one line: {text}");
    }
}

fn write_program(path: &Path, body: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn setup_refuses_an_old_rust_with_the_remedy() {
    Script::new("setup.sh")
        .with_program("rustc", "echo 'rustc 1.63.0 (x)'")
        .refuses_with("Rust 1.63.0 is too old");
    Script::new("setup.sh")
        .with_program("rustc", "echo 'rustc 1.63.0 (x)'")
        .refuses_with("rustup update stable");
}

#[test]
fn setup_refuses_a_missing_rust() {
    Script::new("setup.sh")
        .with_program("rustc", "exit 127")
        .refuses_with("no Rust toolchain found");
}

#[test]
fn setup_adds_a_missing_rustfmt_or_says_how() {
    let mut script = Script::new("setup.sh")
        .with("PG_CONFIG", paths::pg_bin("pg_config").to_str().unwrap())
        .with_program("rustfmt", "exit 1")
        .with_program("rustup", "echo $@ >asked");
    assert!(script.command.status().unwrap().success());
    let asked = std::fs::read_to_string(script.folder.path().join("asked")).unwrap();
    assert_eq!(asked, "component add rustfmt\n");
    Script::new("setup.sh")
        .with("PG_CONFIG", paths::pg_bin("pg_config").to_str().unwrap())
        .with_program("rustfmt", "exit 1")
        .with_program("rustup", "exit 1")
        .refuses_with("run 'rustup component add rustfmt'");
}

#[test]
fn setup_refuses_a_pg_config_that_is_none() {
    let script = Script::new("setup.sh").with("PG_CONFIG", "/nonexistent/pg_config");
    script.refuses_with("PG_CONFIG=/nonexistent/pg_config is no program that can be run");
}

#[test]
fn setup_refuses_a_postgresql_that_is_too_old() {
    let script = Script::new("setup.sh").with_program("old_pg_config", "echo 'PostgreSQL 13.4'");
    script
        .with("PG_CONFIG", "old_pg_config")
        .refuses_with("is PostgreSQL 13: 15 to 18 are supported");
}

#[test]
fn setup_refuses_a_postgresql_without_headers_that_apt_cannot_complete() {
    let body = "case $1 in --version) echo 'PostgreSQL 16.1' ;; *) echo /nonexistent ;; esac";
    let script = Script::new("setup.sh").with_program("bare_pg_config", body);
    script
        .with("PG_CONFIG", "bare_pg_config")
        .refuses_with("lacks the server or its header files");
}

#[test]
fn setup_says_what_is_missing_where_there_is_no_apt() {
    let script = Script::new("setup.sh");
    let body = "case $1 in --version) echo 'PostgreSQL 16.1' ;; *) echo /usr/lib/postgresql/none ;; esac";
    write_program(&script.folder.path().join("bare_pg_config"), body);
    for program in ["bash", "sed", "awk", "head", "sort", "dirname", "id", "tr", "env"] {
        link_program(program, script.folder.path());
    }
    write_program(&script.folder.path().join("rustc"), "echo 'rustc 1.95.0 (x)'");
    write_program(&script.folder.path().join("cargo"), "exit 1");
    write_program(&script.folder.path().join("rustfmt"), "exit 0");
    let path = script.folder.path().display().to_string();
    script
        .with("PATH", &path)
        .with("PG_CONFIG", "bare_pg_config")
        .refuses_with("this system has no apt");
}

fn link_program(name: &str, folder: &Path) {
    let found = ["/usr/bin", "/bin"]
        .iter()
        .map(|bin| Path::new(bin).join(name))
        .find(|path| path.exists());
    symlink(found.unwrap_or_else(|| panic!("{name}")), folder.join(name)).unwrap();
}

#[test]
fn setup_obeys_pg_config_and_writes_what_the_build_needs() {
    let chosen = paths::pg_bin("pg_config");
    let mut script = Script::new("setup.sh").with("PG_CONFIG", chosen.to_str().unwrap());
    let out = script.command.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let written = std::fs::read_to_string(script.folder.path().join("setup.env")).unwrap();
    let expected = [
        format!("PG_CONFIG={}", chosen.display()),
        format!("PGRX_PG_CONFIG_PATH={}", chosen.display()),
        format!("PG_FEATURE=pg{}", paths::pg_major()),
    ];
    assert_eq!(written.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn preload_keeps_what_is_preloaded_and_repeats_nothing() {
    let added = "shared_preload_libraries = 'pg_worker_ext'";
    for (before, after) in [
        ("", added),
        ("#shared_preload_libraries = ''", added),
        (
            "shared_preload_libraries = ''  # (change requires restart)",
            added,
        ),
        (
            "shared_preload_libraries = 'pgaudit, pg_cron' # both",
            "shared_preload_libraries = 'pgaudit, pg_cron, pg_worker_ext'",
        ),
        (
            "shared_preload_libraries = 'pg_cron, pg_worker_ext'",
            "shared_preload_libraries = 'pg_cron, pg_worker_ext'",
        ),
        (
            "shared_preload_libraries = 'a'\nshared_preload_libraries = 'b'",
            "shared_preload_libraries = 'b, pg_worker_ext'",
        ),
    ] {
        assert_eq!(preload_twice(before).lines().last(), Some(after), "{before}");
    }
}

fn preload_twice(before: &str) -> String {
    let mut script = Script::new("preload.sh");
    let conf = script.folder.path().join("postgresql.conf");
    std::fs::write(&conf, format!("{before}\n")).unwrap();
    succeeds(&script.command.arg(&conf).output().unwrap());
    let once = std::fs::read_to_string(&conf).unwrap();
    succeeds(&script.command.output().unwrap());
    assert_eq!(
        once,
        std::fs::read_to_string(&conf).unwrap(),
        "a second run changes nothing"
    );
    once
}

fn succeeds(out: &Output) {
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn make_help_explains_every_target() {
    let out = Command::new("make")
        .arg("help")
        .current_dir(paths::root())
        .output()
        .unwrap();
    let help = String::from_utf8(out.stdout).unwrap();
    let makefile = paths::read("Makefile");
    let phony = makefile
        .lines()
        .find_map(|line| line.strip_prefix(".PHONY:"))
        .unwrap();
    for target in phony.split_whitespace() {
        assert!(help.contains(&format!("make {target} ")), "{target}: {help}");
    }
}
