//! Everything is broken at random, and then it is counted whether anything was lost or done twice.
//! Real executors and a real server with its background worker; a game that plays on meanwhile.

mod game;
mod line;
mod schedule;
mod stage;
mod traffic;
mod verdict;

pub use verdict::Verdict;

use crate::Cluster;
use line::Line;
use schedule::Planned;
use stage::Stage;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// After the last fault all that was asked for must be done within this time …
const ALIVE: Duration = Duration::from_secs(60);
/// … and where it is not, so much longer is waited, to see whether it is late or lost.
const DRAIN: Duration = Duration::from_secs(150);
const PROGRESS: Duration = Duration::from_secs(5);

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seconds: u64,
    pub seed: u64,
    /// 2 to 8.
    pub executors: usize,
    /// Of the executors; 5 is the shortest there is, 30 their default.
    pub lease_seconds: u64,
    /// The executors have the timeouts that ship; else short ones.
    pub shipped: bool,
}

/// Breaks and mends until the time is over, lets the queue drain, and judges. `say` hears how it goes.
pub fn run(plan: Plan, say: &mut dyn FnMut(&str)) -> Verdict {
    let planned = schedule::draw(&plan);
    let cluster = Cluster::own(&[]);
    let mut stage = Stage::set(&cluster, &plan);
    let stop = AtomicBool::new(false);
    let (told, game) = std::thread::scope(|scope| {
        let line = Line::to(&stage.database);
        let game = scope.spawn(|| traffic::play(line, plan.seed, &stop));
        break_things(&mut stage, &planned, Duration::from_secs(plan.seconds), say);
        stop.store(true, Ordering::Relaxed);
        game.join().expect("the game")
    });
    stage.end_faults();
    let done = all_done(&mut stage, say);
    if done.is_none() {
        drain(&mut stage, say);
    }
    stage.leave();
    verdict::judge(&mut stage, &told, &game, done)
}

fn break_things(stage: &mut Stage, planned: &[Planned], length: Duration, say: &mut dyn FnMut(&str)) {
    let begun = Instant::now();
    let mut told = begun;
    let end = [(length, None)];
    let steps = planned.iter().map(|(at, action)| (*at, Some(*action)));
    for (at, action) in steps.chain(end) {
        while let Some(left) = at.checked_sub(begun.elapsed()) {
            std::thread::sleep(left.min(Duration::from_millis(500)));
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                say(&progress(stage, begun.elapsed()));
            }
        }
        if let Some(action) = action {
            stage.perform(action);
        }
    }
}

/// Jobs that wait or run, and items that the pools still lack; NULL where the server is away.
const LEFT: &str = "select (select count(*) from worker_jobs where status in ('pending', 'running'))
                         + (select coalesce(sum(missing), 0)::bigint from worker.pool_deficits())";

/// How long it takes after the last fault until all that was asked for is done; none where that is too long.
fn all_done(stage: &mut Stage, say: &mut dyn FnMut(&str)) -> Option<Duration> {
    let begun = Instant::now();
    let done = empty_within(stage, LEFT, ALIVE, say);
    done.then(|| begun.elapsed())
}

/// Waits until no job is pending or running; no pool asks for more.
fn drain(stage: &mut Stage, say: &mut dyn FnMut(&str)) {
    stage.note_what_is_left();
    let left = "select count(*) from worker_jobs where status in ('pending', 'running')";
    stage.watch.rows("update content_pools set enabled = false", &[]);
    empty_within(stage, left, DRAIN, say);
}

fn empty_within(stage: &mut Stage, left: &str, bound: Duration, say: &mut dyn FnMut(&str)) -> bool {
    let begun = Instant::now();
    let mut told = begun;
    while begun.elapsed() < bound {
        if stage.watch.value::<i64>(left, &[]) == Some(0) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(100));
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            say(&format!("no more faults: {}", progress(stage, begun.elapsed())));
        }
    }
    false
}

fn progress(stage: &mut Stage, elapsed: Duration) -> String {
    let sql = "select count(*) || ' ' || status from worker_jobs group by status order by status";
    let jobs = stage.watch.column::<String>(sql, &[]).join(", ");
    let faults: usize = stage.done.values().sum();
    let kills = stage.done.get("executors killed").copied().unwrap_or(0);
    let jobs = if jobs.is_empty() {
        "the server is away"
    } else {
        &jobs
    };
    format!(
        "{:4} s  {faults} faults ({kills} kills); {jobs}",
        elapsed.as_secs()
    )
}
