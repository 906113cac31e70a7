//! From the commit of an enqueue until an idle executor has the job in hand, beside a bare NOTIFY from
//! one session to another. Each probe waits until all is quiet again.

use super::Bench;
use super::ground::Ground;
use super::measure::{Pair, Series, percentile};
use super::report::{Figure, Unit};
use crate::wait::{BOUND, wait_for, wait_until};
use crate::{Database, Executor, Session};
use chrono::{DateTime, Utc};
use postgres::fallible_iterator::FallibleIterator;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Longer than the background worker's pauses between notifications and looks: the next probe finds
/// everybody asleep.
const QUIET: Duration = Duration::from_millis(300);
const ENQUEUE: &str = "select enqueue_worker_job('generate_quests', '{\"count\": 1}')::text";

/// Measures both, probe by probe.
pub fn wake(bench: &mut Bench) {
    let database = Ground::database();
    let executor = Executor::on(&database).start();
    wait_until("it listens", BOUND, || {
        executor.health().body.contains("\"listening\":true")
    });
    let mut game = database.session();
    let mut bare = Bare::start(&database);
    let probes = 30 * bench.options.seconds as usize * bench.options.rounds / 5;
    let (mut wakes, mut notes) = (Vec::new(), Vec::new());
    for _ in 0..probes {
        std::thread::sleep(QUIET);
        wakes.push(probe(&mut game, &executor));
        notes.push(bare.probe());
    }
    assert!(executor.stop().success());
    for (share, name, aim) in [(0.5, "p50", "0.6 ms"), (0.99, "p99", "5 ms")] {
        let pair = Pair {
            ours: Series(vec![percentile(&wakes, share)]),
            limit: Series(vec![percentile(&notes, share)]),
        };
        let figure = Figure {
            what: &format!(
                "commit of an enqueue → the job is in an idle executor's hand, {name} of {probes}"
            ),
            unit: Unit::Milliseconds,
            limit: "bare NOTIFY, send to arrival",
            aim,
        };
        bench.pair(&figure, &pair);
    }
}

/// Milliseconds from the answer to the commit until the executor says that it has the lease.
fn probe(game: &mut Session, executor: &Executor) -> f64 {
    let job: String = game.value(ENQUEUE, &[]);
    let committed = Utc::now();
    let leased = wait_for("the lease", BOUND, || {
        let log = executor.log();
        let line = log
            .lines()
            .find(|line| line.contains("leased") && line.contains(&job))?;
        let time = line.split_whitespace().next()?;
        DateTime::parse_from_rfc3339(time).ok()
    });
    let end = format!("select status = 'completed' from worker_jobs where id = '{job}'");
    game.wait_until_true(&end, BOUND);
    (leased.with_timezone(&Utc) - committed)
        .num_microseconds()
        .expect("a short time") as f64
        / 1000.0
}

/// A session that listens and one that notifies.
struct Bare {
    sender: Session,
    arrivals: Receiver<Instant>,
}

impl Bare {
    fn start(database: &Database) -> Bare {
        let mut listener = database.session();
        listener.run("listen bench");
        let (tell, arrivals) = channel();
        std::thread::spawn(move || {
            let mut heard = listener.notifications();
            let mut heard = heard.blocking_iter();
            while let Ok(Some(_)) = heard.next() {
                if tell.send(Instant::now()).is_err() {
                    return;
                }
            }
        });
        Bare {
            sender: database.session(),
            arrivals,
        }
    }

    fn probe(&mut self) -> f64 {
        let sent = Instant::now();
        self.sender.run("notify bench");
        let arrival = self.arrivals.recv_timeout(BOUND).expect("the notification");
        (arrival - sent).as_secs_f64() * 1000.0
    }
}
