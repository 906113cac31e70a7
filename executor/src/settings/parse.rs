//! Reads single settings, and says for each what is allowed. clap prefixes the refusals below with
//! the flag and what was given, so a person sees the field, the value and the rule in one line.

use std::net::IpAddr;
use std::time::Duration;

use super::ActiveHours;

pub const USUAL_PORT: u16 = 3002;

/// Why a value is refused; names the variable, because most people set variables and not flags.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{variable} is {allowed}")]
pub struct Refusal {
    variable: &'static str,
    allowed: String,
}

fn whole(variable: &'static str, text: &str, what: &str, low: u64, high: u64) -> Result<u64, Refusal> {
    match text.trim().parse::<u64>() {
        Ok(number) if (low..=high).contains(&number) => Ok(number),
        _ => Err(Refusal {
            variable,
            allowed: format!("a whole number{what} from {low} to {high}"),
        }),
    }
}

fn seconds(variable: &'static str, text: &str, low: f64, high: f64) -> Result<Duration, Refusal> {
    match text.trim().parse::<f64>() {
        Ok(number) if (low..=high).contains(&number) => Ok(Duration::from_secs_f64(number)),
        _ => Err(Refusal {
            variable,
            allowed: format!("a number of seconds from {low} to {high}, fractions allowed"),
        }),
    }
}

pub fn poll_interval(text: &str) -> Result<Duration, Refusal> {
    whole(
        "WORKER_POLL_INTERVAL_MS",
        text,
        " of milliseconds",
        100,
        86_400_000,
    )
    .map(Duration::from_millis)
}

/// What Kubernetes sets WORKER_PORT to in every pod where a service is named worker: `tcp://10.0.0.1:3002`.
pub fn is_service_link(text: &str) -> bool {
    reqwest::Url::parse(text).is_ok_and(|url| {
        let number = url
            .host_str()
            .map(|host| host.trim_matches(['[', ']']).parse::<IpAddr>());
        matches!(url.scheme(), "tcp" | "udp" | "sctp")
            && url.port().is_some()
            && matches!(number, Some(Ok(_)))
    })
}

pub fn port(text: &str) -> Result<u16, Refusal> {
    if is_service_link(text) {
        return Ok(USUAL_PORT);
    }
    let number = whole("WORKER_PORT", text, "", 1, u64::from(u16::MAX))?;
    Ok(u16::try_from(number).unwrap_or(u16::MAX))
}

pub fn lease_seconds(text: &str) -> Result<i32, Refusal> {
    let number = whole("WORKER_LEASE_SECONDS", text, " of seconds", 5, 3600)?;
    Ok(i32::try_from(number).unwrap_or(i32::MAX))
}

pub fn max_in_flight(text: &str) -> Result<usize, Refusal> {
    let number = whole("WORKER_MAX_IN_FLIGHT", text, " of requests", 1, 256)?;
    Ok(usize::try_from(number).unwrap_or(usize::MAX))
}

pub fn database_timeout(text: &str) -> Result<Duration, Refusal> {
    seconds("WORKER_DATABASE_TIMEOUT", text, 0.1, 3600.0)
}

pub fn connect_timeout(text: &str) -> Result<Duration, Refusal> {
    seconds("WORKER_CONNECT_TIMEOUT", text, 0.1, 600.0)
}

pub fn first_token_timeout(text: &str) -> Result<Duration, Refusal> {
    seconds("WORKER_FIRST_TOKEN_TIMEOUT", text, 0.1, 86_400.0)
}

pub fn token_timeout(text: &str) -> Result<Duration, Refusal> {
    seconds("WORKER_TOKEN_TIMEOUT", text, 0.1, 86_400.0)
}

pub fn item_timeout(text: &str) -> Result<Duration, Refusal> {
    seconds("WORKER_ITEM_TIMEOUT", text, 0.1, 86_400.0)
}

pub fn active_hours(text: &str) -> Result<ActiveHours, Refusal> {
    ActiveHours::parse(text).ok_or_else(|| Refusal {
        variable: "WORKER_ACTIVE_HOURS",
        allowed: "spans of the day such as 22:00-08:00 or 1-6,13-14:30".into(),
    })
}

pub fn shutdown_seconds(text: &str) -> Result<Duration, Refusal> {
    seconds("WORKER_SHUTDOWN_SECONDS", text, 0.0, 3600.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_variable_and_the_rule() {
        for bad in ["0", "abc", "-1", "99", "1e99", ""] {
            let refusal = poll_interval(bad).unwrap_err().to_string();
            assert!(
                refusal.contains("WORKER_POLL_INTERVAL_MS") && refusal.contains("from 100"),
                "{refusal}"
            );
        }
        for bad in ["0", "70000", "http"] {
            assert!(port(bad).unwrap_err().to_string().contains("from 1 to 65535"));
        }
    }

    #[test]
    fn kubernetes_name_of_a_service_is_no_port_of_ours() {
        for link in ["tcp://10.0.0.1:4000", "udp://[fd00::1]:53"] {
            assert_eq!(port(link), Ok(USUAL_PORT), "{link}");
        }
        for none in [
            "tcp://10.0.0.1",
            "tcp://worker:4000",
            "http://10.0.0.1:80",
            "4000",
        ] {
            assert!(!is_service_link(none), "{none}");
        }
    }

    #[test]
    fn good_values_are_taken() {
        assert_eq!(poll_interval("60000"), Ok(Duration::from_secs(60)));
        assert_eq!(port(" 3002 "), Ok(3002));
        assert_eq!(first_token_timeout("0.5"), Ok(Duration::from_millis(500)));
        assert!(token_timeout("NaN").is_err() && token_timeout("inf").is_err());
    }
}
