//! What the program knows about itself: written by the engine, read by /health, /metrics, the
//! executor's row in the database, and the progress display.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use prometheus_client::metrics::histogram::Histogram;
use serde::Serialize;
use tokio::time::Instant;

use crate::redact::clean;

/// A loop that did not turn for this long is stuck: it sleeps at most a few seconds at a time.
const STUCK_AFTER: Duration = Duration::from_secs(60);
/// Upper bounds of the histogram: from word lists to a large model on a slow card.
const ANSWER_SECONDS: [f64; 12] = [
    0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 900.0,
];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub items_stored: u64,
    pub answers_rejected: u64,
    pub rejected_by: BTreeMap<&'static str, u64>,
    pub duplicates: u64,
    pub jobs_completed: u64,
    pub jobs_failed: u64,
    pub jobs_released: u64,
    pub jobs_lost: u64,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
}

impl Counters {
    pub fn reject(&mut self, class: &'static str) {
        self.answers_rejected += 1;
        *self.rejected_by.entry(class).or_default() += 1;
    }
}

#[derive(Clone, Debug)]
pub struct Facts {
    pub last_look: Option<DateTime<Utc>>,
    pub last_error: Option<String>,
    /// `idle`, `working`, `paused`, `stopping`.
    pub state: &'static str,
    pub reason: Option<String>,
    pub model: Option<String>,
    /// `up`, `down`, or `none` where no model is used.
    pub llm: &'static str,
    pub breaker: &'static str,
    pub jobs: usize,
    pub in_flight: usize,
    pub budget: usize,
    pub listening: bool,
    pub counters: Counters,
    last_contact: Instant,
    last_turn: Instant,
}

pub struct Vitals {
    started: Instant,
    poll: Duration,
    generator: &'static str,
    facts: Mutex<Facts>,
    /// How long the model took for an answer.
    pub llm_seconds: Histogram,
}

impl Vitals {
    pub fn new(poll: Duration, generator: &'static str) -> Self {
        let now = Instant::now();
        let facts = Facts {
            last_look: None,
            last_error: None,
            state: "idle",
            reason: None,
            model: None,
            llm: if generator == "builtin" { "none" } else { "down" },
            breaker: "open",
            jobs: 0,
            in_flight: 0,
            budget: 0,
            listening: false,
            counters: Counters::default(),
            last_contact: now,
            last_turn: now,
        };
        Self {
            started: now,
            poll,
            generator,
            facts: Mutex::new(facts),
            llm_seconds: Histogram::new(ANSWER_SECONDS),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn facts(&self) -> Facts {
        self.lock().clone()
    }

    pub fn generator(&self) -> &'static str {
        self.generator
    }

    pub fn update(&self, change: impl FnOnce(&mut Facts)) {
        change(&mut self.lock());
    }

    pub fn count(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut self.lock().counters);
    }

    /// The loop went round once more.
    pub fn turned(&self) {
        self.lock().last_turn = Instant::now();
    }

    /// The database answered.
    pub fn contact(&self) {
        self.lock().last_contact = Instant::now();
    }

    /// The queue was looked at, with or without success.
    pub fn looked(&self, error: Option<String>) {
        let mut facts = self.lock();
        facts.last_look = Some(Utc::now());
        facts.last_error = error;
        if facts.last_error.is_none() {
            facts.last_contact = Instant::now();
        }
    }

    /// Why the executor itself cannot work; a model host that is off is no such reason.
    pub fn broken(&self) -> Option<String> {
        let facts = self.lock();
        let silent = facts.last_contact.elapsed();
        if silent > (2 * self.poll).max(Duration::from_secs(2)) {
            let since = silent.as_secs();
            let why = facts
                .last_error
                .clone()
                .unwrap_or_else(|| "the database does not answer".into());
            return Some(format!("no database for {since} s: {why}"));
        }
        let stuck = facts.last_turn.elapsed();
        (stuck > STUCK_AFTER).then(|| format!("the executor's loop is stuck since {} s", stuck.as_secs()))
    }

    /// The answer of `/health`, in the shape that its users know, with more behind it.
    pub fn health(&self) -> (bool, Health) {
        let broken = self.broken();
        let facts = self.facts();
        let status = match (&broken, facts.jobs, facts.last_look) {
            (Some(_), _, _) => "error",
            (None, 1.., _) | (None, _, None) => "running",
            (None, 0, Some(_)) => "success",
        };
        let body = Health {
            status,
            last_run_time: facts
                .last_look
                .map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)),
            last_run_error: broken.clone().or(facts.last_error).map(|text| clean(&text)),
            worker_interval: format!("polls every {}", interval(self.poll)),
            uptime: self.started.elapsed().as_secs(),
            version: env!("CARGO_PKG_VERSION"),
            generator: self.generator,
            model: facts.model,
            llm: facts.llm,
            breaker: facts.breaker,
            state: facts.state,
            reason: facts.reason.map(|text| clean(&text)),
            jobs: facts.jobs,
            in_flight: facts.in_flight,
            budget: facts.budget,
            listening: facts.listening,
        };
        (broken.is_none(), body)
    }
}

/// The answer of `/health`: first what its users have always read.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// `success`, `running` or `error`.
    pub status: &'static str,
    last_run_time: Option<String>,
    last_run_error: Option<String>,
    worker_interval: String,
    /// Seconds.
    uptime: u64,
    version: &'static str,
    generator: &'static str,
    model: Option<String>,
    llm: &'static str,
    breaker: &'static str,
    state: &'static str,
    reason: Option<String>,
    jobs: usize,
    in_flight: usize,
    budget: usize,
    listening: bool,
}

/// `60s`, or `1500ms` where it is no whole number of seconds.
fn interval(poll: Duration) -> String {
    match poll.subsec_millis() {
        0 => format!("{}s", poll.as_secs()),
        _ => format!("{}ms", poll.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn health(vitals: &Vitals) -> (bool, Value) {
        let (well, body) = vitals.health();
        (well, serde_json::to_value(body).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn health_has_the_shape_that_its_users_know() {
        let vitals = Vitals::new(Duration::from_secs(60), "builtin");
        assert_eq!(health(&vitals).1["status"], "running");
        vitals.looked(None);
        let (fine, body) = health(&vitals);
        assert!(fine);
        assert_eq!(body["status"], "success");
        assert_eq!(body["workerInterval"], "polls every 60s");
        assert!(body["uptime"].is_u64() && body["lastRunError"].is_null());
        assert!(body["lastRunTime"].as_str().unwrap().ends_with('Z'));
        vitals.update(|facts| facts.jobs = 2);
        assert_eq!(health(&vitals).1["status"], "running");
    }

    #[tokio::test(start_paused = true)]
    async fn no_database_is_an_error_after_two_polls_and_not_before() {
        let vitals = Vitals::new(Duration::from_secs(60), "llm");
        vitals.looked(Some("refused".into()));
        tokio::time::advance(Duration::from_secs(119)).await;
        vitals.turned();
        assert!(health(&vitals).0);
        assert_eq!(health(&vitals).1["lastRunError"], "refused");
        tokio::time::advance(Duration::from_secs(2)).await;
        let (fine, body) = health(&vitals);
        assert!(!fine && body["status"] == "error");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stuck_loop_is_an_error() {
        let vitals = Vitals::new(Duration::from_secs(60), "llm");
        tokio::time::advance(Duration::from_secs(61)).await;
        vitals.contact();
        assert!(vitals.broken().unwrap().contains("stuck"));
        vitals.turned();
        assert_eq!(vitals.broken(), None);
    }

    #[test]
    fn odd_intervals_are_told_exactly() {
        assert_eq!(interval(Duration::from_millis(1500)), "1500ms");
    }
}
