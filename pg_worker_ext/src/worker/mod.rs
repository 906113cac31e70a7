//! The background worker of one database: a short-lived process that does what is to be done there.
//!
//! - [`schedule`]: when it does what, and when it leaves: pure timing;
//! - [`owner`]: acting as the owner of the tables, [`transaction`]: transactions that survive an error.
//!
//! The launcher starts it when a committed transaction has raised a flag, or something in the queue is due. It notifies the
//! executors, looks at the queue, and does what maintenance is due: rescue, refill, prune, each in a short transaction of
//! its own. An error is logged and tried again later; it ends nothing. Looking writes nothing. When it has
//! had nothing to do for a second it leaves, so that nobody who drops, renames or copies the database has to
//! wait for long: the server itself waits five seconds for others to go.

pub mod owner;
pub mod schedule;
pub mod transaction;

use crate::moment::{self, Moment};
use crate::shmem::{self, Slot, Stage};
use crate::{gucs, process};
use owner::Found;
use pgrx::bgworkers::BackgroundWorker;
use pgrx::prelude::*;
use schedule::{Next, Schedule, Step};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// A step that did so much may not be through.
const MANY: i32 = 100;

/// The reason for which the data side cannot be worked on (NULL: it can), and the seconds until the next
/// thing is due (NULL: nothing is known). $1 is when the last notification was sent (NULL: now): a job that became due since
/// then is due to be announced. Where the SQL is older than this library and does not tell when a job is leased, somebody looks every five seconds
/// while jobs wait.
const LOOK: &str = "select look.problem, case when look.problem is null then \
        least(pg_catalog.date_part('epoch', worker.next_due(pg_catalog.to_timestamp(coalesce($1, pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()))))) \
              - pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()), \
              case when pg_catalog.to_regprocedure('worker.wake_at(timestamptz)') is null and worker.jobs_wait() then 5 end) end \
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
    process::point("worker: before it enters");
    let database = pg_sys::Oid::from(argument.value() as u32);
    BackgroundWorker::connect_worker_to_spi_by_oid(Some(database), None);
    process::show_name();
    let Some(slot) = shmem::find_or_take(database) else {
        log!(
            "pg_worker_ext: all {} slots for databases are taken",
            shmem::SLOTS
        );
        return;
    };
    if !slot.enter() {
        return; // another one was faster
    }
    // SAFETY: the function lives as long as the process; the argument is a number.
    unsafe { pg_sys::before_shmem_exit(Some(leave), pg_sys::Datum::from(database)) };
    let mut worker = Worker::new(slot);
    let stage = worker.serve();
    worker.hand_over(stage);
}

#[pg_guard]
unsafe extern "C-unwind" fn leave(_code: i32, argument: pg_sys::Datum) {
    if let Some(slot) = shmem::find(pg_sys::Oid::from(argument.value() as u32)) {
        slot.leave();
    }
    shmem::wake_launcher();
}

struct Worker {
    slot: &'static Slot,
    database: &'static str,
    schedule: Schedule,
    /// Whether it has done a step.
    worked: bool,
}

impl Worker {
    fn new(slot: &'static Slot) -> Worker {
        Worker {
            slot,
            database: BackgroundWorker::get_extra(),
            schedule: Schedule::new(process::now(), slot.notes()),
            worked: false,
        }
    }

    /// Works until there is a reason to leave, and returns that.
    fn serve(&mut self) -> Stage {
        loop {
            if process::reload_if_asked() && !gucs::serves(self.database) {
                self.slot.set_served(false);
                return Stage::Rested;
            }
            self.take_flags();
            process::point("worker: has taken the flags");
            if self.slot.take(shmem::YIELD) != 0 && self.worked {
                return Stage::Rested;
            }
            match self.schedule.next(process::now()) {
                Next::Do(step) => {
                    self.worked = true;
                    if let Some(stage) = self.attempt(step) {
                        return stage;
                    }
                }
                Next::Sleep(until) => self.sleep(until),
                Next::Leave => return Stage::Rested,
            }
        }
    }

    /// What is wished for already stays up until it is done: whoever commits next need not wake us for it.
    fn take_flags(&mut self) {
        let flags = self.slot.take(self.news());
        if flags & shmem::AFRESH != 0 {
            self.schedule.begin_afresh();
        }
        if flags & shmem::VISIT != 0 {
            self.schedule.want_everything();
        }
        if flags & shmem::JOBS != 0 {
            self.schedule.want(Step::Notify);
        }
        if flags & shmem::POOLS != 0 {
            self.schedule.want(Step::Refill);
        }
        self.schedule.due_at(self.slot.take_due());
    }

    /// The flags that would tell something new.
    fn news(&self) -> u32 {
        let jobs = if self.schedule.wants(Step::Notify) {
            0
        } else {
            shmem::JOBS
        };
        let pools = if self.schedule.wants(Step::Refill) {
            0
        } else {
            shmem::POOLS
        };
        jobs | pools | shmem::VISIT | shmem::AFRESH
    }

    fn sleep(&self, until: Moment) {
        // A wait for a lock may have used up the latch that a flag came with.
        if self.slot.flags() & (self.news() | shmem::YIELD) == 0 {
            process::show_idle("waiting for work");
            process::sleep(until.since(process::now()));
        }
    }

    /// Leaves what the next worker has to know, then the slot, then looks whether somebody wished for something meanwhile.
    fn hand_over(&mut self, stage: Stage) {
        process::point("worker: before it leaves");
        self.slot.leave_notes(&self.schedule.notes());
        self.slot.lower_due(self.schedule.due());
        self.slot.set_stage(stage);
        self.slot.leave();
        process::point("worker: after it has left");
        if self.slot.flags() != 0 {
            shmem::wake_launcher();
        }
    }

    /// Does a step. Returns a reason to leave, if it came upon one.
    fn attempt(&mut self, step: Step) -> Option<Stage> {
        let found = match step {
            Step::Notify => self.notify(),
            Step::Look => self.look(),
            Step::Rescue => self.maintain(step, "select worker.rescue_jobs()"),
            Step::Refill => {
                self.slot.take(shmem::POOLS);
                self.maintain(step, "select worker.refill_pools()")
            }
            Step::Prune => self.maintain(step, "select worker.prune_jobs()"),
        };
        match found {
            Found::Done(()) => None,
            Found::NoTables => {
                self.schedule.failed(step, process::now());
                self.not_ready("its tables are not there");
                None
            }
            Found::NoExtension => Some(Stage::Absent),
            Found::DatabaseInUse => Some(Stage::StoodBack),
        }
    }

    /// One NOTIFY for everything that was enqueued since the last one.
    fn notify(&mut self) -> Found<()> {
        process::show_busy(Step::Notify.doing());
        self.slot.take(shmem::JOBS);
        let sent =
            owner::run(|| Spi::connect(|spi| spi.select(NOTIFY, Some(1), &[])?.first().get_one::<f64>()));
        self.conclude(Step::Notify, NOTIFY, sent, |worker, at| {
            worker.slot.set_announced(at.unwrap_or(0.0));
            worker.schedule.done(Step::Notify, process::now());
        })
    }

    /// Looks whether the data side is ready and when the next thing is due. Writes nothing.
    fn look(&mut self) -> Found<()> {
        process::show_busy(Step::Look.doing());
        let announced = [self.slot.announced().into()];
        let seen = owner::run(|| {
            Spi::connect(|spi| {
                spi.select(LOOK, Some(1), &announced)?
                    .first()
                    .get_two::<String, f64>()
            })
        });
        self.conclude(Step::Look, LOOK, seen, |worker, (problem, due_in)| {
            worker.greet();
            match problem {
                None => {
                    let due_in =
                        due_in.and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok());
                    worker.schedule.looked(process::now(), due_in, gucs::visit_gap());
                    worker.tell(None);
                }
                Some(why) => worker.not_ready(&why),
            }
        })
    }

    fn maintain(&mut self, step: Step, statement: &str) -> Found<()> {
        process::show_busy(step.doing());
        let done =
            owner::run(|| Spi::connect(|spi| spi.select(statement, Some(1), &[])?.first().get_one::<i32>()));
        self.conclude(step, statement, done, |worker, count| {
            let now = process::now();
            worker.schedule.done(step, now);
            if step == Step::Prune && count.unwrap_or(0) >= MANY {
                worker.schedule.prune_more(now);
            }
        })
    }

    /// Takes over what a step brought, or logs why it failed.
    fn conclude<R>(
        &mut self,
        step: Step,
        statement: &str,
        result: Result<Found<R>, transaction::Trouble>,
        take_over: impl FnOnce(&mut Worker, R),
    ) -> Found<()> {
        match result {
            Ok(Found::Done(value)) => {
                take_over(self, value);
                Found::Done(())
            }
            Ok(Found::NoTables) => Found::NoTables,
            Ok(Found::NoExtension) => Found::NoExtension,
            Ok(Found::DatabaseInUse) => Found::DatabaseInUse,
            Err(trouble) => {
                self.schedule.failed(step, process::now());
                let what = format!("{} failed in database \"{}\"", step.doing(), self.database);
                trouble.log(&what, statement);
                Found::Done(())
            }
        }
    }

    fn not_ready(&mut self, problem: &str) {
        self.schedule.not_ready(process::now());
        self.tell(Some(problem));
    }

    /// The extension is here. Told once, by the first worker that sees it.
    fn greet(&mut self) {
        if !self.slot.is_served() {
            self.slot.set_served(true);
            log!("pg_worker_ext: serving database \"{}\"", self.database);
        }
    }

    /// Logs why nothing can be done, once for each reason, and that it can be done again.
    fn tell(&mut self, problem: Option<&str>) {
        let number = problem.map_or(0, |problem| {
            let mut hasher = DefaultHasher::new();
            problem.hash(&mut hasher);
            hasher.finish().max(1)
        });
        if self.slot.is_news(number) {
            match problem {
                Some(why) => log!("pg_worker_ext: idle in database \"{}\": {why}", self.database),
                None => log!("pg_worker_ext: at work in database \"{}\"", self.database),
            }
        }
    }
}
