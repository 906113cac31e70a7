//! Hears the database's NOTIFY, on a connection of its own, and proves that it does.
//!
//! Through a transaction pooler LISTEN is answered well and nothing ever arrives. So after each
//! LISTEN a notification is sent from another connection; only when it arrives is the ear trusted, and
//! after a while of silence it has to prove itself again: a socket may be half open by then.
//! Then that session is ours alone, and stands for this executor's life: the database sees it end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::door::{Away, Connection, Door, DoorError, Parameter, advice};
use crate::retry::{self, Backoff};

/// What a payload begins with that tests the channel and calls nobody to work.
const ECHO: &str = "echo ";
const ECHO_BOUND: Duration = Duration::from_secs(5);
/// A deaf connection may have been made through a pooler that is gone by then.
const DEAF_PAUSE: Duration = Duration::from_secs(300);

/// How the ear is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ear {
    Connecting,
    Hears,
    /// LISTEN was accepted and the proof did not arrive.
    Deaf,
}

/// Listens in the background until it is dropped.
pub struct Listener {
    heard: Arc<Notify>,
    ear: watch::Receiver<Ear>,
    task: JoinHandle<()>,
}

impl Listener {
    /// `silence`: after so long without a word the ear has to prove itself again.
    pub fn start(door: Door, executor: Uuid, silence: Duration) -> Self {
        let heard = Arc::new(Notify::new());
        let (tell, ear) = watch::channel(Ear::Connecting);
        let task = Task {
            door,
            executor,
            silence,
            heard: Arc::clone(&heard),
            tell,
        };
        let task = tokio::spawn(task.listen_for_ever());
        Self { heard, ear, task }
    }

    /// Something arrived since the last call, or the connection was made anew and something may
    /// have been missed.
    pub async fn heard(&self) {
        self.heard.notified().await;
    }

    pub fn ear(&self) -> Ear {
        self.ear.borrow().clone()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Task {
    door: Door,
    executor: Uuid,
    silence: Duration,
    heard: Arc<Notify>,
    tell: watch::Sender<Ear>,
}

impl Task {
    async fn listen_for_ever(self) {
        let mut backoff = Backoff::new(retry::LISTEN);
        let mut silent = None;
        loop {
            let (ear, wait) = match self.listen(&mut backoff, &mut silent).await {
                Ok(()) => (Ear::Deaf, DEAF_PAUSE),
                Err(error) => {
                    tracing::debug!(%error, "cannot listen");
                    (Ear::Connecting, backoff.pause())
                }
            };
            self.tell.send_replace(ear);
            sleep(wait).await;
        }
    }

    /// Until the connection ends; Ok when it turns out to be deaf. One that has gone silent may only be slow,
    /// and its end would be taken for ours: it is kept until another one stands for us.
    async fn listen(&self, backoff: &mut Backoff, silent: &mut Option<Ears>) -> Result<(), DoorError> {
        let mut ears = Ears::open(&self.door).await?;
        if ears.prove(&self.door, &self.heard).await?.is_none() {
            let remedy = advice::for_deafness(self.door.pool().target());
            tracing::warn!(
                remedy,
                "notifications do not arrive, as through a transaction pooler: the queue is polled more often instead"
            );
            *silent = None;
            return Ok(());
        }
        if let Err(error) = ears.show_presence(&self.door, self.executor).await {
            // Then the end of a lease tells of our end, as ever.
            tracing::debug!(%error, "this executor's life is not watched");
        }
        self.tell.send_replace(Ear::Hears);
        backoff.reset();
        self.heard.notify_one();
        *silent = None;
        let ended = self.hear(&mut ears).await;
        *silent = Some(ears);
        Err(ended)
    }

    /// For as long as something is heard, be it an echo.
    async fn hear(&self, ears: &mut Ears) -> DoorError {
        loop {
            match timeout(self.silence, ears.next()).await {
                Ok(Some(payload)) if payload.starts_with(ECHO) => {}
                Ok(Some(_)) => self.heard.notify_one(),
                Ok(None) => return cut(),
                Err(_) => match ears.prove(&self.door, &self.heard).await {
                    Ok(Some(_)) => {}
                    // Not deaf yet: that is for a new connection to say.
                    Ok(None) => return cut(),
                    Err(error) => return error,
                },
            }
        }
    }
}

fn cut() -> DoorError {
    DoorError::Unreachable(Away::Cut, "the connection ended, or has gone silent".into())
}

/// How long a notification takes to arrive; None when it does not.
pub async fn echo(door: &Door) -> Result<Option<Duration>, DoorError> {
    Ears::open(door).await?.prove(door, &Notify::new()).await
}

struct Ears {
    connection: Connection,
    payloads: mpsc::UnboundedReceiver<String>,
}

impl Ears {
    async fn open(door: &Door) -> Result<Self, DoorError> {
        let bound = door.pool().bound();
        let opened = timeout(bound, Self::connect(door)).await;
        opened.map_err(|_| DoorError::late(bound))?
    }

    async fn connect(door: &Door) -> Result<Self, DoorError> {
        let (hand_on, payloads) = mpsc::unbounded_channel();
        let mut connection = door.pool().hearing(hand_on).await?;
        let listening = connection.client().batch_execute("listen worker_jobs").await;
        listening.map_err(|error| DoorError::from_driver(&error))?;
        connection.at_rest();
        Ok(Self { connection, payloads })
    }

    /// From now on the end of this session is the end of `executor`.
    async fn show_presence(&mut self, door: &Door, executor: Uuid) -> Result<(), DoorError> {
        let sql = "select worker.show_presence($1)";
        let parameters: [Parameter<'_>; 1] = [(&executor, Type::UUID)];
        let asked = self.connection.client().query_typed(sql, &parameters);
        let bound = door.pool().bound();
        let answer = timeout(bound, asked).await.map_err(|_| DoorError::late(bound))?;
        self.connection.at_rest();
        answer.map(drop).map_err(|error| DoorError::from_driver(&error))
    }

    /// None when the connection has ended.
    async fn next(&mut self) -> Option<String> {
        self.payloads.recv().await
    }

    async fn prove(&mut self, door: &Door, heard: &Notify) -> Result<Option<Duration>, DoorError> {
        let wanted = format!("{ECHO}{}", Uuid::new_v4());
        let sent = Instant::now();
        door.notify_echo(&wanted).await?;
        let arrival = async {
            while let Some(payload) = self.next().await {
                if payload == wanted {
                    return Ok(Some(sent.elapsed()));
                }
                heard.notify_one();
            }
            // Not deaf: the next connection may hear.
            Err(cut())
        };
        timeout(ECHO_BOUND, arrival).await.unwrap_or(Ok(None))
    }
}
