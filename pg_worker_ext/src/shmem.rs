//! Shared memory: what has been asked for in each database, and who serves it.
//!
//! A slot per database holds the flags that committed transactions raise, the time when something is due
//! there, and what one background worker leaves to the next. All of it is atomics in sequentially consistent
//! order; only giving a slot to a database and taking it away needs a lock. After a crash the server zeroes
//! its shared memory and starts the launcher afresh, which then visits every database: nothing here has
//! to survive.
//!
//! No wake-up is lost: whoever wants something raises the flag first and then looks whether a worker is there; a
//! worker that leaves says so first and then looks at the flags; and the launcher, which takes no flag down,
//! looks at all of them whenever a worker has ended.

use crate::moment::Moment;
use crate::process;
use crate::worker::schedule::{Backoff, Notes, STEPS};
use pgrx::prelude::*;
use pgrx::{PGRXSharedMemory, PgAtomic, PgLwLock, pg_shmem_init};
use std::cell::Cell;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU32, AtomicU64};

/// So many databases of one server can be served.
pub const SLOTS: usize = 256;

/// Jobs were enqueued: executors are to be notified.
pub const JOBS: u32 = 1;
/// Items were taken out of a pool.
pub const POOLS: u32 = 2;
/// Everything is to be looked at: nobody knows what has happened here.
pub const VISIT: u32 = 4;
/// Somebody has mended something: what failed before is tried at once.
pub const AFRESH: u32 = 16;
/// Others wait for their turn: the worker is to leave when it has done a step.
pub const YIELD: u32 = 8;

/// What is known of the background worker of a database; tells the launcher what its end meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Stage {
    /// At work, or ended by an error.
    AtWork = 0,
    /// It had nothing more to do, or made room for others.
    Rested = 1,
    /// It found no extension.
    Absent = 2,
    /// Somebody drops, renames or copies the database.
    StoodBack = 3,
}

/// What is known of one database. Free when `database` is 0.
pub struct Slot {
    database: AtomicU32,
    pid: AtomicI32,
    procno: AtomicI32,
    flags: AtomicU32,
    stage: AtomicU32,
    /// Whether the extension is here and its wishes are heard.
    served: AtomicBool,
    /// When a worker is needed though nobody wishes for anything, a [`Moment`].
    due: AtomicI64,
    wanted: AtomicU32,
    failures: [AtomicU32; STEPS.len()],
    retry_at: [AtomicI64; STEPS.len()],
    repeat_failures: AtomicU32,
    repeat_at: AtomicI64,
    full_round_at: AtomicI64,
    /// When the last notification was sent, by the database's clock, as the bits of a double.
    announced: AtomicU64,
    /// A number for what was logged last about why nothing can be done; 0 for nothing.
    problem: AtomicU64,
}

pub struct Shared {
    launcher: AtomicI32,
    slots: [Slot; SLOTS],
}

// SAFETY: atomics only, no pointers; valid in every process that maps the memory.
unsafe impl PGRXSharedMemory for Shared {}

// SAFETY: the names are unique to this extension.
static SHARED: PgAtomic<Shared> = unsafe { PgAtomic::new(c"pg_worker_ext slots") };
// SAFETY: as above.
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

fn slots() -> &'static [Slot] {
    if preloaded() { &SHARED.get().slots } else { &[] }
}

/// The slot of a database, if it has one. None where the library is not preloaded.
pub fn find(database: pg_sys::Oid) -> Option<&'static Slot> {
    let slots = slots();
    let guess = slots.get(MINE.get())?;
    if guess.is_of(database) {
        return Some(guess);
    }
    let found = slots.iter().position(|slot| slot.is_of(database))?;
    MINE.set(found);
    Some(&slots[found])
}

/// The slot of a database, newly taken if need be. None when all are taken.
pub fn find_or_take(database: pg_sys::Oid) -> Option<&'static Slot> {
    find(database).or_else(|| {
        preloaded().then_some(())?;
        let _lock = MEMBERSHIP.exclusive();
        find(database).or_else(|| take_free(database))
    })
}

fn take_free(database: pg_sys::Oid) -> Option<&'static Slot> {
    let slot = slots().iter().find(|slot| slot.database.load(SeqCst) == 0)?;
    slot.reset();
    slot.database.store(database.to_u32(), SeqCst);
    Some(slot)
}

/// The databases that have a slot.
pub fn known() -> impl Iterator<Item = (pg_sys::Oid, &'static Slot)> {
    slots()
        .iter()
        .filter_map(|slot| match slot.database.load(SeqCst) {
            0 => None,
            oid => Some((pg_sys::Oid::from(oid), slot)),
        })
}

/// Raises flags in the current database's slot and wakes whoever is to act on them. Never raises an error, so that it
/// can be called when a transaction has just committed.
pub fn raise_here(flags: u32) {
    let me = process::database();
    // Where the slot was given away just now, another one is taken; a wake-up too many does no harm.
    while let Some(slot) = find_or_take(me) {
        slot.raise(flags);
        if slot.is_of(me) {
            return;
        }
    }
}

/// Has the current database looked at by this moment.
pub fn due_here(moment: Moment) {
    let me = process::database();
    while let Some(slot) = find_or_take(me) {
        slot.lower_due(moment);
        if slot.is_of(me) {
            return;
        }
    }
}

/// The calling process is the launcher from now on.
pub fn launcher_is_me() {
    SHARED.get().launcher.store(process::number(), SeqCst);
}

/// Nobody is the launcher.
pub fn launcher_is_gone() {
    SHARED.get().launcher.store(-1, SeqCst);
}

/// Wakes the launcher, if there is one.
pub fn wake_launcher() {
    if preloaded() {
        process::set_latch(SHARED.get().launcher.load(SeqCst));
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
            stage: AtomicU32::new(Stage::AtWork as u32),
            served: AtomicBool::new(false),
            due: AtomicI64::new(i64::MAX),
            wanted: AtomicU32::new(u32::MAX),
            failures: [const { AtomicU32::new(0) }; STEPS.len()],
            retry_at: [const { AtomicI64::new(0) }; STEPS.len()],
            repeat_failures: AtomicU32::new(0),
            repeat_at: AtomicI64::new(0),
            full_round_at: AtomicI64::new(0),
            announced: AtomicU64::new(0),
            problem: AtomicU64::new(0),
        }
    }

    /// As new. Only while nobody else can find it.
    fn reset(&self) {
        self.pid.store(0, SeqCst);
        self.procno.store(-1, SeqCst);
        self.flags.store(0, SeqCst);
        self.set_stage(Stage::AtWork);
        self.set_served(false);
        self.due.store(i64::MAX, SeqCst);
        self.leave_notes(&Notes::EMPTY);
        self.announced.store(0, SeqCst);
        self.problem.store(0, SeqCst);
    }

    fn is_of(&self, database: pg_sys::Oid) -> bool {
        self.database.load(SeqCst) == database.to_u32()
    }

    /// Takes the slot from a database that is gone, or from one without the extension in which nobody wants anything.
    pub fn free(&self, gone: bool) {
        let _lock = MEMBERSHIP.exclusive();
        if self.pid() != 0 {
            return;
        }
        let database = self.database.swap(0, SeqCst);
        // Who raises a flag from now on finds the slot gone and takes another; who did so before is heard.
        if !gone && self.flags() != 0 {
            self.database.store(database, SeqCst);
        }
    }

    /// The background worker's process id, 0 when there is none.
    pub fn pid(&self) -> i32 {
        self.pid.load(SeqCst)
    }

    /// Whether the extension is here and flags are heard, by a worker that is there or will be started.
    pub fn is_served(&self) -> bool {
        self.served.load(SeqCst)
    }

    pub fn set_served(&self, served: bool) {
        self.served.store(served, SeqCst);
    }

    pub fn stage(&self) -> Stage {
        match self.stage.load(SeqCst) {
            1 => Stage::Rested,
            2 => Stage::Absent,
            3 => Stage::StoodBack,
            _ => Stage::AtWork,
        }
    }

    pub fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u32, SeqCst);
    }

    /// The calling process becomes the background worker of the slot; false if there is one already.
    pub fn enter(&self) -> bool {
        let _lock = MEMBERSHIP.exclusive();
        let mine = self.is_of(process::database());
        let entered = mine
            && self
                .pid
                .compare_exchange(0, process::id(), SeqCst, SeqCst)
                .is_ok();
        if entered {
            self.procno.store(process::number(), SeqCst);
            self.set_stage(Stage::AtWork);
        }
        entered
    }

    /// The calling process is no longer the background worker of the slot.
    pub fn leave(&self) {
        if self.pid() == process::id() {
            self.procno.store(-1, SeqCst);
            self.pid.store(0, SeqCst);
        }
    }

    /// Raises flags and wakes the background worker, or else the launcher.
    pub fn raise(&self, flags: u32) {
        // Whoever raised a flag first also set the latch; the rest of a burst need not.
        if flags & !self.flags.fetch_or(flags, SeqCst) != 0 {
            self.wake();
        }
    }

    /// Somebody is needed here by this moment.
    pub fn lower_due(&self, moment: Moment) {
        if moment.0 < self.due.fetch_min(moment.0, SeqCst) {
            self.wake();
        }
    }

    fn wake(&self) {
        if self.pid() == 0 {
            wake_launcher();
        } else {
            process::set_latch(self.procno.load(SeqCst));
        }
    }

    pub fn flags(&self) -> u32 {
        self.flags.load(SeqCst)
    }

    /// Takes down the given flags and returns those of them that were up.
    pub fn take(&self, flags: u32) -> u32 {
        self.flags.fetch_and(!flags, SeqCst) & flags
    }

    /// When a worker is needed.
    pub fn due(&self) -> Moment {
        Moment(self.due.load(SeqCst))
    }

    /// The same for the worker, who keeps it from now on.
    pub fn take_due(&self) -> Moment {
        Moment(self.due.swap(i64::MAX, SeqCst))
    }

    /// What the last worker left.
    pub fn notes(&self) -> Notes {
        let wanted = self.wanted.load(SeqCst);
        Notes {
            wanted: std::array::from_fn(|step| wanted & (1 << step) != 0),
            backoffs: std::array::from_fn(|step| Backoff {
                failures: self.failures[step].load(SeqCst),
                retry_at: Moment(self.retry_at[step].load(SeqCst)),
            }),
            repeat: Backoff {
                failures: self.repeat_failures.load(SeqCst),
                retry_at: Moment(self.repeat_at.load(SeqCst)),
            },
            full_round_at: Moment(self.full_round_at.load(SeqCst)),
        }
    }

    /// For the next worker.
    pub fn leave_notes(&self, notes: &Notes) {
        let wanted = notes.wanted.iter().enumerate();
        let bits = wanted.map(|(step, wanted)| u32::from(*wanted) << step).sum();
        self.wanted.store(bits, SeqCst);
        for (step, backoff) in notes.backoffs.iter().enumerate() {
            self.failures[step].store(backoff.failures, SeqCst);
            self.retry_at[step].store(backoff.retry_at.0, SeqCst);
        }
        self.repeat_failures.store(notes.repeat.failures, SeqCst);
        self.repeat_at.store(notes.repeat.retry_at.0, SeqCst);
        self.full_round_at.store(notes.full_round_at.0, SeqCst);
    }

    /// When executors were last notified, in seconds by the database's clock.
    pub fn announced(&self) -> Option<f64> {
        let seconds = f64::from_bits(self.announced.load(SeqCst));
        (seconds != 0.0).then_some(seconds)
    }

    pub fn set_announced(&self, seconds: f64) {
        self.announced.store(seconds.to_bits(), SeqCst);
    }

    /// Remembers what is the matter, and says whether that is news.
    pub fn is_news(&self, problem: u64) -> bool {
        self.problem.swap(problem, SeqCst) != problem
    }
}
