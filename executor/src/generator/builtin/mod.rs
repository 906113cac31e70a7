//! The generator without a model: it writes an item from the kind's grammar. The same seed gives
//! the same item, on every machine and in every version.

mod dice;
mod grammar;
mod text;

use serde_json::Value;

use super::{Ask, Boxed, Draft, GenerateError, Generator, Host, Trouble};
use crate::extract::Answer;

pub use grammar::GrammarError;

pub struct Builtin;

impl Builtin {
    /// The item as the grammar makes it; not checked yet.
    pub fn item(grammar: &Value, context: &Value, seed: i64) -> Result<Value, GrammarError> {
        grammar::write(grammar, context, seed)
    }
}

impl Generator for Builtin {
    fn name(&self) -> &'static str {
        "builtin"
    }

    fn write<'a>(&'a self, ask: &'a Ask) -> Boxed<'a, Result<Draft, GenerateError>> {
        Box::pin(async move {
            let item =
                Self::item(&ask.grammar, &ask.context, ask.seed).map_err(|error| GenerateError::Job {
                    reason: format!("the built-in generator cannot write this kind: {error}"),
                    permanent: true,
                })?;
            // As text, like a model's: the checks behind are the same.
            let answer = Answer {
                content: item.to_string(),
                ..Answer::default()
            };
            Ok(Draft {
                answer,
                model: "builtin".into(),
                ..Draft::default()
            })
        })
    }

    fn probe<'a>(&'a self, _model: Option<&'a str>, _text: bool) -> Boxed<'a, Result<Host, Trouble>> {
        Box::pin(async {
            Ok(Host {
                model: Some("builtin".into()),
                ..Host::default()
            })
        })
    }
}
