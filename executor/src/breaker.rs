//! The circuit breaker between the queue and one model of a host.
//!
//! While it is open nothing is asked of that model but one probe at a time, which finds out whether it is
//! back. The pauses grow with each trip, and start over only when an item was really written: a host that
//! answers probes and refuses the work must not be asked every second. Time is passed in, for tests.

use std::time::Duration;

use tokio::time::Instant;

use crate::generator::Trouble;
use crate::retry::{self, Backoff};

#[derive(Debug)]
enum State {
    Closed,
    Open { until: Instant },
    Probing,
}

#[derive(Debug)]
pub struct Breaker {
    state: State,
    backoff: Backoff,
    trouble: Option<Trouble>,
}

impl Breaker {
    /// Open and due at once: nothing is known about the host before the first probe.
    pub fn unproven(now: Instant) -> Self {
        Self {
            state: State::Open { until: now },
            ..Self::trusted()
        }
    }

    /// For another model of a host that is known: the first item will show.
    pub fn trusted() -> Self {
        Self {
            state: State::Closed,
            backoff: Backoff::new(retry::HOST),
            trouble: None,
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
        let delay = self.backoff.pause().max(trouble.retry_after.unwrap_or_default());
        self.trouble = Some(trouble);
        self.state = State::Open { until: now + delay };
        Some(delay)
    }

    /// Begins a probe; true if it shall ask for text.
    pub fn probe(&mut self) -> bool {
        self.state = State::Probing;
        self.trouble.as_ref().is_some_and(Trouble::needs_text)
    }

    /// The probe was answered.
    pub fn close(&mut self) {
        self.state = State::Closed;
        self.trouble = None;
    }

    /// The host wrote something: whatever was before is over.
    pub fn wrote(&mut self) {
        if self.is_closed() {
            self.backoff.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::Cause;

    fn trouble() -> Trouble {
        Trouble::new(Cause::Unreachable, "no answer")
    }

    #[test]
    fn it_starts_with_a_probe_and_closes_on_an_answer() {
        let now = Instant::now();
        let mut breaker = Breaker::unproven(now);
        assert_eq!(breaker.due(), Some(now));
        assert!(!breaker.probe());
        assert_eq!((breaker.due(), breaker.state()), (None, "probing"));
        breaker.close();
        assert!(breaker.is_closed() && breaker.trouble().is_none());
    }

    #[test]
    fn delays_double_up_to_a_minute_and_start_over_after_a_written_item() {
        let now = Instant::now();
        let mut breaker = Breaker::unproven(now);
        let mut delays = Vec::new();
        for _ in 0..9 {
            breaker.probe();
            delays.push(breaker.trip(now, trouble()).unwrap().as_secs_f64());
        }
        assert!(
            (0.5..=1.0).contains(&delays[0]) && (1.0..=2.0).contains(&delays[1]),
            "{delays:?}"
        );
        assert!(
            delays.iter().all(|delay| *delay <= 60.0) && delays[8] >= 30.0,
            "{delays:?}"
        );
        breaker.probe();
        breaker.close();
        assert!(
            breaker.trip(now, trouble()).unwrap().as_secs_f64() >= 30.0,
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
        let mut breaker = Breaker::unproven(now);
        breaker.probe();
        breaker.close();
        assert!(breaker.trip(now, trouble()).is_some());
        assert!(breaker.trip(now, trouble()).is_none());
    }

    #[test]
    fn the_hosts_own_delay_is_obeyed_and_decides_how_to_probe() {
        let now = Instant::now();
        let mut breaker = Breaker::unproven(now);
        breaker.probe();
        breaker.close();
        let busy = Trouble {
            retry_after: Some(Duration::from_secs(30)),
            ..Trouble::new(Cause::Busy, "busy")
        };
        assert_eq!(breaker.trip(now, busy), Some(Duration::from_secs(30)));
        assert!(breaker.probe(), "a host that refused text is asked for text");
    }
}
