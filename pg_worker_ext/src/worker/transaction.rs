//! Transactions of a background process, which survive an error: it is logged, not fatal.

use crate::process;
use core::ffi::c_int;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::{CaughtError, ErrorReport};
use pgrx::prelude::*;
use std::panic::AssertUnwindSafe;

/// A transaction is cancelled after this: whoever drops the database waits no longer than PostgreSQL has patience (5 s).
const BOUND_MS: c_int = 3000;
/// The server's own timeout for statements, which acts in no background worker by itself.
const STATEMENT_TIMEOUT: c_int = 3;

// Not among pgrx's bindings; declared as in utils/timeout.h of PostgreSQL 15 to 18.
unsafe extern "C-unwind" {
    fn enable_timeout_after(id: c_int, delay_ms: c_int);
    fn disable_timeout(id: c_int, keep_indicator: bool);
}

/// Why a transaction was rolled back.
#[derive(Debug)]
pub struct Trouble {
    code: PgSqlErrorCode,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
}

impl Trouble {
    /// Logs it as a warning, with all that is known of it. `statement`: what was being done.
    pub fn log(self, what: &str, statement: &str) {
        let message = format!("pg_worker_ext: {what}: {} ({:?})", self.message, self.code);
        let detail = self.detail.map_or(String::new(), |detail| format!("{detail}\n"));
        let mut report = ErrorReport::new(self.code, message, "pg_worker_ext")
            .set_detail(format!("{detail}Statement: {statement}"));
        if let Some(hint) = self.hint {
            report = report.set_hint(hint);
        }
        report.report(PgLogLevel::WARNING);
    }
}

impl From<CaughtError> for Trouble {
    fn from(cause: CaughtError) -> Trouble {
        let report = match &cause {
            CaughtError::PostgresError(e) | CaughtError::ErrorReport(e) => e,
            CaughtError::RustPanic { ereport, .. } => ereport,
        };
        Trouble {
            code: report.sql_error_code(),
            message: report.message().to_owned(),
            detail: report.detail().map(str::to_owned),
            hint: report.hint().map(str::to_owned),
        }
    }
}

impl From<spi::Error> for Trouble {
    fn from(cause: spi::Error) -> Trouble {
        Trouble {
            code: PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            message: cause.to_string(),
            detail: None,
            hint: None,
        }
    }
}

/// Settings that every transaction starts with, whatever the database, the role or a function that
/// ran before says: names are looked up where we mean them, the doors want READ COMMITTED, and
/// a lock is waited for less long than the whole transaction may take, so that its error tells which.
const SETTINGS: [(&core::ffi::CStr, &core::ffi::CStr); 6] = [
    (c"search_path", c"pg_catalog, pg_temp"),
    (c"default_transaction_isolation", c"read committed"),
    (c"default_transaction_read_only", c"off"),
    (c"default_transaction_deferrable", c"off"),
    (c"session_replication_role", c"origin"),
    (c"lock_timeout", c"2s"),
];

/// Runs `body` in a transaction of its own. An ERROR or a panic rolls it back and is handed out.
pub fn run<R>(body: impl FnOnce() -> Result<R, spi::Error>) -> Result<R, Trouble> {
    let result = PgTryBuilder::new(AssertUnwindSafe(|| {
        begin();
        match body() {
            Ok(value) => {
                commit();
                Ok(value)
            }
            Err(cause) => {
                abort();
                Err(cause.into())
            }
        }
    }))
    .catch_others(|cause| {
        abort();
        Err(cause.into())
    })
    .execute();
    end_bound();
    // SAFETY: outside of a transaction. Otherwise table statistics of this process would be sent at its end only.
    unsafe { pg_sys::pgstat_report_stat(true) };
    result
}

fn begin() {
    for (name, value) in SETTINGS {
        process::set(name, value);
    }
    // SAFETY: this process is in no transaction, and its timeouts were set up when it was connected.
    unsafe {
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::StartTransactionCommand();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        enable_timeout_after(STATEMENT_TIMEOUT, BOUND_MS);
    }
}

fn commit() {
    // SAFETY: ends what `begin` began.
    unsafe {
        pg_sys::PopActiveSnapshot();
        pg_sys::CommitTransactionCommand();
    }
}

fn abort() {
    // SAFETY: ends what `begin` began, however far it came.
    unsafe { pg_sys::AbortCurrentTransaction() };
}

/// A timeout that came too late cancels nothing that comes after.
fn end_bound() {
    // SAFETY: the flag belongs to this process; the timeout was enabled by `begin`.
    unsafe {
        disable_timeout(STATEMENT_TIMEOUT, false);
        pg_sys::QueryCancelPending = 0;
    }
}
