//! Addresses of hosted databases that look right and lead nowhere: what is wrong with one, and the URL
//! that works. No password is ever repeated, only the place where it goes.

use tokio_postgres::config::Host;

use super::Away;
use crate::settings::Target;

/// Stands between what the server or the driver said and what to do about it.
pub const ARROW: &str = " → ";
/// Where Supabase's transaction pooler listens, on every host of theirs.
pub const TRANSACTION_POOLER: u16 = 6543;

const POOLER: &str = ".pooler.supabase.com";

/// What to do about a connection that could not be made, where the address tells. `away`: what keeps it
/// away; None where the log-in was refused.
pub fn for_refusal(target: &Target, away: Option<Away>) -> Option<String> {
    let host = tcp_host(target)?;
    let user = target.config.get_user().unwrap_or("postgres");
    if is_pooler(target) && !user.contains('.') {
        let url = url(target, &format!("{user}.PROJECT"), host);
        return Some(format!(
            "the pooler wants the project's name behind the user's: {url}"
        ));
    }
    if let Some(project) = direct_project(host)
        && matches!(away, Some(Away::NoRoute | Away::UnknownHost | Away::Late))
    {
        let url = url(
            target,
            &format!("{user}.{project}"),
            &format!("aws-0-REGION{POOLER}"),
        );
        return Some(format!(
            "{host} has an IPv6 address only, and this machine reaches none; take the session pooler: {url} \
             (the dashboard's Connect button shows its host)"
        ));
    }
    (away == Some(Away::NoRoute)).then(|| {
        format!("has {host} an IPv6 address only, and this machine no IPv6? Then take an address with IPv4, such as a session pooler's")
    })
}

/// Supabase's pooler, whose own refusals are internal errors to PostgreSQL.
pub fn is_pooler(target: &Target) -> bool {
    tcp_host(target).is_some_and(|host| host.ends_with(POOLER))
}

/// What to do about a connection on which nothing is heard.
pub fn for_deafness(target: &Target) -> String {
    let way = "take the direct connection or the session pooler (port 5432";
    if !target.config.get_ports().contains(&TRANSACTION_POOLER) {
        return format!("{way})");
    }
    let host = tcp_host(target).unwrap_or("HOST");
    let url = url(target, target.config.get_user().unwrap_or("USER"), host);
    format!("{way}, not {TRANSACTION_POOLER}): {url}")
}

fn url(target: &Target, user: &str, host: &str) -> String {
    let database = target.config.get_dbname().unwrap_or("postgres");
    format!("postgres://{user}:PASSWORD@{host}:5432/{database}?sslmode=require")
}

fn tcp_host(target: &Target) -> Option<&str> {
    target.config.get_hosts().iter().find_map(|host| match host {
        Host::Tcp(name) => Some(name.as_str()),
        #[cfg(unix)]
        Host::Unix(_) => None,
    })
}

/// The project in the name of a direct connection's host.
fn direct_project(host: &str) -> Option<&str> {
    host.strip_prefix("db.")?.strip_suffix(".supabase.co")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str, away: Option<Away>) -> Option<String> {
        for_refusal(&Target::parse(url).unwrap(), away)
    }

    #[test]
    fn a_host_with_ipv6_only_is_recognised_where_there_is_none() {
        for away in [Away::NoRoute, Away::UnknownHost, Away::Late] {
            let advice = of(
                "postgres://postgres:s3cret@db.abcdefgh.supabase.co:5432/postgres",
                Some(away),
            )
            .unwrap();
            assert!(advice.contains("IPv6"), "{advice}");
            assert!(
                advice.contains("postgres://postgres.abcdefgh:PASSWORD@aws-0-REGION.pooler.supabase.com:5432/postgres?sslmode=require"),
                "{advice}"
            );
            assert!(!advice.contains("s3cret"));
        }
        assert!(
            of("postgres://me@db.example.com/game", Some(Away::NoRoute))
                .unwrap()
                .contains("IPv6")
        );
        assert_eq!(of("postgres://me@db.example.com/game", Some(Away::Refused)), None);
        assert_eq!(
            of("postgres://postgres@db.abcdefgh.supabase.co/postgres", None),
            None
        );
    }

    #[test]
    fn a_poolers_user_without_its_project_is_told_the_url() {
        let pooler = "aws-0-eu-central-1.pooler.supabase.com";
        let advice = of(
            &format!("postgres://postgres:s3cret@{pooler}:6543/postgres"),
            None,
        )
        .unwrap();
        assert!(
            advice.contains(&format!(
                "postgres://postgres.PROJECT:PASSWORD@{pooler}:5432/postgres?sslmode=require"
            )),
            "{advice}"
        );
        assert_eq!(
            of(&format!("postgres://postgres.abcdefgh@{pooler}/postgres"), None),
            None
        );
    }

    #[test]
    fn the_transaction_poolers_port_is_told_the_url_with_the_other() {
        let target =
            Target::parse("postgres://executor.abcdefgh:s3cret@aws-0-x.pooler.supabase.com:6543/postgres")
                .unwrap();
        let advice = for_deafness(&target);
        assert!(
            advice.contains(
                "not 6543): postgres://executor.abcdefgh:PASSWORD@aws-0-x.pooler.supabase.com:5432/postgres"
            ),
            "{advice}"
        );
        let target = Target::parse("postgres://executor@bouncer:5431/game").unwrap();
        assert!(for_deafness(&target).ends_with("(port 5432)"));
    }
}
