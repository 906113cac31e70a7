//! One database with a million rows in each pool and a million finished jobs, and what a call costs
//! there. Autovacuum is off, so that what a test leaves behind stays.

use pg_worker_tests::{Cluster, Database, Session};
use serde_json::Value;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The rows come in the order of the index, which is the fastest way to a large one; the keys are spread
/// evenly over each band.
const FILL: [&str; 7] = [
    // 18 lowest levels, three widths each: bands of 18,519 quests
    "insert into quest_templates (id, title, description, level_min, level_max, pool_key)
     select ID, 'Q', 'By hand.', 1 + n / 18519 / 3, 1 + n / 18519 / 3 + n / 18519 % 3, n % 18519 / 18519.0
       from generate_series(0, 999999) n",
    // nine of ten are used
    "insert into npc_personalities (id, name, race, occupation, personality, quirk, secret, used, pool_key)
     select ID, 'N', 'elf', 'cook', 'kind', 'hums', 'none', n % 10 > 0, n / 1000000.0 from generate_series(0, 999999) n",
    // eight places, 25 challenge ratings in each: bands of 5,000 encounters
    "insert into combat_encounters (id, name, description, location_type, challenge_rating, pool_key)
     select ID, 'E', 'By hand.', 'place-' || n / 125000, 0.5 + n / 5000 % 25, n % 5000 / 5000.0
       from generate_series(0, 999999) n",
    // no deadly ones; of the hard ones all are used
    "insert into dungeon_content (id, name, description, difficulty, used, pool_key)
     select ID, 'D', 'By hand.', (array['easy', 'hard', 'medium'])[1 + n / 333334], n / 333334 = 1, n % 333334 / 333334.0
       from generate_series(0, 999999) n",
    // a hundred campaigns, seven types in each: no bridges
    "insert into campaign_pois (id, campaign_seed, name, type, description, pool_key)
     select ID, 'camp-' || lpad((n / 10000)::text, 2, '0'), 'P',
            (array['camp', 'cave', 'grove', 'ruin', 'shrine', 'tower', 'village'])[1 + n % 10000 / 1429], 'By hand.',
            n % 1429 / 1429.0
       from generate_series(0, 999999) n",
    // finished within the last ten days
    "insert into worker_jobs (id, job_type, status, run_at, created_at, started_at, completed_at)
     select ID, (array['generate_quests', 'generate_npcs', 'generate_pois'])[1 + n % 3],
            (array['completed', 'failed', 'cancelled'])[1 + n % 3], t, t, t, t
       from (select n, now() - interval '10 days' + n * interval '0.86 s' as t from generate_series(0, 999999) n) x",
    // none of them due
    "insert into worker_jobs (id, job_type, status, priority, run_at)
     select gen_random_uuid(), (array['generate_npcs', 'summarize_session'])[1 + n % 2], 'pending', 1 + n % 10,
            now() + interval '1 day' + n * interval '1 s'
       from generate_series(1, 100000) n",
];

/// Nobody reads one of these from one end to the other.
pub const LARGE: [&str; 6] = [
    "quest_templates",
    "npc_personalities",
    "combat_encounters",
    "dungeon_content",
    "campaign_pois",
    "worker_jobs",
];

/// A session in the database, alone there until it is dropped: the snapshot of somebody else's statement would
/// keep dead rows from being forgotten.
pub struct Alone {
    session: Session,
    _turn: MutexGuard<'static, ()>,
}

impl Alone {
    /// Waits for its turn. The first one fills the database.
    pub fn session() -> Alone {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        Alone {
            session: big().session(),
            _turn: turn,
        }
    }
}

impl Deref for Alone {
    type Target = Session;
    fn deref(&self) -> &Session {
        &self.session
    }
}

impl DerefMut for Alone {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}

fn big() -> &'static Database<'static> {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    static DATABASE: OnceLock<Database<'static>> = OnceLock::new();
    DATABASE.get_or_init(|| {
        let cluster = CLUSTER.get_or_init(|| {
            Cluster::own(&[
                "pg_worker_ext.background_worker = off",
                "autovacuum = off",
                "max_wal_size = 8GB",
                "synchronous_commit = off",
                "shared_buffers = 512MB",
            ])
        });
        let database = Database::with_extension(cluster);
        let mut owner = database.session();
        // They would look at each row: its defaults, what it may ask for.
        owner.run("alter table worker_jobs disable trigger user");
        std::thread::scope(|scope| {
            for statement in FILL {
                let mut session = database.session();
                // Ids in order as well; what they are is nothing to any of the functions.
                let id = "('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid";
                scope.spawn(move || session.run(&statement.replace("ID", id)));
            }
        });
        owner.run("alter table worker_jobs enable trigger user");
        database
    })
}

/// What a call cost in the end: pages of the buffer cache, of all statements inside it together, and
/// the large tables that were read from one end to the other.
#[derive(Debug)]
pub struct Cost {
    pub rows: i64,
    pub buffers: i64,
    pub scanned: Vec<String>,
}

/// Runs `select * from <call>` and commits. The session should have made such a call before, or the
/// catalogs that planning reads are counted too.
#[track_caller]
pub fn cost(session: &mut Session, call: &str) -> Cost {
    session.run("begin");
    let before = scans(session);
    let explain = format!("explain (analyze, buffers, timing off, format json) select * from {call}");
    let plan: Value = session.value(&explain, &[]);
    let after = scans(session);
    session.run("commit");
    let top = &plan[0]["Plan"];
    let number = |name: &str| {
        top[name]
            .as_i64()
            .unwrap_or_else(|| panic!("no {name} in {plan}"))
    };
    Cost {
        rows: top["Actual Rows"].as_f64().map_or(0, |rows| rows as i64),
        buffers: number("Shared Hit Blocks") + number("Shared Read Blocks"),
        scanned: after.into_iter().filter(|scan| !before.contains(scan)).collect(),
    }
}

/// The large tables and how often they were read from one end to the other, as this session has counted since it
/// last told the server, which it does between transactions.
fn scans(session: &mut Session) -> Vec<String> {
    let sql = "select relname || ': ' || seq_scan from pg_stat_xact_user_tables where seq_scan > 0 and relname = any ($1)";
    session.column(sql, &[&LARGE.as_slice()])
}

/// The call, several times: by index each time, giving so many rows, and within the bound.
#[track_caller]
pub fn stays_within(session: &mut Session, call: &str, rows: i64, bound: i64) {
    // The first call plans the statements inside the function.
    cost(session, call);
    // More than five, after which the server may settle for one plan for all arguments.
    let most = (0..8).map(|_| is_within(session, call, rows, bound)).max();
    println!("{call}: {} buffers, {bound} allowed", most.unwrap_or_default());
}

/// The call once; gives its buffers.
#[track_caller]
pub fn is_within(session: &mut Session, call: &str, rows: i64, bound: i64) -> i64 {
    let cost = cost(session, call);
    assert!(cost.scanned.is_empty(), "{call} reads whole tables: {cost:?}");
    assert_eq!(cost.rows, rows, "{call}: {cost:?}");
    assert!(
        cost.buffers <= bound,
        "{call}: more than {bound} buffers: {cost:?}"
    );
    cost.buffers
}
