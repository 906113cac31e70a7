//! Claims. An index of a million entries is three pages deep, so a look into it with the row behind it
//! is 4 buffers. A claim looks up a level or two of bands, picks, and writes the row anew with its
//! entries in three indexes.

use super::big::{Alone, LARGE, cost, is_within, stays_within};
use pg_worker_tests::Database;

/// A claim that finds something at its first try.
const HIT: i64 = 100;

/// A claim that finds nothing, where bands are one level deep: it looks twice, once for what is free
/// and once for what others hold, and looks up what it should ask for.
const MISS: i64 = 150;

/// The same for quests: each of up to 18 lowest levels is asked for the next one and for a band that
/// reaches high enough, 2 × 18 × 4 buffers, twice.
const MISS_AMONG_LEVELS: i64 = 400;

#[test]
fn a_claim_that_fits_is_bounded() {
    let mut session = Alone::session();
    for call in [
        "claim_quest_from_pool(null, 1, 20)",
        "claim_quest_from_pool(null, 7, 7)",
        "claim_npc_from_pool('camp', null)",
        "claim_encounter_from_pool()",
        "claim_encounter_from_pool('place-5', 3, 9)",
        "claim_encounter_from_pool(min_cr => 24)",
        "claim_dungeon_from_pool()",
        "claim_dungeon_from_pool('medium')",
        "claim_poi_from_pool('camp-42')",
        "claim_poi_from_pool('camp-43', 'ruin')",
    ] {
        stays_within(&mut session, call, 1, HIT);
    }
}

#[test]
fn a_claim_that_nothing_fits_is_bounded() {
    let mut session = Alone::session();
    for (call, bound) in [
        ("claim_quest_from_pool(null, 30, 40)", MISS_AMONG_LEVELS),
        ("claim_encounter_from_pool('nowhere')", MISS),
        ("claim_encounter_from_pool('place-3', 27, 30)", MISS),
        ("claim_dungeon_from_pool('deadly')", MISS),
        ("claim_dungeon_from_pool('hard')", MISS),
        ("claim_poi_from_pool('camp-44', 'bridge')", MISS),
        ("claim_poi_from_pool('camp-unknown')", MISS),
        // eight places, each asked for its ratings
        ("claim_encounter_from_pool(min_cr => 27)", MISS_AMONG_LEVELS),
    ] {
        stays_within(&mut session, call, 0, bound);
    }
}

#[test]
fn a_claim_stays_bounded_with_statistics_too() {
    let mut session = Alone::session();
    session.run("analyze");
    stays_within(&mut session, "claim_quest_from_pool(null, 3, 6)", 1, HIT);
    stays_within(&mut session, "claim_npc_from_pool('camp', null)", 1, HIT);
    stays_within(&mut session, "claim_encounter_from_pool('place-1')", 1, HIT);
    stays_within(&mut session, "claim_dungeon_from_pool('easy')", 1, HIT);
    stays_within(&mut session, "claim_poi_from_pool('camp-45')", 1, HIT);
    stays_within(
        &mut session,
        "claim_quest_from_pool(null, 30, 40)",
        0,
        MISS_AMONG_LEVELS,
    );
    stays_within(&mut session, "claim_dungeon_from_pool('deadly')", 0, MISS);
}

/// What was claimed leaves dead entries in the index of the unused items, which every look into that band
/// walks over until they are cleaned up. The pools' settings have that done after 1,000 rows, so no more
/// than those come together in one band, however large the table is.
#[test]
fn a_band_that_claims_have_drained_is_bounded() {
    let mut session = Alone::session();
    let drained = [
        (
            "insert into quest_templates (title, description, level_min, level_max)
             select 'Q', 'By hand.', 25, 25 from generate_series(1, 1000)",
            "claim_quest_from_pool(null, 25, 25)",
            MISS_AMONG_LEVELS,
        ),
        (
            "insert into combat_encounters (name, description, location_type, challenge_rating)
             select 'E', 'By hand.', 'place-4', 29 from generate_series(1, 1000)",
            "claim_encounter_from_pool('place-4', 28, 30)",
            MISS,
        ),
        (
            "insert into dungeon_content (name, description, difficulty)
             select 'D', 'By hand.', 'deadly' from generate_series(1, 1000)",
            "claim_dungeon_from_pool('deadly')",
            MISS,
        ),
        (
            "insert into campaign_pois (campaign_seed, name, type, description)
             select 'camp-46', 'P', 'bridge', 'By hand.' from generate_series(1, 1000)",
            "claim_poi_from_pool('camp-46', 'bridge')",
            MISS,
        ),
    ];
    for (insert, claim, bound) in drained {
        session.run(insert);
        cost(&mut session, claim); // which plans
        let all: i64 = (1..1000)
            .map(|_| is_within(&mut session, claim, 1, bound + 1000))
            .sum();
        println!(
            "{claim}: {} buffers on average while the band is drained",
            all / 999
        );
        // A dead entry costs the first who comes upon it one look at its row.
        assert!(all <= 999 * (HIT + 1), "{claim}: {all} buffers");
        stays_within(&mut session, claim, 0, bound);
    }
}

#[test]
fn dead_entries_are_cleaned_up_after_a_number_of_claims() {
    let database = Database::quiet();
    let mut session = database.session();
    let settings = "select reloptions::text from pg_class where oid = $1::text::regclass";
    for table in LARGE {
        let settings: String = session.value(settings, &[&table]);
        assert!(
            settings.contains("vacuum_scale_factor=0,") && settings.contains("index_cleanup=on"),
            "{table}: {settings}"
        );
    }
    session.run("alter table quest_templates reset (vacuum_index_cleanup, autovacuum_vacuum_scale_factor)");
    session.run("alter table quest_templates set (autovacuum_vacuum_threshold = 77)");
    session.run("select worker.setup()");
    let own: String = session.value(settings, &[&"quest_templates"]);
    assert_eq!(
        own, "{autovacuum_vacuum_threshold=77}",
        "the owner's own settings stay"
    );
}
