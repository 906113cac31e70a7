//! The background worker of one database.
//!
//! It sleeps until a committed transaction sets its latch, something in the queue becomes due, or
//! the tick interval is over. Then it notifies the executors, looks at the queue, and does what
//! maintenance is due: rescue, refill, prune, each in a short transaction of its own. An error is
//! logged and tried again later; it ends nothing. Looking writes nothing, so an idle database uses
//! no transaction ids.

use crate::owner::{self, Found};
use crate::schedule::{Backoff, Schedule};
use crate::slots::{self, Slot, Stage};
use crate::transaction::Trouble;
use crate::{process, settings};
use pgrx::bgworkers::BackgroundWorker;
use pgrx::prelude::*;
use std::time::Instant;

/// A step of a round of maintenance: what is shown, and the statement.
type Step = (&'static str, &'static str);

const RESCUE: Step = ("rescuing jobs", "select worker.rescue_jobs()");
const REFILL: Step = ("refilling pools", "select worker.refill_pools()");
const PRUNE: Step = ("pruning jobs", "select worker.prune_jobs()");

/// A step that did so much may not be through.
const MANY: i32 = 100;

/// The reason for which the data side cannot be worked on (NULL: it can), the seconds until the next
/// thing is due (NULL: nothing is known), and whether jobs wait for an executor. $1 is when the last
/// notification was sent: a job that became due since then is due to be announced.
const LOOK: &str = "select look.problem, case when look.problem is null then \
        pg_catalog.date_part('epoch', worker.next_due(pg_catalog.to_timestamp($1))) \
        - pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) end, \
        look.problem is null and worker.jobs_wait() \
    from (select worker.ready() as problem offset 0) as look";
/// Gives the time before which everything that is due was announced with it. It waits for no disk: a
/// notification that a crash forgets has nobody left to hear it.
const NOTIFY: &str = "select pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) \
    from (select pg_catalog.set_config('synchronous_commit', 'off', true), \
                 pg_catalog.pg_notify('worker_jobs', '') offset 0) as sent";

/// The server starts the background worker of a database here; the argument is the database's oid.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_worker_ext_background_main(argument: pg_sys::Datum) {
    process::handle_signals();
    let database = pg_sys::Oid::from(argument.value() as u32);
    BackgroundWorker::connect_worker_to_spi_by_oid(Some(database), None);
    process::show_name();
    let Some(slot) = slots::find_or_take(database) else {
        log!(
            "pg_worker_ext: all {} slots for databases are taken",
            slots::SLOTS
        );
        return;
    };
    if !slot.enter() {
        return; // another one was faster
    }
    unsafe { pg_sys::before_shmem_exit(Some(leave), pg_sys::Datum::from(database)) };
    let mut worker = Worker::new(slot);
    slot.set_stage(worker.serve());
    if slot.stage() == Stage::Left || worker.greeted {
        log!(
            "pg_worker_ext: no longer serving database \"{}\"",
            worker.database
        );
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn leave(_code: i32, argument: pg_sys::Datum) {
    if let Some(slot) = slots::find(pg_sys::Oid::from(argument.value() as u32)) {
        slot.leave();
    }
    slots::wake_launcher();
}

struct Worker {
    slot: &'static Slot,
    database: &'static str,
    schedule: Schedule,
    look: Backoff,
    rescue: Backoff,
    refill: Backoff,
    prune: Backoff,
    /// What was logged last about why nothing can be done.
    problem: Option<String>,
    greeted: bool,
    /// When the last notification was sent, by the database's clock.
    announced: Option<f64>,
}

/// Whether the worker goes on.
#[derive(PartialEq, Eq)]
enum Next {
    Stay,
    Go(Stage),
}

impl Worker {
    fn new(slot: &'static Slot) -> Worker {
        Worker {
            slot,
            database: BackgroundWorker::get_extra(),
            schedule: Schedule::new(Instant::now()),
            look: Backoff::default(),
            rescue: Backoff::default(),
            refill: Backoff::default(),
            prune: Backoff::default(),
            problem: None,
            greeted: false,
            announced: None,
        }
    }

    /// Works until there is a reason to leave, and returns that.
    fn serve(&mut self) -> Stage {
        loop {
            if process::reload_if_asked() && !settings::serves(self.database) {
                return Stage::Left;
            }
            // What is wished for already stays up until it is done: whoever commits next need not wake us for it.
            let flags = self
                .slot
                .take(slots::ASKED | slots::LEAVE | self.schedule.unwished());
            if flags & slots::LEAVE != 0 {
                return Stage::Left;
            }
            if flags & slots::JOBS != 0 {
                self.schedule.wish_notify();
            }
            if flags & slots::POOLS != 0 {
                self.schedule.wish_refill();
            }
            if let Next::Go(stage) = self.round() {
                return stage;
            }
            process::show_idle("waiting for work");
            process::sleep(self.schedule.sleep(Instant::now()));
        }
    }

    fn round(&mut self) -> Next {
        let now = Instant::now();
        if self.greeted && self.look.closed_until(now).is_none() && self.schedule.wants_notify(now) {
            self.notify();
        }
        let now = Instant::now();
        if self.schedule.wants_look(now)
            && let Next::Go(stage) = self.look()
        {
            return Next::Go(stage);
        }
        let now = Instant::now();
        if self.problem.is_none() && self.schedule.wants_round(now) {
            self.maintain(now);
        }
        Next::Stay
    }

    /// One NOTIFY for everything that was enqueued since the last one.
    fn notify(&mut self) {
        process::show_busy("notifying executors");
        self.slot.take(slots::JOBS);
        let sent =
            owner::run(|| Spi::connect(|spi| spi.select(NOTIFY, Some(1), &[])?.first().get_one::<f64>()));
        self.schedule.notified(Instant::now());
        match sent {
            Ok(Found::Done(at)) => self.announced = at,
            Ok(Found::NoExtension | Found::NoTables) => {}
            Err(trouble) => {
                self.schedule.wish_notify();
                self.look_failed(&trouble);
            }
        }
    }

    /// Looks whether the data side is ready and when the next thing is due. Writes nothing.
    fn look(&mut self) -> Next {
        process::show_busy("looking at the queue");
        let announced = [self.announced.into()];
        let seen = owner::run(|| {
            Spi::connect(|spi| {
                spi.select(LOOK, Some(1), &announced)?
                    .first()
                    .get_three::<String, f64, bool>()
            })
        });
        let (problem, due_in, jobs_wait) = match seen {
            Ok(Found::NoExtension) => return Next::Go(Stage::Absent),
            Ok(Found::NoTables) => (Some("its tables are not there".to_owned()), None, None),
            Ok(Found::Done(seen)) => seen,
            Err(trouble) => {
                self.look_failed(&trouble);
                return Next::Stay;
            }
        };
        self.look.succeeded();
        self.greet();
        let now = Instant::now();
        match problem {
            None => {
                self.schedule.looked(now, due_in, settings::tick_interval());
                if jobs_wait == Some(true) {
                    self.schedule.jobs_wait(now);
                }
            }
            Some(_) => self.schedule.looked_in_vain(now, settings::tick_interval()),
        }
        self.tell(problem);
        Next::Stay
    }

    fn look_failed(&mut self, trouble: &Trouble) {
        let now = Instant::now();
        self.look.failed(now);
        self.schedule
            .look_failed(self.look.closed_until(now).unwrap_or(now));
        warning!(
            "pg_worker_ext: cannot look at the queue of \"{}\": {trouble}",
            self.database
        );
    }

    /// The extension is here: this worker stays.
    fn greet(&mut self) {
        if !self.greeted {
            self.greeted = true;
            self.slot.set_stage(Stage::Serving);
            slots::wake_launcher();
            log!("pg_worker_ext: serving database \"{}\"", self.database);
        }
    }

    /// Logs why nothing can be done, once for each reason, and that it can be done again.
    fn tell(&mut self, problem: Option<String>) {
        if problem == self.problem {
            return;
        }
        match &problem {
            Some(why) => log!("pg_worker_ext: idle in database \"{}\": {why}", self.database),
            None => log!("pg_worker_ext: at work in database \"{}\"", self.database),
        }
        self.problem = problem;
    }

    /// A round of maintenance. Each step waits for itself after a failure, not for the others.
    fn maintain(&mut self, now: Instant) {
        let prune = self.schedule.begin_round(now);
        self.rescue.attempt(RESCUE, self.database);
        self.slot.take(slots::POOLS);
        self.refill.attempt(REFILL, self.database);
        let now = Instant::now();
        self.schedule.refilled(now, self.refill.closed_until(now));
        if prune && self.prune.attempt(PRUNE, self.database) >= MANY {
            self.schedule.prune_more(Instant::now());
        }
    }
}

impl Backoff {
    /// Runs a step of maintenance, unless it failed a short while ago. Returns how much it did.
    fn attempt(&mut self, (doing, statement): Step, database: &str) -> i32 {
        if self.closed_until(Instant::now()).is_some() {
            return 0;
        }
        process::show_busy(doing);
        let step = || Spi::connect(|spi| spi.select(statement, Some(1), &[])?.first().get_one::<i32>());
        match owner::run(step) {
            Ok(found) => {
                self.succeeded();
                if let Found::Done(Some(count)) = found {
                    count
                } else {
                    0
                }
            }
            Err(trouble) => {
                self.failed(Instant::now());
                warning!("pg_worker_ext: {doing} failed in database \"{database}\": {trouble}");
                0
            }
        }
    }
}
