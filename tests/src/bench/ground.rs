//! The server that everything is measured on, and pools of any size.

use super::Options;
use crate::{Cluster, Database, Session, paths};
use std::cell::OnceCell;
use std::sync::OnceLock;

/// Rows of `$table`: quests for 18 bands of levels, each with the id that its number gives.
const QUESTS: &str = "
    insert into $table (id, title, description, objectives, xp_reward, gold_reward, level_min, level_max)
    select md5(n::text)::uuid, 'Quest ' || n, rpad('What the ferryman of Otterford saw, and did not tell. ', 200, 'And so on. '),
           '[{\"type\": \"investigate\", \"target\": \"the landing below Otterford\", \"count\": 1}]',
           100, 20, 1 + n % 18, 3 + n % 18
      from generate_series($from, $to) n";

/// The same rows without triggers: what the bare table can do.
pub const PLAIN: &str = "
    create table plain_quests (like quest_templates including all);
    alter table plain_quests set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
                                  vacuum_index_cleanup = on)";

pub struct Ground {
    rows: u64,
    fresh: OnceCell<Database<'static>>,
}

impl Ground {
    pub fn prepare(options: &Options) -> Ground {
        Ground {
            rows: options.rows,
            fresh: OnceCell::new(),
        }
    }

    /// PostgreSQL as it comes, durability included, with the extension preloaded.
    pub fn cluster() -> &'static Cluster {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        CLUSTER.get_or_init(|| Cluster::as_shipped(&[]))
    }

    /// A database with the extension and a background worker, in which no pool asks for a refill.
    pub fn database() -> Database<'static> {
        let database = Database::empty(Ground::cluster());
        let mut session = database.session();
        session
            .run("begin; create extension pg_worker_ext; update content_pools set enabled = false; commit");
        database
    }

    /// A database with the largest pool, all of it unused, and the same rows without triggers.
    pub fn fresh(&self) -> &Database<'static> {
        self.fresh.get_or_init(|| Ground::with_quests(self.rows))
    }

    /// A pool of so many unused quests, and the same rows without triggers.
    pub fn with_quests(rows: u64) -> Database<'static> {
        let database = Ground::database();
        let mut session = database.session();
        session.run(PLAIN);
        fill(&mut session, "quest_templates", 1, rows);
        fill(&mut session, "plain_quests", 1, rows);
        settle(&mut session);
        database
    }

    /// On what the figures were measured.
    pub fn describe(&self) -> String {
        let mut session = Ground::cluster().session("postgres");
        let setting = |name: &str, session: &mut Session| {
            session.value::<String>("select current_setting($1)", &[&name])
        };
        let version: String = setting("server_version", &mut session);
        let settings = ["fsync", "synchronous_commit", "shared_buffers", "max_wal_size"];
        let settings = settings
            .map(|name| format!("{name} {}", setting(name, &mut session)))
            .join(", ");
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let build = if paths::executor()
            .components()
            .any(|part| part.as_os_str() == "release")
        {
            "release"
        } else {
            "DEBUG"
        };
        format!("PostgreSQL {version} ({settings}), {cpus} CPUs, {build} builds.")
    }
}

/// Adds quests number `from` to `to`.
pub fn fill(session: &mut Session, table: &str, from: u64, to: u64) {
    let quests = QUESTS.replace("$table", table);
    session.run("set synchronous_commit = off");
    session.run(
        &quests
            .replace("$from", &from.to_string())
            .replace("$to", &to.to_string()),
    );
    session.run("reset synchronous_commit");
}

/// What a load has left to be done later is done now.
pub fn settle(session: &mut Session) {
    session.run("vacuum analyze");
    session.run("checkpoint");
}
