//! What launcher and background worker have in common: signals, sleeping, telling what they do.

use pgrx::bgworkers::{BackgroundWorker, SignalWakeFlags};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::ffi::CString;
use std::time::Duration;

unsafe extern "C-unwind" {
    // pg_sys::die is a guarded Rust function, which is no function pointer for pqsignal.
    fn die(signal: core::ffi::c_int);
}

/// Installs the signal handlers of this process.
///
/// SIGTERM gets the server's own `die` in place of pgrx's handler: it also interrupts a statement
/// that is running, so a fast shutdown does not have to wait for one, and the process ends with
/// status 1, after which it is started again.
pub fn handle_signals() {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP);
    #[cfg(not(feature = "pg18"))]
    unsafe {
        pg_sys::pqsignal(pg_sys::SIGTERM as i32, Some(die));
    }
    #[cfg(feature = "pg18")]
    unsafe {
        pg_sys::pqsignal_be(pg_sys::SIGTERM as i32, Some(die));
    }
}

/// Reads the configuration again if that was asked for, and says whether it did.
pub fn reload_if_asked() -> bool {
    let asked = BackgroundWorker::sighup_received();
    if asked {
        unsafe { pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP) };
    }
    asked
}

/// Sleeps until the latch is set or the time is over; does not return if the process is to end.
pub fn sleep(longest: Duration) {
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    // Rounded up: waking a moment too early would find nothing due yet.
    let milliseconds = longest.as_micros().div_ceil(1000).clamp(0, 3_600_000) as core::ffi::c_long;
    unsafe {
        pg_sys::WaitLatch(
            pg_sys::MyLatch,
            events as i32,
            milliseconds,
            pg_sys::PG_WAIT_EXTENSION,
        );
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
    check_for_interrupts!();
}

/// Shows in `pg_stat_activity` what the process is doing.
pub fn show_busy(doing: &str) {
    show(pg_sys::BackendState::STATE_RUNNING, doing);
}

/// Shows in `pg_stat_activity` what the process is waiting for.
pub fn show_idle(waiting: &str) {
    show(pg_sys::BackendState::STATE_IDLE, waiting);
}

fn show(state: pg_sys::BackendState::Type, text: &str) {
    if let Ok(text) = CString::new(text) {
        unsafe { pg_sys::pgstat_report_activity(state, text.as_ptr()) };
    }
}

/// Shows the process under its own name as `application_name`.
pub fn show_name() {
    if let Ok(name) = CString::new(BackgroundWorker::get_name()) {
        set(c"application_name", &name);
    }
}

/// Sets a setting of this process, like a superuser's SET.
pub fn set(name: &core::ffi::CStr, value: &core::ffi::CStr) {
    unsafe {
        pg_sys::SetConfigOption(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_SESSION,
        );
    }
}
