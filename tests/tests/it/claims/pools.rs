//! The five pools as the tests need them: how to fill one, how to claim from it.

use pg_worker_tests::{Database, Session};
use postgres::Error;
use uuid::Uuid;

/// One pool and its claim function.
pub struct Pool {
    /// The claim function's own word for it: `claim_quest_from_pool` has `quest`.
    pub name: &'static str,
    pub table: &'static str,
    /// Inserts `$1` items of many bands, all of which fit `claim`.
    fill: &'static str,
    /// The arguments of a claim that any item of `fill` fits, but for `request_id`.
    arguments: &'static str,
    /// The job that a claim which finds nothing asks for.
    pub job_type: &'static str,
}

pub const POOLS: [Pool; 5] = [
    Pool {
        name: "quest",
        table: "quest_templates",
        fill: "insert into quest_templates (title, description, level_min, level_max)
               select 'Quest ' || n, 'By hand.', 1 + n % 5 * 3, 3 + n % 5 * 3 from generate_series(1, $1) n",
        arguments: "character_id => null, min_level => 1, max_level => 20",
        job_type: "generate_quests",
    },
    Pool {
        name: "npc",
        table: "npc_personalities",
        fill: "insert into npc_personalities (name, race, occupation, personality, quirk, secret)
               select 'Npc ' || n, 'elf', 'cook', 'kind', 'hums', 'none' from generate_series(1, $1) n",
        arguments: "campaign_seed => 'camp', spawn_position => '{\"x\": 1}'",
        job_type: "generate_npcs",
    },
    Pool {
        name: "encounter",
        table: "combat_encounters",
        fill: "insert into combat_encounters (name, description, challenge_rating, location_type)
               select 'Fight ' || n, 'By hand.', 0.5 + n % 4, (array['forest', 'cave', 'road'])[1 + n % 3]
                 from generate_series(1, $1) n",
        arguments: "location_type => null",
        job_type: "generate_encounters",
    },
    Pool {
        name: "dungeon",
        table: "dungeon_content",
        fill: "insert into dungeon_content (name, description, difficulty)
               select 'Dungeon ' || n, 'By hand.', (array['easy', 'medium', 'hard', 'deadly'])[1 + n % 4]
                 from generate_series(1, $1) n",
        arguments: "difficulty => null",
        job_type: "generate_dungeons",
    },
    Pool {
        name: "poi",
        table: "campaign_pois",
        fill: "insert into campaign_pois (campaign_seed, name, type, description)
               select 'camp', 'Place ' || n, (array['village', 'ruin', 'cave', 'shrine', 'camp'])[1 + n % 5], 'By hand.'
                 from generate_series(1, $1) n",
        arguments: "campaign_seed => 'camp'",
        job_type: "generate_pois",
    },
];

impl Pool {
    /// Puts so many items into the pool.
    #[track_caller]
    pub fn fill(&self, session: &mut Session, count: i32) {
        let inserted = session.execute(self.fill, &[&count]).unwrap();
        assert_eq!(inserted, u64::from(count.unsigned_abs()));
    }

    /// The statement of a claim with `request_id` as `$1`; its only column is the item's id.
    pub fn claim_sql(&self) -> String {
        format!(
            "select {0}_id from claim_{0}_from_pool({1}, request_id => $1)",
            self.name, self.arguments
        )
    }

    /// Claims an item without a request id.
    #[track_caller]
    pub fn claim(&self, session: &mut Session) -> Option<Uuid> {
        self.try_claim(session, None).unwrap_or_else(|error| {
            panic!("claim {}: {}", self.name, pg_worker_tests::session::words(&error))
        })
    }

    /// Claims an item, with a request id if there is one.
    pub fn try_claim(&self, session: &mut Session, request: Option<&str>) -> Result<Option<Uuid>, Error> {
        let rows = session.query(&self.claim_sql(), &[&request])?;
        assert!(rows.len() <= 1, "one item or none");
        Ok(rows.first().map(|row| row.get(0)))
    }

    /// How many items of it are used.
    #[track_caller]
    pub fn used(&self, session: &mut Session) -> i64 {
        session.count(&format!("{} where used", self.table))
    }
}

/// A session that waits for an item, or for a request, as long as a slow machine may need.
pub fn patient(database: &Database) -> Session {
    let mut session = database.session();
    session.run("set lock_timeout = '60s'");
    session
}

/// Sessions that would rather fail than wait: for what must not wait.
pub fn impatient(database: &Database) -> Session {
    let mut session = database.session();
    session.run("set lock_timeout = '3s'");
    session
}
