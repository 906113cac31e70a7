//! How long is waited: settings that are allowed one by one and have to fit together.

use std::time::Duration;

use super::{Options, SettingsError, Target};

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

impl Target {
    /// With bounds on what the system does below us: a half-open socket must not hold anything for hours, and
    /// a host that does not answer must leave time for the next one.
    pub fn bounded(mut self, bound: Duration) -> Self {
        let config = &mut self.config;
        let hosts = config.get_hosts().len().max(config.get_hostaddrs().len());
        let each = bound / u32::try_from(hosts + 1).unwrap_or(u32::MAX);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(each);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(bound);
        }
        // The system counts whole seconds.
        let second = Duration::from_secs(1);
        config.keepalives(true);
        config.keepalives_idle(bound.max(second));
        config.keepalives_interval((bound / 3).max(second));
        config.keepalives_retries(3);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_hosts_each_has_its_part_of_the_time() {
        let bounded = |url: &str| Target::parse(url).unwrap().bounded(Duration::from_secs(9)).config;
        let two = bounded("postgres://me@one,two/game");
        assert_eq!(two.get_connect_timeout(), Some(&Duration::from_secs(3)));
        assert_eq!(two.get_tcp_user_timeout(), Some(&Duration::from_secs(9)));
        let own = bounded("postgres://me@one/game?connect_timeout=2");
        assert_eq!(own.get_connect_timeout(), Some(&Duration::from_secs(2)));
    }
}
