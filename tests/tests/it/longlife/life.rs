//! A generation of jobs from enqueue to prune, through the functions of both doors.

use crate::plans::big::cost;
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
        session.run("select enqueue_worker_job('generate_quests', '{\"count\": 1}')");
        let lease = cost(session, LEASE);
        let lease_of_nothing = cost(session, LEASE);
        assert_eq!((lease.rows, lease_of_nothing.rows), (1, 0));
        session.run("update worker_jobs set status = 'cancelled' where status = 'running'");
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
