//! Many connections at once.

use super::pools::{POOLS, Pool};
use crate::steps::together;
use pg_worker_tests::Database;
use std::collections::HashSet;
use uuid::Uuid;

const CONNECTIONS: usize = 16;

/// As many claims as there are items: each must find one, and no two the same.
fn each_claim_finds_an_item_of_its_own(database: &Database, pool: &Pool, claims: usize) {
    let count = CONNECTIONS * claims;
    pool.fill(&mut database.session(), i32::try_from(count).unwrap());
    let claimed = together(database, CONNECTIONS, |session| {
        (0..claims).map(|_| pool.claim(session)).collect::<Vec<_>>()
    });
    let claimed: Vec<Option<Uuid>> = claimed.into_iter().flatten().collect();
    let empty = claimed.iter().filter(|item| item.is_none()).count();
    assert_eq!(empty, 0, "{}: claims that came back empty", pool.name);
    assert_eq!(
        claimed.iter().collect::<HashSet<_>>().len(),
        count,
        "{}: different items",
        pool.name
    );
    assert_eq!(pool.used(&mut database.session()), i64::try_from(count).unwrap());
}

#[test]
fn sixteen_connections_claim_two_thousand_quests() {
    each_claim_finds_an_item_of_its_own(&Database::quiet(), &POOLS[0], 125);
}

#[test]
fn sixteen_connections_claim_two_thousand_npcs() {
    each_claim_finds_an_item_of_its_own(&Database::quiet(), &POOLS[1], 125);
}

#[test]
fn sixteen_connections_claim_two_thousand_encounters() {
    each_claim_finds_an_item_of_its_own(&Database::quiet(), &POOLS[2], 125);
}

#[test]
fn sixteen_connections_claim_two_thousand_dungeons() {
    each_claim_finds_an_item_of_its_own(&Database::quiet(), &POOLS[3], 125);
}

#[test]
fn sixteen_connections_claim_two_thousand_pois() {
    each_claim_finds_an_item_of_its_own(&Database::quiet(), &POOLS[4], 125);
}

#[test]
fn the_same_without_the_extension() {
    let database = Database::sql_only();
    for pool in &POOLS {
        each_claim_finds_an_item_of_its_own(&database, pool, 10);
    }
}

/// More claimers than items, in many bands: the last ones wait for each other's items and must not
/// do so in a circle.
#[test]
fn a_race_for_the_last_items_ends_without_a_deadlock() {
    let database = Database::quiet();
    let mut session = database.session();
    for pool in &POOLS {
        for _ in 0..15 {
            pool.fill(&mut session, 20);
            let claimed = together(&database, CONNECTIONS, |session| {
                std::iter::from_fn(|| pool.claim(session)).count()
            });
            assert_eq!(claimed.iter().sum::<usize>(), 20, "{}: {claimed:?}", pool.name);
        }
    }
}

#[test]
fn claims_are_random() {
    let database = Database::quiet();
    let mut session = database.session();
    for pool in &POOLS {
        pool.fill(&mut session, 60);
        let sql = format!(
            "select row_number() over (order by pool_key)::int, id from {}",
            pool.table
        );
        let by_key: Vec<Uuid> = session.rows(&sql, &[]).iter().map(|row| row.get(1)).collect();
        let claimed: Vec<Uuid> = (0..20).map(|_| pool.claim(&mut session).unwrap()).collect();
        assert_ne!(claimed, by_key[..20], "{}: in the order of the key", pool.name);
        let sql = format!("select id from {} order by ctid", pool.table);
        let stored: Vec<Uuid> = session.column(&sql, &[]);
        assert_ne!(claimed, stored[..20], "{}: in the order of insertion", pool.name);
    }
}
