//! How a server's data and its postgresql.conf come to be: the ways that tests and measurements share, a stock
//! server, and one in another locale.

use super::{ADDRESS, Cluster, PRELOADED, SETTINGS, free_port};
use crate::account::{give_to_server, server_command};
use crate::install::{self, temporary_folder};
use crate::paths::pg_config;
use std::path::PathBuf;
use std::sync::Mutex;

/// How `initdb` is asked to make the data, where a test does not say it otherwise.
pub(super) const LOCALE: &[&str] = &["-E", "UTF8", "--locale=C.UTF-8"];

/// No test cuts a machine's power: the one setting of a stock server that is not PostgreSQL's own.
const STOCK: &str = "fsync = off";

impl Cluster {
    /// The server of somebody who changed nothing: PostgreSQL's own settings as `initdb` writes them (8 worker
    /// processes, 100 connections, jit on), RUST_BACKTRACE in its environment, preloaded.
    pub fn stock(settings: &[&str]) -> Cluster {
        Cluster::as_initdb_left_it(&[&[PRELOADED], settings].concat())
    }

    /// The same server without the library.
    pub fn stock_without_library(settings: &[&str]) -> Cluster {
        Cluster::as_initdb_left_it(settings)
    }

    fn as_initdb_left_it(settings: &[&str]) -> Cluster {
        let mut cluster = Cluster::in_new_folder(pg_config("--bindir").into());
        cluster.environment = &[("RUST_BACKTRACE", "1")];
        cluster.initdb(LOCALE);
        let written = std::fs::read_to_string(cluster.conf()).expect("postgresql.conf");
        cluster.write_settings(&[written], &install::settings(), &[&[STOCK], settings].concat());
        cluster.start_server();
        cluster
    }

    /// A server in another locale or encoding: the arguments are `initdb`'s, as `["-E", "LATIN1", "--locale=C"]`.
    pub fn in_locale(initdb: &[&str], settings: &[&str]) -> Cluster {
        let cluster = Cluster::in_new_folder(pg_config("--bindir").into());
        cluster.initdb(initdb);
        cluster.write_settings(
            &[],
            &install::settings(),
            &[SETTINGS, &[PRELOADED], settings].concat(),
        );
        cluster.start_server();
        cluster
    }

    pub(super) fn in_new_folder(bin: PathBuf) -> Cluster {
        let folder = temporary_folder("pgw-");
        give_to_server(&folder);
        Cluster {
            bin,
            folder,
            port: free_port(),
            environment: &[],
            postmaster: Mutex::new(None),
            templates: Mutex::default(),
        }
    }

    pub(super) fn initdb(&self, locale: &[&str]) {
        let out = server_command(&self.bin.join("initdb"))
            .args(["-A", "trust", "-U", "postgres", "-N"])
            .args(locale)
            .arg("-D")
            .arg(self.data())
            .output()
            .expect("initdb");
        assert!(
            out.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&out.stderr)
        );
    }

    /// Of two lines about the same setting the later one counts: `written` is what stood there before.
    pub(super) fn write_settings(&self, written: &[String], installed: &[String], settings: &[&str]) {
        let mut text = written.concat();
        text += &format!(
            "port = {}\nunix_socket_directories = '{}'\n{ADDRESS}\n",
            self.port,
            self.folder.display()
        );
        for line in installed
            .iter()
            .map(String::as_str)
            .chain(settings.iter().copied())
        {
            text.push_str(line);
            text.push('\n');
        }
        // ALTER SYSTEM writes postgresql.auto.conf and wins over this file, as it should.
        std::fs::write(self.conf(), text).expect("write postgresql.conf");
    }

    fn conf(&self) -> PathBuf {
        self.data().join("postgresql.conf")
    }
}
