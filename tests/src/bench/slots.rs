//! A model server with four slots: items a second with the budget that is found, beside one in flight,
//! and for which share of the time a slot is free while there is work.

use super::Bench;
use super::ground::Ground;
use super::measure::{Pair, Side, percentile};
use super::report::{Figure, Unit};
use crate::{Database, Executor, Reply, StubLlm};
use std::time::{Duration, Instant};

/// What is tried where the server does not tell how many it has.
const SLOTS: f64 = 4.0;
/// About two seconds an item: a fast card. A slower one only makes the rest count less.
const PIECE: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(300);

/// The server takes as long for an item however many it writes, up to its four.
pub fn slots(bench: &mut Bench) {
    let database = Ground::database();
    let model = StubLlm::start();
    model.answers(|_| Reply::Slow(PIECE));
    let items = 8 + 2 * bench.options.seconds as i64;
    let mut free = Vec::new();
    let pair = Pair::measure(bench.options.rounds.min(3), |side| {
        let setup = Executor::on(&database).model(&model);
        let executor = match side {
            Side::Ours => setup,
            Side::Limit => setup.env("WORKER_MAX_IN_FLIGHT", "1"),
        };
        let executor = executor.start();
        if side == Side::Ours {
            // The steps up to four.
            work_off(&database, &model, 24);
        }
        let (rate, busy) = work_off(
            &database,
            &model,
            if side == Side::Ours { 4 * items } else { items },
        );
        assert!(executor.stop().success());
        if side == Side::Ours {
            free.push((1.0 - busy / SLOTS) * 100.0);
        }
        rate
    });
    let figure = Figure {
        what: "items at the found budget, a server with four slots",
        unit: Unit::PerSecond,
        limit: "one in flight",
        aim: "4",
    };
    bench.pair(&figure, &pair);
    let text = format!(
        "{:.1} % ({:.1}–{:.1})",
        percentile(&free, 0.5),
        percentile(&free, 0.0),
        percentile(&free, 1.0)
    );
    bench.alone(
        "time that a free slot waits while there is work",
        &text,
        "under 3 %",
    );
}

/// Items a second and slots in use on average, from the first item that is asked for until the last
/// ones are begun: after that there is no work for a free slot.
fn work_off(database: &Database, model: &StubLlm, items: i64) -> (f64, f64) {
    let mut session = database.session();
    let sql = "select enqueue_worker_job('generate_quests', jsonb_build_object('count', $1::bigint))::text";
    let first = model.chats_begun();
    let job: String = session.value(sql, &[&items]);
    let begun_by = |count: u64| {
        crate::wait_until("items are begun", LONGEST, || {
            model.chats_begun() >= first + count
        })
    };
    begun_by(1);
    let (begun, busy) = (Instant::now(), model.busy());
    begun_by(items as u64 - 1);
    let (seconds, busy) = (begun.elapsed().as_secs_f64(), (model.busy() - busy).as_secs_f64());
    let rate = (items - 2) as f64 / seconds;
    let end = format!("select status = 'completed' from worker_jobs where id = '{job}'");
    session.wait_until_true(&end, LONGEST);
    (rate, busy / seconds)
}
