//! Reads `DATABASE_URL` as libpq users know it.
//!
//! The driver knows neither `sslmode=verify-full` nor `sslrootcert`, and refuses what other tools
//! put into the same URL (`pgbouncer=true`). So those are taken out here, and the rest is the
//! driver's. A password must not show in any refusal, so nothing of the URL is ever repeated.

use std::error::Error as _;
use std::path::PathBuf;
use std::str::FromStr;

use super::SettingsError;
use super::dsn::{self, Pairs};
use crate::redact::{keep_name, keep_secret};
use crate::tls::{Roots, TlsMode, TlsPlan};

const ALLOWED: &str = "postgres://user:password@host:5432/database, with %40 for an @ (and so on) inside the \
                       password, or host=… user=… dbname=… pairs";
/// What other programs read from the same URL and what has no meaning here.
const IGNORED: [&str; 9] = [
    "pgbouncer",
    "connection_limit",
    "pool_timeout",
    "schema",
    "supa",
    "gssencmode",
    "sslcompression",
    "fallback_application_name",
    "statement_cache_size",
];

/// What the driver reads.
const KNOWN: [&str; 18] = [
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "sslnegotiation",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
];

/// Where the database is and how to get there.
#[derive(Clone, Debug)]
pub struct Target {
    pub config: tokio_postgres::Config,
    pub tls: TlsPlan,
    /// Parameters of the URL that were left aside, to be mentioned once.
    pub ignored: Vec<String>,
}

impl Target {
    pub fn parse(url: &str) -> Result<Self, SettingsError> {
        let mut pairs = dsn::split(url.trim()).ok_or_else(|| malformed("it is no connection string"))?;
        keep_passwords(&pairs);
        let tls = take_tls(&mut pairs)?;
        let ignored = take_ignored(&mut pairs);
        // The driver's refusal would quote the name, and with an unescaped ? that is part of a password.
        if pairs.names().any(|name| !KNOWN.contains(&name)) {
            return Err(malformed("it has an unknown parameter"));
        }
        let mut config = tokio_postgres::Config::from_str(&pairs.join())
            .map_err(|error| malformed(error.source().map(ToString::to_string).unwrap_or_default()))?;
        set_defaults(&mut config);
        check_numbers(&config)?;
        config.ssl_mode(tls.mode.for_driver());
        if let Some(password) = config.get_password() {
            keep_secret(&String::from_utf8_lossy(password));
        }
        [config.get_user(), config.get_dbname()]
            .into_iter()
            .flatten()
            .for_each(keep_name);
        Ok(Self { config, tls, ignored })
    }

    /// Host, port, database and user: what a person needs to recognise the place, and no secret.
    pub fn label(&self) -> String {
        let host = match self.config.get_hosts().first() {
            Some(tokio_postgres::config::Host::Tcp(name)) => name.clone(),
            #[cfg(unix)]
            Some(tokio_postgres::config::Host::Unix(path)) => path.display().to_string(),
            None => self
                .config
                .get_hostaddrs()
                .first()
                .map(ToString::to_string)
                .unwrap_or_default(),
        };
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        let user = self.config.get_user().unwrap_or("(login name)");
        format!(
            "{host}:{port}, database \"{}\", user \"{user}\"",
            self.config.get_dbname().unwrap_or(user)
        )
    }
}

fn malformed(why: impl Into<String>) -> SettingsError {
    // The value may hold a password: what was given is described, not repeated.
    SettingsError {
        field: "DATABASE_URL",
        given: why.into(),
        allowed: ALLOWED.into(),
    }
}

fn keep_passwords(pairs: &Pairs) {
    if let Some(raw) = pairs.raw_password() {
        keep_secret(raw);
    }
    if let Some(password) = pairs.get("password") {
        keep_secret(password);
    }
}

fn take_tls(pairs: &mut Pairs) -> Result<TlsPlan, SettingsError> {
    let roots = pairs.take("sslrootcert").map(|path| match path.as_str() {
        "system" => Roots::System,
        _ => Roots::File(PathBuf::from(path)),
    });
    for unsupported in ["sslcert", "sslkey", "sslcrl", "service", "passfile"] {
        if pairs.take(unsupported).is_some() {
            return Err(malformed(format!(
                "it has {unsupported}, which is not supported here"
            )));
        }
    }
    let sure = roots == Some(Roots::System);
    let usual = if sure { "verify-full" } else { "prefer" };
    let given = pairs.take("sslmode").unwrap_or_else(|| usual.into());
    match TlsMode::from_name(&given) {
        // As in libpq: anybody has a certificate that some authority of the machine's has signed.
        Some(mode) if !sure || mode == TlsMode::VerifyFull => Ok(TlsPlan::new(mode, roots)),
        mode => Err(SettingsError {
            field: "sslmode in DATABASE_URL",
            given,
            allowed: match mode {
                Some(_) => "verify-full where sslrootcert=system".into(),
                None => "disable, prefer, require, verify-ca or verify-full".into(),
            },
        }),
    }
}

fn take_ignored(pairs: &mut Pairs) -> Vec<String> {
    IGNORED
        .iter()
        .filter(|name| pairs.take(name).is_some())
        .map(ToString::to_string)
        .collect()
}

fn set_defaults(config: &mut tokio_postgres::Config) {
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        set_default_host(config);
    }
    if config.get_application_name().is_none() {
        config.application_name("pg-worker-executor");
    }
}

#[cfg(unix)]
fn set_default_host(config: &mut tokio_postgres::Config) {
    let debian = "/var/run/postgresql";
    config.host_path(if std::path::Path::new(debian).is_dir() {
        debian
    } else {
        "/tmp"
    });
}

#[cfg(not(unix))]
fn set_default_host(config: &mut tokio_postgres::Config) {
    config.host("localhost");
}

/// What the driver would only find out when it connects.
fn check_numbers(config: &tokio_postgres::Config) -> Result<(), SettingsError> {
    let (names, numbers) = (config.get_hosts().len(), config.get_hostaddrs().len());
    if names > 0 && numbers > 0 && names != numbers {
        return Err(malformed("it has not as many hostaddr as host"));
    }
    let ports = config.get_ports().len();
    if ports > 1 && ports != names.max(numbers) {
        return Err(malformed("it has neither one port nor one for each host"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_postgres::config::{Host, SslMode};

    #[test]
    fn libpq_parameters_that_the_driver_does_not_know_are_understood() {
        let url = "postgres://me:p%40ss@db.example:6543/game?sslmode=verify-full&sslrootcert=%2Fetc%2Fca%20x.pem&pgbouncer=true&application_name=x";
        let target = Target::parse(url).unwrap();
        assert_eq!(
            target.tls,
            TlsPlan::new(TlsMode::VerifyFull, Some(Roots::File("/etc/ca x.pem".into())))
        );
        assert_eq!(target.config.get_ssl_mode(), SslMode::Require);
        assert_eq!(target.config.get_application_name(), Some("x"));
        assert_eq!(target.config.get_password(), Some(&b"p@ss"[..]));
        assert_eq!(target.ignored, ["pgbouncer"]);
        assert_eq!(target.label(), "db.example:6543, database \"game\", user \"me\"");
    }

    #[test]
    fn key_value_strings_are_understood_too() {
        let target =
            Target::parse("host=/tmp user='a b' password='it\\'s' sslmode=disable dbname=g").unwrap();
        assert_eq!(target.config.get_hosts(), [Host::Unix("/tmp".into())]);
        assert_eq!(target.config.get_password(), Some(&b"it's"[..]));
        assert_eq!(target.tls.mode, TlsMode::Disable);
    }

    #[test]
    fn the_machines_authorities_mean_verify_full_and_nothing_less() {
        let parse = |query: &str| Target::parse(&format!("postgres://me@db.example/game?{query}"));
        for query in ["sslrootcert=system", "sslmode=verify-full&sslrootcert=system"] {
            let target = parse(query).unwrap();
            assert_eq!(target.tls, TlsPlan::new(TlsMode::VerifyFull, Some(Roots::System)));
            assert_eq!(target.config.get_ssl_mode(), SslMode::Require);
        }
        for weak in ["disable", "allow", "prefer", "require", "verify-ca"] {
            let refusal = parse(&format!("sslmode={weak}&sslrootcert=system")).unwrap_err();
            assert!(
                refusal.given == weak && refusal.allowed.contains("verify-full"),
                "{refusal}"
            );
        }
    }

    #[test]
    fn hosts_and_ports_that_do_not_match_are_refused() {
        for url in ["host=a,b,c port=1,2", "host=a,b hostaddr=127.0.0.1"] {
            assert!(
                Target::parse(url)
                    .unwrap_err()
                    .to_string()
                    .contains("DATABASE_URL"),
                "{url}"
            );
        }
    }

    #[test]
    fn refusals_never_repeat_the_password() {
        let bad = [
            "postgres://me:hunter2secret@host:notaport/db",
            "postgres://me:hunter2secret@host/db?sslmode=perhaps",
            "postgres://me:a?hunter2secret=b@host/db",
            "postgres://me:hunter2secret@host/db?sslcert=x",
            "hunter2secret",
            "mysql://me:hunter2secret@host/db",
            "",
        ];
        for url in bad {
            let text = Target::parse(url).unwrap_err().to_string();
            assert!(!text.contains("hunter2secret"), "{text}");
            assert!(text.contains("DATABASE_URL"), "{text}");
        }
    }
}
