//! A moment on the machine's monotonic clock, which every process reads alike and nobody can set.

use std::time::Duration;

/// Microseconds since the machine was started.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Moment(pub i64);

impl Moment {
    /// Later than everything: for what is not going to happen.
    pub const NEVER: Moment = Moment(i64::MAX);

    /// How long it is until this moment; nothing if it has come.
    pub fn since(self, earlier: Moment) -> Duration {
        let microseconds = self.0.saturating_sub(earlier.0);
        Duration::from_micros(u64::try_from(microseconds).unwrap_or(0))
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, wait: Duration) -> Moment {
        let microseconds = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
        Moment(self.0.saturating_add(microseconds))
    }
}
