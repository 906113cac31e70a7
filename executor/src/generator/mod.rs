//! What writes items: a language model, or the built-in word lists. Both are asked the same way and
//! their answers go the same way through the checks, so everything runs on a laptop without a model.

pub mod builtin;
pub mod llm;

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use serde_json::Value;

use crate::door::{Message, Order, Rejection};
use crate::extract::Answer;

pub use builtin::Builtin;
pub use llm::Llm;

/// A future behind a pointer, so that the two generators can stand behind one trait object.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What is asked of a generator: one item.
#[derive(Clone, Debug)]
pub struct Ask {
    pub messages: Vec<Message>,
    pub schema: Value,
    pub sampling: Value,
    pub model: Option<String>,
    pub seed: i64,
    pub grammar: Value,
    pub context: Value,
    /// Doubled after an answer that was cut off: `max_tokens` is multiplied with it.
    pub room: u32,
}

impl Ask {
    pub fn from_order(order: &Order) -> Self {
        Self {
            messages: order.messages.clone(),
            schema: order.schema.clone(),
            sampling: order.sampling.clone(),
            model: order.model.clone(),
            seed: order.seed,
            grammar: order.grammar.clone(),
            context: order.context.clone(),
            room: 1,
        }
    }

    /// Tells the model what it wrote before and what was wrong with it.
    pub fn tell(&mut self, answer: &str, problem: &str) {
        const LONGEST: usize = 8000;
        let end = answer
            .char_indices()
            .nth(LONGEST)
            .map_or(answer.len(), |(at, _)| at);
        let told = format!("This was rejected because: {problem}. Write the whole object again, corrected.");
        self.messages.push(Message {
            role: "assistant".into(),
            content: answer[..end].into(),
        });
        self.messages.push(Message {
            role: "user".into(),
            content: told,
        });
    }
}

/// What a generator wrote, and what it cost.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    pub answer: Answer,
    pub model: String,
    pub prompt_tokens: Option<i64>,
    pub completion_tokens: Option<i64>,
    pub seconds: f64,
}

/// Why there is no draft, sorted by whose fault it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Miss {
    /// The host: nobody's job is to blame, all of them wait until it answers again.
    Host(Trouble),
    /// This one answer: another try with another seed may do.
    Answer(Rejection),
    /// The job. `permanent`: the same request would be refused again and again.
    Job { reason: String, permanent: bool },
}

/// Why the host cannot be used now.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    pub reason: String,
    /// The host said when to come back.
    pub retry_after: Option<Duration>,
    /// The host answers, but not to requests for text: only such a request can show that it is over.
    pub ask_for_text: bool,
}

impl Trouble {
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            retry_after: None,
            ask_for_text: false,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// What a probe found out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Host {
    pub model: Option<String>,
    /// How many requests it works on at once, where it says so.
    pub slots: Option<usize>,
    /// Tokens that one request has for prompt and answer together, where it says so.
    pub context: Option<usize>,
}

pub trait Generator: Send + Sync {
    /// `llm` or `builtin`: for /health, the provenance and the executor's row.
    fn name(&self) -> &'static str;

    fn write<'a>(&'a self, ask: &'a Ask) -> Boxed<'a, Result<Draft, Miss>>;

    /// Is the host there? `text`: also whether it still writes.
    fn probe(&self, text: bool) -> Boxed<'_, Result<Host, Trouble>>;
}
