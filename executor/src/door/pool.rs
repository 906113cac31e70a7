//! A few connections to the database, made when needed.
//!
//! Made for poolers: no statement is ever prepared by name, and nothing is set on a session. Every
//! wait has a bound; a connection that missed it, or whose caller went away in the middle, is
//! closed and not used again, so that no answer can meet the wrong question.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::DoorError;
use crate::settings::Target;
use crate::tls;

const CONNECTIONS: usize = 4;

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

pub struct Pool {
    target: Target,
    tls: MakeRustlsConnect,
    bound: Duration,
    permits: Semaphore,
    idle: Mutex<Vec<Client>>,
}

impl Pool {
    pub fn new(target: Target, bound: Duration) -> Result<Self, DoorError> {
        let tls = MakeRustlsConnect::new(tls::for_database(&target.tls)?);
        Ok(Self {
            target,
            tls,
            bound,
            permits: Semaphore::new(CONNECTIONS),
            idle: Mutex::default(),
        })
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    pub fn bound(&self) -> Duration {
        self.bound
    }

    pub fn tls(&self) -> MakeRustlsConnect {
        self.tls.clone()
    }

    /// Runs one statement on a free connection.
    pub async fn rows(
        &self,
        durability: Durability,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, DoorError> {
        let late = || DoorError::Unreachable(format!("no answer within {} s", self.bound.as_secs_f64()));
        let _permit = self
            .permits
            .acquire()
            .await
            .map_err(|_| DoorError::Unreachable("shutting down".into()))?;
        // Until the answer is complete the client is ours alone: dropping this future closes it.
        let client = match self.take_idle() {
            Some(client) => client,
            None => tokio::time::timeout(self.bound, self.connect())
                .await
                .map_err(|_| late())??,
        };
        let answer = tokio::time::timeout(self.bound, run(&client, durability, sql, parameters));
        let answer = answer.await.map_err(|_| late())?;
        let unbroken = answer
            .as_ref()
            .err()
            .is_none_or(|error| error.as_db_error().is_some());
        if unbroken && !client.is_closed() {
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(client);
        }
        answer.map_err(|error| DoorError::from_driver(&error))
    }

    fn take_idle(&self) -> Option<Client> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|client| !client.is_closed());
        idle.pop()
    }

    async fn connect(&self) -> Result<Client, DoorError> {
        let connected = self.target.config.connect(self.tls.clone()).await;
        let (client, connection) =
            connected.map_err(|error| DoorError::from_connecting(&error, &self.target))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %DoorError::from_driver(&error), "a database connection ended");
            }
        });
        Ok(client)
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
