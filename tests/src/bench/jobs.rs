//! Jobs without work, through the real executor with all its guarantees, beside a raw lease and a raw
//! finish: two commits a job, no triggers, no fence.

use super::Bench;
use super::ground::Ground;
use super::measure::{Pair, Side};
use super::pgbench::Load;
use super::report::{Figure, Unit};
use crate::wait::{BOUND, wait_until};
use crate::{Executor, Session};
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
const CLIENTS: u32 = 10;
const LONGEST: Duration = Duration::from_secs(300);

/// Both sides work off the same number of jobs.
pub fn jobs(bench: &mut Bench) {
    let database = Ground::database();
    let mut session = database.session();
    let mut bare = database.session();
    bare.run("set session_replication_role = replica");
    let executor = Executor::on(&database).start();
    wait_until("it listens", BOUND, || {
        executor.health().body.contains("\"listening\":true")
    });
    let count = 1500 * bench.options.seconds as i32;
    let pair = Pair::measure(bench.options.rounds, |side| {
        session.run("truncate worker_jobs; checkpoint");
        match side {
            Side::Ours => through_the_executor(&mut session, count),
            Side::Limit => {
                let load = Load {
                    script: RAW,
                    clients: CLIENTS,
                    each: count as u64 / u64::from(CLIENTS),
                    set: &[],
                    bare: true,
                };
                let all = Load::all(CLIENTS, load.each) as i32;
                // Not due for the executor, which must not take part.
                bare.execute(
                    &NO_OPS
                        .replace("stored)", "stored, run_at)")
                        .replace("1 from", "1, 'infinity' from"),
                    &[&all],
                )
                .expect("jobs");
                load.run(&database).per_second()
            }
        }
    });
    assert!(executor.stop().success());
    let figure = Figure {
        what: "no-op jobs, one executor, all guarantees on",
        unit: Unit::PerSecond,
        limit: "raw lease and finish, 10 clients",
        aim: "1, several times that in batches",
    };
    bench.pair(&figure, &pair);
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
