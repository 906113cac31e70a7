//! `/metrics`: what the executor knows about itself, and how pools and queue stand in the database.
//!
//! The registry is made anew for each answer from what the rest of the program keeps anyway, so there
//! is no second account that could differ. There are as many series as kinds, however many campaigns a game has.

pub mod stock;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use self::stock::Stock;
use crate::door::{KindLevel, QueueLevel};
use crate::vitals::{Facts, Vitals};

pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Told of every kind, also where no pool is at it.
const LEVELS: [&str; 3] = ["ok", "low", "empty"];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabels {
    kind: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PoolLabels {
    kind: String,
    level: String,
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
        f64::from(answers(stock, &facts)),
    );
    if let Stock::Told(levels) = stock {
        show_pools(&mut registry, &levels.pools);
        show_queue(&mut registry, &levels.queue);
    }
    let mut out = String::new();
    if text::encode(&mut out, &registry).is_err() {
        let _ = write!(out, "# EOF");
    }
    out
}

fn answers(stock: &Stock, facts: &Facts) -> bool {
    match stock {
        Stock::Told(_) => true,
        Stock::Away => false,
        Stock::Unknown | Stock::Slow => facts.last_look.is_some() && facts.last_error.is_none(),
    }
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

fn show_pools(registry: &mut Registry, pools: &[KindLevel]) {
    let mut kinds: BTreeMap<&str, [i64; 3]> = BTreeMap::new();
    let at_level = Family::<PoolLabels, Gauge>::default();
    for pool in pools {
        let [available, minimum, coming] = kinds.entry(&pool.kind).or_insert_with(|| {
            for level in LEVELS {
                at_level.get_or_create(&of_pools(&pool.kind, level)).set(0);
            }
            [0; 3]
        });
        *available += pool.available;
        *minimum += pool.minimum;
        *coming += pool.on_the_way;
        at_level
            .get_or_create(&of_pools(&pool.kind, &pool.level))
            .set(pool.pools);
    }
    let told = [
        ("pool_available", "Unused items in the kind's pools"),
        ("pool_minimum", "Items below which the kind's pools are refilled"),
        ("pool_on_the_way", "Items that pending and running jobs still owe"),
    ];
    for (at, (name, help)) in told.into_iter().enumerate() {
        let gauges = Family::<KindLabels, Gauge>::default();
        for (kind, sums) in &kinds {
            let labels = KindLabels {
                kind: (*kind).to_owned(),
            };
            gauges.get_or_create(&labels).set(sums[at]);
        }
        registry.register(name, help, gauges);
    }
    registry.register("pools", "Pools by kind and level", at_level);
}

fn of_pools(kind: &str, level: &str) -> PoolLabels {
    PoolLabels {
        kind: kind.to_owned(),
        level: level.to_owned(),
    }
}

fn show_queue(registry: &mut Registry, queue: &[QueueLevel]) {
    let jobs = Family::<JobLabels, Gauge>::default();
    let oldest = Family::<JobLabels, Gauge<f64, AtomicU64>>::default();
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
    let gauge = Gauge::<f64, AtomicU64>::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

#[cfg(test)]
mod tests;
