//! Many jobs through one queue, one generation after the other: what a lease costs stays what it was,
//! table and indexes do not grow, also not for ever after somebody has held an old snapshot. Measured
//! in pages, never in time. `scripts/suites/longlife.sh` does it with a million jobs.

mod life;

use life::{GENERATION, Life};
use pg_worker_tests::Cluster;

/// Buffers that a lease may touch at any time, whether it finds a job or none. The server does not always know at
/// once that the entries of this generation are dead, and then a lease walks over them: never over those of an earlier one.
const LEASE: i64 = 350;
/// What it touches as a rule. Each of ten priorities is one probe.
const USUAL_LEASE: i64 = 60;
/// What the queue may take on disk for a generation of jobs on the way and those just finished, in bytes.
const ROOM: i64 = 4 << 20;
/// What a job may leave behind while nothing can be cleaned up: five versions of its row, and their index entries.
const LEFT_BEHIND: i64 = 2 << 10;

/// A server on which nothing is cleaned up but by the test, at the end of each generation.
fn cluster() -> Cluster {
    Cluster::own(&[
        "pg_worker_ext.background_worker = off",
        "autovacuum = off",
        "synchronous_commit = off",
        "max_wal_size = 4GB",
    ])
}

fn stays_young(generations: usize) {
    let cluster = cluster();
    let mut life = Life::new(&cluster);
    let mut leases = Vec::new();
    for generation in 0..generations {
        let seen = life.generation();
        leases.push(seen.lease.max(seen.lease_of_nothing));
        if generation % 20 == 0 || generation + 1 == generations {
            println!("after {} jobs: {seen:?}", (generation + 1) * GENERATION);
        }
        // The first one plans, and finds an empty table.
        if generation > 0 {
            assert!(
                seen.lease <= LEASE && seen.lease_of_nothing <= LEASE,
                "generation {generation}: {seen:?}"
            );
        }
        assert!(
            seen.scanned.is_empty(),
            "generation {generation} reads the whole table: {seen:?}"
        );
        assert!(seen.bytes <= ROOM, "generation {generation}: {seen:?}");
        assert!(
            seen.hot_beats * 10 >= seen.beats * 9,
            "generation {generation}: {seen:?}"
        );
    }
    leases.sort_unstable();
    let (median, worst) = (leases[generations / 2], leases[generations - 1]);
    println!("a lease: {median} buffers as a rule, {worst} at most");
    assert!(median <= USUAL_LEASE, "{median} buffers as a rule");
}

#[test]
fn a_lease_stays_cheap_and_the_queue_small() {
    stays_young(10);
}

#[test]
#[ignore = "a million jobs take half an hour: scripts/suites/longlife.sh"]
fn a_million_jobs_leave_the_queue_as_it_was() {
    stays_young(1_000_000 / GENERATION);
}

/// What piles up while an old snapshot is held is bounded by the number of jobs, and gone afterwards.
#[test]
fn a_held_snapshot_costs_what_is_known_and_nothing_afterwards() {
    let cluster = cluster();
    let mut life = Life::new(&cluster);
    life.generation();
    let young = life.generation();
    let mut holder = life.hold_a_snapshot();
    let (mut old, mut leases) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        old.push(life.generation());
        life.rest();
        let (lease, lease_of_nothing) = life.leases();
        leases.push((lease.buffers, lease_of_nothing.buffers));
    }
    println!("before: {young:?}\nheld: {old:#?}\nminutes later: {leases:?}");
    let jobs = i64::try_from(old.len() * GENERATION).expect("few");
    let last = old.last().expect("a generation");
    // Each walk leaves a row behind.
    for (lease, lease_of_nothing) in leases {
        assert!(lease <= 2 * young.lease && lease_of_nothing <= 2 * young.lease_of_nothing);
    }
    let per_job = (last.bytes - young.bytes) / jobs;
    println!(
        "{per_job} bytes a job; a lease: {} buffers, then {}",
        young.lease, last.lease
    );
    assert!(per_job <= LEFT_BEHIND, "{per_job} bytes a job");
    holder.run("commit");
    life.generation();
    let again = life.generation();
    println!("afterwards: {again:?}");
    assert!(
        again.lease <= LEASE && again.lease_of_nothing <= LEASE,
        "{again:?}"
    );
    // The room that was taken is used again: it does not grow any more.
    assert!(again.bytes <= last.bytes + (1 << 20), "{again:?} after {last:?}");
}
