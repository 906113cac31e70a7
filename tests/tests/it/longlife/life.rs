//! A generation of jobs from enqueue to prune, through the functions of both doors.

use crate::plans::big::{Cost, cost};
use pg_worker_tests::{Cluster, Database, Session};
use uuid::Uuid;

/// So many jobs live and end together.
pub const GENERATION: usize = 1_000;
/// So many are leased, renewed and completed at a time.
const HANDFUL: i32 = 100;

const LEASE: &str = "worker.lease_jobs(gen_random_uuid())";

/// What a generation left behind, and what it cost.
#[derive(Debug)]
pub struct Seen {
    /// Buffers of a lease that finds a job, and of one that finds none, after the others.
    pub lease: i64,
    pub lease_of_nothing: i64,
    /// Large tables that one of them read from one end to the other.
    pub scanned: Vec<String>,
    /// Table and indexes.
    pub bytes: i64,
    /// Heartbeats, and those that wrote nothing into any index.
    pub beats: i64,
    pub hot_beats: i64,
}

/// A database whose queue lives long.
pub struct Life<'c> {
    session: Session,
    database: Database<'c>,
}

impl<'c> Life<'c> {
    pub fn new(cluster: &'c Cluster) -> Life<'c> {
        let database = Database::with_extension(cluster);
        let mut session = database.session();
        // Finished jobs are of no interest after a second.
        session.run("update content_pools set enabled = false; set pg_worker_ext.retention = '1s'");
        Life { session, database }
    }

    /// Another session that keeps everything which is there now from being forgotten.
    pub fn hold_a_snapshot(&self) -> Session {
        let mut holder = self.database.session();
        holder.run("begin isolation level repeatable read; select count(*) from worker_jobs");
        holder
    }

    /// What the maintenance does in the next minutes. Dead entries cannot be made older, so the marks are made
    /// younger: they are put where a walk two minutes later would put them, with no job pending.
    pub fn rest(&mut self) {
        // What this session has written is known to the statistics once it says so.
        self.session.run("select pg_stat_force_next_flush()");
        self.session.run("update worker.low_water set walked_at = null");
        self.session.run("select worker.tick()");
        assert_eq!(
            self.session
                .count("worker_jobs where status in ('pending', 'running')"),
            0
        );
        let later = "update worker.low_water
                        set run_at = array(select mark + interval '2 minutes' from unnest(run_at) mark)
                      where run_at is not null returning 1";
        assert_eq!(
            self.session.column::<i32>(later, &[]),
            [1],
            "there is need for marks"
        );
    }

    /// What a lease costs that finds a job, and the next one, which finds none.
    pub fn leases(&mut self) -> (Cost, Cost) {
        let session = &mut self.session;
        session.run("select enqueue_worker_job('generate_quests', '{\"count\": 1}')");
        let costs = (cost(session, LEASE), cost(session, LEASE));
        assert_eq!((costs.0.rows, costs.1.rows), (1, 0));
        session.run("update worker_jobs set status = 'cancelled' where status = 'running'");
        costs
    }

    /// Enqueues, leases, renews, stores, completes and prunes a thousand jobs, and cleans up as autovacuum does.
    pub fn generation(&mut self) -> Seen {
        let session = &mut self.session;
        session.run(&format!(
            "select count(enqueue_worker_job('generate_quests', '{{\"count\": 1}}', 1 + n % 10)) from generate_series(1, {GENERATION}) n"
        ));
        let (mut beats, mut hot_beats) = (0, 0);
        while let Some((jobs, tokens)) = lease(session) {
            let (all, hot) = beat(session, &jobs, &tokens);
            beats += all;
            hot_beats += hot;
            finish(session, &jobs, &tokens);
        }
        let (lease, lease_of_nothing) = self.leases();
        let session = &mut self.session;
        while session.value::<i32>("select worker.prune_jobs()", &[]) > 0 {}
        session.run("vacuum (analyze) worker_jobs");
        Seen {
            lease: lease.buffers,
            lease_of_nothing: lease_of_nothing.buffers,
            scanned: [lease.scanned, lease_of_nothing.scanned].concat(),
            bytes: session.value("select pg_total_relation_size('worker_jobs')", &[]),
            beats,
            hot_beats,
        }
    }
}

/// A handful of jobs with their tokens, or none.
fn lease(session: &mut Session) -> Option<(Vec<Uuid>, Vec<Uuid>)> {
    let sql = "select job_id, lease_token from worker.lease_jobs(gen_random_uuid(), $1)";
    let rows = session.rows(sql, &[&HANDFUL]);
    let leases = rows
        .iter()
        .map(|row| (row.get::<_, Uuid>(0), row.get::<_, Uuid>(1)));
    (!rows.is_empty()).then(|| leases.unzip())
}

/// Renews the leases: rows written, and those of them that no index heard of.
fn beat(session: &mut Session, jobs: &[Uuid], tokens: &[Uuid]) -> (i64, i64) {
    let counted =
        "select n_tup_upd, n_tup_hot_upd from pg_stat_xact_user_tables where relname = 'worker_jobs'";
    session.run("begin");
    let before = session.row(counted, &[]);
    session.rows("select worker.heartbeat($1, $2)", &[&jobs, &tokens]);
    let after = session.row(counted, &[]);
    session.run("commit");
    let grown = |column| after.get::<_, i64>(column) - before.get::<_, i64>(column);
    (grown(0), grown(1))
}

/// What stores and completions write. The items themselves are nothing to the queue.
fn finish(session: &mut Session, jobs: &[Uuid], tokens: &[Uuid]) {
    session.rows(
        "update worker_jobs set stored = asked where id = any ($1) returning 1",
        &[&jobs],
    );
    let outcomes: Vec<String> = session.column(
        "select distinct outcome from worker.complete_jobs($1, $2)",
        &[&jobs, &tokens],
    );
    assert_eq!(outcomes, ["completed"]);
}
