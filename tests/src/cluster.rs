//! Private PostgreSQL clusters. Three are shared by all tests of a process, each made by the first
//! test that wants it; a test that restarts, kills or configures a server starts its own.

mod kin;
mod make;

use crate::Session;
use crate::account::server_command;
use crate::install;
use crate::paths::{ask_pg_config, pg_config};
use crate::wait::{BOUND, wait_until};
use postgres::error::SqlState;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Mutex, OnceLock};

/// One server with its data. Dropping it stops the server and removes the data.
pub struct Cluster {
    /// The programs of its PostgreSQL.
    bin: PathBuf,
    folder: PathBuf,
    port: u16,
    /// What its processes find in their environment beside the little that every server has.
    environment: &'static [(&'static str, &'static str)],
    postmaster: Mutex<Option<Child>>,
    /// The databases that [`crate::Database`] copies from.
    pub(crate) templates: Mutex<Vec<String>>,
}

/// How a server is asked to stop; the names are those of `pg_ctl stop -m`.
#[derive(Clone, Copy, Debug)]
pub enum Stop {
    Fast,
    Immediate,
}

const PRELOADED: &str = "shared_preload_libraries = 'pg_worker_ext'";

const ADDRESS: &str = "listen_addresses = '127.0.0.1'";

/// For tests: quick, and many of them at once.
const SETTINGS: &[&str] = &["\
fsync = off
shared_buffers = 64MB
max_connections = 200
max_worker_processes = 64
jit = off
log_line_prefix = '%m [%p] %d %b: '
"];

impl Cluster {
    /// Preloaded, but without background workers: nothing happens unless the test does it.
    pub fn quiet() -> &'static Cluster {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        CLUSTER.get_or_init(|| Cluster::start(&[PRELOADED, "pg_worker_ext.background_worker = off"]))
    }

    /// Preloaded, with background workers, as a user would run it.
    pub fn live() -> &'static Cluster {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        CLUSTER.get_or_init(|| Cluster::start(&[PRELOADED]))
    }

    /// The extension can be created, but its library is not preloaded.
    pub fn plain() -> &'static Cluster {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        CLUSTER.get_or_init(|| Cluster::start(&[]))
    }

    /// A server of the test's own, preloaded, with further lines for `postgresql.conf`.
    pub fn own(settings: &[&str]) -> Cluster {
        Cluster::start(&[&[PRELOADED], settings].concat())
    }

    /// A server as PostgreSQL ships it, durability included, preloaded: for measuring.
    pub fn as_shipped(settings: &[&str]) -> Cluster {
        Cluster::tested(&[&[PRELOADED], settings].concat())
    }

    /// A server of another PostgreSQL, with what was staged for it.
    pub fn of(pg_config: &Path, stage: &Path, settings: &[&str]) -> Cluster {
        let bin = ask_pg_config(pg_config, "--bindir").into();
        let installed = install::settings_for(stage, pg_config);
        Cluster::with(bin, &installed, &[SETTINGS, settings].concat())
    }

    /// A server with exactly these settings beside those that every test server has.
    pub fn start(settings: &[&str]) -> Cluster {
        Cluster::tested(&[SETTINGS, settings].concat())
    }

    /// Of the PostgreSQL under test.
    fn tested(settings: &[&str]) -> Cluster {
        Cluster::with(pg_config("--bindir").into(), &install::settings(), settings)
    }

    fn with(bin: PathBuf, installed: &[String], settings: &[&str]) -> Cluster {
        let cluster = Cluster::in_new_folder(bin);
        cluster.initdb(make::LOCALE);
        cluster.write_settings(&[], installed, settings);
        cluster.start_server();
        cluster
    }

    /// Starts the server, new or stopped, and waits until it answers.
    pub fn start_server(&self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("server log");
        let child = server_command(&self.bin.join("postgres"))
            .arg("-D")
            .arg(self.data())
            .envs(self.environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("postgres");
        *self.postmaster.lock().expect("postmaster") = Some(child);
        wait_until("the server answers", BOUND, || {
            assert!(
                self.is_running(),
                "the server stopped at its start:\n{}",
                self.log()
            );
            // The eighth line of this file is the server's own word for it.
            let state = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
            state
                .lines()
                .nth(7)
                .is_some_and(|line| matches!(line.trim(), "ready" | "standby"))
        });
    }

    /// Stops the server and waits for its end.
    pub fn stop_server(&self, how: Stop) {
        let mut postmaster = self.postmaster.lock().expect("postmaster");
        let Some(mut child) = postmaster.take() else {
            return;
        };
        let signal = match how {
            Stop::Fast => libc::SIGINT,
            Stop::Immediate => libc::SIGQUIT,
        };
        send_signal(child.id(), signal);
        wait_until("the server stops", BOUND, || {
            child.try_wait().expect("wait for postgres").is_some()
        });
    }

    /// Stops and starts the server.
    pub fn restart(&self, how: Stop) {
        self.stop_server(how);
        self.start_server();
    }

    /// `ALTER SYSTEM SET` (the text after SET) and a reload.
    pub fn alter_system(&self, setting: &str) {
        let mut session = self.session("postgres");
        session.run(&format!("alter system set {setting}"));
        session.run("select pg_reload_conf()");
    }

    /// A role that can log in, for all databases of the server; it may be there already.
    pub fn role(&self, name: &str) {
        let made = self
            .session("postgres")
            .batch_execute(&format!("create role {name} login"));
        if let Err(error) = made {
            let there = matches!(error.code().map(SqlState::code), Some("42710" | "23505"));
            assert!(there, "create role {name}: {error:?}");
        }
    }

    fn is_running(&self) -> bool {
        let mut postmaster = self.postmaster.lock().expect("postmaster");
        postmaster
            .as_mut()
            .is_some_and(|child| child.try_wait().expect("wait for postgres").is_none())
    }

    /// A session of the superuser in one of its databases.
    #[track_caller]
    pub fn session(&self, database: &str) -> Session {
        Session::open(&self.config(database))
    }

    /// How to connect as the superuser.
    pub fn config(&self, database: &str) -> postgres::Config {
        let mut config = postgres::Config::new();
        config
            .host("127.0.0.1")
            .port(self.port)
            .user("postgres")
            .dbname(database);
        config
    }

    /// The same as a URL, for programs.
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// The TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What the server has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("log")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop_server(Stop::Immediate);
        remove_folder(&self.folder);
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a free port")
        .port()
}

/// Sends a signal to a process of ours.
pub fn send_signal(pid: u32, signal: i32) {
    // SAFETY: kill touches no memory; the process was started here and has not been waited for.
    unsafe { libc::kill(pid.cast_signed(), signal) };
}

fn remove_folder(folder: &Path) {
    // What cannot be removed now, the guardian removes at the end.
    let _ = std::fs::remove_dir_all(folder);
}
