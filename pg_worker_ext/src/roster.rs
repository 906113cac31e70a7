//! The launcher's notes: which databases have a background worker, and when to try the others.

use crate::schedule::Backoff;
use crate::slots::{self, Slot, Stage};
use pgrx::bgworkers::{BackgroundWorkerBuilder, BackgroundWorkerStatus, DynamicBackgroundWorker};
use pgrx::prelude::*;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A database without the extension is tried again after this; the wait doubles …
const ABSENT_WAIT: Duration = Duration::from_secs(60);
/// … up to this.
const ABSENT_LONGEST: Duration = Duration::from_secs(600);
/// A worker that ran this long had started well: its end starts a new series of waits.
const SETTLED: Duration = Duration::from_secs(30);
/// So many workers may be finding out at a time whether they are needed.
const CONCURRENT_STARTS: usize = 2;
/// After this a start that has not come to anything is no longer waited for.
const SLOW_START: Duration = Duration::from_secs(10);

/// The server passes on so many bytes of a database's name (which has at most 63, unless it is not
/// in UTF-8).
const EXTRA: usize = 127;

/// A row of `pg_database`.
pub struct Database {
    pub oid: pg_sys::Oid,
    pub name: String,
    /// Whether it may be served.
    pub wanted: bool,
}

/// All databases that may be served.
#[derive(Default)]
pub struct Roster {
    entries: HashMap<pg_sys::Oid, Entry>,
    /// Whether the last worker could not be started for want of room; logged once.
    no_room: bool,
}

struct Entry {
    name: String,
    handle: Option<DynamicBackgroundWorker>,
    started: Instant,
    try_after: Instant,
    held_until: Instant,
    absent_wait: Duration,
    failures: Backoff,
}

impl Roster {
    /// Takes over the current list of databases and what happened to their workers.
    pub fn update(&mut self, databases: Vec<Database>, now: Instant) {
        // Not those of databases that exist but may not be served: the flags in their slots keep
        // their sessions from waking the launcher again and again.
        for (oid, slot) in slots::known() {
            if !databases.iter().any(|database| database.oid == oid) {
                slot.free();
            }
        }
        let mut before = std::mem::take(&mut self.entries);
        for Database { oid, name, .. } in databases.into_iter().filter(|database| database.wanted) {
            let mut entry = before.remove(&oid).unwrap_or_else(|| Entry::new(now));
            entry.name = name;
            entry.take_note(oid, now);
            self.entries.insert(oid, entry);
        }
    }

    /// The configuration has changed: everything may be tried again at once.
    pub fn forget_waits(&mut self) {
        let now = Instant::now();
        for entry in self.entries.values_mut() {
            entry.try_after = now;
            entry.absent_wait = ABSENT_WAIT;
            entry.failures.succeeded();
        }
    }

    /// Starts the workers whose time has come and returns how long there is nothing more to do.
    pub fn start_due(&mut self, now: Instant) -> Duration {
        let mut starting = self
            .entries
            .iter()
            .filter(|(oid, e)| e.is_starting(**oid, now))
            .count();
        let mut due: Vec<_> = self
            .entries
            .iter_mut()
            .filter(|(oid, e)| !e.is_alive(**oid))
            .collect();
        due.sort_by_key(|(_, entry)| entry.try_after);
        let mut sleep = Duration::MAX;
        for (oid, entry) in due {
            let wait = entry
                .try_after
                .max(entry.held_until)
                .saturating_duration_since(now);
            if !wait.is_zero() {
                sleep = sleep.min(wait);
            } else if starting >= CONCURRENT_STARTS {
                sleep = sleep.min(SLOW_START); // the end of a start wakes us sooner
            } else {
                starting += 1;
                let room = entry.start(*oid, now);
                if !room && !self.no_room {
                    log!("pg_worker_ext: no room for a background worker; raise max_worker_processes");
                }
                self.no_room = !room;
                sleep = sleep.min(if room { SLOW_START } else { SETTLED });
            }
        }
        sleep
    }

    /// How many databases have a background worker.
    pub fn serving(&self) -> usize {
        self.entries
            .keys()
            .filter(|oid| slots::find(**oid).is_some_and(Slot::is_served))
            .count()
    }
}

impl Entry {
    fn new(now: Instant) -> Entry {
        Entry {
            name: String::new(),
            handle: None,
            started: now,
            try_after: now,
            held_until: now,
            absent_wait: ABSENT_WAIT,
            failures: Backoff::default(),
        }
    }

    fn is_alive(&self, oid: pg_sys::Oid) -> bool {
        let sits = slots::find(oid).is_some_and(|slot| slot.pid() != 0);
        sits || self
            .handle
            .as_ref()
            .is_some_and(|handle| matches!(handle.pid(), Ok(_) | Err(BackgroundWorkerStatus::NotYetStarted)))
    }

    /// Whether its worker is still finding out whether it is needed.
    fn is_starting(&self, oid: pg_sys::Oid, now: Instant) -> bool {
        self.is_alive(oid)
            && slots::find(oid).is_some_and(|slot| slot.stage() == Stage::Starting)
            && now.duration_since(self.started) < SLOW_START
    }

    /// Takes note of how its worker ended and of what its sessions ask for.
    fn take_note(&mut self, oid: pg_sys::Oid, now: Instant) {
        if self.is_alive(oid) {
            return;
        }
        let slot = slots::find(oid);
        if self.handle.take().is_some() {
            match slot.map(Slot::stage) {
                Some(Stage::Absent) => {
                    self.try_after = now + self.absent_wait;
                    self.absent_wait = (2 * self.absent_wait).min(ABSENT_LONGEST);
                    self.failures.succeeded();
                }
                Some(Stage::Left) => self.try_after = now,
                Some(Stage::Starting | Stage::Serving) | None => self.note_failure(now),
            }
        }
        let Some(slot) = slot else { return };
        // Also where the slot was given back meanwhile and taken anew by whoever asks. After a failure asking
        // does not help.
        if self.failures.closed_until(now).is_none() {
            if slot.take(slots::ASKED) != 0 {
                self.try_after = now;
                self.absent_wait = ABSENT_WAIT;
            } else if slot.stage() == Stage::Absent {
                slot.free();
            }
        }
        self.held_until = slot.held_for().map_or(now, |wait| now + wait);
    }

    fn note_failure(&mut self, now: Instant) {
        if now.duration_since(self.started) > SETTLED {
            self.failures.succeeded();
        }
        self.failures.failed(now);
        self.try_after = self.failures.closed_until(now).unwrap_or(now);
    }

    /// Starts a worker; false if there is no room for one.
    fn start(&mut self, oid: pg_sys::Oid, now: Instant) -> bool {
        self.started = now;
        self.handle = slots::find_or_take(oid).and_then(|slot| {
            slot.take(slots::ASKED | slots::LEAVE);
            slot.set_stage(Stage::Starting);
            BackgroundWorkerBuilder::new("pg_worker_ext background worker")
                .set_library("pg_worker_ext")
                .set_function("pg_worker_ext_background_main")
                .enable_spi_access()
                .set_argument(Some(pg_sys::Datum::from(oid)))
                .set_extra(&self.name[..self.name.floor_char_boundary(EXTRA)])
                .set_notify_pid(unsafe { pg_sys::MyProcPid })
                .set_restart_time(None) // the launcher starts it again, if it still should
                .load_dynamic()
                .ok()
        });
        if self.handle.is_none() {
            self.note_failure(now);
        }
        self.handle.is_some()
    }
}
