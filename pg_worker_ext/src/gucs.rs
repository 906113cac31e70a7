//! The settings (GUCs) of the extension, all under the prefix `pg_worker_ext.`.
//!
//! SQL reads them with `current_setting('pg_worker_ext.…', true)`, so that the same functions work
//! where the library is not loaded: the setting is then NULL, or what the user wrote by hand.

use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};
use pgrx::pg_sys;
use std::ffi::CString;
use std::time::Duration;

/// `pg_worker_ext.refill`: whether the background worker refills pools on its own account.
pub static REFILL: GucSetting<bool> = GucSetting::<bool>::new(true);

/// `pg_worker_ext.background_worker`: whether databases are served by background workers.
pub static BACKGROUND_WORKER: GucSetting<bool> = GucSetting::<bool>::new(true);

/// `pg_worker_ext.retention`: for how many seconds finished jobs are kept; 0 keeps them for ever.
pub static RETENTION: GucSetting<i32> = GucSetting::<i32>::new(7 * 24 * 60 * 60);

/// `pg_worker_ext.tick_interval`: how often a database is visited in which nothing seems to be due, in seconds.
pub static TICK_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(30 * 60);

/// `pg_worker_ext.max_workers`: so many background workers run at a time.
pub static MAX_WORKERS: GucSetting<i32> = GucSetting::<i32>::new(2);

/// `pg_worker_ext.databases`: the databases that are served; empty means every one.
pub static DATABASES: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));

/// `pg_worker_ext.owner`: the role that is to own the tables and the code.
pub static OWNER: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));

/// `pg_worker_ext.price_prompt`: US dollars that an API would take for a million tokens read.
pub static PRICE_PROMPT: GucSetting<f64> = GucSetting::<f64>::new(0.10);

/// `pg_worker_ext.price_completion`: US dollars that an API would take for a million tokens written.
pub static PRICE_COMPLETION: GucSetting<f64> = GucSetting::<f64>::new(0.40);

/// `pg_worker_ext.stop_at`: where a process of ours is to stay, for tests.
#[cfg(debug_assertions)]
pub static STOP_AT: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));

/// Tells the server about the settings. Called once per process, from `_PG_init`.
pub fn register() {
    register_switches();
    register_times();
    register_names();
    register_prices();
    #[cfg(debug_assertions)]
    GucRegistry::define_string_guc(
        c"pg_worker_ext.stop_at",
        c"Where a process of the extension is to stay, for its tests.",
        c"Only in debug builds.",
        &STOP_AT,
        GucContext::Sighup,
        GucFlags::default(),
    );
    // A misspelt pg_worker_ext.something is then reported instead of being silently kept.
    #[cfg(not(any(feature = "pg13", feature = "pg14")))]
    // SAFETY: the name is a constant.
    unsafe {
        pg_sys::MarkGUCPrefixReserved(c"pg_worker_ext".as_ptr());
    }
}

fn register_switches() {
    GucRegistry::define_bool_guc(
        c"pg_worker_ext.refill",
        c"Lets the background worker refill content pools.",
        c"When off, pools are filled only by jobs that somebody enqueues. Default: on.",
        &REFILL,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"pg_worker_ext.background_worker",
        c"Has background workers serve the databases that have the extension.",
        c"Needs pg_worker_ext in shared_preload_libraries. Default: on.",
        &BACKGROUND_WORKER,
        GucContext::Sighup,
        GucFlags::default(),
    );
}

fn register_times() {
    GucRegistry::define_int_guc(
        c"pg_worker_ext.retention",
        c"How long finished jobs are kept.",
        c"In seconds when no unit is given; 0 keeps them for ever. Default: 7d.",
        &RETENTION,
        0,
        i32::MAX,
        GucContext::Suset,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_int_guc(
        c"pg_worker_ext.tick_interval",
        c"How often a database is visited in which nothing is known to be due.",
        c"In seconds when no unit is given, 1s to 1h. Default: 30min.",
        &TICK_INTERVAL,
        1,
        3600,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_int_guc(
        c"pg_worker_ext.max_workers",
        c"How many background workers of the extension run at a time.",
        c"1 to 64, beside the launcher, out of max_worker_processes. Default: 2.",
        &MAX_WORKERS,
        1,
        64,
        GucContext::Sighup,
        GucFlags::default(),
    );
}

fn register_names() {
    GucRegistry::define_string_guc(
        c"pg_worker_ext.databases",
        c"The databases that background workers serve.",
        c"Names separated by commas. Empty, the default, means every database that has the extension.",
        &DATABASES,
        GucContext::Sighup,
        GucFlags::from_bits_retain(pg_sys::GUC_LIST_INPUT as i32),
    );
    GucRegistry::define_string_guc(
        c"pg_worker_ext.owner",
        c"The role that is to own the tables and the functions.",
        c"No superuser. Empty, the default: see worker.wanted_owner().",
        &OWNER,
        GucContext::Suset,
        GucFlags::default(),
    );
}

fn register_prices() {
    for (name, what, setting) in [
        (
            c"pg_worker_ext.price_prompt",
            c"What an API would take for a million tokens that it reads.",
            &PRICE_PROMPT,
        ),
        (
            c"pg_worker_ext.price_completion",
            c"What an API would take for a million tokens that it writes.",
            &PRICE_COMPLETION,
        ),
    ] {
        GucRegistry::define_float_guc(
            name,
            what,
            c"In US dollars, for the view worker_costs. Default: Gemini 2.5 Flash-Lite in 2026.",
            setting,
            0.0,
            1e6,
            GucContext::Userset,
            GucFlags::default(),
        );
    }
}

/// How often a database is visited in which nothing seems to be due.
pub fn visit_gap() -> Duration {
    Duration::from_secs(TICK_INTERVAL.get().unsigned_abs().into())
}

/// How many background workers run at a time.
pub fn max_workers() -> usize {
    usize::try_from(MAX_WORKERS.get()).unwrap_or(1)
}

/// Whether the settings want a background worker in the database `name`.
pub fn serves(name: &str) -> bool {
    BACKGROUND_WORKER.get()
        && DATABASES.get().is_none_or(|list| {
            let list = list.to_string_lossy();
            list.trim().is_empty()
                || list
                    .split(',')
                    .any(|entry| entry.trim().trim_matches('"') == name)
        })
}
