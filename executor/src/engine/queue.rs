//! When to look at the queue. A look that is known to find nothing is not taken: what the last ones
//! found empty stays empty until a notification or the next poll says otherwise.

use std::time::Duration;

use tokio::time::Instant;

const LEAST: i32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub struct Queue {
    looking: bool,
    /// Somebody called while a look was under way, which may have been too early to see why.
    called: bool,
    /// There is something to tell that the look under way may not have told.
    hurried: bool,
    /// Nothing as urgent as this is due; 0: nothing is known.
    empty_to: i32,
    next: Instant,
    failures: u32,
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
            called,
            hurried: false,
            empty_to: 0,
            next: now,
            failures: 0,
            greeted,
            ticking,
            batch: 1,
        }
    }

    /// The database answered last time.
    pub fn is_reachable(&self) -> bool {
        self.failures == 0
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
        self.looking = true;
        Some(
            room.filter(|_| self.greeted)
                .map(|(most, least)| (most.min(self.batch), least)),
        )
    }

    /// A look has ended. `missing`: items that each of the leased jobs still wants.
    pub fn looked(&mut self, now: Instant, poll: Duration, room: Option<Room>, missing: &[i32]) {
        (self.looking, self.greeted, self.failures) = (false, true, 0);
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

    /// The database could not be asked, by a look or by anybody else.
    pub fn failed(&mut self, now: Instant) {
        self.greeted = false;
        self.empty_to = 0;
        let pause = FIRST_PAUSE
            .saturating_mul(1 << self.failures.min(8))
            .min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.next = now + pause;
    }

    pub fn look_failed(&mut self, now: Instant) {
        self.looking = false;
        self.failed(now);
    }

    pub fn failures(&self) -> u32 {
        self.failures
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
        queue.failed(now);
        queue.heard();
        assert_eq!(queue.begin_look(now, Some((4, 10))), None);
        assert_eq!(queue.begin_look(now + FIRST_PAUSE, Some((4, 10))), Some(None));
        queue.look_failed(now);
        assert_eq!(queue.next_look(), Some(now + 2 * FIRST_PAUSE));
        (0..20).for_each(|_| queue.look_failed(now));
        assert_eq!(queue.next_look(), Some(now + LONGEST_PAUSE));
    }
}
