//! Shared memory: who serves which database, and what has been asked of him.
//!
//! A slot per database holds the flags that committed transactions raise and the process whose
//! latch they set. Everything on the hot path is an atomic; only adding and freeing a slot takes
//! a lock. After a crash the server zeroes its shared memory and starts all processes afresh, so
//! nothing here has to survive; on an ordinary exit a worker clears what it wrote.

use pgrx::prelude::*;
use pgrx::{PGRXSharedMemory, PgAtomic, PgLwLock, pg_shmem_init};
use std::cell::Cell;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU32};
use std::time::Duration;

/// So many databases of one server can be served at a time.
pub const SLOTS: usize = 64;

/// Jobs were enqueued: executors are to be notified.
pub const JOBS: u32 = 1;
/// Items were taken out of a pool.
pub const POOLS: u32 = 2;
/// The launcher is to look whether this database needs a background worker.
pub const ASKED: u32 = 4;
/// The background worker is to step aside (the database is about to be dropped, copied or renamed).
pub const LEAVE: u32 = 8;

/// How far the background worker of a slot came; tells the launcher what its end meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Stage {
    /// On its way, or ended by an error before it knew anything.
    Starting = 0,
    /// Found the extension and stays.
    Serving = 1,
    /// Found no extension and left.
    Absent = 2,
    /// Left because the settings or a DDL statement asked it to.
    Left = 3,
}

/// What is known of one database. Free when `database` is 0.
pub struct Slot {
    database: AtomicU32,
    pid: AtomicI32,
    procno: AtomicI32,
    flags: AtomicU32,
    stage: AtomicU32,
    /// No background worker is started before this time (a `TimestampTz`).
    hold_until: AtomicI64,
}

pub struct Shared {
    launcher: AtomicI32,
    slots: [Slot; SLOTS],
}

// SAFETY: atomics only, no pointers; valid in every process that maps the memory.
unsafe impl PGRXSharedMemory for Shared {}

// SAFETY: the names are unique to this extension.
static SHARED: PgAtomic<Shared> = unsafe { PgAtomic::new(c"pg_worker_ext slots") };
static MEMBERSHIP: PgLwLock<()> = unsafe { PgLwLock::new(c"pg_worker_ext membership") };
static PRELOADED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Where this backend found its database the last time.
    static MINE: Cell<usize> = const { Cell::new(0) };
}

/// Asks for the memory. Only while `shared_preload_libraries` are loaded.
pub fn register() {
    pg_shmem_init!(SHARED = Shared::new());
    pg_shmem_init!(MEMBERSHIP = ());
    PRELOADED.store(true, SeqCst);
}

/// Whether the library was loaded by `shared_preload_libraries`, so that there are slots at all.
pub fn preloaded() -> bool {
    PRELOADED.load(SeqCst)
}

/// The slot of a database, if it has one. None where the library is not preloaded.
pub fn find(database: pg_sys::Oid) -> Option<&'static Slot> {
    if !preloaded() {
        return None;
    }
    let wanted = database.to_u32();
    let slots = &SHARED.get().slots;
    let guess = MINE.get();
    if slots[guess].database.load(SeqCst) == wanted {
        return Some(&slots[guess]);
    }
    let found = slots.iter().position(|s| s.database.load(SeqCst) == wanted)?;
    MINE.set(found);
    Some(&slots[found])
}

/// The slot of a database, newly taken if need be. None when all are taken.
pub fn find_or_take(database: pg_sys::Oid) -> Option<&'static Slot> {
    if !preloaded() {
        return None;
    }
    if let Some(slot) = find(database) {
        return Some(slot);
    }
    let _lock = MEMBERSHIP.exclusive();
    if let Some(slot) = find(database) {
        return Some(slot);
    }
    let slot = SHARED.get().slots.iter().find(|s| s.database.load(SeqCst) == 0)?;
    slot.reset();
    slot.database.store(database.to_u32(), SeqCst);
    Some(slot)
}

/// The databases that have a slot.
pub fn known() -> impl Iterator<Item = (pg_sys::Oid, &'static Slot)> {
    let slots: &'static [Slot] = if preloaded() { &SHARED.get().slots } else { &[] };
    slots.iter().filter_map(|slot| match slot.database.load(SeqCst) {
        0 => None,
        oid => Some((pg_sys::Oid::from(oid), slot)),
    })
}

/// The calling process is the launcher from now on.
pub fn launcher_is_me() {
    SHARED.get().launcher.store(my_procno(), SeqCst);
}

/// Nobody is the launcher.
pub fn launcher_is_gone() {
    SHARED.get().launcher.store(-1, SeqCst);
}

/// Wakes the launcher, if there is one.
pub fn wake_launcher() {
    if preloaded() {
        set_latch(SHARED.get().launcher.load(SeqCst));
    }
}

impl Shared {
    fn new() -> Shared {
        Shared {
            launcher: AtomicI32::new(-1),
            slots: [const { Slot::new() }; SLOTS],
        }
    }
}

impl Slot {
    const fn new() -> Slot {
        Slot {
            database: AtomicU32::new(0),
            pid: AtomicI32::new(0),
            procno: AtomicI32::new(-1),
            flags: AtomicU32::new(0),
            stage: AtomicU32::new(Stage::Starting as u32),
            hold_until: AtomicI64::new(0),
        }
    }

    fn reset(&self) {
        self.pid.store(0, SeqCst);
        self.procno.store(-1, SeqCst);
        self.flags.store(0, SeqCst);
        self.stage.store(Stage::Starting as u32, SeqCst);
        self.hold_until.store(0, SeqCst);
    }

    /// Gives the slot back, unless a background worker sits in it.
    pub fn free(&self) {
        let _lock = MEMBERSHIP.exclusive();
        if self.pid() == 0 {
            self.database.store(0, SeqCst);
        }
    }

    /// The background worker's process id, 0 when there is none.
    pub fn pid(&self) -> i32 {
        self.pid.load(SeqCst)
    }

    /// Whether a background worker serves the database.
    pub fn is_served(&self) -> bool {
        self.pid() != 0 && self.stage() == Stage::Serving
    }

    pub fn stage(&self) -> Stage {
        match self.stage.load(SeqCst) {
            1 => Stage::Serving,
            2 => Stage::Absent,
            3 => Stage::Left,
            _ => Stage::Starting,
        }
    }

    pub fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u32, SeqCst);
    }

    /// The calling process becomes the background worker of the slot; false if there is one already.
    pub fn enter(&self) -> bool {
        let me = unsafe { pg_sys::MyProcPid };
        let entered = self.pid.compare_exchange(0, me, SeqCst, SeqCst).is_ok();
        if entered {
            self.procno.store(my_procno(), SeqCst);
        }
        entered
    }

    /// The calling process is no longer the background worker of the slot.
    pub fn leave(&self) {
        if self.pid() == unsafe { pg_sys::MyProcPid } {
            self.procno.store(-1, SeqCst);
            self.pid.store(0, SeqCst);
        }
    }

    /// Raises flags and wakes the background worker, or else the launcher. Never raises an error,
    /// so that it can be called when a transaction has just committed.
    pub fn raise(&self, flags: u32) {
        // Whoever raised a flag first also set the latch; the rest of a burst need not.
        let news = flags & !self.flags.fetch_or(flags, SeqCst);
        if self.pid() != 0 {
            if news != 0 {
                set_latch(self.procno.load(SeqCst));
            }
        } else if news & ASKED != 0 || self.flags.fetch_or(ASKED, SeqCst) & ASKED == 0 {
            wake_launcher();
        }
    }

    /// Takes down the given flags and returns those of them that were up.
    pub fn take(&self, flags: u32) -> u32 {
        self.flags.fetch_and(!flags, SeqCst) & flags
    }

    /// No background worker for so many seconds from now.
    pub fn hold(&self, seconds: i64) {
        self.hold_until
            .store(now().saturating_add(seconds * 1_000_000), SeqCst);
    }

    /// For how long no background worker may be started, if so.
    pub fn held_for(&self) -> Option<Duration> {
        let microseconds = self.hold_until.load(SeqCst).saturating_sub(now());
        u64::try_from(microseconds)
            .ok()
            .filter(|left| *left > 0)
            .map(Duration::from_micros)
    }
}

fn now() -> i64 {
    unsafe { pg_sys::GetCurrentTimestamp() }
}

#[cfg(any(feature = "pg13", feature = "pg14", feature = "pg15", feature = "pg16"))]
fn my_procno() -> i32 {
    unsafe { (*pg_sys::MyProc).pgprocno }
}

#[cfg(any(feature = "pg17", feature = "pg18"))]
fn my_procno() -> i32 {
    unsafe { pg_sys::MyProcNumber }
}

/// Sets the latch of a process. Its number may have passed to another one meanwhile: that wakes up
/// once for nothing, as every process must expect.
fn set_latch(procno: i32) {
    let Ok(index) = usize::try_from(procno) else {
        return;
    };
    unsafe {
        let proc = (*pg_sys::ProcGlobal).allProcs.add(index);
        pg_sys::SetLatch(&raw mut (*proc).procLatch);
    }
}
