//! One way to try again, for database and model host alike: pauses that double up to a bound, spread
//! by chance so that many executors do not come back in step.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::{Instant, sleep};

/// How long to pause: after the first failure from half of `first` to all of it, then doubling, never
/// longer than `longest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub first: Duration,
    pub longest: Duration,
}

/// A call that somebody waits for, such as the storing of a written item.
pub const CALL: Policy = Policy::new(200, 5_000);
/// The next look at a queue that could not be asked.
pub const LOOK: Policy = Policy::new(500, 15_000);
/// The next try to listen for notifications.
pub const LISTEN: Policy = Policy::new(500, 30_000);
/// The next question to a model host that failed.
pub const HOST: Policy = Policy::new(1_000, 60_000);

impl Policy {
    const fn new(first: u64, longest: u64) -> Self {
        Self {
            first: Duration::from_millis(first),
            longest: Duration::from_millis(longest),
        }
    }

    fn pauses(self) -> ExponentialBackoff {
        // The crate adds up to a whole pause by chance: with half of each, the bound holds.
        ExponentialBuilder::new()
            .with_min_delay(self.first / 2)
            .with_max_delay(self.longest / 2)
            .with_jitter()
            .without_max_times()
            .build()
    }
}

/// The pauses between failures in a row.
#[derive(Debug)]
pub struct Backoff {
    policy: Policy,
    pauses: ExponentialBackoff,
    failures: u32,
}

impl Backoff {
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            pauses: policy.pauses(),
            failures: 0,
        }
    }

    /// It failed once more: how long to wait now.
    pub fn pause(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.pauses.next().unwrap_or(self.policy.longest)
    }

    /// It went well.
    pub fn reset(&mut self) {
        *self = Self::new(self.policy);
    }

    /// Failures since it last went well.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

/// Repeats a call while its errors are `temporary` ones and the next try begins before `patience` is
/// over. What the call itself may take is the caller's to bound.
pub async fn patiently<T, E, F>(
    patience: Duration,
    temporary: impl Fn(&E) -> bool,
    mut call: impl FnMut() -> F,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let until = Instant::now() + patience;
    let mut backoff = Backoff::new(CALL);
    loop {
        let error = match call().await {
            Err(error) if temporary(&error) => error,
            result => return result,
        };
        let pause = backoff.pause();
        if Instant::now() + pause >= until {
            return Err(error);
        }
        sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn pauses_double_up_to_their_bound_and_start_over() {
        let mut backoff = Backoff::new(HOST);
        for doubled in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let (pause, most) = (backoff.pause(), Duration::from_secs(doubled));
            assert!(most / 2 <= pause && pause <= most, "{pause:?} of {most:?}");
        }
        assert_eq!(backoff.failures(), 9);
        backoff.reset();
        assert!(backoff.failures() == 0 && backoff.pause() <= HOST.first);
    }

    #[test]
    fn two_executors_do_not_come_back_in_step() {
        let pauses = |_| Backoff::new(HOST).pause();
        let all: std::collections::HashSet<_> = (0..20).map(pauses).collect();
        assert!(all.len() > 10, "{all:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_outage_is_waited_out() {
        let calls = Cell::new(0);
        let call = || {
            calls.set(calls.get() + 1);
            let result = if calls.get() < 4 {
                Err("away")
            } else {
                Ok(calls.get())
            };
            async move { result }
        };
        assert_eq!(patiently(Duration::from_secs(30), |_| true, call).await, Ok(4));
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_and_a_refusal_is_not_repeated() {
        let begun = Instant::now();
        let away = || async { Err::<(), _>("away") };
        assert!(patiently(Duration::from_secs(30), |_| true, away).await.is_err());
        assert!(begun.elapsed() <= Duration::from_secs(30));
        let calls = Cell::new(0);
        let refused = || {
            calls.set(calls.get() + 1);
            async { Err::<(), _>("odd") }
        };
        assert!(
            patiently(Duration::from_secs(30), |_| false, refused)
                .await
                .is_err()
        );
        assert_eq!(calls.get(), 1);
    }
}
