//! When to look at the queue. A look that is known to find nothing is not taken: what the last ones
//! found empty stays empty until a notification or the next poll says otherwise.

use std::time::Duration;

use tokio::time::Instant;

use crate::retry::{self, Backoff};

const LEAST: i32 = 10;

#[derive(Debug)]
pub struct Queue {
    looking: bool,
    /// The look under way may lease jobs.
    leasing: bool,
    /// Somebody called while a look was under way, which may have been too early to see why.
    called: bool,
    /// There is something to tell that the look under way may not have told.
    hurried: bool,
    /// Nothing as urgent as this is due; 0: nothing is known.
    empty_to: i32,
    next: Instant,
    /// Looks in a row that failed.
    failures: Backoff,
    /// Somebody else could not ask the database: only a look tells whether it is away.
    suspect: bool,
    /// What is installed there was asked since the last trouble.
    greeted: bool,
    /// The maintenance is ours to do: no background worker serves this database.
    pub ticking: bool,
    /// How many jobs to take at once: grows while they are of one item each.
    batch: usize,
}

/// How many jobs to take, and the least urgent priority.
pub type Room = (usize, i32);

impl Queue {
    pub fn new(now: Instant) -> Self {
        let (looking, called, greeted, ticking) = (false, false, false, false);
        Self {
            looking,
            leasing: false,
            called,
            hurried: false,
            empty_to: 0,
            next: now,
            failures: Backoff::new(retry::LOOK),
            suspect: false,
            greeted,
            ticking,
            batch: 1,
        }
    }

    /// The database answered last time.
    pub fn is_reachable(&self) -> bool {
        self.failures.failures() == 0 && !self.suspect
    }

    pub fn is_leasing(&self) -> bool {
        self.leasing
    }

    pub fn is_empty(&self) -> bool {
        self.greeted && self.empty_to >= LEAST
    }

    pub fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    pub fn next_look(&self) -> Option<Instant> {
        (!self.looking).then_some(self.next)
    }

    /// Something may be due that was not before.
    pub fn heard(&mut self) {
        self.called = self.looking;
        self.empty_to = 0;
    }

    /// The next look is due now: there is something to tell.
    pub fn hurry(&mut self, now: Instant) {
        self.hurried = self.looking;
        if self.is_reachable() {
            self.next = self.next.min(now);
        }
    }

    /// Begins a look if there is a reason for one: what to lease with it, if anything.
    #[allow(clippy::option_option, reason = "a look without a lease is a look too")]
    pub fn begin_look(&mut self, now: Instant, room: Option<Room>) -> Option<Option<Room>> {
        let useful =
            self.greeted && self.is_reachable() && room.is_some_and(|(_, least)| least > self.empty_to);
        if self.looking || !(useful || self.is_due(now)) {
            return None;
        }
        let lease = room
            .filter(|_| self.greeted)
            .map(|(most, least)| (most.min(self.batch), least));
        (self.looking, self.leasing) = (true, lease.is_some());
        Some(lease)
    }

    /// A look has ended. `missing`: items that each of the leased jobs still wants.
    pub fn looked(&mut self, now: Instant, poll: Duration, room: Option<Room>, missing: &[i32]) {
        (self.looking, self.leasing, self.greeted, self.suspect) = (false, false, true, false);
        self.failures.reset();
        self.next = if std::mem::take(&mut self.hurried) {
            now
        } else {
            now + poll
        };
        if let Some((most, least)) = room {
            let full = missing.len() >= most;
            self.batch = if full && missing.iter().all(|items| *items <= 1) {
                (most * 2).min(64)
            } else {
                1
            };
            if !full {
                self.empty_to = self.empty_to.max(least);
            }
        }
        if std::mem::take(&mut self.called) {
            self.empty_to = 0;
        }
    }

    /// The database could not be asked by somebody else: many at once are no more than one, and none of them
    /// is a failed look.
    pub fn suspect(&mut self, now: Instant) {
        (self.greeted, self.empty_to) = (false, 0);
        if self.is_reachable() {
            self.suspect = true;
            self.next = now + Backoff::new(retry::LOOK).pause();
        }
    }

    pub fn look_failed(&mut self, now: Instant) {
        (self.looking, self.leasing, self.greeted, self.empty_to) = (false, false, false, 0);
        self.next = now + self.failures.pause();
    }

    /// Looks in a row that failed.
    pub fn failures(&self) -> u32 {
        self.failures.failures()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLL: Duration = Duration::from_secs(60);

    fn greeted(now: Instant) -> Queue {
        let mut queue = Queue::new(now);
        assert_eq!(
            queue.begin_look(now, Some((4, 10))),
            Some(None),
            "first of all it asks what is there"
        );
        queue.looked(now, POLL, None, &[]);
        queue
    }

    #[test]
    fn what_was_found_empty_is_not_looked_at_again_until_somebody_calls() {
        let now = Instant::now();
        let mut queue = greeted(now);
        assert_eq!(queue.begin_look(now, Some((4, 10))), Some(Some((1, 10))));
        queue.looked(now, POLL, Some((1, 10)), &[]);
        assert!(queue.is_empty());
        assert_eq!(queue.begin_look(now, Some((4, 10))), None);
        queue.heard();
        assert!(queue.begin_look(now, Some((4, 10))).is_some());
    }

    #[test]
    fn what_is_to_be_told_during_a_look_makes_another_one_due_at_once() {
        let now = Instant::now();
        let mut queue = greeted(now);
        queue.begin_look(now + POLL, None);
        queue.hurry(now + POLL);
        queue.looked(now + POLL, POLL, None, &[]);
        assert!(
            queue.is_due(now + POLL),
            "the look may have begun before there was something to tell"
        );
        assert_eq!(queue.begin_look(now + POLL, None), Some(None));
        queue.looked(now + POLL, POLL, None, &[]);
        assert!(!queue.is_due(now + POLL), "once");
    }

    #[test]
    fn an_urgent_look_that_found_nothing_says_nothing_of_the_rest() {
        let now = Instant::now();
        let mut queue = greeted(now);
        queue.begin_look(now, Some((1, 4)));
        queue.looked(now, POLL, Some((1, 4)), &[]);
        assert_eq!(queue.begin_look(now, Some((1, 4))), None);
        assert_eq!(queue.begin_look(now, Some((1, 10))), Some(Some((1, 10))));
    }

    #[test]
    fn a_call_during_a_look_leads_to_another_one() {
        let now = Instant::now();
        let mut queue = greeted(now);
        queue.begin_look(now, Some((1, 10)));
        queue.heard();
        queue.looked(now, POLL, Some((1, 10)), &[]);
        assert!(queue.begin_look(now, Some((1, 10))).is_some());
    }

    #[test]
    fn small_jobs_are_taken_in_growing_batches_and_large_ones_singly() {
        let now = Instant::now();
        let mut queue = greeted(now);
        queue.looked(now, POLL, Some((1, 10)), &[1]);
        assert_eq!(queue.begin_look(now, Some((9, 10))), Some(Some((2, 10))));
        queue.looked(now, POLL, Some((2, 10)), &[1, 1]);
        assert_eq!(queue.begin_look(now, Some((9, 10))), Some(Some((4, 10))));
        queue.looked(now, POLL, Some((4, 10)), &[1, 1, 10, 1]);
        assert_eq!(queue.begin_look(now, Some((9, 10))), Some(Some((1, 10))));
    }

    #[test]
    fn after_a_failure_only_time_leads_to_a_look_and_the_pauses_grow() {
        let now = Instant::now();
        let mut queue = greeted(now);
        queue.begin_look(now, Some((4, 10)));
        queue.look_failed(now);
        queue.heard();
        assert_eq!(queue.begin_look(now, Some((4, 10))), None);
        let first = now + retry::LOOK.first;
        assert!(queue.next_look().is_some_and(|next| next <= first));
        assert_eq!(queue.begin_look(first, Some((4, 10))), Some(None));
        (0..20).for_each(|_| queue.look_failed(now));
        let longest = retry::LOOK.longest;
        let pause = queue.next_look().unwrap() - now;
        assert!(longest / 2 <= pause && pause <= longest, "{pause:?}");
    }

    #[test]
    fn what_others_could_not_ask_is_no_failed_look_and_many_of_them_are_one() {
        let now = Instant::now();
        let mut queue = greeted(now);
        (0..8).for_each(|_| queue.suspect(now));
        assert!(!queue.is_reachable() && queue.failures() == 0);
        let first = now + retry::LOOK.first;
        assert!(queue.next_look().is_some_and(|next| next <= first));
        assert_eq!(
            queue.begin_look(first, Some((4, 10))),
            Some(None),
            "it only asks who is there"
        );
        queue.looked(first, POLL, None, &[]);
        assert!(queue.is_reachable());
    }

    #[test]
    fn a_look_that_leases_is_told_from_one_that_only_looks() {
        let now = Instant::now();
        let mut queue = Queue::new(now);
        queue.begin_look(now, Some((4, 10)));
        assert!(!queue.is_leasing());
        queue.looked(now, POLL, None, &[]);
        queue.begin_look(now, Some((4, 10)));
        assert!(queue.is_leasing());
        queue.look_failed(now);
        assert!(!queue.is_leasing());
    }
}
