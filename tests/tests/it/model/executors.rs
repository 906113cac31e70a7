//! The steps of executors, on both sides.

use super::MOMENT;
use super::op::{Number, Op, Pick};
use super::reference::Shown;
use super::steps::{Pair, Verdict, same};
use super::world::Quoted;
use crate::steps::title as title_of;
use uuid::Uuid;

impl Pair {
    pub(super) fn lease(&mut self, limit: i32, moments: i64, least: i32) -> Verdict {
        let seconds = (moments * MOMENT) as i32;
        let sql = "select job_id, lease_token from worker.lease_jobs(gen_random_uuid(), $1, $2, $3)";
        let rows = self.world.rows(sql, &[&limit, &seconds, &least]);
        let leased: Vec<Shown> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let expected = self.model.lease(limit, moments, least);
        let ids: Vec<Uuid> = leased.iter().map(|(id, _)| *id).collect();
        if ids != expected {
            return Err(format!("leased {ids:?}, due were {expected:?}"));
        }
        for (id, token) in leased {
            if self.leases.iter().any(|(_, known)| *known == token) {
                return Err(format!("the token {token} was given out before"));
            }
            self.model.job(id).token = Some(token);
            self.leases.push((id, token));
        }
        Ok(())
    }

    pub(super) fn beat(&mut self, picks: &[Pick], moments: i64) -> Verdict {
        let mut shown: Vec<Shown> = picks.iter().map(|pick| self.shown(*pick)).collect();
        // The answers come in the order of the jobs' ids.
        shown.sort_by_key(|(id, _)| *id);
        let (ids, tokens): (Vec<Uuid>, Vec<Uuid>) = shown.iter().copied().unzip();
        let sql = "select outcome from worker.heartbeat($1, $2, $3)";
        let rows = self
            .world
            .rows(sql, &[&ids, &tokens, &((moments * MOMENT) as i32)]);
        let real: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let model: Vec<String> = shown
            .iter()
            .map(|shown| self.model.beat(*shown, moments))
            .collect();
        same(&Ok(real.join(", ")), &Ok(model.join(", ")))
    }

    pub(super) fn next(&mut self, pick: Pick, in_flight: &[i32], item_no: Option<i32>) -> Verdict {
        let shown = self.shown(pick);
        let call = "select concat_ws(' ', outcome, item_no) from worker.next_item($1, $2, $3, 0, $4)";
        let real = self
            .world
            .ask(call, &[&shown.0, &shown.1, &in_flight, &item_no])
            .map(|row| row.get(0));
        same(&real, &self.model.next(shown, in_flight, item_no))
    }

    pub(super) fn store(&mut self, pick: Pick, number: Number, title: u8, good: bool) -> Verdict {
        let shown = self.shown(pick);
        let title = title_of(i32::from(title));
        let low = self.model.state.jobs.get(&shown.0).map_or(1, |job| job.low);
        let quest = Quoted {
            title: &title,
            low,
            good,
        };
        let item_no = match number {
            Number::This(number) => number,
            Number::Next => Some(self.model.next_number(shown).unwrap_or(1)),
        };
        let (real, item) = self.world.store(shown, item_no, &quest);
        same(&real, &self.model.store(shown, item_no, &title, good, item))
    }

    pub(super) fn end(&mut self, op: &Op) -> Verdict {
        let (pick, call) = match op {
            Op::Reject { lease } => (
                lease,
                "worker.reject_item($1, $2, 1, 'not_json', 'no JSON')".into(),
            ),
            Op::Complete { lease } => (lease, "(worker.complete_job($1, $2)).outcome".into()),
            Op::Fail { lease, permanent } => (
                lease,
                format!("(worker.fail_job($1, $2, 'it rained', {permanent})).outcome"),
            ),
            Op::Release { lease, delay } => (
                lease,
                format!("(worker.release_job($1, $2, {})).outcome", delay * MOMENT),
            ),
            _ => unreachable!("not the end of an attempt"),
        };
        let shown = self.shown(*pick);
        let real = self.world.answer(&call, &[&shown.0, &shown.1]);
        let model = match op {
            Op::Reject { .. } => self.model.reject(shown),
            Op::Complete { .. } => self.model.complete(shown),
            Op::Fail { permanent, .. } => self.model.fail(shown, *permanent),
            Op::Release { delay, .. } => self.model.release(shown, *delay),
            _ => unreachable!("not the end of an attempt"),
        };
        same(&real, &model)
    }
}
