//! Servers that stem from another one: a standby, and what `pg_upgrade` makes.

use super::{Cluster, PRELOADED, SETTINGS};
use crate::account::server_command;
use crate::install;
use std::process::Command;

impl Cluster {
    /// A hot standby of a running server, preloaded, with further lines for `postgresql.conf`.
    pub fn standby_of(primary: &Cluster, settings: &[&str]) -> Cluster {
        let cluster = Cluster::in_new_folder(primary.bin.clone());
        let mut copy = server_command(&cluster.bin.join("pg_basebackup"));
        copy.args(["--write-recovery-conf", "--checkpoint", "fast", "--pgdata"]);
        copy.arg(cluster.data());
        copy.args(["--dbname", &primary.url("postgres", "postgres")]);
        succeeds(&mut copy);
        cluster.write_settings(
            &[],
            &install::settings(),
            &[SETTINGS, &[PRELOADED], settings].concat(),
        );
        cluster.start_server();
        cluster
    }

    /// `pg_upgrade`: takes over everything of another server. Both are stopped, this one is empty.
    pub fn upgrade_from(&self, old: &Cluster) {
        let mut upgrade = server_command(&self.bin.join("pg_upgrade"));
        upgrade.current_dir(&self.folder).args(["-U", "postgres"]);
        upgrade.arg("-b").arg(&old.bin).arg("-B").arg(&self.bin);
        upgrade.arg("-d").arg(old.data()).arg("-D").arg(self.data());
        succeeds(&mut upgrade);
    }
}

#[track_caller]
fn succeeds(command: &mut Command) {
    let out = command.output().expect("start a program");
    let said = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    assert!(out.status.success(), "{command:?}: {said}");
}
