//! What a server says is wrong: the error object of its answer, in the shapes that are in use.

use std::fmt;

use serde_json::Value;

use super::prose;
use crate::redact::clean;

const LONGEST_MESSAGE: usize = 300;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub message: String,
    /// `error.type`.
    kind: Option<String>,
    code: Option<String>,
    /// The parameter of the request that it is about.
    pub parameter: Option<String>,
}

/// What an error is about, where that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// This prompt does not fit into the model's context, and the server has counted.
    PromptTooLong,
    /// Some context is full: this request's, or one that it shares with others.
    ContextFull,
    /// The model is being loaded.
    Loading,
    /// There is no model that could answer.
    NoModel,
}

impl Said {
    /// `{"error": "text"}`, `{"error": {"message", "type", "code", "param"}}` (OpenAI, llama-server), the same
    /// without the outer object (vLLM), `{"detail": …}` (FastAPI). None where the body tells of no error.
    pub fn read(body: &Value) -> Option<Self> {
        if let Some(error) = body.get("error").filter(|error| !error.is_null()) {
            return Some(Self::of(error));
        }
        if body["object"] == "error" {
            return Some(Self::of(body));
        }
        body.get("detail").map(Self::of_detail)
    }

    /// Any body of an answer whose status says that it is an error.
    pub fn in_body(body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(json) => Self::read(&json).unwrap_or_else(|| Self::text(&json.to_string())),
            Err(_) => Self::text(&String::from_utf8_lossy(body)),
        }
    }

    fn of(error: &Value) -> Self {
        let text = |field: &str| match &error[field] {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let message = error.as_str().map(ToOwned::to_owned).or_else(|| text("message"));
        Self {
            kind: text("type"),
            code: text("code"),
            parameter: text("param"),
            ..Self::text(&message.unwrap_or_else(|| error.to_string()))
        }
    }

    /// `[{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]`, or a text.
    fn of_detail(detail: &Value) -> Self {
        let first = &detail[0];
        let parameter = first["loc"]
            .as_array()
            .and_then(|path| path.iter().rev().find_map(Value::as_str));
        let message = detail.as_str().or_else(|| first["msg"].as_str());
        Self {
            parameter: parameter.map(ToOwned::to_owned),
            ..Self::text(&message.map_or_else(|| detail.to_string(), ToOwned::to_owned))
        }
    }

    fn text(message: &str) -> Self {
        let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
        let end = line
            .char_indices()
            .nth(LONGEST_MESSAGE)
            .map_or(line.len(), |(at, _)| at);
        let message = if line.is_empty() {
            "(no message)".into()
        } else {
            clean(&line[..end])
        };
        Self {
            message,
            ..Self::default()
        }
    }

    pub fn meaning(&self) -> Option<Meaning> {
        match (self.kind.as_deref(), self.code.as_deref()) {
            // llama-server; OpenAI and what follows it.
            (Some("exceed_context_size_error"), _) | (_, Some("context_length_exceeded")) => {
                Some(Meaning::PromptTooLong)
            }
            // llama-server while it loads.
            (Some("unavailable_error"), _) => Some(Meaning::Loading),
            _ => prose::meaning(&self.message),
        }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Some(kind) => write!(f, "{} ({})", self.message, clean(kind)),
            None => f.write_str(&self.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(body: &Value) -> Said {
        Said::read(body).expect("an error")
    }

    #[test]
    fn errors_in_every_shape_are_read() {
        let typed = said(&json!({"error": {"message": "no", "type": "t", "code": 400, "param": "seed"}}));
        assert_eq!(
            (typed.to_string(), typed.parameter.as_deref()),
            ("no (t)".into(), Some("seed"))
        );
        assert_eq!(said(&json!({"error": "no"})).to_string(), "no");
        assert_eq!(
            said(&json!({"object": "error", "message": "no", "code": 400})).message,
            "no"
        );
        let detail = said(&json!({"detail": [{"loc": ["body", "seed"], "msg": "not permitted"}]}));
        assert_eq!(
            (detail.message.as_str(), detail.parameter.as_deref()),
            ("not permitted", Some("seed"))
        );
        assert_eq!(Said::read(&json!({"choices": [], "error": null})), None);
        assert_eq!(Said::in_body(b"  \n ").message, "(no message)");
    }

    #[test]
    fn a_full_context_is_told_from_a_prompt_that_is_too_long() {
        let meaning = |body| said(&body).meaning();
        let typed = json!({"error": {"message": "request (4010 tokens) exceeds the available context size", "type": "exceed_context_size_error"}});
        assert_eq!(meaning(typed), Some(Meaning::PromptTooLong));
        let openai = json!({"error": {"message": "too long", "code": "context_length_exceeded"}});
        assert_eq!(meaning(openai), Some(Meaning::PromptTooLong));
        let full = json!({"error": {"message": "Context size has been exceeded.", "type": "server_error", "code": 500}});
        assert_eq!(meaning(full), Some(Meaning::ContextFull));
        let vllm =
            json!({"object": "error", "message": "This model's maximum context length is 4096 tokens."});
        assert_eq!(meaning(vllm), Some(Meaning::ContextFull));
        assert_eq!(
            meaning(json!({"error": "No models loaded"})),
            Some(Meaning::NoModel)
        );
        let loading =
            json!({"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}});
        assert_eq!(meaning(loading), Some(Meaning::Loading));
        assert_eq!(
            meaning(json!({"error": "the n_ctx of your wishes"})),
            None,
            "words alone are no kind"
        );
    }
}
