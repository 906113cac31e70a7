//! Whom the server runs as. `initdb` and `postgres` refuse root, so as root the harness steps down
//! to `$PG_TEST_USER`, `postgres` or `nobody`, whichever is there first. An ordinary user runs the
//! server as himself.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The ids to step down to, or nothing for an ordinary user.
fn unprivileged() -> Option<(u32, u32)> {
    static ACCOUNT: OnceLock<Option<(u32, u32)>> = OnceLock::new();
    *ACCOUNT.get_or_init(|| {
        // SAFETY: geteuid cannot fail and touches no memory.
        if unsafe { libc::geteuid() } != 0 {
            return None;
        }
        let asked = std::env::var("PG_TEST_USER").ok();
        let names = asked
            .as_deref()
            .map_or(vec!["postgres", "nobody"], |name| vec![name]);
        let ids = names.iter().find_map(|name| ids_of(name));
        assert!(
            ids.is_some(),
            "PostgreSQL refuses root and there is no account {names:?}: set PG_TEST_USER"
        );
        ids
    })
}

fn ids_of(name: &str) -> Option<(u32, u32)> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.first() == Some(&name))
            .then(|| Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?)))?
    })
}

/// A command that runs as the server's account, in an environment that does not depend on ours.
pub fn server_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some((uid, gid)) = unprivileged() {
        command.uid(uid).gid(gid);
    }
    command
        .env_clear()
        .env("LC_ALL", "C.UTF-8")
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/");
    command.stdin(Stdio::null());
    command
}

/// Hands a path over to the server's account.
pub fn give_to_server(path: &Path) {
    if let Some((uid, gid)) = unprivileged() {
        chown(path, Some(uid), Some(gid)).expect("chown to the server's account");
    }
}
