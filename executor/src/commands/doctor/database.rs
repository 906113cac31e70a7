//! The database's part: is it reached, does a notification arrive, may this role do what an executor
//! does, and do the clocks agree. What is installed there is looked at next door.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::report::{Finding, Report};
use super::{installation, remedy};
use crate::commands::{self, Failure};
use crate::door::{Door, DoorError, Server, advice};
use crate::engine::DEAF_POLL;
use crate::listen;
use crate::settings::{Options, Target};

/// Above it times in two logs are hard to compare.
const TOLERATED_SKEW: f64 = 5.0;

/// The way to a database in which an executor could work; None when there is none.
pub async fn check(options: &Options, report: &mut Report) -> Option<Door> {
    let (door, server) = match reach(options, report).await {
        Ok(reached) => reached,
        Err(finding) => {
            report.tell(&finding);
            return None;
        }
    };
    let role = Some(server.role.as_str());
    let fits = installation::check(&door, role, report).await;
    report.tell(&notification(&door, options).await);
    let allowed = fits && rights(&door, role, report).await;
    match clock(&door).await {
        Ok(finding) => report.tell(&finding),
        Err(error) => report.tell(&remedy::finding("clock", &error, role)),
    }
    allowed.then_some(door)
}

async fn reach(options: &Options, report: &mut Report) -> Result<(Door, Server), Finding> {
    const NAME: &str = "database";
    let door = commands::door(options).map_err(|failure| match failure {
        Failure::Door(error) => remedy::finding(NAME, &error, None),
        Failure::Settings(error) if error.field == "WORKER_DATABASE_TIMEOUT" => Finding::fail(
            NAME,
            error.to_string(),
            "change one of the two, in the environment or in .env",
        ),
        other => Finding::fail(
            NAME,
            other.to_string(),
            "set DATABASE_URL, in the environment or in .env",
        ),
    })?;
    let label = door.pool().target().label();
    let sent = Utc::now();
    let server = door.server().await.map_err(|error| {
        let finding = remedy::finding(NAME, &error, None);
        Finding {
            text: format!("{label}: {}", finding.text),
            ..finding
        }
    })?;
    let text = format!(
        "{label}: PostgreSQL {}, reached in {} ms",
        server.version,
        (Utc::now() - sent).num_milliseconds()
    );
    if server.read_only {
        let text = format!("{text}, but it is read-only");
        return Err(Finding::fail(
            NAME,
            text,
            "take the address of the primary server, not of a standby",
        ));
    }
    report.tell(&Finding::ok(NAME, text));
    Ok((door, server))
}

async fn notification(door: &Door, options: &Options) -> Finding {
    match listen::echo(door).await {
        Ok(Some(time)) => Finding::ok(
            "notification",
            format!("arrives after {:.1} ms", time.as_secs_f64() * 1000.0),
        ),
        Ok(None) => deaf(door.pool().target(), options.poll_interval_ms),
        Err(error) => remedy::finding("notification", &error, None),
    }
}

fn deaf(target: &Target, poll: Duration) -> Finding {
    let text = format!(
        "LISTEN is accepted, but nothing arrives, as through a transaction pooler; executors look every {} s instead",
        poll.min(DEAF_POLL).as_secs_f64()
    );
    Finding::warn("notification", text, advice::for_deafness(target))
}

async fn rights(door: &Door, role: Option<&str>, report: &mut Report) -> bool {
    const NAME: &str = "rights";
    // The catalog knows of every function; the call shows that calling works, and changes nothing.
    let missing = match door.missing_rights().await {
        Ok(missing) => door.heartbeat(&[], 30).await.map(|_| missing),
        Err(error) => Err(error),
    };
    let finding = match missing {
        Ok(missing) if missing.is_empty() => Finding::ok(NAME, "all that an executor needs"),
        Ok(missing) => Finding::fail(
            NAME,
            format!("may not call {}", missing.join(", ")),
            remedy::grant(role),
        ),
        Err(error) => remedy::finding(NAME, &error, role),
    };
    report.tell(&finding);
    finding.remedy.is_none()
}

async fn clock(door: &Door) -> Result<Finding, DoorError> {
    let sent = Utc::now();
    let server = door.server().await?;
    Ok(agreement_of_clocks(skew(sent, Utc::now(), server.now)))
}

/// Seconds by which the database's clock is ahead; it was read half-way between the two moments.
fn skew(sent: DateTime<Utc>, answered: DateTime<Utc>, database: DateTime<Utc>) -> f64 {
    let ahead: TimeDelta = database - (sent + (answered - sent) / 2);
    ahead.num_milliseconds() as f64 / 1000.0
}

fn agreement_of_clocks(skew: f64) -> Finding {
    const NAME: &str = "clock";
    if skew.abs() <= TOLERATED_SKEW {
        return Finding::ok(
            NAME,
            format!("this machine's and the database's are {:.3} s apart", skew.abs()),
        );
    }
    let side = if skew < 0.0 { "behind" } else { "ahead" };
    let text = format!(
        "the database's is {:.0} s {side}; leases do not mind, for the database counts them, but times in logs differ",
        skew.abs()
    );
    Finding::warn(NAME, text, "let both machines take their time from NTP")
}

#[cfg(test)]
mod tests {
    use super::super::report::Level;
    use super::*;

    #[test]
    fn the_way_to_the_database_is_no_skew() {
        let at = |seconds: i64| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(seconds);
        assert!(skew(at(100), at(104), at(102)).abs() < 0.001);
        assert!((skew(at(100), at(100), at(90)) + 10.0).abs() < 0.001);
        assert_eq!(agreement_of_clocks(-4.9).level, Level::Ok);
        assert!(agreement_of_clocks(-10.0).text.contains("10 s behind"));
    }

    #[test]
    fn a_deaf_connection_is_told_which_port_hears() {
        let target = Target::parse("postgres://me@pooler.example:6543/game").unwrap();
        let found = deaf(&target, Duration::from_secs(60));
        assert_eq!(found.level, Level::Warn);
        assert!(found.remedy.unwrap().contains("not 6543"));
        assert!(found.text.contains("every 5 s"));
    }
}
