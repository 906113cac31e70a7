use super::stock::Levels;
use super::*;
use std::sync::Arc;
use std::time::Duration;

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
    let text = render(&vitals(), &Stock::Away);
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
async fn a_database_that_counts_slowly_is_there_when_the_engine_says_so() {
    let vitals = vitals();
    let up = |stock: &Stock| render(&vitals, stock).contains("pg_worker_database_up 1.0");
    assert!(!up(&Stock::Slow), "nobody has asked it yet");
    vitals.looked(None);
    assert!(up(&Stock::Slow) && up(&Stock::Unknown) && !up(&Stock::Away));
    vitals.looked(Some("refused".into()));
    assert!(!up(&Stock::Slow));
}

#[tokio::test]
async fn pools_are_told_by_kind_and_the_queue_by_type() {
    let pools = [("poi", "low", 7), ("poi", "ok", 50), ("\"own\" kind", "empty", 0)];
    let pools = pools.map(|(kind, level, available)| KindLevel {
        kind: kind.into(),
        level: level.into(),
        pools: 1,
        available,
        minimum: 50,
        on_the_way: 25,
    });
    let job = QueueLevel {
        job_type: "generate_pois".into(),
        status: "pending".into(),
        jobs: 2,
        oldest_seconds: Some(1.5),
    };
    let levels = Levels {
        pools: pools.into(),
        queue: vec![job],
    };
    let text = render(&vitals(), &Stock::Told(Arc::new(levels)));
    for line in [
        "pg_worker_pool_available{kind=\"poi\"} 57",
        "pg_worker_pool_minimum{kind=\"poi\"} 100",
        "pg_worker_pool_on_the_way{kind=\"poi\"} 50",
        "pg_worker_pools{kind=\"poi\",level=\"low\"} 1",
        "pg_worker_pools{kind=\"poi\",level=\"empty\"} 0",
        "pg_worker_pools{kind=\"\\\"own\\\" kind\",level=\"empty\"} 1",
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
