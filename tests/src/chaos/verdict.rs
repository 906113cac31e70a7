//! What is left when everything has been broken and mended: the account, and what must not be.

use super::line::Line;
use super::stage::{Killed, Stage};
use super::traffic::Told;
use crate::invariants;
use std::time::Duration;
use uuid::Uuid;

/// The end of a run.
#[derive(Debug)]
pub struct Verdict {
    /// What happened, in lines to be read.
    pub account: Vec<String>,
    /// What must never happen, and did. Empty is good.
    pub violations: Vec<String>,
    pub kills: usize,
}

/// A name, and a query that counts what must not be there.
const COUNTS: &[(&str, &str)] = &[
    (
        // Finished ones are deleted after some seconds; the audit remembers them.
        "jobs lost: in no end state",
        "select count(*) from (select distinct on (job) is_now from audit.steps order by job, id desc) last
          where is_now not in ('completed', 'failed', 'cancelled')",
    ),
    (
        "jobs done twice: completed more than once",
        "select count(*) from (select job from audit.steps where is_now = 'completed'
                               group by job having count(*) > 1) j",
    ),
    (
        "completed jobs that were begun again",
        "select count(*) from audit.steps where was = 'completed'",
    ),
    (
        "running jobs that changed hands without going back to the queue",
        "select count(*) from audit.steps where was = 'running' and is_now = 'running'",
    ),
    (
        "leases given out twice",
        "select count(*) from (select token from audit.steps where was = 'pending' and is_now = 'running'
                               group by token having count(*) > 1) t",
    ),
    (
        "items stored twice",
        "select count(*) from (select 1 from quest_templates
                               group by provenance ->> 'job_id', provenance ->> 'item_no' having count(*) > 1) q",
    ),
    (
        "items beyond what was asked",
        "select count(*)
           from (select provenance ->> 'job_id' as job, count(*) as items from quest_templates group by 1) s
           join (select job::text, max(asked) as asked from audit.steps group by job) j on j.job = s.job
          where s.items > j.asked",
    ),
];

/// Seconds from a kill until the job is due again and until it runs again; nothing where the game
/// cancelled it meanwhile, or its attempts were spent.
const SINCE: &str = "
    with after as (select * from audit.steps where job = $1 and at > $2),
         ended as (select coalesce(min(id), 9223372036854775807) as id from after where is_now not in ('pending', 'running'))
    select extract(epoch from min(at) filter (where is_now = 'pending') - $2)::float8,
           extract(epoch from min(at) filter (where is_now = 'running') - $2)::float8
      from after where id < (select id from ended)";

/// Judges a drained stage.
pub fn judge(stage: &mut Stage, told: &Told, game: &Line, done: Option<Duration>) -> Verdict {
    let mut violations = std::mem::take(&mut stage.misdeeds);
    let mut account = vec![line_of_faults(stage), line_of_jobs(stage, told)];
    for (name, sql) in COUNTS {
        let count = stage.watch.value::<i64>(sql, &[]);
        account.push(format!(
            "{name}: {}",
            count.map_or("unknown".into(), |count| count.to_string())
        ));
        if count != Some(0) {
            violations.push(format!("{name}: {count:?}"));
        }
    }
    let broken = stage.watch.column::<String>(&invariants::broken(), &[]);
    violations.extend(broken.into_iter().map(|name| format!("broken: {name}")));
    violations.extend(broken_promises(stage, told));
    let deadlocks = stage.cluster.log().matches("deadlock detected").count();
    account.push(format!("deadlocks: {deadlocks}"));
    if deadlocks > 0 {
        violations.push(format!("deadlocks: {deadlocks}"));
    }
    violations.extend(maintenance(stage, &mut account));
    let refusals = game.refusals.iter().chain(&stage.watch.refusals);
    violations.extend(refusals.map(|(words, times)| format!("refused {times} times: {words}")));
    account.push(line_of_recovery(stage));
    account.push(match done {
        Some(time) => format!(
            "after the last fault all that was asked for was done in {:.1} s",
            time.as_secs_f64()
        ),
        None => "after the last fault not all that was asked for was done in time".into(),
    });
    if done.is_none() {
        violations.push("not all was done in time after the last fault".into());
    }
    let kills = stage.done.get("executors killed").copied().unwrap_or(0);
    Verdict {
        account,
        violations,
        kills,
    }
}

/// What a game's foreign keys may not do: stop the tick, or keep what nobody refers to.
fn maintenance(stage: &mut Stage, account: &mut Vec<String>) -> Vec<String> {
    let stopped = stage
        .cluster
        .log()
        .matches("violates foreign key constraint")
        .count();
    account.push(format!("maintenance stopped by a foreign key: {stopped}"));
    stage.watch.rows("select worker.prune_jobs()", &[]);
    let kept = "select count(*) from worker_jobs j where status in ('completed', 'failed', 'cancelled')
                   and completed_at < now() - interval '1 minute' and not exists (select from orders o where o.job = j.id)";
    let kept = stage.watch.value::<i64>(kept, &[]);
    account.push(format!(
        "finished jobs that nobody refers to and nobody deletes: {kept:?}"
    ));
    let mut violations = Vec::new();
    if stopped > 0 {
        violations.push(format!("maintenance stopped by a foreign key {stopped} times"));
    }
    if kept != Some(0) {
        violations.push(format!("finished jobs that were not deleted: {kept:?}"));
    }
    violations
}

fn line_of_faults(stage: &Stage) -> String {
    let faults: Vec<String> = stage
        .done
        .iter()
        .map(|(name, times)| format!("{times} {name}"))
        .collect();
    format!("faults: {}", faults.join(", "))
}

fn line_of_jobs(stage: &mut Stage, told: &Told) -> String {
    let sql = "select count(*) || ' ' || status from worker_jobs group by status order by count(*) desc";
    let jobs = stage.watch.column::<String>(sql, &[]).join(", ");
    let items = stage.watch.value::<i64>("select count(*) from worker.items", &[]);
    let pruned = "select count(distinct job) from audit.steps s where not exists (select from worker_jobs j where j.id = s.job)";
    let pruned = stage.watch.value::<i64>(pruned, &[]).unwrap_or(-1);
    format!(
        "jobs: {jobs}, {pruned} done and deleted; the game was told of {}, cancelled {}, retried {}, claimed {} quests; {} items stored",
        told.jobs.len(),
        told.cancelled,
        told.retried,
        told.claims.len(),
        items.unwrap_or(-1)
    )
}

/// What the game was told and does not find.
fn broken_promises(stage: &mut Stage, told: &Told) -> Vec<String> {
    let jobs: Vec<Uuid> = told.jobs.iter().copied().collect();
    let claims: Vec<Uuid> = told.claims.keys().copied().collect();
    let mut broken = Vec::new();
    let found = "select count(distinct job) from audit.steps where job = any($1)";
    let found = stage.watch.value::<i64>(found, &[&jobs]);
    if found != Some(jobs.len() as i64) {
        broken.push(format!("{} enqueued jobs, {found:?} found", jobs.len()));
    }
    let used = "select count(*) from quest_templates where id = any($1) and used";
    let used = stage.watch.value::<i64>(used, &[&claims]);
    if used != Some(claims.len() as i64) {
        broken.push(format!("{} claimed quests, {used:?} of them used", claims.len()));
    }
    let twice = told.claims.values().filter(|requests| requests.len() > 1).count();
    if twice > 0 {
        broken.push(format!("quests claimed twice: {twice}"));
    }
    broken
}

fn line_of_recovery(stage: &mut Stage) -> String {
    let killed = std::mem::take(&mut stage.killed);
    let (mut due, mut running) = (Vec::new(), Vec::new());
    for Killed { at, job } in &killed {
        for row in stage.watch.rows(SINCE, &[job, at]).unwrap_or_default() {
            due.extend(row.get::<_, Option<f64>>(0));
            running.extend(row.get::<_, Option<f64>>(1));
        }
    }
    format!(
        "{} jobs were in the hands of a killed executor; from SIGKILL to being due again: {}; to running again: {} (lease {} s)",
        killed.len(),
        spread(due),
        spread(running),
        stage.lease_seconds
    )
}

fn spread(mut seconds: Vec<f64>) -> String {
    seconds.sort_by(f64::total_cmp);
    match (seconds.get(seconds.len() / 2), seconds.last()) {
        (Some(median), Some(worst)) => format!("median {median:.1} s, worst {worst:.1} s"),
        _ => "none".into(),
    }
}
