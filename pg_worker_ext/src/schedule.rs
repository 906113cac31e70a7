//! When the background worker does what: pure timing, without a database.
//!
//! Wishes (from the latch) and due times (from the queue) go in; what to do now and how long to
//! sleep come out. A wish is never dropped: what may not be done yet stays on the list, and the
//! sleep ends in time for it.

use crate::slots;
use std::time::{Duration, Instant};

/// Notifications of a burst are sent at most this often.
const NOTIFY_GAP: Duration = Duration::from_millis(10);
/// The queue is looked at at most this often on account of enqueued jobs.
const LOOK_GAP: Duration = Duration::from_millis(250);
/// Executors that are called go first.
const LOOK_AFTER_NOTIFY: Duration = Duration::from_millis(20);
/// Pools are refilled at most this often on account of claims.
const REFILL_GAP: Duration = Duration::from_secs(1);
/// While the data side is not ready it is looked at this often.
const NOT_READY_GAP: Duration = Duration::from_secs(5);
/// While jobs wait for an executor the queue is looked at this often: nobody tells when one is leased,
/// and from then on the end of its lease has to be watched.
const WAITING_GAP: Duration = Duration::from_secs(5);
/// All of the maintenance is done this often, whether anything asks for it or not.
const FULL_ROUND: Duration = Duration::from_secs(600);
const PRUNE_GAP: Duration = FULL_ROUND;
/// Pruning goes on after this when it was not through.
const PRUNE_MORE_GAP: Duration = Duration::from_secs(1);

/// Waits between failures: 1 s, doubling to 60 s.
#[derive(Default)]
pub struct Backoff {
    failures: u32,
    until: Option<Instant>,
}

impl Backoff {
    pub fn failed(&mut self, now: Instant) {
        self.until = Some(now + Duration::from_secs(60.min(1 << self.failures.min(6))));
        self.failures += 1;
    }

    pub fn succeeded(&mut self) {
        *self = Backoff::default();
    }

    /// The time before which it should not be tried again, if that is still to come.
    pub fn closed_until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }
}

/// The timetable of one background worker.
pub struct Schedule {
    notify: bool,
    notify_after: Instant,
    look: bool,
    look_after: Instant,
    look_latest: Instant,
    /// When the queue says that the next thing is due.
    due: Option<Instant>,
    /// Holds back a queue that says "due" although the maintenance has just been done.
    repeat: Backoff,
    refill: bool,
    refill_after: Instant,
    prune_after: Instant,
    full_round: Instant,
}

impl Schedule {
    /// Everything is wished for: nobody knows what happened before this worker was there.
    pub fn new(now: Instant) -> Schedule {
        Schedule {
            notify: true,
            notify_after: now,
            look: true,
            look_after: now,
            look_latest: now,
            due: None,
            repeat: Backoff::default(),
            refill: true,
            refill_after: now,
            prune_after: now,
            full_round: now,
        }
    }

    pub fn wish_notify(&mut self) {
        self.notify = true;
    }

    pub fn wish_refill(&mut self) {
        self.refill = true;
    }

    /// The flags of [`slots`] that would tell something new.
    pub fn unwished(&self) -> u32 {
        let jobs = if self.notify { 0 } else { slots::JOBS };
        let pools = if self.refill { 0 } else { slots::POOLS };
        jobs | pools
    }

    pub fn wants_notify(&self, now: Instant) -> bool {
        self.notify && now >= self.notify_after
    }

    /// The notification went out. What was enqueued may be due sooner than anything known so far.
    pub fn notified(&mut self, now: Instant) {
        self.notify = false;
        self.notify_after = now + NOTIFY_GAP;
        self.look = true;
        self.look_after = self.look_after.max(now + LOOK_AFTER_NOTIFY);
    }

    pub fn wants_look(&self, now: Instant) -> bool {
        now >= self.look_latest || (self.look && now >= self.look_after) || now >= self.next_round(now)
    }

    /// The queue was looked at: it is ready, and the next thing is due in `due_in` seconds (None:
    /// nothing is known).
    pub fn looked(&mut self, now: Instant, due_in: Option<f64>, tick: Duration) {
        self.look = false;
        self.look_after = now + LOOK_GAP;
        self.look_latest = now + tick;
        let wait = due_in.and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok());
        // Later than the next look is as good as never.
        self.due = wait.filter(|wait| *wait < tick).map(|wait| now + wait);
        if self.due.is_none_or(|due| due > now) {
            self.repeat.succeeded();
        }
    }

    /// Jobs are due that nobody has leased yet.
    pub fn jobs_wait(&mut self, now: Instant) {
        self.look_latest = self.look_latest.min(now + WAITING_GAP);
    }

    /// The queue was looked at: it is not ready to be worked on, for a reason that was logged.
    pub fn looked_in_vain(&mut self, now: Instant, tick: Duration) {
        self.look = false;
        self.look_after = now + REFILL_GAP;
        self.look_latest = now + tick.min(NOT_READY_GAP);
        self.due = None;
        self.hold_rounds(self.look_latest);
    }

    /// The look failed; nothing is tried before `until`.
    pub fn look_failed(&mut self, until: Instant) {
        self.look = true;
        self.look_after = until;
        self.look_latest = until;
        self.due = None;
        self.hold_rounds(until);
    }

    fn hold_rounds(&mut self, until: Instant) {
        self.refill_after = self.refill_after.max(until);
        self.full_round = self.full_round.max(until);
    }

    /// Whether maintenance should be done now.
    pub fn wants_round(&self, now: Instant) -> bool {
        now >= self.next_round(now)
    }

    fn next_round(&self, now: Instant) -> Instant {
        let due = self
            .due
            .map(|due| self.repeat.closed_until(now).map_or(due, |open| open.max(due)));
        let refill = self.refill.then_some(self.refill_after);
        [due, refill]
            .into_iter()
            .flatten()
            .fold(self.full_round, Instant::min)
    }

    /// A round of maintenance begins; says whether finished jobs should be pruned in it.
    pub fn begin_round(&mut self, now: Instant) -> bool {
        if self.due.is_some_and(|due| due <= now) {
            // A run_at may have come, and executors cannot know.
            self.notify = true;
            self.repeat.failed(now);
        }
        self.due = None;
        self.look = true;
        self.look_after = now;
        self.full_round = now + FULL_ROUND;
        let prune = now >= self.prune_after;
        if prune {
            self.prune_after = now + PRUNE_GAP;
        }
        prune
    }

    /// There is more to prune than was done at once.
    pub fn prune_more(&mut self, now: Instant) {
        self.prune_after = now + PRUNE_MORE_GAP;
        self.full_round = self.prune_after;
    }

    /// The refill was tried; a failed one stays wished for and waits until `retry`.
    pub fn refilled(&mut self, now: Instant, retry: Option<Instant>) {
        self.refill = retry.is_some();
        self.refill_after = retry.unwrap_or(now + REFILL_GAP);
    }

    /// How long to sleep if nothing sets the latch.
    pub fn sleep(&self, now: Instant) -> Duration {
        let notify = self.notify.then_some(self.notify_after);
        let look = self.look.then_some(self.look_after);
        let next = [notify, look, Some(self.next_round(now))].into_iter().flatten();
        next.fold(self.look_latest, Instant::min)
            .saturating_duration_since(now)
    }
}
