//! A claim takes what fits its filter, and nothing else.

use crate::steps::of_job;
use pg_worker_tests::{Database, Session, on_both_installs};
use uuid::Uuid;

on_both_installs!(
    a_quest_fits_when_its_levels_overlap,
    an_encounter_fits_by_place_and_rating,
    a_dungeon_fits_by_difficulty,
    a_poi_fits_by_campaign_and_type,
    a_filter_is_respected_among_many,
);

/// Whether each claim finds the one item that was just inserted; one that was found is put back.
#[track_caller]
fn finds(session: &mut Session, table: &str, cases: &[(&str, bool)]) {
    for (claim, expected) in cases {
        let found = session.rows(&format!("select * from {claim}"), &[]).len();
        assert_eq!(found == 1, *expected, "{claim}");
        session.run(&format!("update {table} set used = false"));
    }
}

fn a_quest_fits_when_its_levels_overlap(database: &Database) {
    let mut session = database.session();
    session.run(
        "insert into quest_templates (title, description, level_min, level_max) values ('Q', 'q', 4, 6)",
    );
    let cases = [
        ("claim_quest_from_pool(null, 1, 3)", false),
        ("claim_quest_from_pool(null, 1, 4)", true),
        ("claim_quest_from_pool(null, 5, 5)", true),
        ("claim_quest_from_pool(null, 6, 20)", true),
        ("claim_quest_from_pool(null, 7, 9)", false),
        ("claim_quest_from_pool(null, 2, 12)", true),
        ("claim_quest_from_pool(null)", true),
        ("claim_quest_from_pool(gen_random_uuid(), null, null, null)", true),
        ("claim_quest_from_pool(null, 11)", false),
        ("claim_quest_from_pool(null, max_level => 3)", false),
        ("claim_quest_from_pool(null, -5, 1000000)", true),
    ];
    finds(&mut session, "quest_templates", &cases);
    // max_level is 10 by default, which no caller means who gives a higher min_level alone.
    session.run("update quest_templates set level_min = 14, level_max = 16");
    let high = [
        ("claim_quest_from_pool(null, 15)", true),
        ("claim_quest_from_pool(null, 13)", false),
    ];
    finds(&mut session, "quest_templates", &high);
}

fn an_encounter_fits_by_place_and_rating(database: &Database) {
    let mut session = database.session();
    session.run(
        "insert into combat_encounters (name, description, challenge_rating, location_type)
         values ('E', 'e', 2.5, 'forest')",
    );
    let cases = [
        ("claim_encounter_from_pool()", true),
        ("claim_encounter_from_pool(null, null, null, null, null)", true),
        ("claim_encounter_from_pool('forest')", true),
        ("claim_encounter_from_pool('cave')", false),
        ("claim_encounter_from_pool('forest', 2.5, 2.5)", true),
        ("claim_encounter_from_pool('forest', 2.6)", false),
        ("claim_encounter_from_pool('forest', null, 2.4)", false),
        ("claim_encounter_from_pool(null, 1, 3)", true),
        ("claim_encounter_from_pool(min_cr => 0.125)", true),
        ("claim_encounter_from_pool(max_cr => 2)", false),
    ];
    finds(&mut session, "combat_encounters", &cases);
}

fn a_dungeon_fits_by_difficulty(database: &Database) {
    let mut session = database.session();
    session.run("insert into dungeon_content (name, description, difficulty) values ('D', 'd', 'hard')");
    let cases = [
        ("claim_dungeon_from_pool()", true),
        ("claim_dungeon_from_pool(null, null, null)", true),
        ("claim_dungeon_from_pool('hard')", true),
        ("claim_dungeon_from_pool('easy')", false),
        ("claim_dungeon_from_pool('deadly')", false),
    ];
    finds(&mut session, "dungeon_content", &cases);
}

fn a_poi_fits_by_campaign_and_type(database: &Database) {
    let mut session = database.session();
    session.run(
        "insert into campaign_pois (campaign_seed, name, type, description) values ('abc', 'P', 'ruin', 'p')",
    );
    let cases = [
        ("claim_poi_from_pool('abc')", true),
        ("claim_poi_from_pool('abc', null, null, null)", true),
        ("claim_poi_from_pool('abc', 'ruin')", true),
        ("claim_poi_from_pool('abc', 'cave')", false),
        ("claim_poi_from_pool('ABC')", false),
        ("claim_poi_from_pool('ab')", false),
    ];
    finds(&mut session, "campaign_pois", &cases);
}

/// Every combination of bands is in the pool; a filter drains exactly its own and no other.
fn a_filter_is_respected_among_many(database: &Database) {
    let mut session = database.session();
    session.run(
        "insert into quest_templates (title, description, level_min, level_max)
         select 'Q', 'q', low, high from generate_series(1, 20) low, generate_series(low, least(low + 3, 20)) high",
    );
    let fitting = session.count("quest_templates where level_min <= 9 and level_max >= 7");
    assert!(fitting > 10);
    let drained = std::iter::from_fn(|| {
        claim_one(
            &mut session,
            "select quest_id from claim_quest_from_pool(null, 7, 9)",
        )
    });
    let drained: Vec<Uuid> = drained.collect();
    assert_eq!(i64::try_from(drained.len()).unwrap(), fitting);
    let wrong = "quest_templates where used and not (level_min <= 9 and level_max >= 7)";
    assert_eq!(session.count(wrong), 0);
    let job: Uuid = session.value("select id from worker_jobs", &[]);
    let asked = of_job(&mut session, job, "parameters");
    assert_eq!(asked.as_deref(), Some("{\"count\": 5, \"level_range\": [7, 9]}"));
}

fn claim_one(session: &mut Session, sql: &str) -> Option<Uuid> {
    session.rows(sql, &[]).first().map(|row| row.get(0))
}
