//! What a game may have beside our tables, and what it may leave open: foreign keys to us, tables of its own that
//! come and go, transactions that sit on locks and snapshots.

use crate::Database;
use crate::dice::Dice;

/// Tables of the game that point to ours: a job that one of them names cannot be deleted, nor a quest.
pub const KEYS: &str = "
    create table orders (job uuid not null references worker_jobs (id), at timestamptz default now());
    create table logbook (quest uuid not null references quest_templates (id), request text)";

/// The tables that we read and write where they are there, and that are there only now and then.
pub const TABLES: &str = "
    create table if not exists characters (id uuid primary key default gen_random_uuid(), campaign_seed text);
    create table if not exists dm_conversations (id uuid primary key default gen_random_uuid(), character_id uuid, role text,
                                                 content text, created_at timestamptz default now());
    create table if not exists journal_entries (id uuid primary key default gen_random_uuid(), character_id uuid, entry_type text,
                                                content text, metadata jsonb, created_at timestamptz default now());
    create table if not exists world_pois (id uuid primary key default gen_random_uuid(), campaign_seed text, name text);
    insert into characters (campaign_seed) select 'campaign ' || n from generate_series(1, 3) n;
    insert into dm_conversations (character_id, role, content)
    values ('00000000-0000-0000-0000-000000000001', 'user', 'We went to the mill and asked the miller''s daughter what she had seen.')";

pub const NO_TABLES: &str = "drop table if exists characters, dm_conversations, journal_entries, world_pois";

/// A summary of somebody's conversation, where there is one now.
pub const SUMMARY: &str = "select enqueue_worker_job('summarize_session', '{\"character_id\": \"00000000-0000-0000-0000-000000000001\"}')";

/// What an open transaction of the game holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Holding {
    Snapshot,
    ClaimAndJob,
    Pool,
    RunningJob,
    Items,
}

impl Holding {
    pub const ALL: [Holding; 5] = [
        Holding::Snapshot,
        Holding::ClaimAndJob,
        Holding::Pool,
        Holding::RunningJob,
        Holding::Items,
    ];

    /// The transaction's beginning; it ends with a commit some time later.
    fn sql(self) -> &'static str {
        match self {
            Holding::Snapshot => "begin isolation level repeatable read; select count(*) from worker_jobs",
            Holding::ClaimAndJob => {
                "begin; select * from claim_quest_from_pool(gen_random_uuid());
                 select enqueue_worker_job('generate_quests', '{\"count\": 1}')"
            }
            Holding::Pool => "begin; update content_pools set batch_size = batch_size where kind = 'quest'",
            Holding::RunningJob => {
                "begin; select from worker_jobs where status = 'running' limit 1 for update skip locked"
            }
            Holding::Items => "begin; lock table quest_templates in share mode",
        }
    }
}

/// An open transaction.
pub struct Open(crate::Session);

impl Open {
    /// None where the server is away, or says no.
    pub fn begin(database: &Database, holding: Holding) -> Option<Open> {
        let mut session = crate::Session::try_open(&database.config()).ok()?;
        // Another one may hold what this one wants: it is not worth more than that.
        session.batch_execute("set lock_timeout = '1s'").ok()?;
        session.batch_execute(holding.sql()).ok()?;
        Some(Open(session))
    }

    pub fn commit(mut self) {
        // The server may be gone.
        let _ = self.0.batch_execute("commit");
    }
}

/// For how many milliseconds.
pub fn how_long(dice: &mut Dice, holding: Holding) -> u64 {
    match holding {
        // Readers harm nobody at once.
        Holding::Snapshot => dice.between(3000, 20_000),
        _ => dice.between(200, 4000),
    }
}
