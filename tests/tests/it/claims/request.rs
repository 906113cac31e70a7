//! `request_id`: a call that is made again, because its answer was lost, gets the same item.

use super::pools::{POOLS, impatient, patient};
use crate::steps::{in_background, wait_until_blocked};
use pg_worker_tests::{Database, on_both_installs};
use std::collections::HashSet;

on_both_installs!(
    the_same_request_gets_the_same_item,
    a_request_that_found_nothing_is_answered_when_there_is_something,
    two_sessions_with_one_request_get_one_item,
    a_request_that_was_rolled_back_never_was,
    requests_of_different_pools_do_not_meet,
    an_item_that_is_set_back_belongs_to_no_request,
    a_claim_for_each_row_of_a_query_names_something_of_the_row,
);

fn the_same_request_gets_the_same_item(database: &Database) {
    let mut session = database.session();
    for pool in &POOLS {
        pool.fill(&mut session, 10);
        let first = pool.try_claim(&mut session, Some("r-1")).unwrap();
        assert!(first.is_some());
        for _ in 0..5 {
            assert_eq!(
                pool.try_claim(&mut session, Some("r-1")).unwrap(),
                first,
                "{}",
                pool.name
            );
        }
        let other = pool.try_claim(&mut session, Some("r-2")).unwrap();
        assert!(other.is_some() && other != first, "{}", pool.name);
        assert_eq!(pool.used(&mut session), 2);
        // In one transaction too, and when nothing is left.
        session.run("begin");
        let in_transaction = pool.try_claim(&mut session, Some("r-1")).unwrap();
        session.run("commit");
        session.run(&format!("update {} set used = true", pool.table));
        assert_eq!(in_transaction, first);
        assert_eq!(pool.try_claim(&mut session, Some("r-1")).unwrap(), first);
    }
    assert_eq!(session.count("worker_jobs"), 0, "nothing was missing");
}

fn a_request_that_found_nothing_is_answered_when_there_is_something(database: &Database) {
    let mut session = database.session();
    for pool in &POOLS {
        assert_eq!(pool.try_claim(&mut session, Some("early")).unwrap(), None);
        pool.fill(&mut session, 1);
        let item = pool.try_claim(&mut session, Some("early")).unwrap();
        assert!(item.is_some(), "{}", pool.name);
        assert_eq!(pool.try_claim(&mut session, Some("early")).unwrap(), item);
    }
}

fn two_sessions_with_one_request_get_one_item(database: &Database) {
    for pool in &POOLS {
        let (mut one, mut other) = (database.session(), patient(database));
        pool.fill(&mut one, 10);
        one.run("begin");
        let first = pool.try_claim(&mut one, Some("twice")).unwrap();
        let pid = other.backend_pid();
        let second = in_background(other, |session| pool.try_claim(session, Some("twice")).unwrap());
        wait_until_blocked(&mut database.session(), pid);
        one.run("commit");
        assert_eq!(second.join().unwrap(), first, "{}", pool.name);
        assert_eq!(pool.used(&mut one), 1);
    }
}

fn a_request_that_was_rolled_back_never_was(database: &Database) {
    for pool in &POOLS {
        let (mut one, mut other) = (database.session(), patient(database));
        pool.fill(&mut one, 10);
        one.run("begin");
        pool.try_claim(&mut one, Some("undone")).unwrap();
        let pid = other.backend_pid();
        let second = in_background(other, |session| pool.try_claim(session, Some("undone")).unwrap());
        wait_until_blocked(&mut database.session(), pid);
        one.run("rollback");
        assert!(second.join().unwrap().is_some(), "{}", pool.name);
        assert_eq!(pool.used(&mut one), 1);
    }
}

fn requests_of_different_pools_do_not_meet(database: &Database) {
    let mut holder = database.session();
    let mut other = impatient(database);
    for pool in &POOLS {
        pool.fill(&mut holder, 2);
    }
    holder.run("begin");
    assert!(POOLS[0].try_claim(&mut holder, Some("same")).unwrap().is_some());
    let items: HashSet<_> = POOLS[1..]
        .iter()
        .map(|pool| pool.try_claim(&mut other, Some("same")).unwrap())
        .collect();
    assert!(items.len() == 4 && !items.contains(&None), "{items:?}");
}

fn an_item_that_is_set_back_belongs_to_no_request(database: &Database) {
    let mut session = database.session();
    for pool in &POOLS {
        pool.fill(&mut session, 1);
        let item = pool.try_claim(&mut session, Some("first")).unwrap();
        assert!(item.is_some());
        session.run(&format!("update {} set used = false", pool.table));
        let again = pool.try_claim(&mut session, Some("first")).unwrap();
        assert_eq!(again, item, "{}: claimed anew", pool.name);
        assert_eq!(pool.claim(&mut session), None, "{}: handed out once", pool.name);
    }
}

/// A function in FROM that names nothing of the rows beside it is called once, whatever it does: that is
/// PostgreSQL's rule. With an argument made from the row it is called for each.
fn a_claim_for_each_row_of_a_query_names_something_of_the_row(database: &Database) {
    let mut session = database.session();
    POOLS[1].fill(&mut session, 30);
    let sql = "select distinct c.npc_id from generate_series(1, 10) as place
                 cross join lateral claim_npc_from_pool('city', jsonb_build_object('place', place)) c";
    assert_eq!(session.rows(sql, &[]).len(), 10);
    assert_eq!(session.count("npc_personalities where used"), 10);
    assert_eq!(
        session.count("(select distinct position from npc_personalities where used) p"),
        10
    );
}
