//! The native layer of pg_worker_ext: what SQL cannot do.
//!
//! - [`wake`]: the trigger function that wakes the background worker when a transaction commits;
//! - [`launcher`]: finds the databases that have the extension and keeps a worker in each, with
//!   [`roster`] for its notes;
//! - [`background`]: the background worker of one database, with [`schedule`] for its timing and
//!   [`owner`] and [`transaction`] for the ways in which it touches the database;
//! - [`step_aside`]: lets DROP DATABASE and its like through;
//! - [`slots`]: the shared memory that connects them, [`process`]: what their processes share;
//! - [`validate`]: JSON Schema validation, with [`jsonb`] for its arguments; [`info`]: what the library tells of itself;
//! - [`settings`]: the settings `pg_worker_ext.*`.
//!
//! The domain (tables, queue, pools, kinds) is SQL: see the folder `sql/`.

mod background;
mod info;
mod jsonb;
mod launcher;
mod owner;
mod process;
mod roster;
mod schedule;
mod settings;
mod slots;
mod step_aside;
mod transaction;
mod validate;
mod wake;

use pgrx::prelude::*;

::pgrx::pg_module_magic!(name, version);

extension_sql_file!("../../sql/takeover.sql", name = "takeover", bootstrap);
extension_sql_file!("../../sql/extension.sql", name = "extension", finalize);
/// Never used: they make cargo rebuild the library when the SQL changes.
const _: &str = include_str!("../../sql/takeover.sql");
const _: &str = include_str!("../../sql/extension.sql");

/// Called when the library is loaded, once per process or once for all by the postmaster.
#[pg_guard]
#[allow(non_snake_case, reason = "the server looks for this name")]
pub extern "C-unwind" fn _PG_init() {
    settings::register();
    let preloading = unsafe { pg_sys::process_shared_preload_libraries_in_progress };
    // pg_upgrade starts the server to copy catalogs: nothing of ours may touch them then.
    if preloading && !unsafe { pg_sys::IsBinaryUpgrade } {
        slots::register();
        step_aside::register();
        launcher::register();
    }
}
