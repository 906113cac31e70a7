//! The steps of games, administrators and maintenance, on both sides.

use super::MOMENT;
use super::op::{Op, Pick};
use super::reference::yes_or_no;
use super::state::Job;
use super::steps::{Pair, Verdict, same};
use uuid::Uuid;

impl Pair {
    pub(super) fn enqueue(&mut self, count: i32, priority: i32, delay: i64, key: Option<u8>) -> Verdict {
        let key = key.map(|key| format!("key {key}"));
        let seconds = (delay > 0).then_some((delay * MOMENT) as f64);
        let sql = "select enqueue_worker_job('generate_quests', jsonb_build_object('count', $1::int), $2,
                                             clock_timestamp() + $3 * interval '1 second', $4)";
        let answer = self.world.ask(sql, &[&count, &priority, &seconds, &key]);
        let id: Uuid = answer?.get(0);
        match self.model.twin(key.as_deref(), None) {
            Some(twin) => same(&Ok(id.to_string()), &Ok(twin.to_string())),
            None => {
                self.model.born("generate_quests", priority, count, delay, key);
                Ok(())
            }
        }
    }

    pub(super) fn schedule_pool_check(&mut self) -> Verdict {
        let real = self.world.answer("schedule_pool_check() is not null", &[]);
        let free = self.model.pending_check(None).is_none();
        if free {
            self.model.born("check_all_pools", 1, 1, 0, None);
        }
        same(&real, &yes_or_no(free))
    }

    pub(super) fn cancel(&mut self, pick: Pick) -> Verdict {
        let job = self.some_job(pick, Job::is_on_the_way);
        let real = self.world.answer("cancel_worker_job($1)", &[&job]);
        same(&real, &self.model.cancel(job))
    }

    pub(super) fn retry(&mut self, pick: Pick) -> Verdict {
        let job = self.some_job(pick, |job| job.is("failed") || job.is("cancelled"));
        let real = self.world.answer("retry_worker_job($1)", &[&job]);
        same(&real, &self.model.retry(job))
    }

    pub(super) fn maintain(&mut self, op: &Op) -> Verdict {
        let model = &mut self.model;
        let (call, expected) = match op {
            Op::Rescue => ("worker.rescue_jobs()", model.rescue().to_string()),
            Op::Refill => ("worker.refill_pools()", model.refill().to_string()),
            Op::Prune => ("worker.prune_jobs()", model.prune().to_string()),
            _ => {
                let (rescued, enqueued, pruned) = (model.rescue(), model.refill(), model.prune());
                (
                    "select concat_ws(' ', t ->> 'rescued', t ->> 'enqueued', t ->> 'pruned') from worker.tick() t",
                    format!("{rescued} {enqueued} {pruned}"),
                )
            }
        };
        same(&self.world.answer(call, &[]), &Ok(expected))
    }

    pub(super) fn by_hand(&mut self, op: &Op) {
        match op {
            Op::ResetStuck => {
                self.world.run(
                    "update worker_jobs set status = 'failed', error_message = 'Job timeout - reset by admin'
                      where status = 'running' and started_at < now() - interval '30 minutes'",
                );
                self.model.reset_stuck();
            }
            Op::SetRunning { job } => {
                let job = self.some_job(*job, |job| job.is("pending"));
                let sql = "update worker_jobs set status = 'running' where id = $1 and status = 'pending'";
                self.world.rows(sql, &[&job]);
                self.model.set_running(job);
            }
            Op::SetPending { job } => {
                let job = self.some_job(*job, |job| job.is("running"));
                let sql = "update worker_jobs set status = 'pending'
                            where id = $1 and status = 'running' and job_type <> 'check_all_pools'";
                self.world.rows(sql, &[&job]);
                self.model.set_pending(job);
            }
            _ => {
                self.world
                    .run("delete from worker_jobs where status in ('completed', 'failed', 'cancelled')");
                self.model.delete_finished(0);
            }
        }
    }

    pub(super) fn claim(&mut self, high: bool, request: Option<u8>) -> Verdict {
        let low = if high { 15 } else { 1 };
        let request = request.map(|number| format!("request {number}"));
        let sql = "select quest_id from claim_quest_from_pool(gen_random_uuid(), $1, $2, $3)";
        let rows = self.world.rows(sql, &[&low, &(low + 2), &request]);
        let got: Option<Uuid> = rows.first().map(|row| row.get(0));
        let allowed = self.model.claim(low, request.as_deref(), got);
        if got == allowed {
            return Ok(());
        }
        Err(format!("claimed {got:?}, for example {allowed:?} was right"))
    }
}
