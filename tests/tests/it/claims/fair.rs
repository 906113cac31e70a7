//! Claims are fair over the bands that are there, however wide the filter is that they are asked for.

use pg_worker_tests::{Database, on_both_installs};
use std::collections::BTreeMap;

on_both_installs!(
    quests_of_all_levels_are_claimed_alike,
    encounters_of_all_ratings_are_claimed_alike,
);

/// How often each band was claimed in 400 claims; the dice are always the same.
fn shares(database: &Database, fill: &str, claim: &str) -> BTreeMap<String, i32> {
    let mut session = database.session();
    session.run(fill);
    session.run("select setseed(0.25)");
    let mut shares = BTreeMap::new();
    for _ in 0..400 {
        let band: String = session.value(claim, &[]);
        *shares.entry(band).or_insert(0) += 1;
    }
    shares
}

#[track_caller]
fn alike(shares: &BTreeMap<String, i32>) {
    assert_eq!(shares.len(), 4, "{shares:?}");
    assert!(
        shares.values().all(|share| (70..=130).contains(share)),
        "{shares:?}"
    );
}

fn quests_of_all_levels_are_claimed_alike(database: &Database) {
    let fill =
        "truncate quest_templates; insert into quest_templates (title, description, level_min, level_max)
                select 'Quest ' || n, n % 4, 1 + n % 4 * 3, 3 + n % 4 * 3 from generate_series(1, 1600) n";
    for most in [12, 20, 100] {
        let claim = format!("select description from claim_quest_from_pool(null, 1, {most})");
        alike(&shares(database, fill, &claim));
    }
}

fn encounters_of_all_ratings_are_claimed_alike(database: &Database) {
    let fill = "insert into combat_encounters (name, description, challenge_rating, location_type)
                select 'Fight ' || n, n % 4, (array[0.5, 1, 4, 12])[1 + n % 4], 'cave' from generate_series(1, 1600) n";
    alike(&shares(
        database,
        fill,
        "select description from claim_encounter_from_pool('cave')",
    ));
}
