//! How pools and queue stand in the database. Whoever asks for `/metrics`, and however often, is told what is
//! known; one task asks the database, when what is known has become old and somebody wants it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::door::{Away, Door, DoorError, KindLevel, QueueLevel};

/// What is known is good for so long.
const FRESH: Duration = Duration::from_secs(10);
/// After the database could not say.
const PAUSE: Duration = Duration::from_secs(30);
/// The longest that the database is asked, and that anybody waits for it.
const BOUND: Duration = Duration::from_secs(3);

/// How pools and queue stand.
#[derive(Clone, Debug, Default)]
pub struct Levels {
    pub pools: Vec<KindLevel>,
    pub queue: Vec<QueueLevel>,
}

/// What the database said last.
#[derive(Clone, Debug)]
pub enum Stock {
    Unknown,
    Told(Arc<Levels>),
    /// It is there and takes too long to count.
    Slow,
    Away,
}

/// Asks in the background until it is dropped.
pub struct StockTaker {
    wanted: Arc<Notify>,
    known: watch::Receiver<(Stock, Option<Instant>)>,
    task: JoinHandle<()>,
}

impl StockTaker {
    pub fn start(door: Door) -> Self {
        let wanted = Arc::new(Notify::new());
        let (tell, known) = watch::channel((Stock::Unknown, None));
        let task = tokio::spawn(take_for_ever(door, Arc::clone(&wanted), tell));
        Self { wanted, known, task }
    }

    pub async fn stock(&self) -> Stock {
        let mut known = self.known.clone();
        let (_, due) = *known.borrow_and_update();
        if due.is_none_or(|due| Instant::now() >= due) {
            self.wanted.notify_one();
            let _ = timeout(BOUND, known.changed()).await;
        }
        known.borrow().0.clone()
    }
}

impl Drop for StockTaker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take_for_ever(door: Door, wanted: Arc<Notify>, tell: watch::Sender<(Stock, Option<Instant>)>) {
    loop {
        wanted.notified().await;
        let stock = take(&door).await;
        let good_for = if let Stock::Told(_) = stock { FRESH } else { PAUSE };
        tell.send_replace((stock, Some(Instant::now() + good_for)));
        sleep(good_for).await;
    }
}

async fn take(door: &Door) -> Stock {
    let asked = async { tokio::try_join!(door.kind_levels(), door.queue_status()) };
    match timeout(BOUND, asked).await {
        Ok(Ok((pools, queue))) => Stock::Told(Arc::new(Levels { pools, queue })),
        Err(_) | Ok(Err(DoorError::Unreachable(Away::Late, _))) => Stock::Slow,
        Ok(Err(error)) => {
            tracing::debug!(%error, "pools and queue could not be counted");
            Stock::Away
        }
    }
}
