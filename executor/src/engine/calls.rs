//! What the engine asks of the database and of the model host, each in a task of its own, and what
//! comes back.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinError;
use tokio::time::Instant;
use uuid::Uuid;

use super::book::Close;
use super::models::Question;
use super::queue::Room;
use super::slots::Model;
use super::{Engine, Fatal, REPORT_GAP, Tools};
use crate::door::{About, CONTRACT_VERSION, DoorError, Ended, Gone, Lease};
use crate::generator::{Host, Trouble};

pub enum Event {
    Looked {
        room: Option<Room>,
        result: Result<Looked, LookError>,
    },
    /// Which leases, by their tokens, are gone, and why.
    Beaten(Result<Vec<(Uuid, Gone)>, DoorError>),
    Closed(Vec<End>),
    Probed(Model, Result<Host, Trouble>),
    Reported,
    FellBack(Result<Vec<Lease>, DoorError>),
}

/// What the database said of a job's end.
pub struct End {
    pub lease: Arc<Lease>,
    pub close: Close,
    pub result: Result<Ended, DoorError>,
}

/// One look at the queue.
pub struct Look {
    pub executor: Uuid,
    pub lease_seconds: i32,
    pub info: Value,
    /// Ask what is installed there, too.
    pub inspect: bool,
    pub tick: bool,
    pub lease: Option<Room>,
}

#[derive(Default)]
pub struct Looked {
    pub leases: Vec<Lease>,
    pub about: Option<About>,
    /// When the next tick is due; asked only by who ticks.
    pub next_due: Option<Duration>,
}

#[derive(Debug, thiserror::Error)]
pub enum LookError {
    #[error(transparent)]
    Door(#[from] DoorError),
    #[error("{0}")]
    NotReady(String),
    #[error("{0}")]
    Misfit(String),
}

impl Look {
    pub async fn take(self, tools: Arc<Tools>) -> Event {
        Event::Looked {
            room: self.lease,
            result: self.steps(&tools).await,
        }
    }

    async fn steps(&self, tools: &Tools) -> Result<Looked, LookError> {
        let door = &tools.door;
        let mut looked = Looked::default();
        if self.inspect {
            fits(door.contract_version().await?)?;
            let about = door.about().await?;
            if let Some(problem) = &about.ready_problem {
                return Err(LookError::NotReady(problem.clone()));
            }
            looked.about = Some(about);
        }
        if self.tick {
            door.tick().await?;
        }
        // Before leasing: what becomes due from here on is either leased or known to come.
        if self.tick {
            looked.next_due = door.next_due().await?;
        }
        if let Some((most, least)) = self.lease {
            let most = i32::try_from(most).unwrap_or(i32::MAX);
            looked.leases = door
                .lease_jobs(self.executor, most, self.lease_seconds, least)
                .await?;
        }
        // With jobs in hand there is more to tell, and nobody waits for it.
        if looked.leases.is_empty() {
            door.report_executor(self.executor, &self.info).await?;
        }
        Ok(looked)
    }
}

fn fits(contract: i32) -> Result<(), LookError> {
    if contract == CONTRACT_VERSION {
        return Ok(());
    }
    let advice = if contract > CONTRACT_VERSION {
        "update this executor"
    } else {
        "update the extension in the database"
    };
    Err(LookError::Misfit(format!(
        "the database speaks version {contract} of the executor's contract, this executor version {CONTRACT_VERSION}: {advice}"
    )))
}

async fn end(tools: &Tools, lease: Arc<Lease>, close: Close) -> End {
    let door = &tools.door;
    let result = tools.patiently(|| async {
        match &close {
            Close::Complete => door.complete_job(&lease).await,
            Close::Fail { reason, permanent } => door.fail_job(&lease, reason, *permanent).await,
            Close::Release { reason, delay } => door.release_job(&lease, *delay, reason).await,
        }
    });
    let result = result.await;
    End { lease, close, result }
}

async fn complete_together(tools: &Tools, leases: Vec<Arc<Lease>>) -> Vec<End> {
    let told = tools.patiently(|| tools.door.complete_jobs(&leases)).await;
    let mut ends = Vec::with_capacity(leases.len());
    for lease in leases {
        let result = match &told {
            Ok(told) => told.get(&lease.token).cloned().ok_or_else(|| {
                DoorError::Shape(format!(
                    "worker.complete_jobs() says nothing of job {}",
                    lease.job_id
                ))
            }),
            Err(error) if error.is_temporary() => Err(error.clone()),
            // One of them may be what is refused, or the database is of a version that ends jobs one by one.
            Err(_) => {
                ends.push(end(tools, lease, Close::Complete).await);
                continue;
            }
        };
        let close = Close::Complete;
        ends.push(End { lease, close, result });
    }
    ends
}

impl Engine {
    pub(super) fn beat(&mut self, now: Instant) {
        if self.beating || self.book.is_empty() || now < self.next_beat {
            return;
        }
        self.beating = true;
        self.next_beat = now + self.beat_gap();
        let (tools, jobs, seconds) = (
            Arc::clone(&self.tools),
            self.book.tokens(),
            self.plan.lease_seconds,
        );
        self.calls
            .spawn(async move { Event::Beaten(tools.door.heartbeat(&jobs, seconds).await) });
        self.report(now);
    }

    /// From one beat to the next.
    pub(super) fn beat_gap(&self) -> Duration {
        self.tools.patience / 3
    }

    /// Tells the database that there are jobs in hand. Only for people to see: it may fail.
    pub(super) fn report(&mut self, now: Instant) {
        if self.reporting || now < self.next_report {
            return;
        }
        self.reporting = true;
        self.next_report = now + REPORT_GAP;
        let (tools, executor, info) = (Arc::clone(&self.tools), self.id, self.info());
        self.calls.spawn(async move {
            let _ = tools.door.report_executor(executor, &info).await;
            Event::Reported
        });
    }

    pub(super) fn probe(&mut self, now: Instant) {
        if self.stopping.is_some() || !self.is_awake() {
            return;
        }
        for Question { model, text } in self.models.questions(now, &self.slots) {
            let tools = Arc::clone(&self.tools);
            self.calls.spawn(async move {
                let answer = tools.generator.probe(model.as_deref(), text).await;
                Event::Probed(model, answer)
            });
        }
    }

    /// While the model host is away: one job at a time, of a pool in which nothing is left.
    pub(super) fn fall_back(&mut self, now: Instant) {
        let away = self.models.usual().breaker.trouble().is_some() && self.tools.fallback.is_some();
        let due = self.next_fallback.is_some_and(|next| now >= next);
        if !(away && due && self.book.is_empty() && self.is_at_work()) {
            return;
        }
        self.next_fallback = None;
        let (tools, executor, seconds) = (Arc::clone(&self.tools), self.id, self.plan.lease_seconds);
        self.calls
            .spawn(async move { Event::FellBack(tools.door.lease_for_empty_pool(executor, seconds).await) });
    }

    /// Tells the database how jobs ended. Those that are complete are told in one call, with one commit.
    pub(super) fn report_ends(&mut self) {
        let ripe = self.book.ripe();
        let (complete, others): (Vec<_>, Vec<_>) =
            ripe.into_iter().partition(|(_, close)| *close == Close::Complete);
        let mut alone = others;
        if complete.len() > 1 {
            let leases = complete.into_iter().map(|(lease, _)| lease).collect();
            let tools = Arc::clone(&self.tools);
            self.calls
                .spawn(async move { Event::Closed(complete_together(&tools, leases).await) });
        } else {
            alone.extend(complete);
        }
        for (lease, close) in alone {
            let tools = Arc::clone(&self.tools);
            self.calls
                .spawn(async move { Event::Closed(vec![end(&tools, lease, close).await]) });
        }
    }

    pub(super) fn called_back(&mut self, event: Result<Event, JoinError>) -> Result<(), Fatal> {
        match event {
            Ok(Event::Looked { room, result }) => return self.looked(room, result),
            Ok(Event::Beaten(beat)) => self.beaten(beat),
            Ok(Event::Closed(ends)) => ends.into_iter().for_each(|end| self.closed(end)),
            Ok(Event::Probed(model, answer)) => self.probed(&model, answer),
            Ok(Event::FellBack(leases)) => self.fell_back(leases),
            Ok(Event::Reported) => self.reporting = false,
            // A bug of ours. Whatever was asked is unknown now, so everything begins anew.
            Err(error) => {
                return Err(Fatal::Stranded(format!(
                    "internal error, please report it: {error}"
                )));
            }
        }
        Ok(())
    }
}
