//! What can go wrong at the database's door, sorted by what the caller must do about it: wait and
//! try again, tell a person, or blame the job.

use std::error::Error as _;

use tokio_postgres::error::{DbError, SqlState};

use super::advice;
use crate::redact::clean;
use crate::settings::Target;
use crate::tls::TlsError;

#[derive(Clone, Debug, thiserror::Error)]
pub enum DoorError {
    /// Nothing is known about the statement; it may have been done.
    #[error("the database does not answer: {0}")]
    Unreachable(String),
    #[error("the database refuses the log-in: {0}")]
    LogIn(String),
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

impl DoorError {
    /// Waiting may help; the statement may be sent again, for every verb can be repeated.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Transient(_))
    }

    /// Without a person's help no later attempt will do better.
    pub fn needs_a_person(&self) -> bool {
        matches!(self, Self::LogIn(_) | Self::Absent(_) | Self::Tls(_))
    }

    /// The whole chain of causes in one line: the driver's own message is only "db error".
    pub fn from_driver(error: &tokio_postgres::Error) -> Self {
        if let Some(db) = error.as_db_error() {
            return Self::from_database(db);
        }
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            text = format!("{text}: {inner}");
            cause = inner.source();
        }
        let text = clean(&text);
        match text {
            text if text.starts_with("authentication error") || text.contains("password") => {
                Self::LogIn(text)
            }
            text if text.contains("TLS") || text.contains("ertificate") => Self::Tls(text),
            text if text.starts_with("error deserializing") || text.starts_with("invalid column") => {
                Self::Shape(text)
            }
            text => Self::Unreachable(text),
        }
    }

    /// The same for a connection that could not be made, with what to do where the address tells.
    pub fn from_connecting(error: &tokio_postgres::Error, target: &Target) -> Self {
        let advised = |why: String| match advice::for_refusal(target, &why) {
            Some(advice) => format!("{why}{}{advice}", advice::ARROW),
            None => why,
        };
        match Self::from_driver(error) {
            Self::Unreachable(why) => Self::Unreachable(advised(why)),
            Self::LogIn(why) => Self::LogIn(advised(why)),
            other => other,
        }
    }

    fn from_database(db: &DbError) -> Self {
        let text = clean(&describe(db));
        match (db.code().code(), db.code()) {
            // A pooler's own word for a user of no project that it knows.
            ("XX000", _) if text.to_lowercase().contains("tenant") => Self::LogIn(text),
            ("28000" | "28P01" | "3D000", _) => Self::LogIn(text),
            ("3F000", _) => Self::Absent(text),
            ("42883", _) if text.contains("worker.contract_version") => Self::Absent(text),
            (_, code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => Self::Forbidden(text),
            ("40001" | "40P01" | "55P03" | "57014", _) => Self::Transient(text),
            (code, _) if code.starts_with("57P") || code.starts_with("08") || code.starts_with("53") => {
                Self::Unreachable(text)
            }
            (code, _) => Self::Refused {
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

fn describe(db: &DbError) -> String {
    let mut text = db.message().to_owned();
    for more in [db.detail(), db.hint()].into_iter().flatten() {
        text = format!("{}. {more}", text.trim_end_matches('.'));
    }
    text
}
