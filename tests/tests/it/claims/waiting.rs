//! Items that somebody else is just claiming: wait for how that ends, but never in a circle.

use super::pools::{POOLS, impatient, patient};
use crate::steps::{in_background, wait_until_blocked};
use pg_worker_tests::{Database, on_both_installs};

on_both_installs!(
    a_claim_gets_the_item_that_another_gives_back,
    a_claim_that_waited_in_vain_says_so,
    a_claim_passes_by_what_others_hold,
    a_claim_waits_no_longer_than_its_bound,
    who_holds_a_lock_of_the_games_own_does_not_wait,
    a_transaction_that_has_written_does_not_wait,
    two_transactions_that_cross_do_not_wait_for_each_other,
    two_transactions_that_want_the_same_do_not_wait_for_each_other,
    two_transactions_that_ask_for_new_campaigns_do_not_wait_for_each_other,
);

fn a_claim_gets_the_item_that_another_gives_back(database: &Database) {
    for pool in &POOLS {
        let (mut one, mut other) = (database.session(), patient(database));
        pool.fill(&mut one, 1);
        one.run("begin");
        let item = pool.claim(&mut one);
        let pid = other.backend_pid();
        let second = in_background(other, |session| pool.claim(session));
        wait_until_blocked(&mut database.session(), pid);
        one.run("rollback");
        assert_eq!(second.join().unwrap(), item, "{}: not empty-handed", pool.name);
    }
    assert_eq!(database.session().count("worker_jobs"), 0, "nothing was wanting");
}

fn a_claim_that_waited_in_vain_says_so(database: &Database) {
    for pool in &POOLS {
        let (mut one, mut other) = (database.session(), patient(database));
        pool.fill(&mut one, 3);
        one.run("begin");
        for _ in 0..3 {
            assert!(pool.claim(&mut one).is_some());
        }
        let pid = other.backend_pid();
        let second = in_background(other, |session| pool.claim(session));
        wait_until_blocked(&mut database.session(), pid);
        one.run("commit");
        assert_eq!(second.join().unwrap(), None, "{}: all three are gone", pool.name);
        let wanted = format!("worker_jobs where job_type = '{}'", pool.job_type);
        assert_eq!(one.count(&wanted), 1, "{}", pool.name);
    }
}

fn a_claim_passes_by_what_others_hold(database: &Database) {
    let (mut holder, mut other) = (database.session(), impatient(database));
    for pool in &POOLS {
        pool.fill(&mut holder, 10);
        holder.run("begin");
        let held = (0..9).map(|_| pool.claim(&mut holder)).collect::<Vec<_>>();
        let free = pool.claim(&mut other);
        assert!(free.is_some() && !held.contains(&free), "{}", pool.name);
        holder.run("commit");
    }
}

/// 200 ms where the session has no lock_timeout of its own: this test would never end otherwise.
fn a_claim_waits_no_longer_than_its_bound(database: &Database) {
    let (mut holder, mut other) = (database.session(), database.session());
    for pool in &POOLS {
        pool.fill(&mut holder, 1);
        holder.run("begin");
        assert!(pool.try_claim(&mut holder, Some("held")).unwrap().is_some());
        assert_eq!(pool.claim(&mut other), None, "{}", pool.name);
        let wanted = format!("worker_jobs where job_type = '{}'", pool.job_type);
        assert_eq!(other.count(&wanted), 1, "{}: another is asked for", pool.name);
        let repeated = pool.try_claim(&mut other, Some("held")).unwrap_err();
        assert_eq!(
            repeated.code().map(postgres::error::SqlState::code),
            Some("55P03"),
            "{}",
            pool.name
        );
        assert_eq!(
            other.value::<String>("show lock_timeout", &[]),
            "0",
            "the caller's own stays"
        );
        holder.run("rollback");
    }
}

/// The other might be waiting for just that.
fn who_holds_a_lock_of_the_games_own_does_not_wait(database: &Database) {
    let (mut holder, mut other) = (database.session(), patient(database));
    for pool in &POOLS {
        pool.fill(&mut holder, 1);
        for lock in [
            "select pg_advisory_xact_lock(7)",
            "lock table worker_queue_status, content_pools in share mode",
        ] {
            holder.run("begin");
            assert!(pool.claim(&mut holder).is_some());
            other.run(&format!("begin; {lock}"));
            assert_eq!(pool.claim(&mut other), None, "{}", pool.name);
            other.run("rollback");
            holder.run("rollback");
        }
    }
}

fn a_transaction_that_has_written_does_not_wait(database: &Database) {
    let (mut holder, mut other) = (database.session(), impatient(database));
    holder.run("create table game_log (line text)");
    for pool in &POOLS {
        pool.fill(&mut holder, 1);
        holder.run("begin");
        let item = pool.claim(&mut holder);
        other.run("begin; insert into game_log values ('asks for one')");
        assert_eq!(
            pool.claim(&mut other),
            None,
            "{}: at once, without the lock timeout",
            pool.name
        );
        other.run("rollback");
        holder.run("rollback");
        assert_eq!(pool.claim(&mut other), item);
    }
}

fn two_transactions_that_cross_do_not_wait_for_each_other(database: &Database) {
    let (mut one, mut other) = (impatient(database), impatient(database));
    for (first, second) in POOLS.iter().zip(&POOLS[1..]) {
        first.fill(&mut one, 1);
        second.fill(&mut one, 1);
        one.run("begin");
        other.run("begin");
        assert!(first.claim(&mut one).is_some());
        assert!(second.claim(&mut other).is_some());
        assert_eq!(second.claim(&mut one), None);
        assert_eq!(first.claim(&mut other), None);
        one.run("commit");
        other.run("commit");
    }
}

/// Both find nothing, each asks for both bands, in opposite order.
fn two_transactions_that_want_the_same_do_not_wait_for_each_other(database: &Database) {
    let (mut one, mut other) = (impatient(database), impatient(database));
    let low = "select quest_id from claim_quest_from_pool(null, 1, 2)";
    let high = "select quest_id from claim_quest_from_pool(null, 8, 9)";
    one.run("begin");
    other.run("begin");
    for (session, claim) in [(&mut one, low), (&mut other, high)] {
        assert!(session.rows(claim, &[]).is_empty());
    }
    for (session, claim) in [(&mut one, high), (&mut other, low)] {
        assert!(session.rows(claim, &[]).is_empty());
    }
    one.run("commit");
    other.run("commit");
    assert_eq!(one.count("worker_jobs"), 2, "each band once");
}

/// A job for a campaign that nobody knew notes it: both note both, in opposite order.
fn two_transactions_that_ask_for_new_campaigns_do_not_wait_for_each_other(database: &Database) {
    let (mut one, mut other) = (impatient(database), impatient(database));
    one.run("begin");
    other.run("begin");
    one.run("select * from claim_poi_from_pool('here', 'ruin')");
    other.run("select * from claim_poi_from_pool('there', 'ruin')");
    one.run("select * from claim_poi_from_pool('there', 'cave')");
    other.run("select * from claim_poi_from_pool('here', 'cave')");
    one.run("commit");
    other.run("commit");
    assert_eq!(
        one.count("worker_jobs"),
        2,
        "what would have waited was left to the next claim"
    );
    one.run("select * from claim_poi_from_pool('there', 'cave')");
    assert_eq!(one.count("worker_jobs"), 3);
}
