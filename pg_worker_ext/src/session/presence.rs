//! `worker.watch_session()`: the end of a session that stands for an executor is told at once.

use crate::{process, shmem};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::cell::Cell;

thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
}

/// Has the queue looked at when this session ends, however it ends. Part of `worker.show_presence()`.
/// Does nothing where the library is not preloaded.
#[pg_extern(create_or_replace, volatile, parallel_unsafe)]
fn watch_session() {
    if shmem::preloaded() && !WATCHED.replace(true) {
        // SAFETY: the function lives as long as the process. It runs after the session's locks were given back, which
        // is the earlier group of such callbacks, so that whoever looks finds them gone.
        unsafe { pg_sys::on_shmem_exit(Some(session_ends), pg_sys::Datum::from(0)) };
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn session_ends(_code: i32, _argument: pg_sys::Datum) {
    shmem::due_here(process::now());
}
