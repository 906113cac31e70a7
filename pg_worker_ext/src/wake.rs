//! Waking at commit: the trigger function `worker.wake()` and the transaction callback behind it.
//!
//! A NOTIFY inside the enqueueing transaction would take a lock of the whole server at commit. So
//! the trigger only remembers what happened; once the transaction has committed, the callback
//! raises the flags of this database's slot and sets the background worker's latch, and the worker
//! sends one NOTIFY for a whole burst. A rolled-back savepoint leaves the flag up: a wake-up for
//! nothing. PREPARE TRANSACTION takes it down: the work is not visible yet, and the session that
//! says COMMIT PREPARED knows nothing of it; the background worker's bounded sleep covers that.

use crate::slots;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::cell::Cell;
use std::convert::Infallible;

thread_local! {
    static ARMED: Cell<u32> = const { Cell::new(0) };
    static CALLBACK: Cell<bool> = const { Cell::new(false) };
}

/// `worker.wake('jobs' | 'pools')`: an AFTER trigger, for statements or rows.
///
/// Without a background worker for this database, 'jobs' sends the notification within the
/// transaction, and 'pools' does without.
// As pgrx would write it, but over the stand-in of the single file too (sql/takeover.sql).
#[pg_trigger(
    sql = "create or replace function wake() returns trigger language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn wake<'a>(trigger: &'a PgTrigger<'a>) -> Result<Option<PgHeapTuple<'a, AllocatedByPostgres>>, Infallible> {
    let flag = match trigger.extra_args().as_deref() {
        Ok([what]) if what == "jobs" => slots::JOBS,
        Ok([what]) if what == "pools" => slots::POOLS,
        _ => {
            let message = "worker.wake takes one argument: 'jobs' or 'pools'";
            ereport!(ERROR, PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message);
        }
    };
    if is_served() {
        arm(flag);
    } else {
        ask_launcher();
        if flag == slots::JOBS {
            notify();
        }
    }
    Ok(None)
}

/// Whether a live background worker serves the current database.
pub fn is_served() -> bool {
    slots::find(unsafe { pg_sys::MyDatabaseId }).is_some_and(slots::Slot::is_served)
}

/// Has the launcher look at the current database when this transaction has committed.
pub fn ask_launcher() {
    if slots::preloaded() && !is_served() {
        arm(slots::ASKED);
    }
}

/// Sends the notification that executors listen for, as part of the current transaction.
pub fn notify() {
    let sent = Spi::connect(|spi| {
        spi.select("select pg_catalog.pg_notify('worker_jobs', '')", None, &[])
            .map(|_| ())
    });
    if let Err(cause) = sent {
        ereport!(ERROR, PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, cause.to_string());
    }
}

fn arm(flags: u32) {
    if !CALLBACK.replace(true) {
        // For the whole session: pgrx's own callbacks would outlive a PREPARE TRANSACTION.
        unsafe { pg_sys::RegisterXactCallback(Some(at_transaction_end), std::ptr::null_mut()) };
    }
    ARMED.set(ARMED.get() | flags);
}

#[pg_guard]
unsafe extern "C-unwind" fn at_transaction_end(
    event: pg_sys::XactEvent::Type,
    _argument: *mut core::ffi::c_void,
) {
    use pg_sys::XactEvent::{XACT_EVENT_ABORT, XACT_EVENT_COMMIT, XACT_EVENT_PREPARE};
    match event {
        XACT_EVENT_COMMIT => deliver(ARMED.take()),
        XACT_EVENT_ABORT | XACT_EVENT_PREPARE => ARMED.set(0),
        _ => {}
    }
}

fn deliver(flags: u32) {
    if flags == 0 {
        return;
    }
    if let Some(slot) = slots::find_or_take(unsafe { pg_sys::MyDatabaseId }) {
        slot.raise(flags);
    }
}
