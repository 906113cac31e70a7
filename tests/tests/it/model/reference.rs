//! The reference model: what each step must do and answer, in the fewest words. It follows
//! docs/protocol.md, not the SQL.
//!
//! What the database draws at random (ids, tokens, which quest a claim gets) the model takes over
//! from its answer after checking that it was allowed.

use super::state::{Job, State};
use std::collections::BTreeMap;
use uuid::Uuid;

const MAX_ATTEMPTS: i32 = 3;

/// The pool of quests as the test sets it.
pub const MIN_SIZE: i32 = 4;
pub const BATCH_SIZE: i32 = 2;

/// An outcome as text, or the SQLSTATE of a refusal.
pub type Answer = Result<String, String>;

/// A job and the token that somebody shows for it.
pub type Shown = (Uuid, Uuid);

#[derive(Default)]
pub struct Model {
    pub now: i64,
    pub state: State,
    /// Jobs that the last step made and whose ids are not known yet, in order.
    pub births: Vec<Job>,
    /// In which order the `run_at` of equal moments were set.
    pub order: BTreeMap<Uuid, u64>,
    steps: u64,
}

/// What a token is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Worth {
    Held,
    Cancelled,
    Done,
    Lost,
}

impl Worth {
    /// The answer of the verbs that can be repeated.
    fn ended(self) -> String {
        if self == Worth::Done {
            "already done"
        } else {
            self.gone()
        }
        .into()
    }

    /// The answer of the verbs that need the lease.
    pub fn gone(self) -> &'static str {
        if self == Worth::Cancelled {
            "cancelled"
        } else {
            "lease lost"
        }
    }
}

pub fn yes_or_no(yes: bool) -> Answer {
    Ok(yes.to_string())
}

impl Model {
    pub fn worth(&self, (job, token): Shown) -> Worth {
        match self.state.jobs.get(&job) {
            Some(job) if job.token == Some(token) => match job.status.as_str() {
                "running" => Worth::Held,
                "cancelled" => Worth::Cancelled,
                _ => Worth::Done,
            },
            _ => Worth::Lost,
        }
    }

    pub fn job(&mut self, id: Uuid) -> &mut Job {
        self.state.jobs.get_mut(&id).expect("a job that is there")
    }

    /// Notes that a job's `run_at` was set just now.
    pub fn note_order(&mut self, id: Uuid) {
        self.steps += 1;
        self.order.insert(id, self.steps);
    }

    pub fn born(&mut self, job_type: &str, priority: i32, asked: i32, delay: i64, key: Option<String>) {
        self.births.push(Job {
            job_type: job_type.into(),
            status: "pending".into(),
            priority,
            key,
            asked,
            stored: 0,
            attempts: 0,
            token: None,
            run_at: self.now + delay,
            lease_end: None,
            started: None,
            completed: None,
            rejected: 0,
            duplicates: 0,
            refill: false,
            low: 1,
        });
    }

    /// A job on the way with this dedupe key.
    pub fn twin(&self, key: Option<&str>, but: Option<Uuid>) -> Option<Uuid> {
        let key = key?;
        let jobs = &mut self.state.jobs.iter();
        jobs.find(|(id, job)| job.is_on_the_way() && job.key.as_deref() == Some(key) && Some(**id) != but)
            .map(|(id, _)| *id)
    }

    pub fn pending_check(&self, but: Option<Uuid>) -> Option<Uuid> {
        let jobs = &mut self.state.jobs.iter();
        jobs.find(|(id, job)| job.is_check() && job.is("pending") && Some(**id) != but)
            .map(|(id, _)| *id)
    }

    pub fn lease(&mut self, limit: i32, moments: i64, least: i32) -> Vec<Uuid> {
        let mut due: Vec<(i32, i64, u64, Uuid)> = self
            .state
            .jobs
            .iter()
            .filter(|(_, job)| job.is("pending") && !job.is_check())
            .filter(|(_, job)| job.run_at <= self.now && job.priority <= least)
            .map(|(id, job)| {
                let order = self.order.get(id).copied().unwrap_or(0);
                (job.priority, job.run_at, order, *id)
            })
            .collect();
        due.sort_unstable();
        due.truncate(limit as usize);
        let ids: Vec<Uuid> = due.into_iter().map(|(_, _, _, id)| id).collect();
        for id in &ids {
            let now = self.now;
            let job = self.job(*id);
            job.status = "running".into();
            job.attempts += 1;
            (job.started, job.lease_end) = (Some(now), Some(now + moments));
        }
        ids
    }

    pub fn beat(&mut self, shown: Shown, moments: i64) -> String {
        let (now, worth) = (self.now, self.worth(shown));
        if worth != Worth::Held {
            return worth.gone().into();
        }
        self.job(shown.0).lease_end = Some(now + moments);
        "ok".into()
    }

    pub fn complete(&mut self, shown: Shown) -> Answer {
        let worth = self.worth(shown);
        if worth != Worth::Held {
            return Ok(worth.ended());
        }
        let job = self.job(shown.0);
        if job.stored < job.asked {
            return Ok("incomplete".into());
        }
        self.end(shown.0, "completed");
        self.state.trouble = None;
        Ok("completed".into())
    }

    pub fn fail(&mut self, shown: Shown, permanent: bool) -> Answer {
        let worth = self.worth(shown);
        if worth != Worth::Held {
            return Ok(worth.ended());
        }
        let attempts = self.job(shown.0).attempts;
        if attempts < MAX_ATTEMPTS && !permanent {
            // 30 s, a minute, two …
            self.put_back(shown.0, self.now + (1 << (attempts - 1)), attempts, true);
            return Ok("retry later".into());
        }
        self.end(shown.0, "failed");
        self.pool_failed();
        Ok("failed".into())
    }

    pub fn release(&mut self, shown: Shown, delay: i64) -> Answer {
        let worth = self.worth(shown);
        if worth != Worth::Held {
            return Ok(worth.ended());
        }
        let attempts = self.job(shown.0).attempts;
        self.put_back(shown.0, self.now + delay, (attempts - 1).max(0), true);
        Ok("released".into())
    }

    pub fn cancel(&mut self, id: Uuid) -> Answer {
        let works = self.state.jobs.get(&id).is_some_and(Job::is_on_the_way);
        if works {
            self.end(id, "cancelled");
        }
        yes_or_no(works)
    }

    pub fn retry(&mut self, id: Uuid) -> Answer {
        let job = self.state.jobs.get(&id);
        let works = job.is_some_and(|job| job.is("failed") || job.is("cancelled"));
        yes_or_no(works && self.put_back(id, self.now, 0, false))
    }

    fn end(&mut self, id: Uuid, status: &str) {
        let now = self.now;
        let job = self.job(id);
        job.status = status.into();
        (job.lease_end, job.completed) = (None, Some(now));
    }

    /// Back to the queue, or cancelled where a twin is on the way.
    fn put_back(&mut self, id: Uuid, run_at: i64, attempts: i32, keep_token: bool) -> bool {
        let job = &self.state.jobs[&id];
        let twin = self.twin(job.key.as_deref(), Some(id)).is_some()
            || (job.is_check() && self.pending_check(Some(id)).is_some());
        if twin {
            if !job.is("cancelled") {
                self.end(id, "cancelled");
            }
            return false;
        }
        let job = self.job(id);
        job.status = "pending".into();
        (job.run_at, job.attempts) = (run_at, attempts);
        (job.lease_end, job.completed) = (None, None);
        job.token = job.token.filter(|_| keep_token);
        self.note_order(id);
        true
    }

    pub fn rescue(&mut self) -> i32 {
        let late = |job: &Job| job.lease_end.is_some_and(|end| end <= self.now);
        let jobs = self.state.jobs.iter();
        let ids: Vec<Uuid> = jobs.filter(|(_, job)| late(job)).map(|(id, _)| *id).collect();
        for id in &ids {
            let job = self.job(*id);
            let (attempts, is_check) = (job.attempts, job.is_check());
            if attempts < MAX_ATTEMPTS {
                self.put_back(*id, self.now, attempts, false);
            } else {
                self.end(*id, "failed");
                self.job(*id).token = None;
                if !is_check {
                    self.pool_failed();
                }
            }
        }
        ids.len() as i32
    }
}
