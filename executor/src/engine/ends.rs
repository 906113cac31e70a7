//! What follows from what has ended: a look, a beat, an item, the report of a job's end, a probe.

use std::time::Duration;

use tokio::task::{Id, JoinError};
use tokio::time::Instant;
use uuid::Uuid;

use super::attempt::{ItemEnd, TRIES};
use super::book::Close;
use super::calls::{End, LookError, Looked};
use super::queue::Room;
use super::{Engine, FALLBACK_GAP, Fatal};
use crate::door::{DoorError, Ended, Gone, Lease};
use crate::generator::{Host, Trouble};

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

    pub(super) fn item_ended(&mut self, end: Result<(Id, ItemEnd), JoinError>) {
        let (id, end) = match end {
            Ok((id, end)) => (id, end),
            Err(error) if error.is_panic() => {
                let reason = "internal error of the executor, please report it".to_owned();
                (
                    error.id(),
                    ItemEnd::Job {
                        reason,
                        permanent: false,
                    },
                )
            }
            // Aborted by us.
            Err(error) => (error.id(), ItemEnd::Nothing),
        };
        let Some((token, _)) = self.working.remove(&id) else {
            return;
        };
        if let ItemEnd::Stored { tokens, busy, .. } = end {
            // Where nobody counts tokens, an item is an item.
            let work = tokens.map_or(1.0, |tokens| tokens as f64);
            self.budget.wrote(Instant::now(), work, busy);
        }
        if let Some(held) = self.book.get_mut(token) {
            held.running -= 1;
            held.exhausted = false;
        }
        self.draw_conclusions(token, end);
    }

    fn draw_conclusions(&mut self, token: Uuid, end: ItemEnd) {
        match end {
            ItemEnd::Gone(why) => return self.lose(token, &why),
            ItemEnd::Host(trouble) => return self.host_failed(trouble),
            ItemEnd::Database(error) => {
                self.queue.suspect(Instant::now());
                return self.database_trouble(&error.to_string());
            }
            ItemEnd::Stored { .. } => self.breaker.wrote(),
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
        }
    }

    fn host_failed(&mut self, trouble: Trouble) {
        let now = Instant::now();
        let reason = trouble.reason.clone();
        if trouble.ask_for_text {
            self.budget.refused();
        }
        // What was under way when the host failed says nothing new, and must not disturb a probe.
        if self.breaker.is_closed()
            && let Some(pause) = self.breaker.trip(now, trouble)
        {
            tracing::warn!(
                seconds = pause.as_secs_f64(),
                "{reason}; no jobs are leased until it answers"
            );
            self.queue.hurry(now);
        }
        let pause = self
            .breaker
            .due()
            .map_or(1.0, |due| (due - now).as_secs_f64().ceil());
        self.book.doom(&Close::Release {
            reason,
            delay: pause as i32,
        });
    }

    pub(super) fn probed(&mut self, answer: Result<Host, Trouble>) {
        match answer {
            Ok(host) => {
                if self.tools.vitals.facts().model != host.model && self.tools.generator.name() != "builtin" {
                    tracing::info!(model = host.model, slots = host.slots, "the model host answers");
                } else if self.breaker.trouble().is_some() {
                    tracing::info!("the model host answers again");
                }
                if self.tools.generator.name() == "builtin" {
                    self.budget.free_of_charge();
                }
                self.budget.told(host.slots);
                self.tools.vitals.update(|facts| facts.model = host.model);
                self.breaker.close();
                self.queue.hurry(Instant::now());
            }
            Err(trouble) => {
                let known = self.breaker.trouble().map(|known| known.reason.clone());
                let now = Instant::now();
                if known.as_ref() != Some(&trouble.reason) {
                    tracing::warn!("{trouble}; no jobs are leased until it answers");
                    self.queue.hurry(now);
                }
                self.breaker.trip(now, trouble);
            }
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
