//! What follows from what is heard of the model host: trouble, a full context, the answer of a probe.

use tokio::time::Instant;
use uuid::Uuid;

use super::Engine;
use super::book::Close;
use super::slots::Model;
use crate::generator::{Cause, Host, Trouble};

impl Engine {
    pub(super) fn host_failed(&mut self, model: &Model, trouble: Trouble) {
        let now = Instant::now();
        if let Some(pause) = self.models.failed(now, model, &trouble) {
            let seconds = pause.as_secs_f64();
            match model {
                None => tracing::warn!(seconds, "{trouble}; no jobs are leased until it answers"),
                Some(model) => {
                    tracing::warn!(
                        seconds,
                        model,
                        "{trouble}; the jobs of this model wait until it answers"
                    );
                }
            }
            self.queue.hurry(now);
        }
        let close = self.until_it_answers(now, model, trouble.reason);
        let everybody = trouble.cause == Cause::Unreachable;
        self.book
            .doom_those(&close, |held| everybody || held.is_of(model));
    }

    /// A job that was leased before anybody knew that its model is one that is away.
    pub(super) fn model_is_away(&mut self, token: Uuid, model: &Model) {
        let now = Instant::now();
        self.leased_in_vain += 1;
        let trouble = self.models.get(now, model).breaker.trouble();
        let reason = trouble.map_or_else(|| "its model was not reached yet".into(), ToString::to_string);
        let close = self.until_it_answers(now, model, reason);
        self.book.doom_those(&close, |held| held.lease.token == token);
    }

    fn until_it_answers(&mut self, now: Instant, model: &Model, reason: String) -> Close {
        let pause = self.models.get(now, model).wait(now);
        Close::Release {
            reason,
            delay: pause.as_secs_f64().ceil() as i32,
        }
    }

    /// Nobody is charged: with fewer in flight the item is begun anew.
    pub(super) fn overflowed(&mut self, model: &Model, reason: &str, together: usize) {
        let known = self.models.get(Instant::now(), model);
        let before = known.budget.now();
        known.overflowed(together);
        let limit = known.budget.now();
        if limit < before {
            tracing::warn!(model, together, "{reason}; from now on at most {limit} at once");
        }
    }

    pub(super) fn probed(&mut self, model: &Model, answer: Result<Host, Trouble>) {
        let now = Instant::now();
        match answer {
            Ok(host) if model.is_some() => {
                tracing::info!(model, "the model answers again");
                // What the host told of itself is about the usual one.
                let (context, shared) = (None, false);
                let host = Host {
                    context,
                    shared,
                    ..host
                };
                self.models.get(now, model).answered(now, &host);
            }
            Ok(host) => self.usual_model_answers(now, host),
            Err(trouble) => {
                if self.models.probe_failed(now, model, &trouble) {
                    match model {
                        None => tracing::warn!("{trouble}; no jobs are leased until it answers"),
                        Some(model) => tracing::warn!(model, "{trouble}; its jobs wait until it answers"),
                    }
                    self.queue.hurry(now);
                }
            }
        }
        self.leased_in_vain = 0;
    }

    fn usual_model_answers(&mut self, now: Instant, host: Host) {
        let builtin = self.tools.generator.name() == "builtin";
        let was_up = self.models.is_up(&None);
        if self.tools.vitals.facts().model != host.model && !builtin {
            tracing::info!(model = host.model, slots = host.slots, "the model host answers");
        } else if self.models.usual().breaker.trouble().is_some() {
            tracing::info!("the model host answers again");
        }
        let known = self.models.get(now, &None);
        if builtin {
            known.budget.free_of_charge();
        }
        known.answered(now, &host);
        self.slots.name_usual(host.model.clone());
        self.tools.vitals.update(|facts| facts.model = host.model);
        if !was_up {
            self.queue.hurry(now);
        }
    }
}
