//! A real pgbouncer before a database, on loopback, private to one test.
//!
//! `scripts/suites/poolers.sh` gets the program and names it in `PG_WORKER_PGBOUNCER`.

use crate::account::{give_to_server, server_command};
use crate::cluster::free_port;
use crate::install::temporary_folder;
use crate::wait::{BOUND, wait_until};
use crate::{Database, guardian};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Child;

/// How server connections are shared; the names are pgbouncer's.
#[derive(Clone, Copy, Debug)]
pub enum PoolMode {
    Session,
    Transaction,
}

/// A running pgbouncer. Dropping it ends it.
pub struct PgBouncer {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl PgBouncer {
    /// Before `database`, as `role` on so many connections, whoever comes in.
    #[track_caller]
    pub fn start(database: &Database, role: &str, mode: PoolMode, connections: usize) -> PgBouncer {
        let folder = temporary_folder("pgw-pool-");
        give_to_server(&folder);
        let port = free_port();
        let mode = match mode {
            PoolMode::Session => "session",
            PoolMode::Transaction => "transaction",
        };
        let settings = format!(
            "[databases]\n{name} = host=127.0.0.1 port={server} dbname={name} user={role}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = {mode}\ndefault_pool_size = {connections}\nlogfile = {folder}/log\n",
            name = database.name(),
            server = database.cluster().port(),
            folder = folder.display(),
        );
        std::fs::write(folder.join("pgbouncer.ini"), settings).expect("pgbouncer.ini");
        let child = server_command(&program())
            .arg("-q")
            .arg(folder.join("pgbouncer.ini"))
            .spawn()
            .expect("pgbouncer");
        guardian::watch_program(child.id());
        let bouncer = PgBouncer { child, folder, port };
        wait_until("pgbouncer listens", BOUND, || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        bouncer
    }

    /// The database's URL through it.
    pub fn url(&self, database: &Database) -> String {
        format!("postgres://executor@127.0.0.1:{}/{}", self.port, database.name())
    }

    /// How to connect through it.
    pub fn config(&self, database: &Database) -> postgres::Config {
        self.url(database).parse().expect("a URL")
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        guardian::program_gone(self.child.id());
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn program() -> PathBuf {
    std::env::var_os("PG_WORKER_PGBOUNCER")
        .expect("PG_WORKER_PGBOUNCER, as scripts/suites/poolers.sh sets it")
        .into()
}
