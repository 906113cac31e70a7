//! The queue: lease, and the parts of a tick.

use super::big::{Alone, cost, is_within, stays_within};
use pg_worker_tests::{Database, Session};

const LEASE_ONE: &str = "worker.lease_jobs(gen_random_uuid())";

/// A lease asks each of ten priorities for its first due job, 10 × 4 buffers, and writes the job anew with
/// its entries in up to five indexes.
const LEASE: i64 = 150;

/// Counting stops at each pool's minimum: 20 + 30 + 30 + 10 rows, and 50 for the one campaign, a buffer for
/// each and a few for each pool.
const COUNT: i64 = 300;

/// Two rounds of counting, and a few jobs are written.
const REFILL: i64 = 3 * COUNT;

/// A look at what is running, at what is due next in ten priorities, at what is old.
const LOOK: i64 = 100;

/// Nothing is due, nothing runs: what other tests have asked for is done.
fn at_rest() -> Alone {
    let mut session = Alone::session();
    session.run(
        "delete from worker.campaigns;
         update worker_jobs set status = 'cancelled'
          where status = 'running' or (status = 'pending' and run_at <= now())",
    );
    session
}

fn enqueue(session: &mut Session, jobs: i32) {
    let sql = "select enqueue_worker_job('generate_quests', '{\"count\": 1}') from generate_series(1, $1)";
    session.rows(sql, &[&jobs]);
}

#[test]
fn a_lease_is_bounded() {
    let mut session = at_rest();
    for _ in 0..2 {
        stays_within(&mut session, LEASE_ONE, 0, LEASE);
        enqueue(&mut session, 9);
        stays_within(&mut session, LEASE_ONE, 1, LEASE);
        // and once more with statistics
        session.run("analyze worker_jobs");
    }
}

/// Each leaves dead entries at the head of the index of the pending jobs.
#[test]
fn a_lease_costs_the_same_after_a_thousand_jobs() {
    let mut session = at_rest();
    cost(&mut session, LEASE_ONE);
    for _ in 0..1000 {
        enqueue(&mut session, 1);
        is_within(&mut session, LEASE_ONE, 1, LEASE);
        session.run("update worker_jobs set status = 'completed' where status = 'running'");
    }
    stays_within(&mut session, LEASE_ONE, 0, LEASE);
}

#[test]
fn enqueueing_beside_a_twin_is_bounded() {
    let mut session = at_rest();
    stays_within(&mut session, "enqueue_worker_job('check_all_pools')", 1, LOOK);
    let with_key = "enqueue_worker_job('generate_quests', p_dedupe_key => 'tonight')";
    stays_within(&mut session, with_key, 1, LOOK);
}

#[test]
fn giving_back_a_job_beside_a_twin_is_bounded() {
    let mut session = at_rest();
    let twin = "select enqueue_worker_job('generate_quests', p_dedupe_key => 'twin')";
    for round in 0..8 {
        session.run(twin);
        session
            .run("update worker_jobs set status = 'failed' where status = 'pending' and dedupe_key = 'twin'");
        session.run(twin);
        let failed = "(select id from worker_jobs where status = 'failed' and dedupe_key = 'twin' and completed_at > now() - interval '1 hour')";
        let job: uuid::Uuid = session.value(&format!("select * from {failed} f"), &[]);
        let retry = format!("retry_worker_job('{job}')");
        let bound = if round == 0 { i64::MAX } else { LOOK };
        is_within(&mut session, &retry, 1, bound);
        session.run(
            "update worker_jobs set status = 'cancelled' where status = 'pending' and dedupe_key = 'twin'",
        );
    }
}

#[test]
fn a_refill_with_nothing_to_do_is_bounded() {
    let mut session = at_rest();
    session.run("insert into worker.campaigns values ('camp-47')");
    for _ in 0..2 {
        stays_within(&mut session, "worker.refill_pools()", 1, COUNT);
        session.run("analyze");
    }
}

#[test]
fn a_refill_of_what_is_missing_is_bounded() {
    let mut session = at_rest();
    for round in 0..8 {
        session.run("delete from worker.campaigns");
        session.run("insert into worker.campaigns values ('new-' || gen_random_uuid())");
        if round % 2 == 1 {
            session.run("select schedule_pool_check()");
        }
        // The first of each sort plans.
        let bound = if round < 2 { i64::MAX } else { REFILL };
        let buffers = is_within(&mut session, "worker.refill_pools()", 1, bound);
        println!("refill of a new campaign: {buffers} buffers");
    }
    let enqueued = "worker_jobs where status = 'pending' and parameters ->> 'campaign_seed' like 'new-%'";
    assert_eq!(session.count(enqueued), 2 * 8, "50 places are two batches");
}

/// Also with a hundred thousand jobs that wait for a later time.
#[test]
fn rescue_and_the_next_due_time_are_bounded() {
    let mut session = at_rest();
    stays_within(&mut session, "worker.rescue_jobs()", 1, LOOK);
    stays_within(&mut session, "worker.next_due()", 1, LOOK);
    enqueue(&mut session, 20);
    session.run("select * from worker.lease_jobs(gen_random_uuid(), 20)");
    stays_within(&mut session, "worker.rescue_jobs()", 1, LOOK);
    stays_within(&mut session, "worker.next_due()", 1, LOOK);
    // Twenty jobs are written anew, each with its entries in up to five indexes.
    session.run("update worker_jobs set lease_expires_at = now() where status = 'running'");
    let buffers = is_within(&mut session, "worker.rescue_jobs()", 1, LOOK + 20 * 30);
    println!("rescue of twenty: {buffers} buffers");
}

#[test]
fn pruning_is_bounded() {
    let mut session = at_rest();
    cost(&mut session, "worker.prune_jobs()");
    // Each of a thousand is found by its time, locked, found by its id and deleted.
    for _ in 0..2 {
        let before = session.count("worker_jobs");
        let buffers = is_within(&mut session, "worker.prune_jobs()", 1, LOOK + 1000 * 10);
        println!("a thousand pruned: {buffers} buffers");
        assert_eq!(session.count("worker_jobs"), before - 1000);
    }
    // Nothing is as old as that. Whoever plans asks the index for its lowest entry, and the server looks past
    // the dead ones there for up to 100 pages.
    session.run("set pg_worker_ext.retention = '30d'");
    stays_within(&mut session, "worker.prune_jobs()", 1, LOOK + 2 * 100);
    stays_within(&mut session, "worker.tick()", 1, COUNT + 2 * LOOK + 2 * 100);
}

/// A way that is forbidden but without alternative counts as so costly that the server would compile the plan: a
/// hundred milliseconds for a call of less than one.
#[test]
fn what_is_planned_with_forbidden_ways_is_never_compiled() {
    let database = Database::quiet();
    let mut session = database.session();
    let compiled: Vec<String> = session.column(
        "select p.oid::regprocedure::text from pg_proc p
          where p.pronamespace in ('worker'::regnamespace, 'public'::regnamespace)
            and exists (select from unnest(p.proconfig) setting where setting like 'enable\\_%=off')
            and 'jit=off' <> all (p.proconfig)",
        &[],
    );
    assert!(compiled.is_empty(), "{compiled:?}");
}
