//! When the background worker of a database does what, and when it leaves: pure timing.
//!
//! Wishes (from the flags that committed transactions raise) and due times (from the queue) go in; the
//! next step, or how long to sleep, comes out. A wish is never dropped: what may not be done yet is
//! remembered, also beyond the end of this worker, and the next one is started in time for it.

use super::moment::Moment;
use std::time::Duration;

/// Notifications of a burst are sent at most this often.
const NOTIFY_GAP: Duration = Duration::from_millis(10);
/// The queue is looked at at most this often.
const LOOK_GAP: Duration = Duration::from_millis(250);
/// Executors that are called go first.
const LOOK_AFTER_NOTIFY: Duration = Duration::from_millis(20);
/// Pools are refilled at most this often on account of claims.
const REFILL_GAP: Duration = Duration::from_secs(1);
/// Pruning goes on after this when it was not through.
const PRUNE_GAP: Duration = Duration::from_secs(1);
/// All of the maintenance is done at most this often unless something asks for it.
const FULL_ROUND: Duration = Duration::from_secs(1800);
/// A worker that has had nothing to do for so long leaves.
pub const LINGER: Duration = Duration::from_secs(1);
/// The longest wait after a failure.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// One of the things that a background worker does, each in a transaction of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Notify the executors of what was enqueued or has become due.
    Notify,
    /// Look whether the data side is ready, and when the next thing is due.
    Look,
    /// Give back the jobs of executors that are gone.
    Rescue,
    /// Enqueue what the pools are missing.
    Refill,
    /// Delete what is no longer kept.
    Prune,
}

impl Step {
    /// What is shown while it is done.
    pub fn doing(self) -> &'static str {
        match self {
            Step::Notify => "notifying executors",
            Step::Look => "looking at the queue",
            Step::Rescue => "rescuing jobs",
            Step::Refill => "refilling pools",
            Step::Prune => "pruning jobs",
        }
    }
}

/// All steps, in the order in which they are done.
pub const STEPS: [Step; 5] = [Step::Notify, Step::Look, Step::Rescue, Step::Refill, Step::Prune];

/// What a worker is to do now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    Do(Step),
    /// Sleep until then, or until something is wished for.
    Sleep(Moment),
    /// Leave the database; [`Schedule::due`] says when to come back.
    Leave,
}

/// Waits between failures: 1 s, doubling to a minute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backoff {
    pub failures: u32,
    /// Not before this.
    pub retry_at: Moment,
}

impl Backoff {
    pub const NONE: Backoff = Backoff {
        failures: 0,
        retry_at: Moment(0),
    };

    pub fn failed(&mut self, now: Moment) {
        let wait = Duration::from_secs(1 << self.failures.min(6)).min(LONGEST_WAIT);
        self.failures = self.failures.saturating_add(1);
        self.retry_at = now + wait;
    }
}

/// What one worker leaves to the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Notes {
    /// The steps that are still wished for.
    pub wanted: [bool; STEPS.len()],
    pub backoffs: [Backoff; STEPS.len()],
    /// Holds back a queue that says "due" although everything has just been done.
    pub repeat: Backoff,
    /// When all of the maintenance is done again.
    pub full_round_at: Moment,
}

impl Notes {
    /// Nothing is known: everything is wished for.
    pub const EMPTY: Notes = Notes {
        wanted: [true; STEPS.len()],
        backoffs: [Backoff::NONE; STEPS.len()],
        repeat: Backoff::NONE,
        full_round_at: Moment(0),
    };
}

/// The timetable of one background worker.
pub struct Schedule {
    notes: Notes,
    /// The gaps between two of the same step.
    not_before: [Moment; STEPS.len()],
    /// When the queue says that the next thing is due.
    due: Moment,
    /// When the database is looked at whatever happens.
    visit_at: Moment,
    /// Whether this worker has found the data side ready.
    ready: bool,
    /// When it last did something.
    active_at: Moment,
}

impl Schedule {
    /// A worker begins with a look, and with what the one before it left.
    pub fn new(now: Moment, notes: Notes) -> Schedule {
        let mut schedule = Schedule {
            notes,
            not_before: [Moment(0); STEPS.len()],
            due: Moment::NEVER,
            visit_at: Moment::NEVER,
            ready: false,
            active_at: now,
        };
        schedule.want(Step::Look);
        schedule
    }

    pub fn want(&mut self, step: Step) {
        self.notes.wanted[step as usize] = true;
    }

    /// Nobody knows what has happened here: everything is looked at.
    pub fn want_everything(&mut self) {
        self.notes.wanted = Notes::EMPTY.wanted;
    }

    /// Somebody has mended something: whatever failed before is tried at once.
    pub fn begin_afresh(&mut self) {
        self.notes = Notes::EMPTY;
    }

    pub fn wants(&self, step: Step) -> bool {
        self.notes.wanted[step as usize]
    }

    /// Something is due at this moment, as somebody else says.
    pub fn due_at(&mut self, moment: Moment) {
        self.due = self.due.min(moment);
    }

    /// What to do now.
    pub fn next(&mut self, now: Moment) -> Next {
        self.notice_time(now);
        if let Some(step) = STEPS.into_iter().find(|step| self.open_at(*step) <= now) {
            return Next::Do(step);
        }
        let quiet_from = self.active_at + LINGER;
        let due = self.due();
        if now >= quiet_from && due > now + LINGER {
            return Next::Leave;
        }
        Next::Sleep(if now < quiet_from {
            due.min(quiet_from)
        } else {
            due
        })
    }

    /// What time brings becomes a wish, and is no longer waited for: so no time in the past keeps anybody awake.
    fn notice_time(&mut self, now: Moment) {
        if self.queue_due() <= now {
            self.due = Moment::NEVER;
            self.notes.repeat.failed(now);
            // A run_at may have come, and executors cannot know.
            self.want(Step::Notify);
            self.want(Step::Rescue);
            self.want(Step::Refill);
        }
        if self.notes.full_round_at <= now {
            self.notes.full_round_at = now + FULL_ROUND;
            self.want(Step::Rescue);
            self.want(Step::Refill);
            self.want(Step::Prune);
        }
        if self.visit_at <= now {
            self.visit_at = Moment::NEVER;
            self.want(Step::Look);
        }
    }

    fn queue_due(&self) -> Moment {
        if self.due == Moment::NEVER {
            Moment::NEVER
        } else {
            self.due.max(self.notes.repeat.retry_at)
        }
    }

    /// When a step may be done: never, if it is not wished for.
    fn open_at(&self, step: Step) -> Moment {
        let maintenance = matches!(step, Step::Rescue | Step::Refill | Step::Prune);
        if !self.wants(step) || (maintenance && !self.ready) {
            return Moment::NEVER;
        }
        self.not_before[step as usize].max(self.notes.backoffs[step as usize].retry_at)
    }

    /// When there is something to do, if nobody wishes for anything before.
    pub fn due(&self) -> Moment {
        let steps = STEPS.into_iter().map(|step| self.open_at(step));
        let times = [self.queue_due(), self.visit_at, self.notes.full_round_at];
        steps.chain(times).min().unwrap_or(Moment::NEVER)
    }

    /// A step was done.
    pub fn done(&mut self, step: Step, now: Moment) {
        self.active_at = now;
        self.notes.backoffs[step as usize] = Backoff::NONE;
        self.notes.wanted[step as usize] = false;
        let gap = match step {
            Step::Notify => NOTIFY_GAP,
            Step::Look => LOOK_GAP,
            Step::Refill => REFILL_GAP,
            Step::Rescue | Step::Prune => Duration::ZERO,
        };
        self.not_before[step as usize] = now + gap;
        // What was done may have changed what is due next. A look that is waited for already is not put off again:
        // else whoever enqueues without a pause would put it off for ever.
        if step != Step::Look && !self.wants(Step::Look) {
            self.want(Step::Look);
            if step == Step::Notify {
                let look = &mut self.not_before[Step::Look as usize];
                *look = (*look).max(now + LOOK_AFTER_NOTIFY);
            }
        }
    }

    /// A step failed: it stays wished for, and waits; the others do not.
    pub fn failed(&mut self, step: Step, now: Moment) {
        self.active_at = now;
        self.notes.backoffs[step as usize].failed(now);
        if step == Step::Look {
            self.visit_at = Moment::NEVER;
            self.ready = false;
        }
    }

    /// The data side is not ready: it is looked at again at growing intervals, and nothing is maintained before.
    pub fn not_ready(&mut self, now: Moment) {
        self.want(Step::Look);
        if self.notes.backoffs[Step::Look as usize].retry_at <= now {
            self.failed(Step::Look, now);
        }
        self.ready = false;
    }

    /// The queue was looked at and is ready; the next thing is due after `due_in`, if anything is known. It is
    /// looked at again after `visit_gap` at the latest.
    pub fn looked(&mut self, now: Moment, due_in: Option<Duration>, visit_gap: Duration) {
        self.done(Step::Look, now);
        self.ready = true;
        self.visit_at = now + visit_gap;
        self.due = due_in.map_or(Moment::NEVER, |wait| now + wait);
        if self.due > now {
            self.notes.repeat = Backoff::NONE;
        }
    }

    /// There is more to prune than was done at once.
    pub fn prune_more(&mut self, now: Moment) {
        self.want(Step::Prune);
        self.not_before[Step::Prune as usize] = now + PRUNE_GAP;
    }

    /// What the next worker has to know.
    pub fn notes(&self) -> Notes {
        self.notes
    }
}
