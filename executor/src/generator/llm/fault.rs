//! What went wrong with one HTTP exchange, and what that says about the host.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::said::{Meaning, Said};
use super::stream::Spoiled;
use crate::generator::{Cause, Trouble};
use crate::redact::clean;

/// Longer waits are not believed: the host is asked again after this time anyway.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);

#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Nobody listens, or not at this address.
    #[error("{0}")]
    Connect(String),
    #[error("{0}")]
    Timeout(String),
    #[error("the connection broke in the middle of the answer: {0}")]
    Broken(String),
    #[error("HTTP {}: {}", .0.status, .0.said)]
    Status(Box<Refusal>),
    #[error(transparent)]
    Spoiled(#[from] Spoiled),
    /// Nothing was asked.
    #[error("outside of WORKER_ACTIVE_HOURS the model host is asked for nothing")]
    Resting,
}

/// An answer whose status is no success.
#[derive(Debug)]
pub struct Refusal {
    pub status: StatusCode,
    pub said: Said,
    pub retry_after: Option<Duration>,
}

impl HttpError {
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
            Self::Timeout(format!("no answer from {place} in time"))
        } else {
            Self::Broken(text)
        }
    }

    pub fn from_status(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let mut said = Said::in_body(body);
        if let Some(elsewhere) = header("location").filter(|_| status.is_redirection()) {
            said.message = format!("it is at {} now", clean(elsewhere));
        }
        Self::Status(Box::new(Refusal {
            status,
            said,
            retry_after: header("retry-after").and_then(wait_of),
        }))
    }

    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status(refusal) => Some(refusal.status.as_u16()),
            _ => None,
        }
    }

    pub fn said(&self) -> Option<&Said> {
        match self {
            Self::Status(refusal) => Some(&refusal.said),
            Self::Spoiled(Spoiled::Said(said)) => Some(said),
            _ => None,
        }
    }

    pub fn meaning(&self) -> Option<Meaning> {
        self.said().and_then(Said::meaning)
    }

    /// A prompt that the server has counted and refused, and not an answer that ran out of context.
    pub fn is_typed_refusal_of_prompt(&self) -> bool {
        self.status() == Some(400) && self.meaning() == Some(Meaning::PromptTooLong)
    }

    /// Prompt or answer, alone or with others, were more than the context holds.
    pub fn is_about_context(&self) -> bool {
        matches!(
            self.meaning(),
            Some(Meaning::PromptTooLong | Meaning::ContextFull)
        )
    }

    /// A request in another form may not meet this refusal.
    pub fn is_about_the_form(&self) -> bool {
        matches!(self.status(), Some(400 | 422)) && self.meaning().is_none()
    }

    pub fn cause(&self) -> Cause {
        match self {
            Self::Connect(_) => Cause::Unreachable,
            Self::Timeout(_) => Cause::Silent,
            Self::Status(refusal) => match (refusal.said.meaning(), refusal.status.as_u16()) {
                (Some(Meaning::Loading), _) => Cause::Loading,
                (Some(Meaning::NoModel), _) => Cause::NoModel,
                (_, 401 | 403) => Cause::Key,
                (_, 404) => Cause::NotFound,
                (_, 408 | 425 | 429 | 503 | 504) => Cause::Busy,
                (_, 502) => Cause::Broken,
                _ if refusal.status.is_redirection() => Cause::Elsewhere,
                _ => Cause::Other,
            },
            Self::Spoiled(Spoiled::Said(said)) if said.meaning() == Some(Meaning::NoModel) => Cause::NoModel,
            Self::Broken(_) => Cause::Broken,
            Self::Spoiled(_) | Self::Resting => Cause::Other,
        }
    }

    /// The host as a whole, beyond doubt.
    pub fn clearly_the_host(&self, place: &str) -> Option<Trouble> {
        let cause = self.cause();
        let clear = match cause {
            Cause::Unreachable | Cause::Busy | Cause::Loading | Cause::NoModel | Cause::Key => true,
            Cause::Broken => self.status().is_some(),
            Cause::Silent | Cause::NotFound | Cause::Elsewhere | Cause::Other => false,
        };
        clear.then(|| self.trouble(place))
    }

    /// Why the host cannot be used, and what a person can do about it.
    pub fn trouble(&self, place: &str) -> Trouble {
        let cause = self.cause();
        let retry_after = match self {
            Self::Status(refusal) => refusal.retry_after,
            _ => None,
        };
        let reason = match cause {
            Cause::Unreachable | Cause::Silent => self.to_string(),
            _ => format!("{place} answers: {self}{}", cause.advice()),
        };
        Trouble {
            cause,
            reason,
            retry_after,
        }
    }
}

/// Seconds; a date is not worth a parser here, the breaker's own delay will do.
fn wait_of(value: &str) -> Option<Duration> {
    let seconds: f64 = value.trim().parse().ok()?;
    (seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(LONGEST_RETRY_AFTER.as_secs_f64())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, body: &str) -> HttpError {
        let status = StatusCode::from_u16(status).unwrap();
        HttpError::from_status(status, &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn the_host_is_blamed_only_where_it_is_clear() {
        for status in [401, 429, 502, 503] {
            assert!(error(status, "{}").clearly_the_host("h").is_some(), "{status}");
        }
        for status in [302, 400, 404, 500] {
            assert!(error(status, "{}").clearly_the_host("h").is_none(), "{status}");
        }
        let none = error(404, r#"{"error":"No models loaded"}"#);
        assert_eq!(
            none.clearly_the_host("h").map(|trouble| trouble.cause),
            Some(Cause::NoModel)
        );
    }

    #[test]
    fn a_model_that_is_loading_is_no_host_that_has_too_much_to_do() {
        let loading = r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#;
        let loading = error(503, loading);
        assert_eq!(
            loading.to_string(),
            "HTTP 503 Service Unavailable: Loading model (unavailable_error)"
        );
        assert_eq!(loading.cause(), Cause::Loading);
        assert_eq!(error(503, "{}").cause(), Cause::Busy);
    }

    #[test]
    fn only_a_typed_400_says_that_the_prompt_is_too_long() {
        let typed = r#"{"error":{"message":"m","type":"exceed_context_size_error"}}"#;
        assert!(error(400, typed).is_typed_refusal_of_prompt());
        for (status, body) in [
            (500, typed),
            (400, r#"{"error":"Context size has been exceeded."}"#),
        ] {
            let full = error(status, body);
            assert!(
                full.is_about_context() && !full.is_typed_refusal_of_prompt(),
                "{status}"
            );
            assert!(!full.is_about_the_form());
        }
        assert!(error(400, "{}").is_about_the_form() && !error(400, "{}").is_about_context());
    }

    #[test]
    fn retry_after_is_obeyed_within_reason() {
        assert_eq!(wait_of("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait_of("1e9"), Some(LONGEST_RETRY_AFTER));
        assert_eq!(wait_of("Wed, 21 Oct 2026 07:28:00 GMT"), None);
        assert_eq!(wait_of("-1"), None);
    }
}
