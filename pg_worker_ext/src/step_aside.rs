//! Stepping aside for DDL on a whole database.
//!
//! A database cannot be dropped, renamed, moved or used as a template while somebody is connected
//! to it, and a background worker is. So before such a statement of somebody who may give it, the
//! worker of that database is asked to leave, and none is started until the statement is over.

use crate::slots::{self, Slot};
use pgrx::is_a;
use pgrx::prelude::*;
use std::ffi::{CStr, c_char};
use std::time::{Duration, Instant};

/// A worker that has not left after this is stopped.
const PATIENCE: Duration = Duration::from_secs(2);
/// The worker stays away for so long if the session that sent it away says nothing more.
const HOLD_SECONDS: i64 = 60;

static mut PREVIOUS: pg_sys::ProcessUtility_hook_type = None;

/// Puts the hook in place. Only while `shared_preload_libraries` are loaded.
pub fn register() {
    unsafe {
        PREVIOUS = pg_sys::ProcessUtility_hook;
        pg_sys::ProcessUtility_hook = Some(process_utility);
    }
}

#[pg_guard]
#[allow(clippy::too_many_arguments, reason = "the server's signature")]
unsafe extern "C-unwind" fn process_utility(
    statement: *mut pg_sys::PlannedStmt,
    query: *const c_char,
    read_only_tree: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    parameters: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    destination: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    let held = unsafe { subject((*statement).utilityStmt) }.and_then(|database| unsafe { clear(database) });
    let go_on = || unsafe {
        match PREVIOUS {
            Some(hook) => pg_sys::ffi::pg_guard_ffi_boundary(|| {
                hook(
                    statement,
                    query,
                    read_only_tree,
                    context,
                    parameters,
                    environment,
                    destination,
                    completion,
                )
            }),
            None => pg_sys::standard_ProcessUtility(
                statement,
                query,
                read_only_tree,
                context,
                parameters,
                environment,
                destination,
                completion,
            ),
        }
    };
    match held {
        None => go_on(),
        Some(slot) => PgTryBuilder::new(std::panic::AssertUnwindSafe(go_on))
            .finally(move || {
                // Not at once: the statement's effect shows only when its transaction has ended.
                slot.hold(1);
                slots::wake_launcher();
            })
            .execute(),
    }
}

/// The database in whose way a connection would be.
unsafe fn subject(statement: *mut pg_sys::Node) -> Option<*const c_char> {
    unsafe {
        let name: *const c_char = if is_a(statement, pg_sys::NodeTag::T_DropdbStmt) {
            (*statement.cast::<pg_sys::DropdbStmt>()).dbname
        } else if is_a(statement, pg_sys::NodeTag::T_CreatedbStmt) {
            option(c"template", (*statement.cast::<pg_sys::CreatedbStmt>()).options)
        } else if is_a(statement, pg_sys::NodeTag::T_AlterDatabaseStmt) {
            let alter = statement.cast::<pg_sys::AlterDatabaseStmt>();
            let moves = !option(c"tablespace", (*alter).options).is_null();
            if moves { (*alter).dbname } else { std::ptr::null() }
        } else if is_a(statement, pg_sys::NodeTag::T_RenameStmt) {
            let rename = statement.cast::<pg_sys::RenameStmt>();
            let database = (*rename).renameType == pg_sys::ObjectType::OBJECT_DATABASE;
            if database {
                (*rename).subname
            } else {
                std::ptr::null()
            }
        } else {
            std::ptr::null()
        };
        (!name.is_null()).then_some(name)
    }
}

/// The value of an option of a statement, null if it is not given.
unsafe fn option(name: &CStr, options: *mut pg_sys::List) -> *const c_char {
    unsafe {
        let length = if options.is_null() { 0 } else { (*options).length };
        for index in 0..length {
            let element = pg_sys::list_nth(options, index).cast::<pg_sys::DefElem>();
            if CStr::from_ptr((*element).defname) == name && !(*element).arg.is_null() {
                return pg_sys::defGetString(element);
            }
        }
        std::ptr::null()
    }
}

/// Sends the background worker of a database away and waits until it has gone.
unsafe fn clear(name: *const c_char) -> Option<&'static Slot> {
    let database = unsafe { pg_sys::get_database_oid(name, true) };
    let slot = slots::find(database).filter(|_| database != pg_sys::InvalidOid)?;
    if !unsafe { may_command(database) } {
        return None;
    }
    slot.hold(HOLD_SECONDS);
    slot.raise(slots::LEAVE);
    let asked = Instant::now();
    let mut stopped = false;
    while slot.pid() != 0 {
        if !stopped && asked.elapsed() > PATIENCE {
            stopped = true;
            stop(slot);
        }
        unsafe { pg_sys::pg_usleep(5_000) };
        check_for_interrupts!();
    }
    Some(slot)
}

/// Owners (and superusers) may command; templates, which others may copy, are not served anyway.
unsafe fn may_command(database: pg_sys::Oid) -> bool {
    unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::DATABASEOID as i32, database.into());
        if tuple.is_null() {
            return false;
        }
        let form: *const pg_sys::FormData_pg_database = pg_sys::GETSTRUCT(tuple).cast();
        let owner = (*form).datdba;
        pg_sys::ReleaseSysCache(tuple);
        pg_sys::has_privs_of_role(pg_sys::GetUserId(), owner)
    }
}

/// Stops a worker that is in the middle of something.
fn stop(slot: &Slot) {
    let pid = slot.pid();
    if pid != 0 {
        unsafe { libc::kill(pid, libc::SIGTERM) };
    }
}
