//! `/metrics`: what the executor knows about itself, and how pools and queue stand in the database.
//!
//! The registry is made anew for each answer from what the rest of the program keeps anyway, so there
//! is no second account that could differ. The database is asked with a short bound; when it does not
//! answer, its part is left out and `pg_worker_database_up` says 0.

use std::fmt::Write;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::door::{Door, PoolLevel, QueueLevel};
use crate::vitals::{Facts, Vitals};

pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const DATABASE_BOUND: Duration = Duration::from_secs(3);

/// How pools and queue stand; None when the database did not say.
pub struct Stock(Option<(Vec<PoolLevel>, Vec<QueueLevel>)>);

pub async fn stock(door: &Door) -> Stock {
    let asked = async { tokio::try_join!(door.pool_status(), door.queue_status()) };
    Stock(
        tokio::time::timeout(DATABASE_BOUND, asked)
            .await
            .ok()
            .and_then(Result::ok),
    )
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PoolLabels {
    kind: String,
    campaign_seed: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct JobLabels {
    job_type: String,
    status: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

pub fn render(vitals: &Vitals, stock: &Stock) -> String {
    let mut registry = Registry::with_prefix("pg_worker");
    let facts = vitals.facts();
    count(&mut registry, &facts);
    measure(&mut registry, &facts);
    let help = "Time that the generator took for an answer";
    registry.register_with_unit("answer", help, Unit::Seconds, vitals.llm_seconds.clone());
    gauge(
        &mut registry,
        "database_up",
        "1 when the database answered",
        f64::from(stock.0.is_some()),
    );
    if let Some((pools, queue)) = &stock.0 {
        show_pools(&mut registry, pools);
        show_queue(&mut registry, queue);
    }
    let mut out = String::new();
    if text::encode(&mut out, &registry).is_err() {
        let _ = write!(out, "# EOF");
    }
    out
}

fn count(registry: &mut Registry, facts: &Facts) {
    let counters = &facts.counters;
    for (name, help, value) in [
        ("items_stored", "Items stored", counters.items_stored),
        (
            "duplicates",
            "Items whose title existed already",
            counters.duplicates,
        ),
        ("jobs_completed", "Jobs completed", counters.jobs_completed),
        (
            "attempts_failed",
            "Attempts at jobs that failed",
            counters.jobs_failed,
        ),
        (
            "jobs_released",
            "Jobs given back uncharged",
            counters.jobs_released,
        ),
        (
            "jobs_lost",
            "Jobs cancelled or taken over by another executor",
            counters.jobs_lost,
        ),
        (
            "prompt_tokens",
            "Tokens that the model read",
            counters.prompt_tokens,
        ),
        (
            "completion_tokens",
            "Tokens that the model wrote",
            counters.completion_tokens,
        ),
    ] {
        let counter = Counter::<u64>::default();
        counter.inc_by(value);
        registry.register(name, help, counter);
    }
    let rejected = Family::<Reason, Counter>::default();
    for (reason, value) in &counters.rejected_by {
        rejected.get_or_create(&Reason { reason }).inc_by(*value);
    }
    registry.register(
        "answers_rejected",
        "Answers of the model that were no item",
        rejected,
    );
}

fn measure(registry: &mut Registry, facts: &Facts) {
    gauge(
        registry,
        "in_flight",
        "Items being written",
        facts.in_flight as f64,
    );
    gauge(
        registry,
        "in_flight_budget",
        "Items that may be written at once",
        facts.budget as f64,
    );
    gauge(
        registry,
        "jobs_in_hand",
        "Jobs leased by this executor",
        facts.jobs as f64,
    );
    let open = f64::from(facts.breaker != "closed");
    gauge(
        registry,
        "breaker_open",
        "1 while the model host cannot be used",
        open,
    );
    gauge(
        registry,
        "listening",
        "1 while notifications arrive",
        f64::from(facts.listening),
    );
    let last_look = facts
        .last_look
        .map_or(0.0, |at| at.timestamp_millis() as f64 / 1000.0);
    let help = "When the queue was looked at last, unix time";
    gauge(registry, "last_look_timestamp_seconds", help, last_look);
}

fn show_pools(registry: &mut Registry, pools: &[PoolLevel]) {
    let (available, minimum, coming) = (
        PoolGauges::default(),
        PoolGauges::default(),
        PoolGauges::default(),
    );
    for pool in pools {
        let labels = PoolLabels {
            kind: pool.kind.clone(),
            campaign_seed: pool.scope.clone().unwrap_or_default(),
        };
        available.get_or_create(&labels).set(pool.available);
        minimum.get_or_create(&labels).set(pool.min_size.into());
        coming.get_or_create(&labels).set(pool.on_the_way);
    }
    registry.register("pool_available", "Unused items in the pool", available);
    registry.register("pool_minimum", "Items below which the pool is refilled", minimum);
    registry.register(
        "pool_on_the_way",
        "Items that pending and running jobs still owe",
        coming,
    );
}

type PoolGauges = Family<PoolLabels, Gauge>;

fn show_queue(registry: &mut Registry, queue: &[QueueLevel]) {
    let jobs = Family::<JobLabels, Gauge>::default();
    let oldest = Family::<JobLabels, Gauge<f64, std::sync::atomic::AtomicU64>>::default();
    for level in queue {
        let labels = JobLabels {
            job_type: level.job_type.clone(),
            status: level.status.clone(),
        };
        jobs.get_or_create(&labels).set(level.jobs);
        if let Some(seconds) = level.oldest_seconds {
            oldest.get_or_create(&labels).set(seconds);
        }
    }
    registry.register("jobs", "Jobs by type and status", jobs);
    let help = "Age of the oldest job: since it was due, or since it was started";
    registry.register_with_unit("oldest_job", help, Unit::Seconds, oldest);
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: f64) {
    let gauge = Gauge::<f64, std::sync::atomic::AtomicU64>::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vitals() -> Vitals {
        let vitals = Vitals::new(Duration::from_secs(60), "llm");
        vitals.count(|counters| {
            counters.items_stored = 3;
            counters.reject("not_json");
        });
        vitals.llm_seconds.observe(1.5);
        vitals
    }

    #[tokio::test]
    async fn names_have_prefix_and_unit_and_the_database_may_be_away() {
        let text = render(&vitals(), &Stock(None));
        for line in [
            "pg_worker_items_stored_total 3",
            "pg_worker_answers_rejected_total{reason=\"not_json\"} 1",
            "pg_worker_answer_seconds_bucket{le=\"2.0\"} 1",
            "pg_worker_database_up 0.0",
            "pg_worker_breaker_open 1.0",
            "# EOF",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is not in:\n{text}"
            );
        }
        assert!(!text.contains("pool_available"));
    }

    #[tokio::test]
    async fn pools_and_queue_are_told_by_their_names() {
        let pool = PoolLevel {
            kind: "poi".into(),
            scope: Some("salt \"road\"".into()),
            available: 7,
            min_size: 50,
            on_the_way: 25,
            level: "low".into(),
            last_failure: None,
        };
        let job = QueueLevel {
            job_type: "generate_pois".into(),
            status: "pending".into(),
            jobs: 2,
            oldest_seconds: Some(1.5),
        };
        let text = render(&vitals(), &Stock(Some((vec![pool], vec![job]))));
        for line in [
            "pg_worker_pool_available{kind=\"poi\",campaign_seed=\"salt \\\"road\\\"\"} 7",
            "pg_worker_jobs{job_type=\"generate_pois\",status=\"pending\"} 2",
            "pg_worker_oldest_job_seconds{job_type=\"generate_pois\",status=\"pending\"} 1.5",
            "pg_worker_database_up 1.0",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is not in:\n{text}"
            );
        }
    }
}
