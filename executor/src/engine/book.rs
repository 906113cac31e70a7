//! The leased jobs and what is due next. Pure bookkeeping: it decides which job gets a free slot,
//! and knows nothing of databases or models.
//!
//! A job is held under the token of its lease: the same job may come back under another one while
//! what was begun under the first has not ended yet.
//!
//! Slots are one budget for all jobs and are given item by item, to the most urgent job that still
//! has an item to write: by priority, then by age. So an urgent job starts after one item's time.

use std::sync::Arc;

use uuid::Uuid;

use super::numbers::Numbers;
use super::slots::Model;
use crate::door::Lease;

/// The least urgent priority there is.
const LEAST: i32 = 10;
/// How often the database may say that a finished job is not complete, before that is a failure.
const INCOMPLETE_AT_MOST: u32 = 3;
/// Jobs of other models than the usual one that may wait here beside its own.
const OTHERS_AT_MOST: usize = 4;

/// How a job of ours ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Close {
    Complete,
    Fail {
        reason: String,
        permanent: bool,
    },
    /// Given back uncharged, to be due again after some seconds.
    Release {
        reason: String,
        delay: i32,
    },
}

/// A job that is ours.
#[derive(Debug)]
pub struct Held {
    pub lease: Arc<Lease>,
    pub numbers: Arc<Numbers>,
    pub stored: i32,
    /// Written from word lists, because its pool is empty and the model host is away.
    pub fallback: bool,
    /// Which model its kind wants; None: no item of it has shown that yet.
    pub model: Option<Model>,
    /// Slots that work on it.
    pub running: usize,
    /// Answers rejected since an item was stored.
    pub rejected: i32,
    /// The database says that nothing is left to begin; true until one of the running ends.
    pub exhausted: bool,
    /// How it is to end when nothing works on it any more; until then nothing is begun.
    pub fate: Option<Close>,
    /// Its end is being reported.
    closing: bool,
    incomplete: u32,
    age: u64,
}

impl Held {
    /// Its items are of this model, as far as is known.
    pub fn is_of(&self, model: &Model) -> bool {
        self.model.as_ref().unwrap_or(&None) == model
    }

    /// Items that nobody has begun yet.
    pub fn unbegun(&self) -> usize {
        if self.closing || self.exhausted || self.fate.is_some() {
            return 0;
        }
        let left = usize::try_from(self.lease.asked.saturating_sub(self.stored)).unwrap_or(0);
        left.saturating_sub(self.running)
    }

    pub fn is_waiting(&self) -> bool {
        self.running == 0 && self.unbegun() > 0
    }

    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// The end was refused: items are missing. Worth another look, but not for ever.
    pub fn reopen(&mut self, reason: String) {
        self.closing = false;
        self.exhausted = false;
        self.incomplete += 1;
        if self.incomplete >= INCOMPLETE_AT_MOST {
            self.fate = Some(Close::Fail {
                reason,
                permanent: false,
            });
        }
    }

    /// What to report, once nothing works on it any more.
    fn close(&self) -> Option<Close> {
        if self.closing || self.running > 0 {
            return None;
        }
        if self.stored >= self.lease.asked && self.incomplete < INCOMPLETE_AT_MOST {
            return Some(Close::Complete);
        }
        self.fate
            .clone()
            .or_else(|| self.exhausted.then_some(Close::Complete))
    }

    fn rank(&self) -> (i32, u64) {
        (self.lease.priority, self.age)
    }
}

#[derive(Debug, Default)]
pub struct Book {
    jobs: Vec<Held>,
    ages: u64,
}

impl Book {
    pub fn add(&mut self, lease: Lease, fallback: bool) {
        self.ages += 1;
        let stored = lease.stored;
        self.jobs.push(Held {
            lease: Arc::new(lease),
            numbers: Arc::default(),
            stored,
            fallback,
            model: None,
            running: 0,
            rejected: 0,
            exhausted: false,
            fate: None,
            closing: false,
            incomplete: 0,
            age: self.ages,
        });
    }

    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub fn get_mut(&mut self, token: Uuid) -> Option<&mut Held> {
        self.jobs.iter_mut().find(|held| held.lease.token == token)
    }

    /// How a job is held now, if it is.
    pub fn of_job(&self, job: Uuid) -> Option<&Held> {
        self.jobs.iter().find(|held| held.lease.job_id == job)
    }

    pub fn remove(&mut self, token: Uuid) -> Option<Held> {
        let at = self.jobs.iter().position(|held| held.lease.token == token)?;
        Some(self.jobs.remove(at))
    }

    /// The job that gets the next free slot; it is counted as begun. `may`: its model is there, and free.
    pub fn begin_item(&mut self, may: impl Fn(&Held) -> bool) -> Option<&mut Held> {
        let next = self
            .jobs
            .iter_mut()
            .filter(|held| held.unbegun() > 0 && may(held))
            .min_by_key(|held| held.rank())?;
        next.running += 1;
        Some(next)
    }

    /// The jobs that compete for the slots of the usual model. Those of another one wait for that; but where
    /// many do, they count as well, so that they are not hoarded.
    fn competitors(&self) -> impl Iterator<Item = &Held> {
        let of_others = self.jobs.iter().filter(|held| !held.is_of(&None)).count();
        self.jobs
            .iter()
            .filter(move |held| held.is_of(&None) || of_others > OTHERS_AT_MOST)
    }

    /// How many jobs to lease, and the least urgent priority that is of use.
    ///
    /// Idle slots take whatever is due. One job may wait for the slots that get free within an
    /// item's time. Beyond that only what is more urgent than all that waits here: everything else
    /// is left to other executors.
    pub fn room(&self, idle: usize, budget: usize) -> Option<(usize, i32)> {
        let unbegun: usize = self.competitors().map(Held::unbegun).sum();
        if idle > unbegun {
            return Some((idle - unbegun, LEAST));
        }
        let waiting = self.competitors().filter(|held| held.is_waiting());
        let most_urgent = waiting.map(|held| held.lease.priority).min();
        match most_urgent {
            None if unbegun < budget => Some((1, LEAST)),
            None => self
                .competitors()
                .map(|held| held.lease.priority)
                .max()
                .map(|least| (1, least - 1)),
            Some(priority) => Some((1, priority - 1)),
        }
        .filter(|(_, least)| *least >= 1)
    }

    /// Jobs on which nothing works any more and how they end; each is given once.
    pub fn ripe(&mut self) -> Vec<(Arc<Lease>, Close)> {
        let ends = self.jobs.iter_mut().filter_map(|held| {
            let close = held.close()?;
            held.closing = true;
            Some((Arc::clone(&held.lease), close))
        });
        ends.collect()
    }

    /// All that is not stored yet is to end in this way.
    pub fn doom(&mut self, close: &Close) {
        self.doom_those(close, |_| true);
    }

    pub fn doom_those(&mut self, close: &Close, which: impl Fn(&Held) -> bool) {
        for held in self
            .jobs
            .iter_mut()
            .filter(|held| held.fate.is_none() && which(held))
        {
            held.fate = Some(close.clone());
        }
    }

    /// Job and token of every lease.
    pub fn tokens(&self) -> Vec<(Uuid, Uuid)> {
        self.jobs
            .iter()
            .map(|held| (held.lease.job_id, held.lease.token))
            .collect()
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
