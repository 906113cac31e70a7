//! The reference model, second half: items, the pool, claims and refills.

use super::reference::{Answer, BATCH_SIZE, MIN_SIZE, Model, Shown, Worth};
use super::state::Quest;
use uuid::Uuid;

fn refused() -> Answer {
    Err("22023".into())
}

impl Model {
    pub fn next(&self, shown: Shown, in_flight: &[i32], item_no: Option<i32>) -> Answer {
        let worth = self.worth(shown);
        if worth != Worth::Held {
            return Ok(worth.gone().into());
        }
        let asked = self.state.jobs[&shown.0].asked;
        match item_no {
            Some(number) if !(1..=asked).contains(&number) => refused(),
            Some(number) => Ok(format!("item {number}")),
            None => {
                let next = self.missing(shown.0).find(|number| !in_flight.contains(number));
                Ok(next.map_or("none".into(), |number| format!("item {number}")))
            }
        }
    }

    /// The numbers of a job that are not stored yet.
    fn missing(&self, job: Uuid) -> impl Iterator<Item = i32> {
        (1..=self.state.jobs[&job].asked)
            .filter(move |number| !self.state.ledger.contains_key(&(job, *number)))
    }

    /// What an executor would store next.
    pub fn next_number(&self, shown: Shown) -> Option<i32> {
        self.state.jobs.get(&shown.0)?;
        self.missing(shown.0).next()
    }

    /// `answered`: the id that the database gave to a new item.
    pub fn store(
        &mut self,
        shown: Shown,
        item_no: Option<i32>,
        title: &str,
        good: bool,
        answered: Option<Uuid>,
    ) -> Answer {
        let worth = self.worth(shown);
        let known = item_no.and_then(|number| self.state.ledger.get(&(shown.0, number)));
        if let (Some((item, _)), Worth::Held | Worth::Done) = (known, worth) {
            let stored = self.state.jobs[&shown.0].stored;
            return Ok(format!("stored {stored} {item}"));
        }
        if worth != Worth::Held {
            return Ok(worth.gone().into());
        }
        let asked = self.state.jobs[&shown.0].asked;
        let Some(number) = item_no.filter(|number| (1..=asked).contains(number)) else {
            return refused();
        };
        let exists = self.state.ledger.values().any(|(_, known)| known == title);
        let job = self.job(shown.0);
        if !good {
            job.rejected += 1;
            return Ok(format!("rejected {}", job.stored));
        }
        if exists {
            job.duplicates += 1;
            return Ok(format!("duplicate {}", job.stored));
        }
        job.stored += 1;
        let (low, stored) = (job.low, job.stored);
        let item = answered.filter(|id| !self.state.pool.contains_key(id));
        let item = item.unwrap_or_default();
        self.state.ledger.insert((shown.0, number), (item, title.into()));
        let (used, request) = (false, None);
        self.state.pool.insert(item, Quest { low, used, request });
        Ok(format!("stored {stored} {item}"))
    }

    pub fn reject(&mut self, shown: Shown) -> Answer {
        let worth = self.worth(shown);
        if worth != Worth::Held {
            return Ok(worth.gone().into());
        }
        self.job(shown.0).rejected += 1;
        Ok("counted".into())
    }

    /// `answered`: the quest that the claim got. An allowed one is taken.
    pub fn claim(&mut self, low: i32, request: Option<&str>, answered: Option<Uuid>) -> Option<Uuid> {
        let pool = &mut self.state.pool;
        if let Some((id, _)) = pool
            .iter()
            .find(|(_, quest)| request.is_some() && quest.request.as_deref() == request)
        {
            return Some(*id);
        }
        let fits = |quest: &Quest| !quest.used && quest.low == low;
        let chosen = answered.filter(|id| pool.get(id).is_some_and(fits));
        let chosen = chosen.or_else(|| pool.iter().find(|(_, quest)| fits(quest)).map(|(id, _)| *id));
        match chosen {
            Some(id) => {
                let quest = pool.get_mut(&id).expect("chosen from it");
                (quest.used, quest.request) = (true, request.map(Into::into));
            }
            None => self.want(low),
        }
        chosen
    }

    /// A claim that found nothing asks for just that, once, unless the pool's jobs fail at present.
    fn want(&mut self, low: i32) {
        let key = format!("wanted generate_quests {{\"level_range\": [{low}, {}]}}", low + 2);
        if !self.is_resting() && self.twin(Some(&key), None).is_none() {
            self.born("generate_quests", 3, BATCH_SIZE.min(5), 0, Some(key));
            self.births.last_mut().expect("just born").low = low;
        }
    }

    fn is_resting(&self) -> bool {
        self.state.trouble.is_some_and(|(_, next)| next > self.now)
    }

    /// A job has failed for good: the pool rests for a minute, doubling to an hour.
    pub fn pool_failed(&mut self) {
        let failures = self.state.trouble.map_or(0, |(failures, _)| failures);
        let pause = (2 << failures.min(10)).min(120);
        let next = self.now + pause;
        self.state.trouble = Some((failures + 1, next));
        for job in self
            .state
            .jobs
            .values_mut()
            .filter(|job| job.refill && job.is("pending"))
        {
            job.run_at = job.run_at.max(next);
        }
    }

    /// A pending pool check is done, and what is missing is enqueued.
    pub fn refill(&mut self) -> i32 {
        let now = self.now;
        let check = self.pending_check(None);
        if let Some(check) = check.filter(|id| self.state.jobs[id].run_at <= now) {
            let job = self.job(check);
            job.status = "completed".into();
            job.attempts += 1;
            (job.stored, job.token) = (job.asked, None);
            (job.started, job.completed) = (Some(now), Some(now));
        }
        let unused = self.state.pool.values().filter(|quest| !quest.used).count() as i32;
        let jobs = self.state.jobs.values();
        let owed: i32 = jobs
            .filter(|job| job.is_on_the_way() && job.job_type == "generate_quests")
            // What a claim wanted is for its own levels, and what is due later fills no gap now.
            .filter(|job| !job.key.as_deref().unwrap_or("").starts_with("wanted"))
            .filter(|job| job.run_at <= now + 3600 / super::MOMENT)
            .map(|job| (job.asked - job.stored).max(0))
            .sum();
        let mut missing = if self.is_resting() {
            0
        } else {
            MIN_SIZE - unused - owed
        };
        let before = self.births.len();
        while missing > 0 {
            // An empty pool comes before one that is only low.
            let priority = if unused == 0 { 5 } else { 6 };
            self.born("generate_quests", priority, missing.min(BATCH_SIZE), 0, None);
            self.births.last_mut().expect("just born").refill = true;
            missing -= BATCH_SIZE;
        }
        (self.births.len() - before) as i32
    }
}
