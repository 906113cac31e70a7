//! `worker.native_info()`: what SQL wants to know of the library.

use crate::{slots, wake};
use pgrx::prelude::*;
use serde_json::json;

/// `{"preloaded": …, "background_worker": …, "library_version": …}`: whether the library was loaded
/// by `shared_preload_libraries`, whether a live background worker serves this database, and the
/// library's version. Also makes the launcher look at a database that nobody serves; the
/// extension's script ends with it, so that the background worker is there at once.
#[pg_extern(create_or_replace, volatile, parallel_restricted)]
fn native_info() -> pgrx::JsonB {
    wake::ask_launcher();
    pgrx::JsonB(json!({
        "preloaded": slots::preloaded(),
        "background_worker": wake::is_served(),
        "library_version": env!("CARGO_PKG_VERSION"),
    }))
}
