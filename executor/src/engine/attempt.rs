//! One item, from its number to its row: ask the database what to write, have it written, check it,
//! store it; and again with the reason, a bounded number of times, when it is rejected.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Tools;
use super::numbers::{Number, Numbers};
use super::slots::{Slots, Wish};
use crate::door::{DoorError, Gone, ItemId, Lease, Next, Order, Rejection, Stored};
use crate::extract;
use crate::generator::{Ask, Draft, Generator, Miss, Trouble};
use crate::redact::clean;

/// Tries at one item before its number is given back.
pub const TRIES: i32 = 3;

/// How the work on one item ended.
#[derive(Debug)]
pub enum ItemEnd {
    Stored {
        stored: i32,
        /// That the model wrote for it, where they are counted.
        tokens: Option<i64>,
        /// Slots in use until then, its own included.
        busy: usize,
    },
    /// There was nothing to begin.
    Nothing,
    GaveUp {
        reason: String,
    },
    Gone(Gone),
    Host(Trouble),
    Job {
        reason: String,
        permanent: bool,
    },
    Database(DoorError),
}

pub struct Attempt {
    pub tools: Arc<Tools>,
    pub generator: Arc<dyn Generator>,
    pub lease: Arc<Lease>,
    pub numbers: Arc<Numbers>,
    pub slots: Arc<Slots>,
    /// Rejections before this one: another number draws other facets and another seed.
    pub first_try: i32,
}

/// What a rejected answer means for the next try.
struct Lesson {
    reason: String,
    /// What to show the model of it; None where a fresh start is better.
    answer: Option<String>,
    cut_off: bool,
}

/// What became of an answer: the job's count after it was stored, or what is to be learnt from it.
type Verdict = Result<i32, Lesson>;

/// Early ends travel as errors, so that `?` carries them out.
type Step<T> = Result<T, ItemEnd>;

impl Attempt {
    pub async fn run(self, wish: Wish) -> ItemEnd {
        self.item(wish).await.unwrap_or_else(|end| end)
    }

    async fn item(&self, mut wish: Wish) -> Step<ItemEnd> {
        let (mut order, number) = self.first_order().await?;
        let mut ask = Ask::from_order(&order);
        let mut try_no = 0;
        loop {
            let turn = wish.turn();
            let slot = wish.slot().await;
            let answer = self.generator.write(&ask).await;
            let busy = slot.give_back();
            let tokens = answer.as_ref().ok().and_then(|draft| draft.completion_tokens);
            let lesson = match self.judge(&order, answer).await? {
                Ok(stored) => return Ok(ItemEnd::Stored { stored, tokens, busy }),
                Err(lesson) => lesson,
            };
            try_no += 1;
            tracing::debug!(job = %self.lease.job_id, item = number.item_no, try_no, reason = lesson.reason, "rejected");
            if try_no >= TRIES {
                return Ok(ItemEnd::GaveUp {
                    reason: lesson.reason,
                });
            }
            order = self.order(self.first_try + try_no, Some(number.item_no)).await?;
            let room = if lesson.cut_off { ask.room * 2 } else { ask.room };
            ask = Ask {
                room,
                ..Ask::from_order(&order)
            };
            if let Some(answer) = &lesson.answer {
                ask.tell(answer, &lesson.reason);
            }
            wish = Wish::again(&self.slots, turn);
        }
    }

    async fn first_order(&self) -> Step<(Order, Number)> {
        let _one_at_a_time = self.numbers.gate.lock().await;
        let order = self.order(self.first_try, None).await?;
        let number = self.numbers.take(order.item_no);
        Ok((order, number))
    }

    async fn order(&self, try_no: i32, item_no: Option<i32>) -> Step<Order> {
        let taken = self.numbers.taken();
        let door = &self.tools.door;
        let next = || door.next_item(&self.lease, &taken, try_no, item_no);
        match self.tools.patiently(next).await {
            Ok(Next::Item(order)) => Ok(*order),
            Ok(Next::Nothing) => Err(ItemEnd::Nothing),
            Ok(Next::Gone(gone)) => Err(ItemEnd::Gone(gone)),
            Err(error) => Err(blame(error)),
        }
    }

    /// Checks and stores an answer.
    async fn judge(&self, order: &Order, answer: Result<Draft, Miss>) -> Step<Verdict> {
        let draft = match answer {
            Ok(draft) => draft,
            Err(Miss::Host(trouble)) => return Err(ItemEnd::Host(trouble)),
            Err(Miss::Job { reason, permanent }) => return Err(ItemEnd::Job { reason, permanent }),
            Err(Miss::Answer(rejection)) => {
                return self.reject(order, &Draft::default(), rejection).await.map(Err);
            }
        };
        self.tools.vitals.llm_seconds.observe(draft.seconds);
        let check = self.tools.schemas.check_for(&order.schema);
        let check = check.map_err(|error| ItemEnd::Job {
            reason: error.to_string(),
            permanent: true,
        })?;
        match extract::item(&draft.answer, &check) {
            Ok(item) => self.store(order, &draft, &item).await,
            Err(rejection) => self.reject(order, &draft, rejection).await.map(Err),
        }
    }

    async fn store(&self, order: &Order, draft: &Draft, item: &Value) -> Step<Verdict> {
        let (id, provenance) = (self.id(order), self.provenance(order, draft));
        let door = &self.tools.door;
        // An item costs seconds of a GPU: a database that is away for a moment must not cost it.
        let stored = self
            .tools
            .patiently(|| door.store_item(id, item, &provenance))
            .await;
        let lesson = |reason, answer| Lesson {
            reason,
            answer,
            cut_off: false,
        };
        self.tools.vitals.count(|counters| match &stored {
            Ok(Stored::Yes { .. }) => counters.items_stored += 1,
            Ok(Stored::Duplicate(_)) => counters.duplicates += 1,
            Ok(Stored::Rejected(_)) => counters.reject("rules"),
            _ => {}
        });
        match stored {
            Ok(Stored::Yes { stored, .. }) => Ok(Ok(stored)),
            Ok(Stored::Duplicate(reason)) => Ok(Err(lesson(reason, None))),
            Ok(Stored::Rejected(reason)) => Ok(Err(lesson(reason, Some(item.to_string())))),
            Ok(Stored::Gone(gone)) => Err(ItemEnd::Gone(gone)),
            Err(DoorError::Refused { sqlstate, message })
                if sqlstate.starts_with("22") && sqlstate != "22023" =>
            {
                let rejection = Rejection {
                    class: "schema",
                    reason: message,
                };
                self.reject(order, draft, rejection).await.map(Err)
            }
            Err(error) => Err(blame(error)),
        }
    }

    async fn reject(&self, order: &Order, draft: &Draft, rejection: Rejection) -> Step<Lesson> {
        self.tools
            .vitals
            .count(|counters| counters.reject(rejection.class));
        let rejection = Rejection {
            // It may quote the answer, and PostgreSQL's texts cannot hold this character.
            reason: clean(&rejection.reason).replace('\0', "\u{fffd}"),
            ..rejection
        };
        let provenance = self.provenance(order, draft);
        let (door, id) = (&self.tools.door, self.id(order));
        let counted = || door.reject_item(id, &rejection, &provenance);
        match self.tools.patiently(counted).await {
            Ok(None) => {}
            Ok(Some(gone)) => return Err(ItemEnd::Gone(gone)),
            Err(error) => return Err(blame(error)),
        }
        // Showing a model its own broken text makes it continue that; only a wrong object is shown.
        let answer = (rejection.class == "schema").then(|| draft.answer.content.clone());
        Ok(Lesson {
            cut_off: rejection.class == "truncated",
            reason: rejection.reason,
            answer,
        })
    }

    fn id(&self, order: &Order) -> ItemId {
        ItemId {
            job_id: self.lease.job_id,
            token: self.lease.token,
            item_no: order.item_no,
        }
    }

    fn provenance(&self, order: &Order, draft: &Draft) -> Value {
        self.tools.vitals.count(|counters| {
            counters.prompt_tokens += u64::try_from(draft.prompt_tokens.unwrap_or(0)).unwrap_or(0);
            counters.completion_tokens += u64::try_from(draft.completion_tokens.unwrap_or(0)).unwrap_or(0);
        });
        json!({
            "model": draft.model,
            "generator": self.generator.name(),
            "prompt_version": order.prompt_version,
            "seed": order.seed,
            "facets": order.facets,
            "prompt_tokens": draft.prompt_tokens,
            "completion_tokens": draft.completion_tokens,
            "llm_seconds": (draft.seconds * 1000.0).round() / 1000.0,
        })
    }
}

/// A database that says no to this job's call is the job's trouble; one that is away is everybody's.
fn blame(error: DoorError) -> ItemEnd {
    if error.is_temporary() || error.needs_a_person() {
        ItemEnd::Database(error)
    } else {
        ItemEnd::Job {
            reason: error.to_string(),
            permanent: false,
        }
    }
}
