//! What follows from what has ended: a look, a beat, an item, the report of a job's end, a probe.

use std::time::Duration;

use tokio::task::{Id, JoinError};
use tokio::time::Instant;
use uuid::Uuid;

use super::attempt::{ItemEnd, TRIES};
use super::book::Close;
use super::calls::{End, LookError, Looked};
use super::queue::Room;
use super::slots::Model;
use super::{Engine, FALLBACK_GAP, Fatal};
use crate::door::{DoorError, Ended, Gone, Lease};

/// Rejected answers in a row, over all items of a job, after which the attempt has failed.
const REJECTED_AT_MOST: i32 = 3 * TRIES;
/// Failed looks in a row after which `once` gives up.
const DRAIN_FAILURES: u32 = 4;
/// Where we tick ourselves: however much is due, not more often than this.
const MIN_TICK: Duration = Duration::from_millis(200);

impl Engine {
    pub(super) fn looked(
        &mut self,
        room: Option<Room>,
        result: Result<Looked, LookError>,
    ) -> Result<(), Fatal> {
        let now = Instant::now();
        let looked = match result {
            Ok(looked) => looked,
            Err(LookError::Misfit(reason)) => return Err(Fatal::Misfit(reason)),
            Err(error) => return self.look_failed(now, &error),
        };
        if let Some(about) = looked.about {
            self.queue.ticking = !about.background_worker;
        }
        self.tools.vitals.looked(None);
        let poll = looked
            .next_due
            .map_or(self.poll(), |due| due.clamp(MIN_TICK, self.poll()));
        let missing: Vec<i32> = looked
            .leases
            .iter()
            .map(|lease| lease.asked - lease.stored)
            .collect();
        self.queue.looked(now, poll, room, &missing);
        let leased = !looked.leases.is_empty();
        self.hold(now, looked.leases, false);
        if leased {
            self.report(now);
        }
        Ok(())
    }

    pub(super) fn fell_back(&mut self, leases: Result<Vec<Lease>, DoorError>) {
        let now = Instant::now();
        self.next_fallback = Some(now + FALLBACK_GAP);
        match leases {
            Ok(leases) => {
                if !leases.is_empty() {
                    self.next_fallback = Some(now);
                    tracing::warn!("a pool is empty and the model host is away: word lists write for it");
                }
                self.hold(now, leases, true);
            }
            Err(error) => {
                self.queue.suspect(now);
                self.database_trouble(&error.to_string());
            }
        }
    }

    fn look_failed(&mut self, now: Instant, error: &LookError) -> Result<(), Fatal> {
        self.queue.look_failed(now);
        self.database_trouble(&error.to_string());
        let hopeless = match error {
            LookError::Door(error) => !error.is_temporary(),
            LookError::NotReady(_) | LookError::Misfit(_) => true,
        };
        if self.plan.drain && (hopeless || self.queue.failures() >= DRAIN_FAILURES) {
            return Err(Fatal::Stranded(error.to_string()));
        }
        Ok(())
    }

    /// The same trouble is told once, not at every try.
    fn database_trouble(&self, error: &str) {
        let known = self.tools.vitals.facts().last_error;
        if known.as_deref() != Some(error) {
            tracing::error!("{error}");
        }
        self.tools.vitals.looked(Some(error.to_owned()));
    }

    pub(super) fn beaten(&mut self, beat: Result<Vec<(Uuid, Gone)>, DoorError>) {
        self.beating = false;
        match beat {
            Ok(gone) => {
                self.tools.vitals.contact();
                self.beat_failures.reset();
                for (token, why) in gone {
                    // The report of its end is under way and knows better.
                    if self.book.get_mut(token).is_some_and(|held| !held.is_closing()) {
                        self.lose(token, &why);
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a heartbeat failed");
                let now = Instant::now();
                // The lease runs on: the next one does not wait for its turn.
                self.next_beat = now + self.beat_failures.pause().min(self.beat_gap() / 4);
                self.queue.suspect(now);
            }
        }
    }

    pub(super) fn item_ended(&mut self, end: Result<(Id, (Option<Model>, ItemEnd)), JoinError>) {
        let (id, model, end) = match end {
            Ok((id, (model, end))) => (id, model, end),
            Err(error) if error.is_panic() => {
                let reason = "internal error of the executor, please report it".to_owned();
                let permanent = false;
                (error.id(), None, ItemEnd::Job { reason, permanent })
            }
            // Aborted by us.
            Err(error) => (error.id(), None, ItemEnd::Nothing),
        };
        let Some((token, _)) = self.working.remove(&id) else {
            return;
        };
        if let ItemEnd::Stored { tokens, busy, .. } = end {
            // Where nobody counts tokens, an item is an item.
            let work = tokens.map_or(1.0, |tokens| tokens as f64);
            let now = Instant::now();
            let known = self.models.get(now, &model.clone().unwrap_or_default());
            known.budget.wrote(now, work, busy);
        }
        if let Some(held) = self.book.get_mut(token) {
            held.running -= 1;
            held.exhausted = false;
            held.model = model.clone().or(held.model.take());
        }
        self.draw_conclusions(token, &model.unwrap_or_default(), end);
    }

    fn draw_conclusions(&mut self, token: Uuid, model: &Model, end: ItemEnd) {
        match end {
            ItemEnd::Gone(why) => return self.lose(token, &why),
            ItemEnd::Host(trouble) => return self.host_failed(model, trouble),
            ItemEnd::Paused => return self.model_is_away(token, model),
            ItemEnd::Crowded { reason, together } => return self.overflowed(model, &reason, together),
            // The job is given back at once: these are not the hours.
            ItemEnd::Resting => return,
            ItemEnd::Database(error) => {
                self.queue.suspect(Instant::now());
                return self.database_trouble(&error.to_string());
            }
            ItemEnd::Stored { .. } => {
                self.leased_in_vain = 0;
                self.models.get(Instant::now(), model).wrote(Instant::now());
            }
            ItemEnd::Nothing | ItemEnd::GaveUp { .. } | ItemEnd::Job { .. } => {}
        }
        let Some(held) = self.book.get_mut(token) else {
            return;
        };
        match end {
            ItemEnd::Stored { stored, .. } => (held.stored, held.rejected) = (held.stored.max(stored), 0),
            ItemEnd::Nothing => held.exhausted = true,
            ItemEnd::GaveUp { reason } => {
                held.rejected += TRIES;
                if held.rejected >= REJECTED_AT_MOST {
                    let reason = format!(
                        "{} answers in a row were rejected, the last one because: {reason}",
                        held.rejected
                    );
                    held.fate.get_or_insert(Close::Fail {
                        reason,
                        permanent: false,
                    });
                }
            }
            ItemEnd::Job { reason, permanent } => {
                held.fate.get_or_insert(Close::Fail { reason, permanent });
            }
            ItemEnd::Gone(_) | ItemEnd::Host(_) | ItemEnd::Database(_) => {}
            ItemEnd::Paused | ItemEnd::Crowded { .. } | ItemEnd::Resting => {}
        }
    }

    pub(super) fn closed(&mut self, End { lease, close, result }: End) {
        let (job, token) = (lease.job_id, lease.token);
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(error) => {
                // Its lease runs out, and whoever takes it goes on from what is stored.
                tracing::error!(%job, %error, "the job's end could not be reported");
                self.queue.suspect(Instant::now());
                return drop(self.book.remove(token));
            }
        };
        match outcome {
            Ended::Incomplete(reason) => {
                if let Some(held) = self.book.get_mut(token) {
                    held.reopen(reason);
                }
                return;
            }
            Ended::Gone(Gone::Failed(_)) | Ended::Done | Ended::RetryLater(_) => self.count_end(job, &close),
            Ended::Gone(why) => return self.lose(token, &why),
        }
        self.book.remove(token);
    }

    fn count_end(&self, job: Uuid, close: &Close) {
        self.tools.vitals.count(|counters| match close {
            Close::Complete => counters.jobs_completed += 1,
            Close::Fail { .. } => counters.jobs_failed += 1,
            Close::Release { .. } => counters.jobs_released += 1,
        });
        match close {
            Close::Complete => tracing::info!(%job, "completed"),
            Close::Fail { reason, .. } => tracing::warn!(%job, reason, "this attempt failed"),
            Close::Release { reason, .. } => tracing::info!(%job, reason, "given back"),
        }
    }
}
