//! A database session that reads well in tests: one value, all rows, the refusal of a statement.
//! Everything else of [`postgres::Client`] is there too.

use crate::wait::wait_for;
use postgres::error::{DbError, SqlState};
use postgres::fallible_iterator::FallibleIterator;
use postgres::types::{FromSqlOwned, ToSql};
use postgres::{Client, Config, NoTls, Row};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The parameters of a statement.
pub type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A client together with the notices that the server sent it.
pub struct Session {
    client: Client,
    notices: Arc<Mutex<Vec<String>>>,
}

/// What the server said when it refused a statement.
#[derive(Debug)]
pub struct Refusal {
    pub code: SqlState,
    pub message: String,
    pub detail: String,
    pub hint: String,
}

impl Refusal {
    /// The SQLSTATE as its five characters.
    pub fn code(&self) -> &str {
        self.code.code()
    }

    fn of(error: &DbError) -> Refusal {
        Refusal {
            code: error.code().clone(),
            message: error.message().to_owned(),
            detail: error.detail().unwrap_or_default().to_owned(),
            hint: error.hint().unwrap_or_default().to_owned(),
        }
    }
}

impl Session {
    /// Opens a session; panics with the server's words where that fails.
    #[track_caller]
    pub fn open(config: &Config) -> Session {
        Session::try_open(config).unwrap_or_else(|error| panic!("connect: {error:?}"))
    }

    /// Opens a session that the server may refuse.
    pub fn try_open(config: &Config) -> Result<Session, postgres::Error> {
        let notices = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&notices);
        let mut config = config.clone();
        config.notice_callback(move |notice| sink.lock().expect("notices").push(text_of(&notice)));
        let client = config.connect(NoTls)?;
        Ok(Session { client, notices })
    }

    /// Runs any number of statements, results thrown away.
    #[track_caller]
    pub fn run(&mut self, sql: &str) {
        self.client
            .batch_execute(sql)
            .unwrap_or_else(|error| panic!("{}\n{sql}", words(&error)));
    }

    /// The rows of one statement.
    #[track_caller]
    pub fn rows(&mut self, sql: &str, params: Params) -> Vec<Row> {
        self.client
            .query(sql, params)
            .unwrap_or_else(|error| panic!("{}\n{sql}", words(&error)))
    }

    /// The first column of every row.
    #[track_caller]
    pub fn column<T: FromSqlOwned>(&mut self, sql: &str, params: Params) -> Vec<T> {
        self.rows(sql, params).iter().map(|row| row.get(0)).collect()
    }

    /// The one row of a statement.
    #[track_caller]
    pub fn row(&mut self, sql: &str, params: Params) -> Row {
        let mut rows = self.rows(sql, params);
        assert_eq!(rows.len(), 1, "one row expected\n{sql}");
        rows.remove(0)
    }

    /// The one value of a statement.
    #[track_caller]
    pub fn value<T: FromSqlOwned>(&mut self, sql: &str, params: Params) -> T {
        self.row(sql, params).get(0)
    }

    /// How many rows a condition-free `select count(*) from <what>` counts.
    #[track_caller]
    pub fn count(&mut self, what: &str) -> i64 {
        self.value(&format!("select count(*) from {what}"), &[])
    }

    /// The refusal of a statement that must not succeed.
    #[track_caller]
    pub fn refused(&mut self, sql: &str, params: Params) -> Refusal {
        match self.client.query(sql, params) {
            Ok(rows) => panic!("not refused, gave {} rows\n{sql}", rows.len()),
            Err(error) => Refusal::of(error.as_db_error().unwrap_or_else(|| panic!("{error:?}\n{sql}"))),
        }
    }

    /// The notices and warnings since the last call, each as `SEVERITY: message (HINT)`.
    pub fn notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices.lock().expect("notices"))
    }

    /// Who sent the next notification on the channels that this session listens to: the process id
    /// of a backend.
    #[track_caller]
    pub fn notifier(&mut self, bound: Duration) -> i32 {
        let next = self.client.notifications().timeout_iter(bound).next();
        let next = next.expect("the connection lives");
        next.unwrap_or_else(|| panic!("no notification within {bound:?}"))
            .process_id()
    }

    /// Who sent the notifications that arrive until there was none for `quiet`.
    #[track_caller]
    pub fn notifiers(&mut self, quiet: Duration) -> Vec<i32> {
        let mut senders = Vec::new();
        let mut notifications = self.client.notifications();
        let mut iter = notifications.timeout_iter(quiet);
        while let Some(notification) = iter.next().expect("the connection lives") {
            senders.push(notification.process_id());
        }
        senders
    }

    /// Asks until a query gives true.
    #[track_caller]
    pub fn wait_until_true(&mut self, sql: &str, bound: Duration) {
        wait_for(sql, bound, || {
            self.value::<Option<bool>>(sql, &[]).filter(|answer| *answer)
        });
    }

    /// The process id of this session's backend.
    pub fn backend_pid(&mut self) -> i32 {
        self.value("select pg_backend_pid()", &[])
    }
}

fn text_of(notice: &DbError) -> String {
    let hint = notice.hint().map_or(String::new(), |hint| format!(" ({hint})"));
    format!("{}: {}{hint}", notice.severity(), notice.message())
}

/// The server's words where it said something, else the client's.
pub fn words(error: &postgres::Error) -> String {
    error.as_db_error().map_or_else(
        || format!("{error:?}"),
        |db| {
            let place = db.where_().map_or(String::new(), |place| format!("\n{place}"));
            format!("{} [{}]{place}", text_of(db), db.code().code())
        },
    )
}

impl Deref for Session {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}
