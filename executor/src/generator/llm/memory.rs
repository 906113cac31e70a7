//! What was learnt about each model, kept until the host has other models.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::fault::HttpError;
use super::manners::{Ladder, Manners, Thinking};
use crate::schema::shape_of;

const KEPT: usize = 512;
/// Good answers before the full form is tried again: one at first, since the refusal may have been an
/// accident, then so many times more after each refusal.
const LONGER: u32 = 8;
const LONGEST: u32 = 512;

type Key = (String, u64);

#[derive(Default)]
pub struct Memory {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: HashMap<Key, Known>,
    thinking: HashMap<String, Thinking>,
}

#[derive(Clone, Copy)]
struct Known {
    manners: Manners,
    good: u32,
    /// So many good answers, and the full form is tried again.
    wanted: u32,
}

/// What is new about a model, worth a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lesson {
    Refuses(Manners),
    AcceptsAgain,
    Thinks,
}

/// One line for what is new about a model.
pub fn say_learnt(model: &str, lesson: Option<Lesson>, refusal: Option<&HttpError>) {
    match lesson {
        Some(Lesson::Refuses(manners)) => {
            let refusal = refusal.map(ToString::to_string);
            tracing::warn!(
                model,
                refusal,
                "the model server refuses requests in their full form; from now on it is {}. The full form is tried                  again from time to time",
                manners.told()
            );
        }
        Some(Lesson::AcceptsAgain) => tracing::info!(
            model,
            "the model server accepts requests in their full form again"
        ),
        Some(Lesson::Thinks) => tracing::warn!(
            model,
            "the model spent a whole answer on thoughts; from now on it is told not to think"
        ),
        None => {}
    }
}

impl Memory {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How to ask for the next item of this sort.
    pub fn ladder(&self, model: &str, schema: &Value) -> Ladder {
        let mut state = self.state();
        let full = state.full(model);
        let Some(known) = state.known.get_mut(&key(model, schema)) else {
            return Ladder::from(full);
        };
        let manners = Manners {
            thinking: full.thinking,
            ..known.manners
        };
        if known.good < known.wanted {
            return Ladder::from(manners);
        }
        (known.good, known.wanted) = (0, (known.wanted * LONGER).min(LONGEST));
        Ladder::from(full).with(manners)
    }

    /// An item was answered to a request of this form.
    pub fn worked(&self, model: &str, schema: &Value, manners: Manners) -> Option<Lesson> {
        let mut state = self.state();
        let before = state.full(model).thinking;
        let mut lesson = None;
        if manners.thinking != before {
            state.thinking.insert(model.to_owned(), manners.thinking);
            lesson = Some(Lesson::Refuses(manners));
        }
        let key = key(model, schema);
        if (Manners {
            thinking: Thinking::Free,
            ..manners
        }) == Manners::FULL
        {
            return state.known.remove(&key).map(|_| Lesson::AcceptsAgain).or(lesson);
        }
        if state.known.len() >= KEPT {
            state.known.clear();
        }
        let known = state.known.entry(key).or_insert(Known {
            manners: Manners::FULL,
            good: 0,
            wanted: 1,
        });
        let same = Manners {
            thinking: manners.thinking,
            ..known.manners
        } == manners;
        if same {
            known.good += 1;
            return lesson;
        }
        (known.manners, known.good) = (manners, 0);
        Some(Lesson::Refuses(manners))
    }

    /// Its thoughts used up a whole answer: it shall not think next time, whatever the kind.
    pub fn only_thought(&self, model: &str) -> Option<Lesson> {
        let mut state = self.state();
        let thinking = state.thinking.entry(model.to_owned()).or_insert(Thinking::Free);
        (std::mem::replace(thinking, quieter(*thinking)) == Thinking::Free).then_some(Lesson::Thinks)
    }

    /// The host has other models now, or is another one.
    pub fn forget(&self) {
        *self.state() = State::default();
    }
}

impl State {
    fn full(&self, model: &str) -> Manners {
        Manners {
            thinking: self.thinking.get(model).copied().unwrap_or(Thinking::Free),
            ..Manners::FULL
        }
    }
}

fn quieter(thinking: Thinking) -> Thinking {
    if thinking == Thinking::Free {
        Thinking::Off
    } else {
        thinking
    }
}

fn key(model: &str, schema: &Value) -> Key {
    (model.to_owned(), shape_of(schema))
}

#[cfg(test)]
mod tests {
    use super::super::manners::Form;
    use super::*;
    use serde_json::json;

    const TEXT: Manners = Manners {
        form: Form::Text,
        ..Manners::FULL
    };

    fn schema(bounds: Value) -> Value {
        let mut level = json!({"type": "integer"});
        level
            .as_object_mut()
            .unwrap()
            .extend(bounds.as_object().unwrap().clone());
        json!({"type": "object", "properties": {"level": level}})
    }

    #[test]
    fn what_was_learnt_holds_for_all_items_of_a_kind_and_no_other_model() {
        let memory = Memory::default();
        let lesson = memory.worked("m", &schema(json!({"minimum": 1})), TEXT);
        assert_eq!(lesson, Some(Lesson::Refuses(TEXT)));
        for bounds in [json!({"minimum": 7}), json!({"enum": ["a", "b"]}), json!({})] {
            let found = memory.ladder("m", &schema(bounds.clone())).now();
            assert_eq!(found, TEXT, "{bounds}");
            memory.worked(
                "m",
                &schema(json!({"minimum": 1})),
                Manners { seed: false, ..TEXT },
            );
            memory.worked("m", &schema(json!({"minimum": 1})), TEXT);
        }
        assert_eq!(memory.ladder("other", &schema(json!({}))).now(), Manners::FULL);
    }

    #[test]
    fn one_accidental_refusal_costs_one_item_its_schema() {
        let (memory, schema) = (Memory::default(), schema(json!({})));
        memory.worked("m", &schema, TEXT);
        assert_eq!(memory.ladder("m", &schema).now(), TEXT);
        assert_eq!(
            memory.worked("m", &schema, TEXT),
            None,
            "the same again is no news"
        );
        assert_eq!(memory.ladder("m", &schema).now(), Manners::FULL, "tried again");
        assert_eq!(
            memory.worked("m", &schema, Manners::FULL),
            Some(Lesson::AcceptsAgain)
        );
        assert_eq!(memory.ladder("m", &schema).now(), Manners::FULL);
    }

    #[test]
    fn a_refusal_that_is_meant_is_tried_ever_more_seldom() {
        let (memory, schema) = (Memory::default(), schema(json!({})));
        memory.worked("m", &schema, TEXT);
        let mut tried = Vec::new();
        for item in 1..=100 {
            let mut ladder = memory.ladder("m", &schema);
            if ladder.now() == Manners::FULL {
                tried.push(item);
                assert!(ladder.down(None));
            }
            assert_eq!(ladder.now(), TEXT);
            memory.worked("m", &schema, TEXT);
        }
        assert_eq!(tried, [2, 10, 74]);
    }

    #[test]
    fn a_model_that_thinks_is_told_not_to_for_every_kind() {
        let memory = Memory::default();
        assert_eq!(memory.only_thought("m"), Some(Lesson::Thinks));
        assert_eq!(memory.only_thought("m"), None);
        let off = memory
            .ladder("m", &json!({"properties": {"name": {"enum": ["x"]}}}))
            .now();
        assert_eq!(off.thinking, Thinking::Off);
        let little = Manners {
            thinking: Thinking::Little,
            ..off
        };
        assert_eq!(
            memory.worked("m", &schema(json!({})), little),
            Some(Lesson::Refuses(little))
        );
        assert_eq!(memory.ladder("m", &json!({})).now(), little);
        memory.forget();
        assert_eq!(memory.ladder("m", &json!({})).now(), Manners::FULL);
    }
}
