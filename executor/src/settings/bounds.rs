//! Settings that are allowed one by one and have to fit together.

use std::time::Duration;

use super::{Options, SettingsError};

const USUAL_DATABASE_BOUND: Duration = Duration::from_secs(10);

impl Options {
    /// The longest wait for the database. A lease has to outlast more than one try.
    pub fn database_bound(&self) -> Result<Duration, SettingsError> {
        let third = Duration::from_secs(u64::from(self.lease_seconds.unsigned_abs())) / 3;
        match self.database_timeout {
            None => Ok(third.min(USUAL_DATABASE_BOUND)),
            Some(given) if given <= third => Ok(given),
            Some(given) => Err(SettingsError {
                field: "WORKER_DATABASE_TIMEOUT",
                given: format!(
                    "{} s with WORKER_LEASE_SECONDS={}",
                    given.as_secs_f64(),
                    self.lease_seconds
                ),
                allowed: format!(
                    "at most a third of the lease, which is {:.1} s: lower it, or raise WORKER_LEASE_SECONDS to {:.0}",
                    third.as_secs_f64(),
                    (3.0 * given.as_secs_f64()).ceil()
                ),
            }),
        }
    }
}
