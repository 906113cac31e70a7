//! The reference model, last part: what administrators and time do.

use super::reference::Model;
use super::state::Job;
use uuid::Uuid;

const RETENTION: i64 = 7 * 2880;
const HALF_AN_HOUR: i64 = 60;

impl Model {
    pub fn reset_stuck(&mut self) {
        let now = self.now;
        for job in self.state.jobs.values_mut() {
            if job.is("running") && job.started.is_some_and(|at| at + HALF_AN_HOUR <= now) {
                job.status = "failed".into();
                (job.token, job.lease_end, job.completed) = (None, None, Some(now));
            }
        }
    }

    /// A pending job is set running by a plain UPDATE; its new token is the database's secret.
    pub fn set_running(&mut self, id: Uuid) {
        let now = self.now;
        if let Some(job) = self.state.jobs.get_mut(&id).filter(|job| job.is("pending")) {
            job.status = "running".into();
            job.attempts += 1;
            job.token = Some(Uuid::nil());
            (job.started, job.lease_end) = (Some(now), Some(now + HALF_AN_HOUR));
        }
    }

    pub fn set_pending(&mut self, id: Uuid) {
        let running = |job: &&mut Job| job.is("running") && !job.is_check();
        if let Some(job) = self.state.jobs.get_mut(&id).filter(running) {
            job.status = "pending".into();
            (job.token, job.lease_end) = (None, None);
        }
    }

    /// Deletes the finished jobs of at least this age; what they stored stays.
    pub fn delete_finished(&mut self, age: i64) -> i32 {
        let (now, before) = (self.now, self.state.jobs.len());
        let old = |job: &Job| job.completed.is_some_and(|at| at + age <= now);
        self.state.jobs.retain(|_, job| job.is_on_the_way() || !old(job));
        (before - self.state.jobs.len()) as i32
    }

    pub fn prune(&mut self) -> i32 {
        self.delete_finished(RETENTION)
    }

    pub fn pass(&mut self, moments: i64) {
        self.now += moments;
        // Stored times now lie exactly on their moments: ids decide between equal ones.
        self.order.clear();
    }
}
