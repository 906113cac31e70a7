//! The native layer of pg_worker_ext: what SQL cannot do.
//!
//! - [`session`]: what an ordinary session tells: that something was committed, that an executor's session has ended;
//! - [`launcher`]: starts background workers where there is something to do;
//! - [`worker`]: the background worker of one database;
//! - [`shmem`]: the shared memory that connects them, [`process`]: the process we are in, [`moment`]: its clock;
//! - [`json_schema`]: JSON Schema validation; [`info`]: what the library tells of itself;
//! - [`gucs`]: the settings `pg_worker_ext.*`.
//!
//! The domain (tables, queue, pools, kinds) is SQL: see the folder `sql/`.

mod gucs;
mod info;
mod json_schema;
mod launcher;
mod moment;
mod process;
mod session;
mod shmem;
mod worker;

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
    gucs::register();
    // SAFETY: flags of this process, set by the server before it loads a library.
    let (preloading, upgrading) = unsafe {
        (
            pg_sys::process_shared_preload_libraries_in_progress,
            pg_sys::IsBinaryUpgrade,
        )
    };
    // pg_upgrade starts the server to copy catalogs: nothing of ours may touch them then.
    if preloading && !upgrading {
        shmem::register();
        launcher::register();
    }
}
