//! Waking at commit: the trigger function `worker.wake()` and the transaction callback behind it.
//!
//! A NOTIFY inside the enqueueing transaction would take a lock of the whole server at commit. So
//! the trigger only remembers what happened; once the transaction has committed, the callback
//! raises the flags of this database's slot and wakes the background worker, or the launcher, which starts
//! one; the worker sends one NOTIFY for a whole burst. A rolled-back savepoint leaves the flag up: a wake-up for
//! nothing. PREPARE TRANSACTION takes it down: the work is not visible yet, and the session that
//! says COMMIT PREPARED knows nothing of it; the visit to every database each half hour covers that.

use crate::moment::Moment;
use crate::{process, shmem};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::cell::Cell;
use std::convert::Infallible;
use std::time::Duration;

thread_local! {
    static FLAGS: Cell<u32> = const { Cell::new(0) };
    static DUE: Cell<Moment> = const { Cell::new(Moment::NEVER) };
    static CALLBACK: Cell<bool> = const { Cell::new(false) };
}

/// `worker.wake('jobs' | 'pools')`: an AFTER trigger, for statements or rows.
///
/// Where no background worker serves this database, 'jobs' sends the notification within the
/// transaction, and 'pools' does without.
// As pgrx would write it, but over the stand-in of the single file too (sql/takeover.sql).
#[pg_trigger(
    sql = "create or replace function wake() returns trigger language c as 'MODULE_PATHNAME', '@FUNCTION_NAME@';"
)]
fn wake<'a>(trigger: &'a PgTrigger<'a>) -> Result<Option<PgHeapTuple<'a, AllocatedByPostgres>>, Infallible> {
    if !matches!(trigger.when(), Ok(PgTriggerWhen::After)) {
        // Before a row it would decide what becomes of it.
        let message = "worker.wake is for AFTER triggers";
        ereport!(
            ERROR,
            PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
            message
        );
    }
    let flag = match trigger.extra_args().as_deref() {
        Ok([what]) if what == "jobs" => shmem::JOBS,
        Ok([what]) if what == "pools" => shmem::POOLS,
        _ => {
            let message = "worker.wake takes one argument: 'jobs' or 'pools'";
            ereport!(ERROR, PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message);
        }
    };
    if is_served() {
        at_commit();
        FLAGS.set(FLAGS.get() | flag);
    } else {
        ask_launcher();
        if flag == shmem::JOBS {
            notify();
        }
    }
    Ok(None)
}

/// Has the queue looked at by this time, once the transaction has committed: a lease ends then, for example. NULL: at once, and
/// everything is tried that failed before. Does nothing where the library is not preloaded.
#[pg_extern(create_or_replace, volatile, parallel_unsafe)]
fn wake_at(p_at: Option<TimestampWithTimeZone>) {
    match p_at {
        None if shmem::preloaded() => {
            at_commit();
            FLAGS.set(FLAGS.get() | shmem::AFRESH);
        }
        Some(at) if shmem::preloaded() => {
            // SAFETY: reads the clock.
            let now = unsafe { pg_sys::GetCurrentTimestamp() };
            let wait = pg_sys::TimestampTz::from(at).saturating_sub(now);
            let wait = Duration::from_micros(u64::try_from(wait).unwrap_or(0));
            at_commit();
            DUE.set(DUE.get().min(process::now() + wait));
        }
        _ => {}
    }
}

/// Whether background workers serve the current database.
pub fn is_served() -> bool {
    shmem::find(process::database()).is_some_and(shmem::Slot::is_served)
}

/// Has the launcher visit the current database when this transaction has committed.
pub fn ask_launcher() {
    if shmem::preloaded() {
        at_commit();
        FLAGS.set(FLAGS.get() | shmem::VISIT);
    }
}

/// Sends the notification that executors listen for, as part of the current transaction.
fn notify() {
    let sent = Spi::connect(|spi| {
        spi.select("select pg_catalog.pg_notify('worker_jobs', '')", None, &[])
            .map(|_| ())
    });
    if let Err(cause) = sent {
        ereport!(ERROR, PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, cause.to_string());
    }
}

fn at_commit() {
    if !CALLBACK.replace(true) {
        // For the whole session: pgrx's own callbacks would outlive a PREPARE TRANSACTION.
        // SAFETY: the function lives as long as the process.
        unsafe { pg_sys::RegisterXactCallback(Some(at_transaction_end), std::ptr::null_mut()) };
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn at_transaction_end(
    event: pg_sys::XactEvent::Type,
    _argument: *mut core::ffi::c_void,
) {
    use pg_sys::XactEvent::{XACT_EVENT_ABORT, XACT_EVENT_COMMIT, XACT_EVENT_PREPARE};
    if !matches!(event, XACT_EVENT_COMMIT | XACT_EVENT_ABORT | XACT_EVENT_PREPARE) {
        return;
    }
    let (flags, due) = (FLAGS.take(), DUE.replace(Moment::NEVER));
    if event == XACT_EVENT_COMMIT {
        if flags != 0 {
            shmem::raise_here(flags);
        }
        if due != Moment::NEVER {
            shmem::due_here(due);
        }
    }
}
