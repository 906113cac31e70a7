//! The executor's commands as a person meets them: what `doctor` finds and advises, what `preview`
//! shows, and how wrong settings are refused. Whatever goes wrong, no password and no key is shown,
//! and nobody has to read a stack trace.

mod broken;
mod deaf;
pub mod doctor;
mod health;
mod preview;
mod settings;
mod stop;
mod tls;

use pg_worker_tests::executor::Setup;
use pg_worker_tests::{BOUND, Cluster, Database, Session, wait_until};
use std::process::Output;

const PASSWORD: &str = "hunter2-of-the-database";
const KEY: &str = "sk-of-the-model-server";

/// Both streams of a command that ended with this code, fit to be shown to anybody.
#[track_caller]
fn ends(setup: Setup, command: &str, code: i32) -> String {
    let out = setup.output(command);
    let text = both(&out);
    assert_eq!(out.status.code(), Some(code), "{command}: {text}");
    fit_to_show(&text);
    text
}

fn both(out: &Output) -> String {
    String::from_utf8_lossy(&[out.stdout.as_slice(), &out.stderr].concat()).into_owned()
}

#[track_caller]
fn fit_to_show(text: &str) {
    for never in [PASSWORD, KEY, "panicked", "RUST_BACKTRACE", "stack backtrace"] {
        assert!(!text.contains(never), "'{never}' in: {text}");
    }
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "'{part}' is not in: {text}");
    }
}

/// Lets nobody but the superuser in without a password, and makes a role that has one.
fn with_passwords(cluster: &Cluster, database: &Database) {
    let rules = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    std::fs::write(cluster.data().join("pg_hba.conf"), rules).expect("write pg_hba.conf");
    let mut session = database.session();
    session.run(&format!("create role keeper login password '{PASSWORD}'"));
    session.run("select worker.grant_executor('keeper')");
    session.run("select pg_reload_conf()");
    wait_until("a password is asked for", BOUND, || {
        Session::try_open(database.config().user("keeper")).is_err()
    });
}

/// The URL of a role with a password.
fn with_password(database: &Database, role: &str, password: &str) -> String {
    database
        .url_as(role)
        .replace(&format!("{role}@"), &format!("{role}:{password}@"))
}

/// Makes the database speak another version.
fn contract(version: i32) -> String {
    format!("create or replace function worker.contract_version() returns int language sql return {version}")
}
