//! One step on both sides: PostgreSQL answers, the model says what the answer had to be, and then all
//! that is stored is compared.

use super::op::{Op, Pick};
use super::reference::{Answer, Model, Shown, Worth};
use super::state::Job;
use super::world::World;
use pg_worker_tests::Database;
use uuid::Uuid;

/// The real side, the model, and what the executors remember.
pub struct Pair {
    pub(super) world: World,
    pub(super) model: Model,
    /// Given out, the newest last.
    pub(super) leases: Vec<Shown>,
    jobs: Vec<Uuid>,
}

pub type Verdict = Result<(), String>;

impl Pair {
    pub fn new(database: &Database) -> Pair {
        Pair {
            world: World::new(database),
            model: Model::default(),
            leases: Vec::new(),
            jobs: Vec::new(),
        }
    }

    /// Takes all steps from an empty queue; the first difference ends it.
    pub fn play(&mut self, ops: &[Op]) -> Verdict {
        self.world.clear();
        self.model = Model::default();
        self.leases.clear();
        self.jobs.clear();
        for (number, op) in ops.iter().enumerate() {
            if self.world.is_late() {
                self.world.pass(0);
                self.model.pass(0);
            }
            let step = self.step(op).and_then(|()| self.compare());
            step.map_err(|reason| format!("step {}, {op:?}: {reason}", number + 1))?;
        }
        Ok(())
    }

    /// A lease that was given out; before the first one, a token that never was.
    pub(super) fn shown(&self, pick: Pick) -> Shown {
        let held = |shown: &&Shown| self.model.worth(**shown) == Worth::Held;
        picked(&self.leases, pick, held).unwrap_or((Uuid::max(), Uuid::max()))
    }

    pub(super) fn some_job(&self, pick: Pick, fits: impl Fn(&Job) -> bool) -> Uuid {
        let fitting = |id: &&Uuid| self.model.state.jobs.get(id).is_some_and(&fits);
        picked(&self.jobs, pick, fitting).unwrap_or(Uuid::max())
    }

    fn step(&mut self, op: &Op) -> Verdict {
        match op {
            Op::Enqueue {
                count,
                priority,
                delay,
                key,
            } => self.enqueue(*count, *priority, *delay, *key),
            Op::SchedulePoolCheck => self.schedule_pool_check(),
            Op::Lease {
                limit,
                moments,
                least,
            } => self.lease(*limit, *moments, *least),
            Op::Beat { leases, moments } => self.beat(leases, *moments),
            Op::Store {
                lease,
                number,
                title,
                good,
            } => self.store(*lease, *number, *title, *good),
            Op::Next {
                lease,
                in_flight,
                item_no,
            } => self.next(*lease, in_flight, *item_no),
            Op::Claim { high, request } => self.claim(*high, *request),
            Op::Reject { .. } | Op::Complete { .. } | Op::Fail { .. } | Op::Release { .. } => self.end(op),
            Op::Cancel { job } => self.cancel(*job),
            Op::Retry { job } => self.retry(*job),
            Op::Rescue | Op::Refill | Op::Prune | Op::Tick => self.maintain(op),
            Op::ResetStuck | Op::SetRunning { .. } | Op::SetPending { .. } | Op::DeleteFinished => {
                self.by_hand(op);
                Ok(())
            }
            Op::Pass { moments } => {
                self.world.pass(*moments);
                self.model.pass(*moments);
                Ok(())
            }
        }
    }

    /// Everything that is stored is as the model says, and no invariant is broken.
    fn compare(&mut self) -> Verdict {
        let (real, order) = self.world.read();
        let mut births = std::mem::take(&mut self.model.births).into_iter();
        for id in order {
            if self.model.state.jobs.contains_key(&id) || self.jobs.contains(&id) {
                continue;
            }
            let Some(job) = births.next() else {
                return Err(format!("a job that nobody asked for: {:?}", real.jobs[&id]));
            };
            self.model.state.jobs.insert(id, job);
            self.model.note_order(id);
            self.jobs.push(id);
        }
        if let Some(job) = births.next() {
            return Err(format!("this job is missing: {job:?}"));
        }
        self.learn_secret_tokens(&real.jobs);
        if let Some(difference) = self.model.state.difference(&real) {
            return Err(difference);
        }
        let broken = self.world.broken();
        if !broken.is_empty() {
            return Err(format!("broken: {}", broken.join("; ")));
        }
        Ok(())
    }

    /// A job set running by hand has a token that no executor knows.
    fn learn_secret_tokens(&mut self, real: &std::collections::BTreeMap<Uuid, Job>) {
        for (id, job) in &mut self.model.state.jobs {
            if job.token == Some(Uuid::nil()) {
                let token = real.get(id).and_then(|job| job.token);
                job.token = token.filter(|token| self.leases.iter().all(|(_, known)| known != token));
            }
        }
    }
}

/// Counts back from the newest; of the fitting ones where there are any.
fn picked<T: Copy>(all: &[T], pick: Pick, fits: impl Fn(&&T) -> bool) -> Option<T> {
    let (Pick::Fit(back) | Pick::Any(back)) = pick;
    let fitting: Vec<T> = all.iter().filter(fits).copied().collect();
    let list = if matches!(pick, Pick::Fit(_)) && !fitting.is_empty() {
        &fitting
    } else {
        all
    };
    let newest = list.len().checked_sub(1)?;
    Some(list[newest - back.min(newest)])
}

pub(super) fn same(real: &Answer, model: &Answer) -> Verdict {
    if real == model {
        return Ok(());
    }
    Err(format!("answered {real:?}, the model says {model:?}"))
}
