//! Enqueueing beside the bare INSERT into the same table, whose triggers are off for that session.

use super::Bench;
use super::ground::Ground;
use super::measure::{Pair, Side};
use super::pgbench::Load;
use super::report::{Figure, Unit};
use crate::Database;
use std::time::Instant;

const ENQUEUE: &str =
    "select enqueue_worker_job('generate_quests', '{\"count\": 5, \"level_range\": [3, 6]}');";
const INSERT: &str = "insert into worker_jobs (job_type, parameters)
    values ('generate_quests', '{\"count\": 5, \"level_range\": [3, 6]}') returning id;";
/// No two alike: each names another character.
const BATCH: &str = "insert into worker_jobs (job_type, parameters)
    select 'summarize_session', jsonb_build_object('character_id', md5(n::text)::uuid, 'message_count', 20)
      from generate_series(1, $1::int) n";

/// One call a transaction.
pub fn singly(bench: &mut Bench) {
    let database = Ground::database();
    for clients in [1, 4, 16] {
        let each = 3000 * bench.options.seconds / u64::from(clients.min(4));
        let pair = Pair::measure(bench.options.rounds, |side| {
            let load = Load {
                script: if side == Side::Ours { ENQUEUE } else { INSERT },
                clients,
                each: if clients == 1 { each / 2 } else { each },
                set: &[],
                bare: side == Side::Limit,
            };
            empty(&database);
            load.run(&database).per_second()
        });
        bench
            .report
            .point("enqueue by clients", f64::from(clients), pair.ratio());
        if clients == 4 {
            continue;
        }
        let figure = Figure {
            what: &format!(
                "enqueue, one call a transaction, {clients} client{}",
                if clients == 1 { "" } else { "s" }
            ),
            unit: Unit::PerSecond,
            limit: "bare INSERT",
            aim: "0.9",
        };
        bench.pair(&figure, &pair);
    }
}

/// Many in one statement.
pub fn batch(bench: &mut Bench) {
    let database = Ground::database();
    let mut ours = database.session();
    let mut bare = database.session();
    bare.run("set session_replication_role = replica");
    for jobs in [100, 1000, 10_000] {
        let repeats = (20_000 / jobs).min(20);
        let pair = Pair::measure(bench.options.rounds, |side| {
            empty(&database);
            let session = if side == Side::Ours { &mut ours } else { &mut bare };
            let begun = Instant::now();
            for _ in 0..repeats {
                session.execute(BATCH, &[&jobs]).expect("a batch");
            }
            f64::from(jobs * repeats) / begun.elapsed().as_secs_f64()
        });
        bench
            .report
            .point("a batch by its jobs", f64::from(jobs), pair.ratio());
        if jobs == 10_000 {
            let figure = Figure {
                what: "a batch of 10,000 jobs in one statement",
                unit: Unit::PerSecond,
                limit: "bare INSERT … SELECT",
                aim: "0.7",
            };
            bench.pair(&figure, &pair);
        }
    }
}

fn empty(database: &Database) {
    database.session().run("truncate worker_jobs; checkpoint");
}
