//! The game while things break: it enqueues, cancels, retries, claims and asks for pool checks, and
//! remembers what it was told.

use super::game;
use super::line::Line;
use crate::dice::Dice;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// While so many jobs wait, no more are made: all executors are busy, and who is rescued does not have
/// to wait long for one.
const ENOUGH: i64 = 3;

/// What the game was told, and may rely on.
#[derive(Default)]
pub struct Told {
    /// Jobs whose enqueue was answered.
    pub jobs: BTreeSet<Uuid>,
    /// Claimed quests, with the requests that got them.
    pub claims: BTreeMap<Uuid, BTreeSet<String>>,
    pub cancelled: usize,
    pub retried: usize,
}

/// Plays until it is told to stop.
pub fn play(mut line: Line, seed: u64, stop: &AtomicBool) -> (Told, Line) {
    let mut dice = Dice::new(seed ^ 0x6a6d);
    let mut told = Told::default();
    while !stop.load(Ordering::Relaxed) {
        one(&mut line, &mut dice, &mut told);
        // The game's own pace, not a wait for anything.
        std::thread::sleep(Duration::from_millis(dice.between(10, 120)));
    }
    (told, line)
}

fn one(line: &mut Line, dice: &mut Dice, told: &mut Told) {
    match dice.between(0, 99) {
        0..60 => enqueue(line, dice, told),
        60..68 => {
            let sql = "select cancel_worker_job(id) from (select id from worker_jobs
                        where status in ('pending', 'running') order by random() limit 1) j";
            let done = line.value::<bool>(sql, &[]);
            told.cancelled += usize::from(done == Some(true));
        }
        68..78 => {
            let sql = "select retry_worker_job(id) from (select id from worker_jobs
                        where status in ('failed', 'cancelled') order by random() limit 1) j";
            let done = line.value::<bool>(sql, &[]);
            told.retried += usize::from(done == Some(true));
        }
        78..94 => claim(line, dice, told),
        94..97 => told.jobs.extend(line.value::<Uuid>(game::SUMMARY, &[])),
        _ => {
            line.rows("select schedule_pool_check()", &[]);
        }
    }
}

fn enqueue(line: &mut Line, dice: &mut Dice, told: &mut Told) {
    let waiting = line.value::<i64>("select count(*) from worker_jobs where status = 'pending'", &[]);
    if waiting.is_none_or(|waiting| waiting > ENOUGH) {
        return;
    }
    let (count, priority) = (dice.between(1, 10) as i32, dice.between(1, 10) as i32);
    let key = dice.percent(40).then(|| format!("key {}", dice.between(1, 12)));
    // Every second one is an order of somebody, who has a foreign key to it.
    let sql = if dice.percent(50) {
        "insert into orders (job)
         select enqueue_worker_job('generate_quests', jsonb_build_object('count', $1::int), $2, null, $3) returning job"
    } else {
        "select enqueue_worker_job('generate_quests', jsonb_build_object('count', $1::int), $2, null, $3)"
    };
    told.jobs
        .extend(line.value::<Uuid>(sql, &[&count, &priority, &key]));
}

/// A claim with a request id is repeated until it is answered, as a careful game does.
fn claim(line: &mut Line, dice: &mut Dice, told: &mut Told) {
    let request = format!("request {:x}", dice.between(0, u64::MAX - 1));
    let sql = "insert into logbook select quest_id, $1 from claim_quest_from_pool(gen_random_uuid(), 1, 10, $1) returning quest";
    for _ in 0..3 {
        if let Some(rows) = line.rows(sql, &[&request]) {
            for row in rows {
                told.claims.entry(row.get(0)).or_default().insert(request.clone());
            }
            return;
        }
    }
}
