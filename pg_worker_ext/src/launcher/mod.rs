//! The launcher: one process per server, which starts a background worker in a database where there is
//! something to do.
//!
//! - [`databases`]: what it knows of the databases, and the starting of workers;
//! - [`turns`]: whose turn it is when more databases want a worker than may run at a time.
//!
//! It is connected to no database and sees only `pg_database` and the shared memory. A worker is started where a flag
//! is up or something is due, and leaves by itself when there is nothing more to do: at rest there is
//! the launcher alone. Every database is visited once after the start, to find out whether the extension is there, and every
//! half an hour, for what nobody tells of (two-phase commits, logical replication).

mod databases;
pub mod turns;

use crate::moment::{self, Moment};
use crate::worker::transaction;
use crate::{gucs, process, shmem};
use databases::Databases;
use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder};
use pgrx::prelude::*;
use std::time::Duration;

/// Asks for the launcher. Only while `shared_preload_libraries` are loaded.
pub fn register() {
    BackgroundWorkerBuilder::new("pg_worker_ext launcher")
        .set_library("pg_worker_ext")
        .set_function("pg_worker_ext_launcher_main")
        .enable_spi_access() // and with that: not on a standby before its promotion
        .set_restart_time(Some(Duration::from_secs(1)))
        .load();
}

/// The server starts the launcher here.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_worker_ext_launcher_main(_argument: pg_sys::Datum) {
    process::handle_signals();
    BackgroundWorker::connect_worker_to_spi(None, None);
    process::show_name();
    shmem::launcher_is_me();
    // SAFETY: the function and its argument live as long as the process.
    unsafe { pg_sys::before_shmem_exit(Some(leave), pg_sys::Datum::from(0)) };
    let mut databases = Databases::default();
    let mut read_at = Moment(0);
    loop {
        let now = process::now();
        if process::reload_if_asked() {
            databases.visit_all(now);
            read_at = now;
        }
        let (again_at, read) = take_turns(&mut databases, now, read_at <= now);
        if read {
            read_at = now + gucs::visit_gap();
        }
        let sleep = again_at.min(read_at).since(process::now());
        process::show_idle(&format!("asleep for {} s at most", sleep.as_secs()));
        process::point("launcher: before its sleep");
        process::sleep(sleep);
    }
}

/// Starts the workers whose turn it is. Says when to look again, and whether `pg_database` was read.
fn take_turns(databases: &mut Databases, now: Moment, must_read: bool) -> (Moment, bool) {
    let places = gucs::max_workers();
    let mut turns = turns::deal(&databases.standings(now), places, now);
    let slots: Vec<_> = shmem::known().collect();
    // Read only when something happens: a database may be gone or new.
    let read = must_read || !turns.start.is_empty() || !databases.know(&slots);
    if read {
        process::show_busy("looking for databases with the extension");
        match transaction::run(|| Ok(databases::read())) {
            Ok(rows) => databases.update(&slots, rows, now),
            Err(trouble) => trouble.log("cannot read the list of databases", "a scan of pg_database"),
        }
        turns = turns::deal(&databases.standings(now), places, now);
    }
    for database in &turns.start {
        process::point("launcher: before a start");
        databases.start(*database, now);
    }
    if let Some(slot) = turns.make_room.and_then(shmem::find) {
        slot.raise(shmem::YIELD);
    }
    (turns::deal(&databases.standings(now), places, now).again_at, read)
}

#[pg_guard]
unsafe extern "C-unwind" fn leave(_code: i32, _argument: pg_sys::Datum) {
    shmem::launcher_is_gone();
}
