//! What content costs beside the model: the database's time for filling all pools from empty, and the
//! executor's share of an item's time.

use super::Bench;
use super::ground::Ground;
use super::measure::percentile;
use crate::wait::wait_until;
use crate::{Executor, Reply, StubLlm};
use std::time::Duration;

/// A quest on a GTX 1080, one at a time: 300 tokens at 33 a second.
const GUIDE_ITEM_SECONDS: f64 = 9.1;
const LONGEST: Duration = Duration::from_secs(120);
const FULL: &str = "select bool_and(available >= minimum) from content_pool_status where kind <> 'poi'";
const ACTIVE: &str = "select active_time from pg_stat_database where datname = $1";
const ITEMS: &str = "select coalesce(sum(items), 0)::float8 from worker.usage";

/// Fills the four pools that every game has, from empty, with the built-in generator.
pub fn refill(bench: &mut Bench) {
    let mut watch = Ground::cluster().session("postgres");
    let (mut whole, mut each) = (Vec::new(), Vec::new());
    for _ in 0..bench.options.rounds.min(3) {
        let database = Ground::database();
        let mut session = database.session();
        session.run("update content_pools set enabled = true");
        let before: f64 = watch.value(ACTIVE, &[&database.name()]);
        let executor = Executor::on(&database).start();
        session.wait_until_true(FULL, LONGEST);
        assert!(executor.stop().success());
        let items: f64 = session.value(ITEMS, &[]);
        drop(session);
        let mut after = before;
        wait_until("the statistics have arrived", LONGEST, || {
            watch.run("select pg_stat_clear_snapshot()");
            let now: f64 = watch.value(ACTIVE, &[&database.name()]);
            std::mem::replace(&mut after, now) == now && now > before
        });
        whole.push(after - before);
        each.push((after - before) / items);
    }
    let text = format!(
        "{:.0} ms, {:.1} ms an item",
        percentile(&whole, 0.5),
        percentile(&each, 0.5)
    );
    bench.alone(
        "database time of a full refill of all pools from empty",
        &text,
        "–",
    );
}

/// The wall time of a job, item after item, less what the model took.
pub fn share(bench: &mut Bench) {
    let database = Ground::database();
    let model = StubLlm::start();
    model.answers(|_| Reply::Slow(Duration::from_millis(10)));
    let executor = Executor::on(&database)
        .model(&model)
        .env("WORKER_MAX_IN_FLIGHT", "1")
        .start();
    let mut session = database.session();
    let items = 5 * bench.options.seconds as i64;
    let overheads: Vec<f64> = (0..bench.options.rounds)
        .map(|_| {
            let sql = "select enqueue_worker_job('generate_quests', jsonb_build_object('count', $1::bigint))::text";
            let job: String = session.value(sql, &[&items]);
            let end = format!("select status = 'completed' from worker_jobs where id = '{job}'");
            session.wait_until_true(&end, LONGEST);
            let wall = "select extract(epoch from completed_at - started_at)::float8 * 1000
                                - (progress ->> 'llm_seconds')::float8 * 1000 from worker_jobs where id::text = $1";
            session.value::<f64>(wall, &[&job]) / items as f64
        })
        .collect();
    assert!(executor.stop().success());
    let overhead = percentile(&overheads, 0.5);
    let (low, high) = (percentile(&overheads, 0.0), percentile(&overheads, 1.0));
    let share = overhead / (overhead + GUIDE_ITEM_SECONDS * 1000.0) * 100.0;
    let text = format!("{overhead:.1} ms ({low:.1}–{high:.1}), {share:.2} % of {GUIDE_ITEM_SECONDS} s");
    bench.alone(
        "executor's share of an item (prompt, check, store), the model taking what it takes on a GTX 1080",
        &text,
        "under 1 %",
    );
}
