//! What a server accepts, learnt from its refusals and remembered.
//!
//! LM Studio refuses `json_object`, others refuse `json_schema` or sampling parameters that OpenAI
//! does not have. A refusal says little about why, so each 400 steps down once, and what worked in
//! the end is kept for that model and schema.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::schema::fingerprint;

/// How the server is told to answer in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Schema,
    Object,
    Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manners {
    pub form: Form,
    /// Only parameters that OpenAI's own API has.
    pub plain: bool,
    /// Ask the model not to think: its thoughts used up the whole answer before.
    pub quiet: bool,
}

impl Manners {
    pub const FULL: Self = Self {
        form: Form::Schema,
        plain: false,
        quiet: false,
    };

    /// The next thing to leave out after a refusal; None when there is nothing left.
    pub fn step_down(self) -> Option<Self> {
        match (self.form, self.plain) {
            (Form::Schema, _) => Some(Self {
                form: Form::Object,
                ..self
            }),
            (Form::Object, _) => Some(Self {
                form: Form::Text,
                ..self
            }),
            // Full form again: it may have been the parameters all along.
            (Form::Text, false) => Some(Self {
                form: Form::Schema,
                plain: true,
                quiet: false,
            }),
            (Form::Text, true) => None,
        }
    }
}

type Key = (String, u64);

#[derive(Default)]
pub struct Memory {
    known: Mutex<HashMap<Key, Manners>>,
}

impl Memory {
    pub fn recall(&self, model: &str, schema: &Value) -> Manners {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&key(model, schema)).copied().unwrap_or(Manners::FULL)
    }

    pub fn keep(&self, model: &str, schema: &Value, manners: Manners) {
        const KEPT: usize = 512;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(key(model, schema), manners);
    }

    /// The host was away: it may come back as another version, or with another model.
    pub fn forget(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Items of one kind differ in their bounds only; what is remembered shall hold for all of them.
fn key(model: &str, schema: &Value) -> Key {
    (model.to_owned(), fingerprint(&shape(schema)))
}

fn shape(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => map.iter().map(|(key, part)| (key.clone(), shape(part))).collect(),
        Value::Array(list) => list.iter().map(shape).collect(),
        Value::Number(_) => Value::Null,
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_way_down_ends_and_tries_every_form() {
        let mut manners = Manners::FULL;
        let mut forms = vec![(manners.form, manners.plain)];
        while let Some(next) = manners.step_down() {
            manners = next;
            forms.push((manners.form, manners.plain));
        }
        use Form::{Object, Schema, Text};
        assert_eq!(
            forms,
            [
                (Schema, false),
                (Object, false),
                (Text, false),
                (Schema, true),
                (Object, true),
                (Text, true)
            ]
        );
    }

    #[test]
    fn what_was_learnt_holds_for_all_bounds_of_a_kind_and_no_other_model() {
        let memory = Memory::default();
        let learnt = Manners {
            form: Form::Text,
            ..Manners::FULL
        };
        memory.keep("m", &json!({"level": {"minimum": 1}}), learnt);
        assert_eq!(memory.recall("m", &json!({"level": {"minimum": 7}})), learnt);
        assert_eq!(
            memory.recall("other", &json!({"level": {"minimum": 7}})),
            Manners::FULL
        );
        memory.forget();
        assert_eq!(
            memory.recall("m", &json!({"level": {"minimum": 7}})),
            Manners::FULL
        );
    }
}
