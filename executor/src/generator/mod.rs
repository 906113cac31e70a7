//! What writes items: a language model, or the built-in word lists. Both are asked the same way and
//! their answers go the same way through the checks, so everything runs on a laptop without a model.

pub mod builtin;
pub mod llm;

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use serde_json::Value;

use crate::door::{Message, Order};
use crate::extract::Answer;
use crate::rejection::Rejection;

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

/// Longer answers are not shown again: the reason alone has to do, and the context is not spent on them.
const LONGEST_SHOWN: usize = 1500;
/// Characters in one token, on the safe side for English text and JSON.
const CHARACTERS_PER_TOKEN: usize = 3;

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

    /// Tells the model what was wrong with what it wrote to this same brief, and shows it if that is short.
    pub fn correct(&mut self, answer: &str, problem: &str) {
        let message = |role: &str, content: String| Message {
            role: role.into(),
            content,
        };
        if answer.chars().count() <= LONGEST_SHOWN {
            self.messages.push(message("assistant", answer.into()));
            let told =
                format!("This was rejected because: {problem}. Write the whole object again, corrected.");
            self.messages.push(message("user", told));
        } else if let Some(last) = self.messages.last_mut() {
            let told =
                format!("\n\nAn earlier answer was rejected because: {problem}. Write the whole object.");
            last.content.push_str(&told);
        }
    }

    /// Tokens for prompt and answer together, at most and as far as can be told from here.
    pub fn tokens(&self) -> usize {
        let characters: usize = self
            .messages
            .iter()
            .map(|message| message.content.chars().count())
            .sum();
        let answer = self.sampling["max_tokens"].as_u64().unwrap_or(0);
        let answer = usize::try_from(answer).unwrap_or(usize::MAX);
        (characters / CHARACTERS_PER_TOKEN).saturating_add(answer.saturating_mul(self.room as usize))
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
pub enum GenerateError {
    /// The host, or the model there: nobody's job is to blame, all that want it wait until it answers again.
    Host(Trouble),
    /// This one answer: another try with another seed may do.
    Answer(Rejection),
    /// Prompt and answer were more than the context holds. Whose fault that is depends on what else was in
    /// flight. `prompt`: the server has counted this prompt alone and refused it.
    Context { reason: String, prompt: bool },
    /// The job. `permanent`: the same request would be refused again and again.
    Job { reason: String, permanent: bool },
    /// These are not the hours for it. Nothing was asked.
    Resting,
}

/// What is the matter with a host that cannot be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nobody listens there.
    Unreachable,
    /// It does not answer in time.
    Silent,
    /// It takes the connection and breaks it.
    Broken,
    /// It has more to do than it takes on.
    Busy,
    Loading,
    Key,
    NotFound,
    /// No model is loaded there.
    NoModel,
    /// It sends one to another address.
    Elsewhere,
    Other,
}

impl Cause {
    /// What a person can do about it, to be put behind the reason.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Key => "; the key is wrong or missing (LOCAL_LLM_API_KEY)",
            Self::NotFound => {
                "; is LOCAL_LLM_ENDPOINT right (it usually ends in /v1), and is a model loaded?"
            }
            Self::Elsewhere => "; redirects are not followed: put that address into LOCAL_LLM_ENDPOINT",
            Self::NoModel => "; load one there, or name one in LOCAL_LLM_MODEL",
            Self::Unreachable | Self::Silent | Self::Broken | Self::Busy | Self::Loading | Self::Other => "",
        }
    }
}

/// Why the host cannot be used now.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    pub cause: Cause,
    pub reason: String,
    /// The host said when to come back.
    pub retry_after: Option<Duration>,
}

impl Trouble {
    pub fn new(cause: Cause, reason: impl Into<String>) -> Self {
        Self {
            cause,
            reason: reason.into(),
            retry_after: None,
        }
    }

    /// The host answers, but not to requests for text: only such a request can show that it is over.
    pub fn needs_text(&self) -> bool {
        !matches!(self.cause, Cause::Unreachable | Cause::NoModel)
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
    /// How many may be tried where it does not say; None: few.
    pub most: Option<usize>,
    /// Tokens that one request has for prompt and answer together, where it says so.
    pub context: Option<usize>,
    /// All requests in flight share that context.
    pub shared: bool,
}

pub trait Generator: Send + Sync {
    /// `llm` or `builtin`: for /health, the provenance and the executor's row.
    fn name(&self) -> &'static str;

    fn write<'a>(&'a self, ask: &'a Ask) -> Boxed<'a, Result<Draft, GenerateError>>;

    /// Is the host there? With `text` also whether a model still writes: the one named, else the usual one.
    fn probe<'a>(&'a self, model: Option<&'a str>, text: bool) -> Boxed<'a, Result<Host, Trouble>>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ask() -> Ask {
        Ask {
            messages: vec![Message {
                role: "user".into(),
                content: "x".repeat(300),
            }],
            schema: Value::Null,
            sampling: json!({"max_tokens": 900}),
            model: None,
            seed: 1,
            grammar: Value::Null,
            context: Value::Null,
            room: 2,
        }
    }

    #[test]
    fn a_short_answer_is_shown_and_a_long_one_only_told_of() {
        let (mut short, mut long) = (ask(), ask());
        short.correct("{}", "no title");
        assert_eq!(
            (short.messages.len(), short.messages[1].content.as_str()),
            (3, "{}")
        );
        assert!(short.messages[2].content.contains("no title"));
        long.correct(&"x".repeat(LONGEST_SHOWN + 1), "no title");
        assert_eq!(long.messages.len(), 1);
        assert!(long.messages[0].content.contains("no title"));
        assert!(
            long.tokens() < ask().tokens() + 50,
            "a correction costs next to nothing"
        );
    }

    #[test]
    fn tokens_are_those_of_prompt_and_answer() {
        assert_eq!(ask().tokens(), 100 + 1800);
    }
}
