//! The circuit breaker between the queue and the model host.
//!
//! While it is open nothing is leased, and one probe at a time finds out whether the host is back.
//! The delay doubles with each trip up to a minute, is spread by a fifth so that many executors do
//! not come back in step, and starts over only when an item was really written: a host that answers
//! probes and refuses the work must not be asked every second. Time is passed in, for tests.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use tokio::time::Instant;

use crate::generator::Trouble;

const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(60);
const SPREAD: f64 = 0.2;

#[derive(Debug)]
enum State {
    Closed,
    Open { until: Instant },
    Probing,
}

#[derive(Debug)]
pub struct Breaker {
    state: State,
    trips: u32,
    trouble: Option<Trouble>,
    chance: ChaCha8Rng,
}

impl Breaker {
    /// Open and due at once: nothing is known about the host before the first probe.
    pub fn unproven(now: Instant, seed: u64) -> Self {
        Self {
            state: State::Open { until: now },
            trips: 0,
            trouble: None,
            chance: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// `closed`, `open` or `probing`.
    pub fn state(&self) -> &'static str {
        match self.state {
            State::Closed => "closed",
            State::Open { .. } => "open",
            State::Probing => "probing",
        }
    }

    /// Why it is open; None while the host was never asked.
    pub fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// When the next probe is due.
    pub fn due(&self) -> Option<Instant> {
        match self.state {
            State::Open { until } => Some(until),
            State::Closed | State::Probing => None,
        }
    }

    /// The host failed. Answers how long to wait; where it is open for a reason already, nothing
    /// changes.
    pub fn trip(&mut self, now: Instant, trouble: Trouble) -> Option<Duration> {
        if matches!(self.state, State::Open { .. }) && self.trouble.is_some() {
            return None;
        }
        let delay = self.delay().max(trouble.retry_after.unwrap_or_default());
        self.trips = self.trips.saturating_add(1);
        self.trouble = Some(trouble);
        self.state = State::Open { until: now + delay };
        Some(delay)
    }

    fn delay(&mut self) -> Duration {
        let doubled = FIRST_DELAY
            .saturating_mul(1 << self.trips.min(6))
            .min(LONGEST_DELAY);
        let part = f64::from(self.chance.next_u32()) / f64::from(u32::MAX);
        doubled.mul_f64(1.0 - SPREAD * part)
    }

    /// Begins a probe; true if it shall ask for text.
    pub fn probe(&mut self) -> bool {
        self.state = State::Probing;
        self.trouble.as_ref().is_some_and(|trouble| trouble.ask_for_text)
    }

    /// The probe was answered.
    pub fn close(&mut self) {
        self.state = State::Closed;
        self.trouble = None;
    }

    /// The host wrote something: whatever was before is over.
    pub fn wrote(&mut self) {
        if self.is_closed() {
            self.trips = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble() -> Trouble {
        Trouble::new("no answer")
    }

    #[test]
    fn it_starts_with_a_probe_and_closes_on_an_answer() {
        let now = Instant::now();
        let mut breaker = Breaker::unproven(now, 1);
        assert_eq!(breaker.due(), Some(now));
        assert!(!breaker.probe());
        assert_eq!((breaker.due(), breaker.state()), (None, "probing"));
        breaker.close();
        assert!(breaker.is_closed() && breaker.trouble().is_none());
    }

    #[test]
    fn delays_double_up_to_a_minute_and_start_over_after_a_written_item() {
        let now = Instant::now();
        let mut breaker = Breaker::unproven(now, 2);
        let mut delays = Vec::new();
        for _ in 0..9 {
            breaker.probe();
            delays.push(breaker.trip(now, trouble()).unwrap().as_secs_f64());
        }
        assert!(
            (0.8..=1.0).contains(&delays[0]) && (1.6..=2.0).contains(&delays[1]),
            "{delays:?}"
        );
        assert!(
            delays.iter().all(|delay| *delay <= 60.0) && delays[8] >= 48.0,
            "{delays:?}"
        );
        breaker.probe();
        breaker.close();
        assert!(
            breaker.trip(now, trouble()).unwrap().as_secs_f64() >= 48.0,
            "an answered probe is no written item"
        );
        breaker.probe();
        breaker.close();
        breaker.wrote();
        assert!(breaker.trip(now, trouble()).unwrap().as_secs_f64() <= 1.0);
    }

    #[test]
    fn many_failures_at_once_are_one() {
        let now = Instant::now();
        let mut breaker = Breaker::unproven(now, 3);
        breaker.probe();
        breaker.close();
        assert!(breaker.trip(now, trouble()).is_some());
        assert!(breaker.trip(now, trouble()).is_none());
    }

    #[test]
    fn the_hosts_own_delay_is_obeyed_and_decides_how_to_probe() {
        let now = Instant::now();
        let mut breaker = Breaker::unproven(now, 4);
        breaker.probe();
        breaker.close();
        let busy = Trouble {
            retry_after: Some(Duration::from_secs(30)),
            ask_for_text: true,
            ..trouble()
        };
        assert_eq!(breaker.trip(now, busy), Some(Duration::from_secs(30)));
        assert!(breaker.probe(), "a host that refused text is asked for text");
    }
}
