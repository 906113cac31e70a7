//! Everybody at once: executors, games, administrators and ticks on few jobs, without a script. Nobody
//! is refused, no deadlock ends anybody, and afterwards everything adds up.

use crate::steps::quest;
use pg_worker_tests::dice::Dice;
use pg_worker_tests::session::words;
use pg_worker_tests::{Database, Session, invariants, on_both_installs};
use postgres::error::SqlState;
use std::sync::Barrier;
use uuid::Uuid;

on_both_installs!(everybody_at_once_and_everything_adds_up);

const SESSIONS: u8 = 8;
const STEPS: usize = 400;

/// A job that ends, or comes back, is one of these; so that everybody meets.
const KEYS: u64 = 4;

struct Actor {
    session: Session,
    dice: Dice,
    leases: Vec<(Uuid, Uuid)>,
    titles: i32,
    errors: Vec<String>,
}

impl Actor {
    fn new(database: &Database, number: u8) -> Actor {
        Actor {
            session: database.session(),
            dice: Dice::new(u64::from(number)),
            leases: Vec::new(),
            titles: i32::from(number) * 10_000,
            errors: Vec::new(),
        }
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.dice.between(0, limit - 1)
    }

    fn run(&mut self, sql: &str) {
        if let Err(error) = self.session.batch_execute(sql) {
            self.note(&error, sql);
            let _ = self.session.batch_execute("rollback");
        }
    }

    /// The number of an item beyond what the job asks for is refused, and rightly.
    fn note(&mut self, error: &postgres::Error, sql: &str) {
        if error.code() != Some(&SqlState::INVALID_PARAMETER_VALUE) {
            self.errors.push(format!("{}\n{sql}", words(error)));
        }
    }

    /// One of the leases that it was given: mostly one of the last, which may be current.
    fn lease(&mut self) -> Option<(Uuid, Uuid)> {
        let known = self.leases.len();
        let some = if self.below(5) == 0 { known } else { known.min(2) };
        let list = &self.leases[known - some..];
        (some > 0).then(|| self.dice.one_of(list))
    }

    fn step(&mut self) {
        match self.below(100) {
            0..12 => self.take(),
            12..60 => self.write(),
            60..80 => self.play(),
            80..92 => self.keep_house(),
            _ => self.do_two_things(),
        }
    }

    fn take(&mut self) {
        let sql = "select job_id, lease_token from worker.lease_jobs(gen_random_uuid(), 2, 5)";
        match self.session.query(sql, &[]) {
            Ok(rows) => self.leases.extend(
                rows.iter()
                    .map(|row| (row.get::<_, Uuid>(0), row.get::<_, Uuid>(1))),
            ),
            Err(error) => self.note(&error, sql),
        }
    }

    fn write(&mut self) {
        let Some((job, token)) = self.lease() else { return };
        let of = format!("'{job}', '{token}'");
        let number = 1 + self.below(2);
        self.titles += 1;
        let call = match self.below(12) {
            0..6 => format!("store_item({of}, {number}, '{}')", quest(self.titles)),
            6 | 7 => format!("complete_job({of})"),
            8 => format!("fail_job({of}, 'it rained', {})", number == 1),
            9 => format!("release_job({of})"),
            10 => format!("next_item({of})"),
            _ => {
                let all: Vec<(Uuid, Uuid)> = self.leases.iter().rev().take(5).copied().collect();
                let (jobs, tokens): (Vec<Uuid>, Vec<Uuid>) = all.into_iter().unzip();
                format!("heartbeat('{}', '{}', 5)", array(&jobs), array(&tokens))
            }
        };
        self.run(&format!("select worker.{call}"));
    }

    fn play(&mut self) {
        let key = self.below(KEYS);
        let any = |status: &str| {
            format!("(select id from worker_jobs where status in ({status}) order by random() limit 1)")
        };
        let on_the_way = any("'pending', 'running'");
        let ended = any("'failed', 'cancelled'");
        let sql = match self.below(8) {
            0 | 1 => "select enqueue_worker_job('generate_quests', '{\"count\": 2}')".into(),
            2 => format!(
                "select enqueue_worker_job('generate_quests', '{{\"count\": 1}}', p_dedupe_key => 'key {key}')"
            ),
            3 => format!("select cancel_worker_job(id) from {on_the_way} j"),
            4 => format!("select retry_worker_job(id) from {ended} j"),
            5 | 6 => "select * from claim_quest_from_pool(gen_random_uuid(), 1, 3)".into(),
            _ => format!("select * from claim_poi_from_pool('campaign {key}')"),
        };
        self.run(&sql);
    }

    fn keep_house(&mut self) {
        let sql = match self.below(8) {
            6 | 7 => {
                "update worker_jobs set status = 'failed', error_message = 'Job timeout - reset by admin'
                       where status = 'running' and started_at < now() - interval '1 second'"
            }
            0 => "select worker.tick()",
            1 => "select worker.rescue_jobs()",
            2 => "select worker.refill_pools()",
            3 => "select schedule_pool_check()",
            4 => {
                "update worker_jobs set lease_expires_at = now() where id =
                  (select id from worker_jobs where status = 'running' order by random() limit 1)"
            }
            _ => {
                "update worker_jobs set run_at = now() where id =
                  (select id from worker_jobs where status = 'pending' order by random() limit 1)"
            }
        };
        self.run(sql);
    }

    /// Transactions of games and administrators that touch more than one thing.
    fn do_two_things(&mut self) {
        let key = self.below(KEYS);
        let sql = match self.below(4) {
            0 => "begin; update content_pools set min_size = 6 where kind = 'quest'; select schedule_pool_check(); commit".into(),
            // In one order: over whole tables, whoever's they are, two of these could wait for each other.
            1 => "update content_pools set enabled = enabled
                   where kind in (select kind from content_pools order by kind for update)"
                .into(),
            2 => format!(
                "begin; select enqueue_worker_job('generate_pois', '{{\"campaign_seed\": \"campaign {key}\", \"count\": 1}}');
                 select schedule_pool_check(); commit"
            ),
            _ => "begin; select * from claim_quest_from_pool(gen_random_uuid(), 1, 3);
                  select * from claim_quest_from_pool(gen_random_uuid(), 1, 3); commit"
                .into(),
        };
        self.run(&sql);
    }
}

/// An array as PostgreSQL reads it.
fn array(ids: &[Uuid]) -> String {
    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    format!("{{{}}}", ids.join(","))
}

fn everybody_at_once_and_everything_adds_up(database: &Database) {
    let mut session = database.session();
    session.run(
        "update content_pools set min_size = 6, batch_size = 2, enabled = kind = 'quest';
         create table characters (id uuid default gen_random_uuid(), campaign_seed text);
         insert into characters (campaign_seed) select 'campaign ' || n from generate_series(0, 3) n;
         select worker.setup()",
    );
    let start = Barrier::new(usize::from(SESSIONS));
    let errors: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..SESSIONS)
            .map(|number| {
                let (mut actor, start) = (Actor::new(database, number), &start);
                scope.spawn(move || {
                    start.wait();
                    (0..STEPS).for_each(|_| actor.step());
                    actor.errors
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(
        errors.is_empty(),
        "{} errors, the first: {}",
        errors.len(),
        errors[0]
    );
    assert_eq!(
        session.column::<String>(&invariants::broken(), &[]),
        Vec::<String>::new()
    );
    let done = session.count("worker_jobs where status = 'completed' and job_type = 'generate_quests'");
    assert!(done > 10, "they got somewhere: {done} jobs completed");
}
