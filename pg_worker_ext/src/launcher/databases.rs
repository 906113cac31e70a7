//! What the launcher knows of the databases of the server, and the workers that it starts in them.

use super::turns::Standing;
use crate::moment::Moment;
use crate::shmem::{self, Slot, Stage};
use crate::worker::schedule::{Backoff, Notes};
use crate::{gucs, process};
use pgrx::bgworkers::{BackgroundWorkerBuilder, BackgroundWorkerStatus, DynamicBackgroundWorker};
use pgrx::prelude::*;
use std::collections::HashMap;
use std::ffi::CStr;
use std::time::Duration;

/// The server passes on so many bytes of a database's name (which has at most 63, unless it is not
/// in UTF-8).
const EXTRA: usize = 127;
/// After this a start that has not come to anything is no longer waited for.
const SLOW_START: Duration = Duration::from_secs(10);

/// A row of `pg_database`.
pub struct Row {
    oid: pg_sys::Oid,
    name: String,
    /// Whether it may be served: templates may not, nor what the settings leave out.
    may_be_served: bool,
}

/// All databases.
#[derive(Default)]
pub struct Databases {
    entries: HashMap<pg_sys::Oid, Entry>,
    /// Whether the last worker could not be started for want of room; logged once.
    no_room: bool,
}

struct Entry {
    name: String,
    may_be_served: bool,
    worker: Option<Start>,
    /// Visited at this time whatever its slot says.
    visit_at: Moment,
    failures: Backoff,
    waiting_since: Option<Moment>,
}

struct Start {
    handle: DynamicBackgroundWorker,
    at: Moment,
}

/// All rows of `pg_database`.
pub fn read() -> Vec<Row> {
    let mut found = Vec::new();
    // SAFETY: an ordinary catalog scan, with a snapshot of its own; each row is read before the next is fetched.
    unsafe {
        let relation = pg_sys::table_open(pg_sys::DatabaseRelationId, pg_sys::AccessShareLock as i32);
        let own_snapshot = std::ptr::null_mut();
        let no_keys = std::ptr::null_mut();
        let scan = pg_sys::systable_beginscan(relation, pg_sys::InvalidOid, false, own_snapshot, 0, no_keys);
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            let form: *const pg_sys::FormData_pg_database = pg_sys::GETSTRUCT(tuple).cast();
            let name = CStr::from_ptr((*form).datname.data.as_ptr())
                .to_string_lossy()
                .into_owned();
            // A negative limit other than -1 marks a database whose DROP was interrupted.
            let usable = (*form).datallowconn && !(*form).datistemplate && (*form).datconnlimit >= -1;
            found.push(Row {
                oid: (*form).oid,
                may_be_served: usable && gucs::serves(&name),
                name,
            });
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, pg_sys::AccessShareLock as i32);
    }
    found
}

impl Databases {
    /// Takes over the rows of `pg_database`. `slots`: those that were there before the rows were read, so that none
    /// is taken for gone whose database is only new.
    pub fn update(&mut self, slots: &[(pg_sys::Oid, &'static Slot)], rows: Vec<Row>, now: Moment) {
        let mut before = std::mem::take(&mut self.entries);
        for row in rows {
            let mut entry = before.remove(&row.oid).unwrap_or_else(|| Entry::new(now));
            entry.name = row.name;
            entry.may_be_served = row.may_be_served;
            self.entries.insert(row.oid, entry);
        }
        for (oid, slot) in slots {
            match self.entries.get(oid) {
                None => slot.free(true),
                // It keeps its slot, whose flags keep its sessions from waking us again and again.
                Some(entry) if !entry.may_be_served => slot.set_served(false),
                Some(_) => {}
            }
        }
    }

    /// Whether every slot is of a database that is known.
    pub fn know(&self, slots: &[(pg_sys::Oid, &'static Slot)]) -> bool {
        slots.iter().all(|(oid, _)| self.entries.contains_key(oid))
    }

    /// The configuration has changed: every database is visited at once.
    pub fn visit_all(&mut self, now: Moment) {
        for entry in self.entries.values_mut() {
            entry.visit_at = now;
            entry.failures = Backoff::NONE;
        }
    }

    /// Takes note of the workers that have ended, and says how each database stands.
    pub fn standings(&mut self, now: Moment) -> Vec<(pg_sys::Oid, Standing)> {
        let each = self.entries.iter_mut();
        each.map(|(oid, entry)| (*oid, entry.standing(*oid, now)))
            .collect()
    }

    /// Starts a worker in a database.
    pub fn start(&mut self, oid: pg_sys::Oid, now: Moment) {
        let Some(entry) = self.entries.get_mut(&oid) else {
            return;
        };
        let room = entry.start(oid, now);
        if !room && !self.no_room {
            log!("pg_worker_ext: no room for a background worker: max_worker_processes is used up");
        }
        self.no_room = !room;
    }
}

impl Entry {
    fn new(now: Moment) -> Entry {
        Entry {
            name: String::new(),
            may_be_served: false,
            worker: None,
            visit_at: now,
            failures: Backoff::NONE,
            waiting_since: None,
        }
    }

    fn standing(&mut self, oid: pg_sys::Oid, now: Moment) -> Standing {
        let slot = shmem::find(oid);
        if let Some(start) = &self.worker {
            let running = match start.handle.pid() {
                Ok(_) => true,
                Err(BackgroundWorkerStatus::NotYetStarted) => now < start.at + SLOW_START,
                Err(_) => false,
            };
            if running {
                return Standing::Running(start.at);
            }
            self.worker = None;
            self.ended(slot, now);
        } else if slot.is_some_and(|slot| slot.pid() != 0) {
            // Started by a launcher before this one.
            return Standing::Running(now);
        }
        self.wanting(slot, now)
    }

    /// Its worker is gone.
    fn ended(&mut self, slot: Option<&'static Slot>, now: Moment) {
        let stage = slot.map(Slot::stage);
        if stage == Some(Stage::Rested) {
            self.failures = Backoff::NONE;
            self.visit_at = Moment::NEVER; // its slot says when
        } else if stage == Some(Stage::Absent) {
            self.failures = Backoff::NONE;
            self.visit_at = now + gucs::visit_gap();
        } else {
            // Also where it stood back: it is not sent again before a second has passed.
            self.failures.failed(now);
            self.visit_at = now;
        }
        match (stage, slot) {
            (Some(Stage::Absent), Some(slot)) => {
                slot.set_served(false);
                slot.free(false);
            }
            // Nobody knows how far it came.
            (Some(Stage::AtWork), Some(slot)) => slot.leave_notes(&Notes::EMPTY),
            _ => {}
        }
    }

    fn wanting(&mut self, slot: Option<&'static Slot>, now: Moment) -> Standing {
        if !self.may_be_served {
            return Standing::Resting(Moment::NEVER);
        }
        let raised = slot.is_some_and(|slot| slot.flags() != 0);
        let due = slot.map_or(Moment::NEVER, Slot::due).min(self.visit_at);
        let wanted_at = if raised { now } else { due };
        let wanted_at = wanted_at.max(self.failures.retry_at);
        if wanted_at > now {
            self.waiting_since = None;
            return Standing::Resting(wanted_at);
        }
        Standing::Waiting(*self.waiting_since.get_or_insert(wanted_at))
    }

    /// Starts a worker; false if there is no room for one.
    fn start(&mut self, oid: pg_sys::Oid, now: Moment) -> bool {
        self.waiting_since = None;
        let started = BackgroundWorkerBuilder::new("pg_worker_ext background worker")
            .set_library("pg_worker_ext")
            .set_function("pg_worker_ext_background_main")
            .enable_spi_access()
            .set_argument(Some(pg_sys::Datum::from(oid)))
            .set_extra(&self.name[..self.name.floor_char_boundary(EXTRA)])
            .set_notify_pid(process::id())
            .set_restart_time(None) // the launcher starts it again when it should
            .load_dynamic();
        match started {
            Ok(handle) => {
                self.worker = Some(Start { handle, at: now });
                true
            }
            Err(_) => {
                self.failures.failed(now);
                // Until there is room its sessions notify the executors themselves.
                if let Some(slot) = shmem::find(oid) {
                    slot.set_served(false);
                }
                false
            }
        }
    }
}
