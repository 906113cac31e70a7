//! The launcher: one process per server, which keeps a background worker in each database that has
//! the extension.
//!
//! It is connected to no database and sees only `pg_database`. Whether a database has the
//! extension is found out by starting a worker there, which leaves at once if it has not. So no
//! database without the extension has somebody sitting in it, and DROP DATABASE is in nobody's
//! way. Databases without the extension are tried again at growing intervals, and at once when a
//! function of the extension was called in one (CREATE EXTENSION ends with such a call).

use crate::process;
use crate::roster::{Database, Roster};
use crate::transaction;
use crate::{settings, slots};
use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder};
use pgrx::prelude::*;
use std::ffi::CStr;
use std::time::{Duration, Instant};

/// New databases are noticed this soon, at the latest.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

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
    slots::launcher_is_me();
    unsafe { pg_sys::before_shmem_exit(Some(leave), pg_sys::Datum::from(0)) };
    let mut roster = Roster::default();
    loop {
        if process::reload_if_asked() {
            roster.forget_waits();
        }
        process::show_busy("looking for databases with the extension");
        match transaction::run(|| Ok(databases())) {
            Ok(databases) => roster.update(databases, Instant::now()),
            Err(trouble) => warning!("pg_worker_ext: cannot read the list of databases: {trouble}"),
        }
        let sleep = roster.start_due(Instant::now()).min(LONGEST_SLEEP);
        process::show_idle(&format!("background workers: {}", roster.serving()));
        process::sleep(sleep);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn leave(_code: i32, _argument: pg_sys::Datum) {
    slots::launcher_is_gone();
}

/// All databases. Templates may not be served, nor what the settings leave out.
fn databases() -> Vec<Database> {
    let mut found = Vec::new();
    unsafe {
        let relation = pg_sys::table_open(pg_sys::DatabaseRelationId, pg_sys::AccessShareLock as i32);
        let nobody = std::ptr::null_mut();
        let scan = pg_sys::systable_beginscan(
            relation,
            pg_sys::InvalidOid,
            false,
            nobody,
            0,
            std::ptr::null_mut(),
        );
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            let form: *const pg_sys::FormData_pg_database = pg_sys::GETSTRUCT(tuple).cast();
            let name = CStr::from_ptr((*form).datname.data.as_ptr())
                .to_string_lossy()
                .into_owned();
            // A negative limit other than -1 marks a database whose DROP was interrupted.
            let usable = (*form).datallowconn && !(*form).datistemplate && (*form).datconnlimit >= -1;
            let wanted = usable && settings::serves(&name);
            found.push(Database {
                oid: (*form).oid,
                name,
                wanted,
            });
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, pg_sys::AccessShareLock as i32);
    }
    found
}
