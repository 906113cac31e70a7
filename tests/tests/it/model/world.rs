//! The real side: takes each step in PostgreSQL, reads what is stored, and moves its time.

use super::MOMENT;
use super::reference::{Answer, BATCH_SIZE, MIN_SIZE};
use super::state::{Job, Quest, State};
use chrono::{DateTime, Utc};
use pg_worker_tests::session::Params;
use pg_worker_tests::{Database, Session, invariants, time};
use postgres::{Row, Statement};
use serde_json::json;
use std::time::Instant;
use uuid::Uuid;

/// Nothing may take so long that a stored time slips into the next moment.
const REALIGN_SECONDS: u64 = 8;

/// What is read after each step; `moment(…)` becomes the number of the moment that a time lies in.
const JOBS: &str = "
    select id, job_type, status, priority, dedupe_key, asked, stored, attempts, lease_token,
           moment(run_at), case status when 'running' then moment(lease_expires_at) end, moment(started_at),
           moment(completed_at), coalesce((progress ->> 'duplicates')::int, 0),
           coalesce((select sum(n::int)::int from jsonb_each_text(progress -> 'rejected') r(class, n)), 0),
           coalesce((parameters -> 'level_range' ->> 0)::int, 1), refill
      from worker_jobs order by run_at, created_at";
const LEDGER: &str = "select job_id, item_no, item_id, title from worker.items";
const POOL: &str = "select id, level_min, used, request_id from quest_templates";
const TROUBLE: &str = "select failures, moment(next_try_at) from worker.pool_trouble where kind = 'quest'";

/// A database with several sessions, each an executor or a game backend.
pub struct World {
    sessions: Vec<Session>,
    turn: usize,
    readers: Vec<Statement>,
    anchor: DateTime<Utc>,
    aligned: Instant,
    pub now: i64,
}

impl World {
    pub fn new(database: &Database) -> World {
        let mut admin = database.session();
        admin.run(&format!(
            "update content_pools set enabled = kind = 'quest';
             update content_pools set min_size = {MIN_SIZE}, batch_size = {BATCH_SIZE} where kind = 'quest'"
        ));
        let anchor = time::clock(&mut admin);
        let broken = invariants::broken();
        let readers = [JOBS, LEDGER, POOL, TROUBLE, &broken].map(|sql| prepare(&mut admin, sql));
        World {
            sessions: (0..3).map(|_| database.session()).chain([admin]).collect(),
            turn: 0,
            readers: readers.into(),
            anchor,
            aligned: Instant::now(),
            now: 0,
        }
    }

    /// Empties the tables, for the next case.
    pub fn clear(&mut self) {
        self.admin().run(
            "truncate worker_jobs, worker.items, quest_templates, worker.pool_trouble, worker.executors",
        );
        self.anchor = time::clock(self.admin());
        self.aligned = Instant::now();
        self.now = 0;
    }

    fn admin(&mut self) -> &mut Session {
        self.sessions.last_mut().expect("the last session")
    }

    /// The next session in turn: no step may depend on who takes it.
    fn session(&mut self) -> &mut Session {
        self.turn = (self.turn + 1) % 3;
        &mut self.sessions[self.turn]
    }

    /// Lets time pass in this database alone, and puts every stored time exactly on its moment, so
    /// that the real milliseconds of the steps do not add up.
    pub fn pass(&mut self, moments: i64) {
        self.now += moments;
        let (old, new) = (self.anchor, time::clock(self.admin()));
        let onto_the_grid = format!(
            "'{}'::timestamptz + interval '{MOMENT} seconds'
               * (floor(extract(epoch from {{t}} - '{}'::timestamptz) / {MOMENT})::int - {moments})",
            new.to_rfc3339(),
            old.to_rfc3339()
        );
        let sql = time::rewriting(self.admin(), &onto_the_grid);
        self.admin().run(&sql);
        (self.anchor, self.aligned) = (new, Instant::now());
    }

    /// Whether so much real time has gone by that the stored times must be put in order first.
    pub fn is_late(&self) -> bool {
        self.aligned.elapsed().as_secs() >= REALIGN_SECONDS
    }

    /// One row, or the SQLSTATE.
    pub fn ask(&mut self, sql: &str, params: Params) -> Result<Row, String> {
        self.session()
            .query_one(sql, params)
            .map_err(|error| match error.code() {
                Some(code) => code.code().to_owned(),
                None => panic!("{error:?}\n{sql}"),
            })
    }

    /// One value as text.
    pub fn answer(&mut self, expression: &str, params: Params) -> Answer {
        let row = self.ask(&format!("select ({expression})::text"), params)?;
        Ok(row.get::<_, Option<String>>(0).unwrap_or_else(|| "NULL".into()))
    }

    /// A statement of an administrator.
    pub fn run(&mut self, sql: &str) {
        self.session().run(sql);
    }

    pub fn rows(&mut self, sql: &str, params: Params) -> Vec<Row> {
        self.session().rows(sql, params)
    }

    pub fn store(
        &mut self,
        (job, token): (Uuid, Uuid),
        no: Option<i32>,
        quest: &Quoted,
    ) -> (Answer, Option<Uuid>) {
        let sql = "select outcome, item_id, stored from worker.store_item($1, $2, $3, $4)";
        let row = match self.ask(sql, &[&job, &token, &no, &quest.item()]) {
            Ok(row) => row,
            Err(code) => return (Err(code), None),
        };
        let (outcome, item): (String, Option<Uuid>) = (row.get(0), row.get(1));
        let stored: Option<i32> = row.get(2);
        let answer = match (outcome.as_str(), item) {
            ("stored", Some(id)) => format!("stored {} {id}", stored.unwrap_or(-1)),
            ("rejected" | "duplicate", None) => format!("{outcome} {}", stored.unwrap_or(-1)),
            _ => outcome,
        };
        (Ok(answer), item)
    }

    /// Everything that is stored. Jobs come in the order in which they became due.
    pub fn read(&mut self) -> (State, Vec<Uuid>) {
        let mut state = State::default();
        let mut order = Vec::new();
        for row in self.reading(0) {
            order.push(row.get(0));
            state.jobs.insert(row.get(0), job_of(&row));
        }
        for row in self.reading(1) {
            let item = (row.get(2), row.get(3));
            state.ledger.insert((row.get(0), row.get(1)), item);
        }
        for row in self.reading(2) {
            let (low, used, request) = (row.get(1), row.get(2), row.get(3));
            state.pool.insert(row.get(0), Quest { low, used, request });
        }
        state.trouble = self.reading(3).first().map(|row| (row.get(0), row.get(1)));
        (state, order)
    }

    /// The names of the invariants that do not hold.
    pub fn broken(&mut self) -> Vec<String> {
        self.reading(4).iter().map(|row| row.get(0)).collect()
    }

    fn reading(&mut self, which: usize) -> Vec<Row> {
        let (now, anchor) = (self.now, self.anchor);
        let reader = self.readers[which].clone();
        let params: Params = if reader.params().is_empty() {
            &[]
        } else {
            &[&now, &anchor]
        };
        self.admin()
            .query(&reader, params)
            .expect("to read what is stored")
    }
}

/// Prepares a reader; `moment(column)` in it becomes SQL.
fn prepare(session: &mut Session, sql: &str) -> Statement {
    let mut sql = sql.to_owned();
    while let Some((before, rest)) = sql.split_once("moment(") {
        let (column, after) = rest.split_once(')').expect("a closing bracket");
        let epoch = format!("extract(epoch from {column} - $2::timestamptz)");
        sql = format!("{before}$1::bigint + floor({epoch} / {MOMENT})::bigint{after}");
    }
    session
        .prepare(&sql)
        .unwrap_or_else(|error| panic!("{error}\n{sql}"))
}

fn job_of(row: &Row) -> Job {
    Job {
        job_type: row.get(1),
        status: row.get(2),
        priority: row.get(3),
        key: row.get(4),
        asked: row.get(5),
        stored: row.get(6),
        attempts: row.get(7),
        token: row.get(8),
        run_at: row.get(9),
        lease_end: row.get(10),
        started: row.get(11),
        completed: row.get(12),
        duplicates: row.get(13),
        rejected: row.get(14),
        low: row.get(15),
        refill: row.get(16),
    }
}

/// A quest as the model of a step would write it.
pub struct Quoted<'a> {
    pub title: &'a str,
    pub low: i32,
    pub good: bool,
}

impl Quoted<'_> {
    fn item(&self) -> serde_json::Value {
        json!({
            "title": self.title,
            "description": "A miller asks you to look after eight sacks of flour that never reached the market.",
            "objectives": [{"type": "investigate", "target": "the old mill", "count": 1}],
            "level_min": self.low, "level_max": self.low + 2, "gold_reward": self.low * 10,
            "xp_reward": if self.good { self.low * 50 } else { 99_999 }
        })
    }
}
