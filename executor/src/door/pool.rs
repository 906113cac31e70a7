//! A few connections to the database, made when needed.
//!
//! Made for poolers: no statement is ever prepared by name, and nothing is set on a session. Every
//! call has a bound, waiting for a connection included; a connection that missed it, or whose caller went
//! away in the middle, is closed and not used again, so that no answer can meet the wrong question, and what
//! the server still does for it is cancelled.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::DoorError;
use super::connection::Connection;
use crate::settings::Target;
use crate::tls;

/// A parameter with its type, so that nothing has to be asked before the statement is sent.
pub type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// Whether a statement's effects must be on disk before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    Sure,
    /// For leases and beats: a crash that forgets one leaves a pending job and a token that fits
    /// nothing, so waiting for the disk would buy nothing.
    Lazy,
}

/// What a call is for. Calls for one thing never wait for those for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Work,
    /// Keeps the leases: must never wait behind a store.
    Beat,
    /// Only for people to see.
    Show,
}

pub struct Pool {
    target: Target,
    tls: MakeRustlsConnect,
    bound: Duration,
    work: Share,
    beats: Share,
    shows: Share,
}

/// The connections for one purpose.
struct Share {
    permits: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    pub fn new(target: Target, bound: Duration) -> Result<Self, DoorError> {
        let tls = MakeRustlsConnect::new(tls::for_database(&target.tls)?);
        Ok(Self {
            target: target.bounded(bound),
            tls,
            bound,
            work: Share::of(4),
            beats: Share::of(1),
            shows: Share::of(1),
        })
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The longest time that a call may take.
    pub fn bound(&self) -> Duration {
        self.bound
    }

    /// Runs one statement that is part of the work.
    pub async fn rows(
        &self,
        durability: Durability,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, DoorError> {
        self.rows_for(Purpose::Work, self.bound, durability, sql, parameters)
            .await
    }

    /// Runs one statement on a free connection, within `bound`.
    pub async fn rows_for(
        &self,
        purpose: Purpose,
        bound: Duration,
        durability: Durability,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, DoorError> {
        let share = self.share(purpose);
        let call = async {
            let _permit = share.permits.acquire().await.ok();
            // Until the answer is complete it is ours alone: dropping this future closes it.
            let mut connection = match share.take_idle() {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            let answer = run(connection.client(), durability, sql, parameters).await;
            // Answered or broken: nothing is left to cancel.
            connection.at_rest();
            let unbroken = answer
                .as_ref()
                .err()
                .is_none_or(|error| error.as_db_error().is_some());
            if unbroken {
                share.give_back(connection);
            }
            answer.map_err(|error| DoorError::from_driver(&error))
        };
        match tokio::time::timeout(bound, call).await {
            Ok(result) => result,
            Err(_) => {
                self.suspect_all();
                Err(DoorError::late(bound))
            }
        }
    }

    async fn connect(&self) -> Result<Connection, DoorError> {
        Connection::open(&self.target, self.tls.clone()).await
    }

    /// A connection of one's own, on which notifications are heard.
    pub async fn hearing(&self, heard: UnboundedSender<String>) -> Result<Connection, DoorError> {
        Connection::hearing(&self.target, self.tls.clone(), Some(heard)).await
    }

    /// One connection has gone silent. Those that lie idle went the same way: to find out one after the
    /// other would take a bound for each.
    fn suspect_all(&self) {
        for share in [&self.work, &self.beats, &self.shows] {
            share.forget_idle();
        }
    }

    fn share(&self, purpose: Purpose) -> &Share {
        match purpose {
            Purpose::Work => &self.work,
            Purpose::Beat => &self.beats,
            Purpose::Show => &self.shows,
        }
    }
}

impl Share {
    fn of(connections: usize) -> Self {
        Self {
            permits: Semaphore::new(connections),
            idle: Mutex::default(),
        }
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|connection| !connection.is_closed());
        idle.pop()
    }

    fn give_back(&self, connection: Connection) {
        if !connection.is_closed() {
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(connection);
        }
    }

    fn forget_idle(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

async fn run(
    client: &Client,
    durability: Durability,
    sql: &str,
    parameters: &[Parameter<'_>],
) -> Result<Vec<Row>, tokio_postgres::Error> {
    if durability == Durability::Sure {
        return client.query_typed(sql, parameters).await;
    }
    // All three are sent at once and cost one round trip. If the middle one fails, the server
    // takes the commit as a rollback.
    let (begun, rows, committed) = tokio::join!(
        client.batch_execute("begin; set local synchronous_commit = off"),
        client.query_typed(sql, parameters),
        client.batch_execute("commit"),
    );
    begun?;
    let rows = rows?;
    committed?;
    Ok(rows)
}
