//! What went wrong with one HTTP exchange, and what that says about the host.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::stream::{Spoiled, error_of};
use crate::generator::Trouble;
use crate::redact::clean;

/// Longer waits are not believed: the host is asked again after this time anyway.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);

#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Nobody listens, or not at this address.
    #[error("{0}")]
    Connect(String),
    #[error("{0}")]
    Late(String),
    #[error("the connection broke in the middle of the answer: {0}")]
    Broken(String),
    #[error("HTTP {status}: {message}")]
    Status {
        status: StatusCode,
        message: String,
        retry_after: Option<Duration>,
    },
    #[error(transparent)]
    Spoiled(#[from] Spoiled),
}

impl Fault {
    pub fn from_reqwest(error: &reqwest::Error, place: &str) -> Self {
        let mut text = String::new();
        let mut cause: Option<&dyn std::error::Error> = Some(error);
        while let Some(inner) = cause {
            text = inner.to_string();
            cause = inner.source();
        }
        let text = clean(&text);
        if error.is_connect() {
            Self::Connect(format!("no connection to {place}: {text}"))
        } else if error.is_timeout() {
            Self::Late(format!("no answer from {place} in time"))
        } else {
            Self::Broken(text)
        }
    }

    pub fn from_status(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let retry_after = headers
            .get("retry-after")
            .and_then(|value| value.to_str().ok())
            .and_then(wait_of);
        Self::Status {
            status,
            message: message_of(body),
            retry_after,
        }
    }

    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(status.as_u16()),
            _ => None,
        }
    }

    /// The prompt does not fit into the model's context: no repetition will change that.
    pub fn prompt_too_long(&self) -> bool {
        let (Self::Status { message, .. } | Self::Spoiled(Spoiled::Error(message))) = self else {
            return false;
        };
        let message = message.to_lowercase();
        [
            "exceed_context",
            "context length",
            "context size",
            "context window",
            "context_length",
            "n_ctx",
        ]
        .iter()
        .any(|sign| message.contains(sign))
    }

    /// The host as a whole, beyond doubt, and what a person can do about it.
    pub fn clearly_the_host(&self, place: &str) -> Option<Trouble> {
        let status = match self {
            Self::Connect(reason) => return Some(Trouble::new(reason.clone())),
            Self::Status { status, .. } => status.as_u16(),
            _ => return None,
        };
        let advice = match status {
            401 | 403 => "; the key is wrong or missing (LOCAL_LLM_API_KEY)",
            408 | 425 | 429 | 502 | 503 | 504 => "",
            _ => return None,
        };
        Some(self.as_trouble(place, advice))
    }

    pub fn as_trouble(&self, place: &str, advice: &str) -> Trouble {
        let retry_after = match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        };
        let ask_for_text = !matches!(self, Self::Connect(_));
        let reason = if ask_for_text {
            format!("{place} answers: {self}{advice}")
        } else {
            self.to_string()
        };
        Trouble {
            reason,
            retry_after,
            ask_for_text,
        }
    }
}

/// Seconds; a date is not worth a parser here, the breaker's own delay will do.
fn wait_of(value: &str) -> Option<Duration> {
    let seconds: f64 = value.trim().parse().ok()?;
    (seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(LONGEST_RETRY_AFTER.as_secs_f64())))
}

fn message_of(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(json) => {
            let kind = json["error"]["type"]
                .as_str()
                .map(|kind| format!(" ({kind})"))
                .unwrap_or_default();
            error_of(&json).unwrap_or_else(|| json.to_string()) + &kind
        }
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = line.char_indices().nth(300).map_or(line.len(), |(at, _)| at);
    if line.is_empty() {
        "(no message)".into()
    } else {
        clean(&line[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(status: u16, body: &str) -> Fault {
        Fault::from_status(
            StatusCode::from_u16(status).unwrap(),
            &HeaderMap::new(),
            body.as_bytes(),
        )
    }

    #[test]
    fn the_host_is_blamed_only_where_it_is_clear() {
        for status in [401, 429, 502, 503] {
            assert!(fault(status, "{}").clearly_the_host("h").is_some(), "{status}");
        }
        for status in [400, 404, 500] {
            assert!(fault(status, "{}").clearly_the_host("h").is_none(), "{status}");
        }
    }

    #[test]
    fn messages_of_all_servers_are_read() {
        let loading = fault(
            503,
            r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#,
        );
        assert_eq!(
            loading.to_string(),
            "HTTP 503 Service Unavailable: Loading model (unavailable_error)"
        );
        assert!(
            fault(404, r#"{"error":"No models loaded"}"#)
                .to_string()
                .contains("No models loaded")
        );
        let long = r#"{"error":{"message":"request (4010 tokens) exceeds the available context size","type":"exceed_context_size_error"}}"#;
        assert!(fault(400, long).prompt_too_long());
        assert!(!fault(400, "{}").prompt_too_long());
    }

    #[test]
    fn retry_after_is_obeyed_within_reason() {
        assert_eq!(wait_of("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait_of("1e9"), Some(LONGEST_RETRY_AFTER));
        assert_eq!(wait_of("Wed, 21 Oct 2026 07:28:00 GMT"), None);
        assert_eq!(wait_of("-1"), None);
    }
}
