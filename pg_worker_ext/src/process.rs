//! The process we are in: who it is, its signals, sleeping, telling what it does.

use crate::moment::Moment;
use pgrx::bgworkers::{BackgroundWorker, SignalWakeFlags};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::cell::Cell;
use std::ffi::CString;
use std::time::Duration;

unsafe extern "C-unwind" {
    // pg_sys::die is a guarded Rust function, which is no function pointer for pqsignal.
    fn die(signal: core::ffi::c_int);
}

/// The process id.
pub fn id() -> i32 {
    // SAFETY: set when the process was started, never after.
    unsafe { pg_sys::MyProcPid }
}

/// The database that this process is connected to.
pub fn database() -> pg_sys::Oid {
    // SAFETY: set when the process was connected, never after.
    unsafe { pg_sys::MyDatabaseId }
}

/// The number of this process among those that may be sent to sleep and woken.
pub fn number() -> i32 {
    #[cfg(any(feature = "pg13", feature = "pg14", feature = "pg15", feature = "pg16"))]
    // SAFETY: every process that runs our code has its PGPROC.
    unsafe {
        (*pg_sys::MyProc).pgprocno
    }
    #[cfg(any(feature = "pg17", feature = "pg18"))]
    // SAFETY: set when the process was started, never after.
    unsafe {
        pg_sys::MyProcNumber
    }
}

/// Sets the latch of the process with this number; none has a negative one. The number may have passed to another process
/// meanwhile: that wakes up once for nothing, as every process must expect.
pub fn set_latch(number: i32) {
    if let Ok(index) = usize::try_from(number) {
        // SAFETY: the number came from `number()`, so it lies within the array of all processes, which lasts as long
        // as the server's shared memory.
        unsafe {
            let process = (*pg_sys::ProcGlobal).allProcs.add(index);
            pg_sys::SetLatch(&raw mut (*process).procLatch);
        }
    }
}

/// The machine's monotonic clock.
pub fn now() -> Moment {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: it writes into the given place only; this clock exists wherever PostgreSQL runs.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    Moment(time.tv_sec * 1_000_000 + time.tv_nsec / 1000)
}

/// Installs the signal handlers of this process.
///
/// SIGTERM gets the server's own `die` in place of pgrx's handler: it also interrupts a statement
/// that is running, so a fast shutdown does not have to wait for one, and the process ends with
/// status 1, after which it is started again.
pub fn handle_signals() {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP);
    #[cfg(not(feature = "pg18"))]
    // SAFETY: the handler is the server's own for this signal.
    unsafe {
        pg_sys::pqsignal(pg_sys::SIGTERM as i32, Some(die));
    }
    #[cfg(feature = "pg18")]
    // SAFETY: as above.
    unsafe {
        pg_sys::pqsignal_be(pg_sys::SIGTERM as i32, Some(die));
    }
}

thread_local! {
    /// Whether the configuration was read again since somebody asked whether it was.
    static RELOADED: Cell<bool> = const { Cell::new(false) };
}

/// Reads the configuration again if that is wanted, and says whether it was since the last call.
pub fn reload_if_asked() -> bool {
    reload();
    RELOADED.take()
}

fn reload() {
    if BackgroundWorker::sighup_received() {
        // SAFETY: outside of a transaction, as the server does it in its own processes.
        unsafe { pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP) };
        RELOADED.set(true);
    }
}

/// Sleeps until the latch is set or the time is over; does not return if the process is to end.
pub fn sleep(longest: Duration) {
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    // Rounded up: waking a moment too early would find nothing due yet.
    let milliseconds = longest.as_micros().div_ceil(1000).clamp(0, 3_600_000) as core::ffi::c_long;
    // SAFETY: the latch is this process's own.
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
        // SAFETY: the text is copied before the call returns.
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
    // SAFETY: both texts are copied before the call returns.
    unsafe {
        pg_sys::SetConfigOption(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_SESSION,
        );
    }
}

/// For tests, in debug builds: a process that comes to the point which the setting `pg_worker_ext.stop_at` names stays there
/// until the setting names it no more.
#[cfg(debug_assertions)]
pub fn point(name: &str) {
    let stops_here = || {
        crate::gucs::STOP_AT
            .get()
            .is_some_and(|at| at.to_bytes() == name.as_bytes())
    };
    reload();
    if stops_here() {
        log!("pg_worker_ext: stopped at {name}");
    }
    while stops_here() {
        std::thread::sleep(Duration::from_millis(2));
        check_for_interrupts!();
        reload();
    }
}

#[cfg(not(debug_assertions))]
pub fn point(_name: &str) {}
