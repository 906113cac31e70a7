//! `worker.native_info()`: what SQL wants to know of the library.

use crate::moment::Moment;
use crate::session::wake;
use crate::{process, shmem};
use pgrx::prelude::*;
use serde_json::json;

/// `{"preloaded": …, "background_worker": …, "awake": …, "seconds_to_next_look": …, "library_version": …}`: whether the
/// library was loaded by `shared_preload_libraries`, whether background workers serve this database, whether one is at
/// work just now, when the next comes if nobody wishes for it sooner (null: nothing is known), and the library's version. Also
/// makes the launcher look at a database that nobody serves; the extension's script ends with it, so that it is served at once.
#[pg_extern(create_or_replace, volatile, parallel_restricted)]
fn native_info() -> pgrx::JsonB {
    let slot = shmem::find(process::database());
    let served = wake::is_served();
    if !served {
        wake::ask_launcher();
    }
    let due = slot.map_or(Moment::NEVER, shmem::Slot::due);
    let next = (served && due != Moment::NEVER).then(|| due.since(process::now()).as_secs());
    pgrx::JsonB(json!({
        "preloaded": shmem::preloaded(),
        "background_worker": served,
        "awake": slot.is_some_and(|slot| slot.pid() != 0),
        "seconds_to_next_look": next,
        "library_version": env!("CARGO_PKG_VERSION"),
    }))
}
