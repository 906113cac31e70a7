//! A session of somebody who goes on when the server is gone for a while: it is opened anew when it is
//! needed, and remembers what the server refused.

use crate::session::Params;
use crate::{Database, Session};
use postgres::{Config, Row};
use std::collections::BTreeMap;

pub struct Line {
    config: Config,
    session: Option<Session>,
    /// Refusals that no fault explains, by their words.
    pub refusals: BTreeMap<String, usize>,
}

impl Line {
    pub fn to(database: &Database) -> Line {
        Line {
            config: database.config(),
            session: None,
            refusals: BTreeMap::new(),
        }
    }

    /// The rows, or None where the server was not there, or refused.
    pub fn rows(&mut self, sql: &str, params: Params) -> Option<Vec<Row>> {
        if self.session.is_none() {
            self.session = Session::try_open(&self.config).ok();
        }
        let error = match self.session.as_mut()?.query(sql, params) {
            Ok(rows) => return Some(rows),
            Err(error) => error,
        };
        match error.as_db_error() {
            Some(refusal) if !is_going_down(refusal.code().code()) => {
                let words = format!("{} [{}] {sql}", refusal.message(), refusal.code().code());
                *self.refusals.entry(words).or_default() += 1;
            }
            _ => self.session = None,
        }
        None
    }

    /// The first column of every row, none where there was no answer.
    pub fn column<T: postgres::types::FromSqlOwned>(&mut self, sql: &str, params: Params) -> Vec<T> {
        let rows = self.rows(sql, params).unwrap_or_default();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// The one value of a query that gives one row.
    pub fn value<T: postgres::types::FromSqlOwned>(&mut self, sql: &str, params: Params) -> Option<T> {
        Some(self.rows(sql, params)?.first()?.get(0))
    }
}

/// The server shuts down, crashes, or is not up yet.
fn is_going_down(code: &str) -> bool {
    code.starts_with("57P") || code.starts_with("08")
}
