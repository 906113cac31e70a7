//! Leases are taken up, and lost.

use tokio::time::Instant;
use uuid::Uuid;

use super::Engine;
use crate::door::{Gone, Lease};

impl Engine {
    pub(super) fn hold(&mut self, now: Instant, leases: Vec<Lease>, fallback: bool) {
        if self.book.is_empty() {
            self.next_beat = now + self.beat_gap();
        }
        for lease in leases {
            let (job, job_type, attempt) = (lease.job_id, lease.job_type.as_str(), lease.attempt);
            let (priority, asked, stored) = (lease.priority, lease.asked, lease.stored);
            self.drop_older_lease(job);
            tracing::info!(%job, job_type, priority, asked, stored, attempt, fallback, "leased");
            self.book.add(lease, fallback);
        }
    }

    /// The database took us for gone, and gave the job to us once more.
    fn drop_older_lease(&mut self, job: Uuid) {
        let Some(held) = self.book.of_job(job) else {
            return;
        };
        let token = held.lease.token;
        if held.is_closing() {
            // Its end was noted, else the job could not be leased; only the answer is on its way yet.
            self.book.remove(token);
        } else {
            self.lose(token, &Gone::LeaseLost);
        }
    }

    /// The job is not ours any more under this token: whatever is being made for it is of no use.
    pub(super) fn lose(&mut self, token: Uuid, why: &Gone) {
        let Some(held) = self.book.remove(token) else {
            return;
        };
        for (_, handle) in self.working.values().filter(|(of, _)| *of == token) {
            handle.abort();
        }
        let job = held.lease.job_id;
        match why {
            Gone::Cancelled => tracing::info!(%job, "cancelled"),
            Gone::LeaseLost => tracing::warn!(%job, "the lease was lost; another executor may have it"),
            Gone::Failed(reason) => tracing::warn!(%job, reason, "failed"),
        }
        self.tools.vitals.count(|counters| match why {
            Gone::Failed(_) => counters.jobs_failed += 1,
            Gone::Cancelled | Gone::LeaseLost => counters.jobs_lost += 1,
        });
    }
}
