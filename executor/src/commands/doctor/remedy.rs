//! What a person can do about an error at the database's door.

use super::report::Finding;
use crate::door::{Away, DoorError, Refusal, advice};

/// What failed, why, and the remedy. `role` where it is known who we are.
pub fn finding(name: &'static str, error: &DoorError, role: Option<&str>) -> Finding {
    // Where the address tells what to do, the error brings it along.
    let told = told(error);
    match told.split_once(advice::ARROW) {
        Some((why, advice)) => Finding::fail(name, why, advice),
        None => Finding::fail(name, told.as_str(), remedy(error, role)),
    }
}

/// The error without the advice that it carries for the log: that stands in the line below.
fn told(error: &DoorError) -> String {
    match error {
        DoorError::Absent(why) => format!("schema worker is not in this database ({why})"),
        DoorError::Forbidden(why) => why.clone(),
        other => other.to_string(),
    }
}

fn remedy(error: &DoorError, role: Option<&str>) -> String {
    match error {
        DoorError::Unreachable(away, _) => unreachable(*away).into(),
        DoorError::LogIn(refusal, _) => log_in(*refusal).into(),
        DoorError::Tls(_) => "check sslmode and sslrootcert in DATABASE_URL; sslmode=require encrypts and asks for \
                              no certificate"
            .into(),
        DoorError::Absent(_) => "in that database, as a superuser: CREATE EXTENSION pg_worker_ext; where no extension \
                                 can be installed: psql -f sql/pg_worker_ext.sql. Or is it the wrong database?"
            .into(),
        DoorError::Forbidden(_) => grant(role),
        DoorError::Transient(_) => "run it again".into(),
        DoorError::Refused { sqlstate, .. } if sqlstate == "25001" => {
            "reset default_transaction_isolation of this role or database to 'read committed'".into()
        }
        DoorError::Refused { .. } => "the server's log may say more".into(),
        DoorError::Shape(_) => "update the older of the two sides: this program, or the extension".into(),
    }
}

pub fn grant(role: Option<&str>) -> String {
    let role = role.unwrap_or("the role in DATABASE_URL").replace('\'', "''");
    format!("as the owner of the tables: SELECT worker.grant_executor('{role}');")
}

fn unreachable(away: Away) -> &'static str {
    match away {
        Away::Refused => {
            "does the server run, and does it listen at this address and port (listen_addresses)? In a container, \
             localhost is the container itself"
        }
        Away::UnknownHost => "the name of the host is not known here: is it spelt as it should be?",
        Away::NoSocket => "there is no server behind this socket: does it run, and is DATABASE_URL right?",
        Away::Late | Away::NoRoute => "is the address right, and does no firewall stand in between?",
        Away::Full => "raise max_connections, or close connections that nobody uses",
        Away::ReadOnly => "take the address of the primary server, not of a standby",
        Away::Cut | Away::NotNow => "the server's log may say more",
    }
}

fn log_in(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NoDatabase => {
            "the database is named after the last / of DATABASE_URL; create it, or name the right one"
        }
        Refusal::Unwelcome => {
            "does this role exist? Let it in from this address, in the server's pg_hba.conf; or try sslmode=require \
             in DATABASE_URL"
        }
        Refusal::NoPassword => {
            "the server wants a password and DATABASE_URL has none: postgres://user:password@host:5432/database"
        }
        Refusal::Unsupported => "let this role log in with scram-sha-256, in the server's pg_hba.conf",
        Refusal::Password | Refusal::NoProject => {
            "check user and password in DATABASE_URL; special characters are percent-encoded: p@ss is p%40ss"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(error: DoorError) -> String {
        finding("database", &error, Some("o'er"))
            .remedy
            .expect("a remedy")
    }

    #[test]
    fn each_way_to_be_unreachable_has_its_own_remedy() {
        let of = |away| of(DoorError::Unreachable(away, "why".into()));
        assert!(of(Away::Refused).contains("listen_addresses"));
        assert!(of(Away::UnknownHost).contains("spelt"));
        assert!(of(Away::Late).contains("firewall"));
        assert!(of(Away::Full).contains("max_connections"));
    }

    #[test]
    fn a_refused_log_in_says_which_part_of_the_url_is_wrong() {
        let of = |refusal| of(DoorError::LogIn(refusal, "why".into()));
        assert!(of(Refusal::NoDatabase).contains("last /"));
        assert!(of(Refusal::Password).contains("%40"));
        assert!(of(Refusal::Unwelcome).contains("pg_hba.conf"));
        assert!(of(Refusal::NoPassword).contains("has none"));
    }

    #[test]
    fn a_missing_right_names_the_role_and_does_not_say_it_twice() {
        let found = finding(
            "rights",
            &DoorError::Forbidden("permission denied".into()),
            Some("o'er"),
        );
        assert_eq!(found.text, "permission denied");
        assert!(found.remedy.unwrap().contains("grant_executor('o''er')"));
    }
}
