//! A tick over much beside a tick over nothing.

use super::Bench;
use super::claims::thousands;
use super::ground::{Ground, settle};
use super::measure::{Pair, Side, percentile};
use super::report::{Figure, Unit};
use std::time::Instant;

const FINISHED: &str = "
    insert into worker_jobs (job_type, status, stored, completed_at)
    select 'generate_quests', 'completed', 1, now() from generate_series(1, 100000)";
const TICKS: usize = 50;

pub fn tick(bench: &mut Bench) {
    let empty = Ground::database();
    let mut calm = empty.session();
    let mut full = bench.ground.fresh().session();
    full.run("set session_replication_role = replica");
    full.run(FINISHED);
    full.run("reset session_replication_role");
    settle(&mut full);
    // Pools that are not refilled are not looked at.
    for session in [&mut calm, &mut full] {
        session.run("update content_pools set enabled = true where kind = 'quest'");
        session.run("select worker.tick()");
    }
    let pair = Pair::measure(bench.options.rounds, |side| {
        let session = if side == Side::Ours { &mut full } else { &mut calm };
        let times = (0..TICKS).map(|_| {
            let begun = Instant::now();
            session.execute("select worker.tick()", &[]).expect("a tick");
            begun.elapsed().as_secs_f64() * 1000.0
        });
        percentile(&times.collect::<Vec<f64>>(), 0.5)
    });
    bench.report.point(
        "tick by rows (1 is best)",
        bench.options.rows as f64,
        pair.ratio(),
    );
    full.run("truncate worker_jobs");
    full.run("update content_pools set enabled = false");
    let figure = Figure {
        what: &format!(
            "a tick with a pool of {} rows and 100 thousand finished jobs",
            thousands(bench.options.rows)
        ),
        unit: Unit::Milliseconds,
        limit: "the same on empty tables",
        aim: "under 5 ms, the same",
    };
    bench.pair(&figure, &pair);
}
