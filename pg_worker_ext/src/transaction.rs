//! Transactions of a background worker, which survive an error: it is logged, not fatal.

use crate::process;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;
use std::fmt;
use std::panic::AssertUnwindSafe;

/// Why a transaction was rolled back.
#[derive(Debug)]
pub struct Trouble {
    code: PgSqlErrorCode,
    message: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.message, self.code)
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
        }
    }
}

impl From<spi::Error> for Trouble {
    fn from(cause: spi::Error) -> Trouble {
        Trouble {
            code: PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            message: cause.to_string(),
        }
    }
}

/// Settings that every transaction starts with, whatever the database, the role or a function that
/// ran before says: names are looked up where we mean them, the doors want READ COMMITTED, and
/// nobody is waited for without end.
const SETTINGS: [(&core::ffi::CStr, &core::ffi::CStr); 6] = [
    (c"search_path", c"pg_catalog, pg_temp"),
    (c"default_transaction_isolation", c"read committed"),
    (c"default_transaction_read_only", c"off"),
    (c"default_transaction_deferrable", c"off"),
    (c"session_replication_role", c"origin"),
    (c"lock_timeout", c"10s"),
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
                unsafe { pg_sys::AbortCurrentTransaction() };
                Err(cause.into())
            }
        }
    }))
    .catch_others(|cause| {
        unsafe { pg_sys::AbortCurrentTransaction() };
        Err(cause.into())
    })
    .execute();
    // Otherwise table statistics of this process would be sent at its end only.
    unsafe { pg_sys::pgstat_report_stat(true) };
    result
}

fn begin() {
    for (name, value) in SETTINGS {
        process::set(name, value);
    }
    unsafe {
        pg_sys::SetCurrentStatementStartTimestamp();
        pg_sys::StartTransactionCommand();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
    }
}

fn commit() {
    unsafe {
        pg_sys::PopActiveSnapshot();
        pg_sys::CommitTransactionCommand();
    }
}
