//! Hears the database's NOTIFY, on a connection of its own, and proves that it does.
//!
//! Through a transaction pooler LISTEN is answered well and nothing ever arrives. So after each
//! LISTEN a notification is sent from another connection; only when it arrives is the ear trusted.
//! Then that session is ours alone, and stands for this executor's life: the database sees it end.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client};
use uuid::Uuid;

use crate::door::{Door, DoorError, Parameter, advice};

/// What a payload begins with that tests the channel and calls nobody to work.
const ECHO: &str = "echo ";
const ECHO_BOUND: Duration = Duration::from_secs(5);
/// A deaf connection may have been made through a pooler that is gone by then.
const DEAF_PAUSE: Duration = Duration::from_secs(300);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

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
    pub fn start(door: Door, executor: Uuid) -> Self {
        let heard = Arc::new(Notify::new());
        let (tell, ear) = watch::channel(Ear::Connecting);
        let task = tokio::spawn(listen_for_ever(door, executor, Arc::clone(&heard), tell));
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

async fn listen_for_ever(door: Door, executor: Uuid, heard: Arc<Notify>, tell: watch::Sender<Ear>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let (ear, wait) = match listen(&door, executor, &heard, &tell).await {
            Ok(Ear::Deaf) => (Ear::Deaf, DEAF_PAUSE),
            Ok(_) => (Ear::Connecting, FIRST_PAUSE),
            Err(error) => {
                tracing::debug!(%error, "cannot listen");
                (Ear::Connecting, pause)
            }
        };
        tell.send_replace(ear);
        sleep(wait).await;
        pause = (wait * 2).min(LONGEST_PAUSE);
    }
}

/// Until the connection ends, or turns out to be deaf.
async fn listen(
    door: &Door,
    executor: Uuid,
    heard: &Notify,
    tell: &watch::Sender<Ear>,
) -> Result<Ear, DoorError> {
    let mut ears = Ears::open(door).await?;
    if ears.prove(door, heard).await?.is_none() {
        let remedy = advice::for_deafness(door.pool().target());
        tracing::warn!(
            remedy,
            "notifications do not arrive, as through a transaction pooler: the queue is polled more often instead"
        );
        return Ok(Ear::Deaf);
    }
    if let Err(error) = ears.show_presence(door, executor).await {
        // Then the end of a lease tells of our end, as ever.
        tracing::debug!(%error, "this executor's life is not watched");
    }
    tell.send_replace(Ear::Hears);
    heard.notify_one();
    while let Some(payload) = ears.next().await {
        if !payload.starts_with(ECHO) {
            heard.notify_one();
        }
    }
    Ok(Ear::Connecting)
}

/// How long a notification takes to arrive; None when it does not.
pub async fn echo(door: &Door) -> Result<Option<Duration>, DoorError> {
    Ears::open(door).await?.prove(door, &Notify::new()).await
}

struct Ears {
    /// Its connection lives as long as it does.
    client: Client,
    payloads: mpsc::UnboundedReceiver<String>,
}

impl Ears {
    async fn open(door: &Door) -> Result<Self, DoorError> {
        let pool = door.pool();
        let opened = timeout(pool.bound(), Self::connect(door)).await;
        opened.map_err(|_| {
            DoorError::Unreachable(format!("no connection within {} s", pool.bound().as_secs_f64()))
        })?
    }

    async fn connect(door: &Door) -> Result<Self, DoorError> {
        let pool = door.pool();
        let connected = pool.target().config.connect(pool.tls()).await;
        let (client, mut connection) =
            connected.map_err(|error| DoorError::from_connecting(&error, pool.target()))?;
        let (hand_on, payloads) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notification(notification) = message
                    && hand_on.send(notification.payload().to_owned()).is_err()
                {
                    return;
                }
            }
        });
        client
            .batch_execute("listen worker_jobs")
            .await
            .map_err(|error| DoorError::from_driver(&error))?;
        Ok(Self { client, payloads })
    }

    /// From now on the end of this session is the end of `executor`.
    async fn show_presence(&self, door: &Door, executor: Uuid) -> Result<(), DoorError> {
        let sql = "select worker.show_presence($1)";
        let parameters: [Parameter<'_>; 1] = [(&executor, Type::UUID)];
        let asked = self.client.query_typed(sql, &parameters);
        match timeout(door.pool().bound(), asked).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(DoorError::from_driver(&error)),
            Err(_) => Err(DoorError::Unreachable("no answer in time".into())),
        }
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
            Err(DoorError::Unreachable(
                "the connection ended before a notification arrived".into(),
            ))
        };
        timeout(ECHO_BOUND, arrival).await.unwrap_or(Ok(None))
    }
}
