//! What can go wrong at the database's door, sorted by what the caller must do about it: wait and
//! try again, tell a person, or blame the job. By SQLSTATE and by the kind of an I/O error, never by words.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use tokio_postgres::error::DbError;

use super::advice;
use crate::redact::clean;
use crate::settings::Target;
use crate::tls::TlsError;

#[derive(Clone, Debug, thiserror::Error)]
pub enum DoorError {
    /// Nothing is known about the statement; it may have been done.
    #[error("the database does not answer: {1}")]
    Unreachable(Away, String),
    #[error("the database refuses the log-in: {1}")]
    LogIn(Refusal, String),
    #[error("{0}")]
    Tls(String),
    #[error(
        "schema worker is not in this database ({0}). As a superuser run CREATE EXTENSION pg_worker_ext; \
         where no extension can be installed, psql -f sql/pg_worker_ext.sql"
    )]
    Absent(String),
    #[error(
        "a right is missing: {0}. As the owner of the tables run SELECT worker.grant_executor('the role in DATABASE_URL')"
    )]
    Forbidden(String),
    /// Another transaction was in the way; the same call may well succeed now.
    #[error("the database asks to try again: {0}")]
    Transient(String),
    /// The database understood the call and says no.
    #[error("{message} (SQLSTATE {sqlstate})")]
    Refused { sqlstate: String, message: String },
    #[error("the database answered something that this version does not understand: {0}")]
    Shape(String),
}

/// What keeps the answer away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Away {
    /// Nobody listens there.
    Refused,
    UnknownHost,
    /// This machine has no way there, such as to an IPv6 address without IPv6.
    NoRoute,
    NoSocket,
    Late,
    /// The connection ended.
    Cut,
    /// No connection is free.
    Full,
    /// It starts, stops, or is short of something.
    NotNow,
    /// A standby, where one that takes writes was asked for.
    ReadOnly,
}

/// Why nobody is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Password,
    NoPassword,
    /// Not this role, or not from here.
    Unwelcome,
    NoDatabase,
    /// A pooler knows no such project.
    NoProject,
    /// It wants a way of logging in that the driver does not know.
    Unsupported,
}

impl DoorError {
    pub fn late(bound: Duration) -> Self {
        Self::Unreachable(Away::Late, format!("no answer within {} s", bound.as_secs_f64()))
    }

    /// Waiting may help; the statement may be sent again, for every verb can be repeated.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable(..) | Self::Transient(_))
    }

    /// Without a person's help no later attempt will do better.
    pub fn needs_a_person(&self) -> bool {
        matches!(self, Self::LogIn(..) | Self::Absent(_) | Self::Tls(_))
    }

    /// On an open connection.
    pub fn from_driver(error: &tokio_postgres::Error) -> Self {
        if let Some(db) = error.as_db_error() {
            return Self::from_database(db);
        }
        let text = whole(error);
        match (error.source(), io_cause(error)) {
            (_, Some(io)) => Self::Unreachable(Away::of(io), text),
            // It ended, or what came was no answer: either way this connection is of no use.
            (None, None) => Self::Unreachable(Away::Cut, text),
            // A parameter or a column of another type.
            (Some(_), None) => Self::Shape(text),
        }
    }

    /// For a connection that could not be made, with what to do where the address tells. `encrypted`: it
    /// got as far as that.
    pub fn from_connecting(error: &tokio_postgres::Error, target: &Target, encrypted: bool) -> Self {
        let found = match (error.as_db_error(), io_cause(error)) {
            (Some(db), _) if db.code().code() == "XX000" && advice::is_pooler(target) => {
                Self::LogIn(Refusal::NoProject, clean(&describe(db)))
            }
            (Some(db), _) => Self::from_database(db),
            (None, Some(io)) if handshake_needs_a_person(io) => Self::Tls(whole(error)),
            (None, None) if error.source().is_some() => Self::unfit(whole(error), target, encrypted),
            (None, _) => Self::from_driver(error),
        };
        let advised = |why: String, away| match advice::for_refusal(target, away) {
            Some(advice) => format!("{why}{}{advice}", advice::ARROW),
            None => why,
        };
        match found {
            Self::Unreachable(away, why) => Self::Unreachable(away, advised(why, Some(away))),
            Self::LogIn(refusal, why) => Self::LogIn(refusal, advised(why, None)),
            other => other,
        }
    }

    /// The driver gave up by itself: what the server offers is not what the settings ask for.
    fn unfit(text: String, target: &Target, encrypted: bool) -> Self {
        if target.tls.mode.insists() && !encrypted {
            Self::Tls(text)
        } else if target.config.get_password().is_none() {
            Self::LogIn(Refusal::NoPassword, text)
        } else {
            Self::LogIn(Refusal::Unsupported, text)
        }
    }

    fn from_database(db: &DbError) -> Self {
        let text = clean(&describe(db));
        match db.code().code() {
            "28P01" => Self::LogIn(Refusal::Password, text),
            "28000" => Self::LogIn(Refusal::Unwelcome, text),
            "3D000" => Self::LogIn(Refusal::NoDatabase, text),
            "3F000" => Self::Absent(text),
            "42501" => Self::Forbidden(text),
            "40001" | "40P01" | "55P03" | "57014" => Self::Transient(text),
            "53300" => Self::Unreachable(Away::Full, text),
            code if ["57P", "08", "53"].iter().any(|class| code.starts_with(class)) => {
                Self::Unreachable(Away::NotNow, text)
            }
            code => Self::Refused {
                sqlstate: code.to_owned(),
                message: text,
            },
        }
    }
}

impl From<TlsError> for DoorError {
    fn from(error: TlsError) -> Self {
        Self::Tls(error.to_string())
    }
}

impl Away {
    fn of(error: &io::Error) -> Self {
        /// Linux's "address family not supported", for which there is no kind.
        const NO_FAMILY: i32 = 97;
        match (error.kind(), error.raw_os_error()) {
            (io::ErrorKind::ConnectionRefused, _) => Self::Refused,
            (io::ErrorKind::TimedOut, _) => Self::Late,
            (io::ErrorKind::NotFound, _) => Self::NoSocket,
            (io::ErrorKind::PermissionDenied, None) => Self::ReadOnly,
            (
                io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::AddrNotAvailable,
                _,
            )
            | (_, Some(NO_FAMILY)) => Self::NoRoute,
            (
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::InvalidData
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::Other,
                None,
            )
            | (_, Some(_)) => Self::Cut,
            // Looking up a name fails with a kind that has no name, and no number of the system's.
            (_, None) => Self::UnknownHost,
        }
    }
}

fn io_cause(error: &tokio_postgres::Error) -> Option<&io::Error> {
    error.source()?.downcast_ref()
}

/// Whether a handshake failed over what somebody has set, here or there. One that was cut, as by a server
/// that restarts, is only to be begun again.
fn handshake_needs_a_person(handshake: &io::Error) -> bool {
    use rustls::AlertDescription::{CloseNotify, InternalError, UserCanceled};
    let Some(cause) = handshake.get_ref() else {
        return false;
    };
    match cause.downcast_ref::<rustls::Error>() {
        Some(rustls::Error::AlertReceived(CloseNotify | InternalError | UserCanceled)) => false,
        Some(_) => true,
        None => cause.is::<rustls::pki_types::InvalidDnsNameError>(),
    }
}

/// The whole chain of causes in one line: the driver's own message is only "db error".
fn whole(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    clean(&text)
}

fn describe(db: &DbError) -> String {
    let mut text = db.message().to_owned();
    for more in [db.detail(), db.hint()].into_iter().flatten() {
        text = format!("{}. {more}", text.trim_end_matches('.'));
    }
    text
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
