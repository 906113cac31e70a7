//! Jobs without work, through the real executor with all its guarantees, beside a raw lease and a raw
//! finish: two commits a job, no triggers, no fence.

use super::Bench;
use super::ground::Ground;
use super::measure::{Pair, Side};
use super::pgbench::Load;
use super::report::{Figure, Unit};
use crate::wait::{BOUND, wait_until};
use crate::{Database, Executor, Session};
use std::time::Duration;

/// Their one item is stored already: an executor leases such a job, sees that nothing is left to
/// write, and completes it.
const NO_OPS: &str = "insert into worker_jobs (job_type, parameters, stored)
    select 'generate_quests', '{\"count\": 1}', 1 from generate_series(1, $1::int)";
const RAW: &str = "
    update worker_jobs set status = 'running', started_at = now(), attempts = attempts + 1,
           lease_token = gen_random_uuid(), lease_expires_at = now() + interval '30 seconds'
     where id = (select id from worker_jobs where status = 'pending' and job_type <> 'check_all_pools'
                  order by priority, run_at, id limit 1 for update skip locked)
    returning id as job \\gset
    update worker_jobs set status = 'completed', completed_at = now(), lease_expires_at = null where id = :job;";
const BATCHES: &str = "
    select array_agg(job_id) as jobs, array_agg(lease_token) as tokens
      from worker.lease_jobs('7f0c0c8e-6f0b-4f5e-9d3a-0c5d3a9b1e11', 100) \\gset
    select count(*) from worker.complete_jobs(:jobs, :tokens);";
const CLIENTS: u32 = 10;
const LONGEST: Duration = Duration::from_secs(300);

/// Both sides work off the same number of jobs.
pub fn jobs(bench: &mut Bench) {
    let database = Ground::database();
    let mut session = database.session();
    let executor = Executor::on(&database).start();
    wait_until("it listens", BOUND, || {
        executor.health().body.contains("\"listening\":true")
    });
    let count = 1500 * bench.options.seconds as i32;
    let pair = Pair::measure(bench.options.rounds, |side| {
        session.run("truncate worker_jobs; checkpoint");
        match side {
            Side::Ours => through_the_executor(&mut session, count),
            Side::Limit => raw(&database, count),
        }
    });
    assert!(executor.stop().success());
    let figure = Figure {
        what: "no-op jobs, one executor, all guarantees on",
        unit: Unit::PerSecond,
        limit: "raw lease and finish, 10 clients",
        aim: "1",
    };
    bench.pair(&figure, &pair);
    let pair = Pair::measure(bench.options.rounds, |side| {
        session.run("truncate worker_jobs; checkpoint");
        match side {
            Side::Ours => in_batches(&database, 3 * count),
            Side::Limit => raw(&database, count),
        }
    });
    let figure = Figure {
        what: "the protocol's own calls in batches of 100, one client, fenced",
        aim: "several times 1",
        ..figure
    };
    bench.pair(&figure, &pair);
}

/// Jobs a second by bare statements.
fn raw(database: &Database, count: i32) -> f64 {
    let load = Load {
        script: RAW,
        clients: CLIENTS,
        each: count as u64 / u64::from(CLIENTS),
        set: &[],
        bare: true,
    };
    let all = Load::all(CLIENTS, load.each) as i32;
    let mut bare = database.session();
    bare.run("set session_replication_role = replica");
    // Not due for the executor, which must not take part.
    let no_ops = NO_OPS
        .replace("stored)", "stored, run_at)")
        .replace("1 from", "1, 'infinity' from");
    bare.execute(&no_ops, &[&all]).expect("jobs");
    load.run(database).per_second()
}

/// Jobs a second by `lease_jobs` and `complete_jobs`, a commit each for a hundred.
fn in_batches(database: &Database, count: i32) -> f64 {
    let load = Load {
        script: BATCHES,
        clients: 1,
        each: count as u64 / 100,
        set: &[],
        bare: false,
    };
    let all = Load::all(1, load.each) as i32 * 100;
    database.session().execute(NO_OPS, &[&all]).expect("jobs");
    let rate = load.run(database).per_second() * 100.0;
    let left = database
        .session()
        .count("worker_jobs where status <> 'completed'");
    assert_eq!(left, 0, "all are completed");
    rate
}

/// Jobs a second from the first lease to the last completion, by the database's clock.
fn through_the_executor(session: &mut Session, count: i32) -> f64 {
    session.execute(NO_OPS, &[&count]).expect("jobs");
    session.wait_until_true(
        "select not exists (select from worker_jobs where status in ('pending', 'running'))",
        LONGEST,
    );
    let took: f64 = session.value(
        "select extract(epoch from max(completed_at) - min(started_at))::float8 from worker_jobs where status = 'completed'",
        &[],
    );
    f64::from(count) / took
}
