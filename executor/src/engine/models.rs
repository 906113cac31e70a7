//! What is known of each model of the host: whether it writes, how many items at once, and when to ask it
//! for a sign of life. Pure bookkeeping; time is passed in.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::budget::Budget;
use super::slots::{Bounds, Model, Slots};
use crate::breaker::Breaker;
use crate::generator::{Cause, Host, Trouble};

/// A model of which nothing was heard for so long is asked whether it is there.
const SIGN_OF_LIFE: Duration = Duration::from_secs(60);
/// While a probe is under way: when a job that waits for it is worth another look.
const WHILE_PROBING: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Known {
    pub breaker: Breaker,
    pub budget: Budget,
    /// The context that the server told, where all that is in flight shares it.
    shared: Option<usize>,
    /// The context that one request has, where the server told it.
    context: Option<usize>,
    /// A job wanted it since the last probe.
    wanted: bool,
    /// A probe that only asks for a sign of life is under way.
    asking: bool,
    heard: Instant,
}

/// A question to be asked of the host.
#[derive(Debug, PartialEq, Eq)]
pub struct Question {
    pub model: Model,
    /// Let it write a word.
    pub text: bool,
}

#[derive(Debug)]
pub struct Models {
    usual: Known,
    others: HashMap<String, Known>,
    setting: Option<usize>,
    sign_of_life: Duration,
}

impl Known {
    fn new(breaker: Breaker, setting: Option<usize>, now: Instant) -> Self {
        Self {
            breaker,
            budget: Budget::new(setting),
            shared: None,
            context: None,
            wanted: true,
            asking: false,
            heard: now,
        }
    }

    /// So many together were more than the context holds: then they share one.
    pub fn overflowed(&mut self, together: usize) {
        self.shared = self.shared.or(self.context);
        self.budget.overflowed(together);
    }

    /// It wrote something.
    pub fn wrote(&mut self, now: Instant) {
        self.heard = now;
        self.breaker.wrote();
    }

    /// The answer of a probe.
    pub fn answered(&mut self, now: Instant, host: &Host) {
        self.heard = now;
        self.asking = false;
        self.budget.told(host.slots, host.most);
        self.context = host.context;
        self.shared = host.context.filter(|_| host.shared || self.shared.is_some());
        self.breaker.close();
    }

    /// A job wants it and cannot have it now: when it is worth another try.
    pub fn wait(&mut self, now: Instant) -> Duration {
        self.wanted = true;
        self.breaker
            .due()
            .map_or(WHILE_PROBING, |due| due.saturating_duration_since(now))
    }
}

impl Models {
    pub fn new(now: Instant, setting: Option<usize>, poll: Duration) -> Self {
        Self {
            usual: Known::new(Breaker::unproven(now), setting, now),
            others: HashMap::new(),
            setting,
            sign_of_life: SIGN_OF_LIFE.min(poll),
        }
    }

    pub fn usual(&self) -> &Known {
        &self.usual
    }

    pub fn get(&mut self, now: Instant, model: &Model) -> &mut Known {
        let Some(name) = model else {
            return &mut self.usual;
        };
        let setting = self.setting;
        let others = &mut self.others;
        others
            .entry(name.clone())
            .or_insert_with(|| Known::new(Breaker::trusted(), setting, now))
    }

    /// May an item be begun for it? One whose kind names a model that was never asked may.
    pub fn is_up(&self, model: &Model) -> bool {
        match model {
            None => self.usual.breaker.is_closed(),
            Some(name) => self
                .others
                .get(name)
                .is_none_or(|known| known.breaker.is_closed()),
        }
    }

    /// The usual model cannot write now, and another one can.
    pub fn only_others_are_up(&self) -> bool {
        !self.usual.breaker.is_closed() && self.others.values().any(|known| known.breaker.is_closed())
    }

    /// `trouble` with one model. True where it is news; what was under way when it failed says nothing new, and
    /// must not disturb a probe.
    pub fn failed(&mut self, now: Instant, model: &Model, trouble: &Trouble) -> Option<Duration> {
        // Where nobody listens no model is.
        if trouble.cause == Cause::Unreachable {
            for known in self.others.values_mut().filter(|known| known.breaker.is_closed()) {
                known.breaker.trip(now, trouble.clone());
            }
            if model.is_some() && self.usual.breaker.is_closed() {
                self.usual.breaker.trip(now, trouble.clone());
            }
        }
        let known = self.get(now, model);
        known.wanted = true;
        if !known.breaker.is_closed() {
            return None;
        }
        known.budget.failed(trouble.cause);
        known.breaker.trip(now, trouble.clone())
    }

    /// What is to be asked now, and is noted as being asked.
    pub fn questions(&mut self, now: Instant, slots: &Slots) -> Vec<Question> {
        let mut questions = Vec::new();
        let others = self
            .others
            .iter_mut()
            .map(|(name, known)| (Some(name.clone()), known));
        for (model, known) in std::iter::once((None, &mut self.usual)).chain(others) {
            // A model that no job wants is left alone: asking for text might load it.
            let due = known.breaker.due().is_some_and(|due| now >= due);
            if due && (model.is_none() || std::mem::take(&mut known.wanted)) {
                let text = known.breaker.probe();
                questions.push(Question { model, text });
            } else if model.is_none()
                && known.breaker.is_closed()
                && !known.asking
                && slots.held_of(&model) == 0
                && now >= known.heard + self.sign_of_life
            {
                known.asking = true;
                questions.push(Question { model, text: false });
            }
        }
        questions
    }

    /// A probe found the host, or the model, in trouble. Answers whether that is news.
    pub fn probe_failed(&mut self, now: Instant, model: &Model, trouble: &Trouble) -> bool {
        let known = self.get(now, model);
        (known.asking, known.heard) = (false, now);
        let news = known
            .breaker
            .trouble()
            .is_none_or(|before| before.reason != trouble.reason);
        known.breaker.trip(now, trouble.clone());
        news
    }

    /// Tells the slots what may be asked of each model.
    pub fn set(&mut self, now: Instant, slots: &std::sync::Arc<Slots>) {
        for model in slots.models().iter().chain([&None]) {
            let known = self.get(now, model);
            let bounds = Bounds {
                open: known.budget.now(),
                tokens: known.shared,
                paused: !known.breaker.is_closed(),
            };
            slots.set(model, bounds);
        }
    }

    /// When the next probe is due, as far as one is wanted.
    pub fn due(&self) -> Option<Instant> {
        let others = self.others.values().filter(|known| known.wanted);
        let due = others.filter_map(|known| known.breaker.due());
        due.chain(self.usual.breaker.due()).min()
    }
}

#[cfg(test)]
#[path = "models_tests.rs"]
mod tests;
