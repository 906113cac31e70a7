//! What a claim writes, and direct use of the pool tables beside it.

use super::pools::POOLS;
use pg_worker_tests::{Database, on_both_installs};
use serde_json::{Value, json};
use uuid::Uuid;

on_both_installs!(
    a_claim_returns_and_writes_what_the_guide_says,
    hand_written_items_are_claimable,
    what_is_set_used_is_never_claimed,
    a_deleted_item_is_gone_without_harm,
    the_guides_own_claim_of_an_encounter_works,
    a_claim_that_finds_nothing_is_an_empty_list,
);

fn a_claim_returns_and_writes_what_the_guide_says(database: &Database) {
    let mut session = database.session();
    let character = Uuid::new_v4();
    session.run(
        "insert into quest_templates (title, description, objectives, xp_reward, gold_reward)
         values ('The Goblin Menace', 'Goblins!', '[{\"type\": \"kill_enemies\", \"target\": \"goblins\", \"count\": 5}]', 100, 50)",
    );
    let row = session.row(
        "select quest_id, title, description, objectives, xp_reward, gold_reward from claim_quest_from_pool($1, 1, 5)",
        &[&character],
    );
    assert_eq!(row.get::<_, &str>(1), "The Goblin Menace");
    assert_eq!(row.get::<_, Value>(3)[0]["count"], 5);
    assert_eq!((row.get::<_, i32>(4), row.get::<_, i32>(5)), (100, 50));
    let written = "select used and used_at is not null and assigned_to_character = $2 from quest_templates where id = $1";
    assert!(session.value::<bool>(written, &[&row.get::<_, Uuid>(0), &character]));
    POOLS[1].fill(&mut session, 1);
    let npc: Uuid = session.value(
        "select npc_id from claim_npc_from_pool('campaign-seed', '{\"x\": 100, \"y\": 200}')",
        &[],
    );
    let written =
        "select spawned_in_campaign || position::text from npc_personalities where used and id = $1";
    assert_eq!(
        session.value::<String>(written, &[&npc]),
        "campaign-seed{\"x\": 100, \"y\": 200}"
    );
    let places = [
        (&POOLS[2], "spawn_location", "spawned_at_location"),
        (&POOLS[3], "spawn_location", "spawned_at_location"),
        (&POOLS[4], "spawn_position", "spawn_position"),
    ];
    for (pool, argument, column) in places {
        pool.fill(&mut session, 1);
        let seed = if pool.name == "poi" { "'camp', " } else { "" };
        let claim = format!(
            "select count(*) from claim_{}_from_pool({seed}{argument} => '{{\"x\": 7}}')",
            pool.name
        );
        assert_eq!(session.value::<i64>(&claim, &[]), 1);
        let written = format!("select {column} from {} where used", pool.table);
        assert_eq!(session.value::<Value>(&written, &[]), json!({"x": 7}));
    }
}

fn hand_written_items_are_claimable(database: &Database) {
    let mut session = database.session();
    // The guide's columns and no others; levels, difficulty, loot and place have their defaults.
    session.run(
        "insert into quest_templates (title, description, objectives, xp_reward, gold_reward) values ('A', 'a', '[]', 1, 1);
         insert into npc_personalities (name, race, occupation, personality, quirk, secret) values ('B', 'b', 'b', 'b', 'b', 'b');
         insert into combat_encounters (name, description, challenge_rating, enemies, loot_tier, location_type)
              values ('C', 'c', 2, '[]', 'standard', 'forest');
         insert into dungeon_content (name, description, room_count, rooms, difficulty) values ('D', 'd', 1, '[]', 'medium');
         insert into campaign_pois (campaign_seed, name, type, description) values ('camp', 'E', 'ruin', 'e')",
    );
    let levels = session.row("select level_min, level_max from quest_templates", &[]);
    assert_eq!((levels.get::<_, i32>(0), levels.get::<_, i32>(1)), (1, 5));
    for pool in &POOLS {
        assert!(pool.claim(&mut session).is_some(), "{}", pool.name);
    }
}

fn what_is_set_used_is_never_claimed(database: &Database) {
    let mut session = database.session();
    for pool in &POOLS {
        pool.fill(&mut session, 3);
        let sql = format!(
            "update {0} set used = true where id = (select id from {0} limit 1) returning id",
            pool.table
        );
        let taken: Uuid = session.value(&sql, &[]);
        let claimed = [pool.claim(&mut session), pool.claim(&mut session)];
        assert!(
            !claimed.contains(&Some(taken)) && !claimed.contains(&None),
            "{}",
            pool.name
        );
        assert_eq!(pool.claim(&mut session), None);
        session.rows(
            &format!("update {} set used = false where id = $1", pool.table),
            &[&taken],
        );
        assert_eq!(pool.claim(&mut session), Some(taken), "given back by hand");
    }
}

fn a_deleted_item_is_gone_without_harm(database: &Database) {
    let mut session = database.session();
    for pool in &POOLS {
        pool.fill(&mut session, 2);
        session.run(&format!(
            "delete from {0} where id = (select id from {0} limit 1)",
            pool.table
        ));
        assert!(pool.claim(&mut session).is_some());
        assert_eq!(pool.claim(&mut session), None);
        session.run(&format!("truncate {}", pool.table));
        assert_eq!(pool.claim(&mut session), None);
    }
}

fn the_guides_own_claim_of_an_encounter_works(database: &Database) {
    let mut session = database.session();
    POOLS[2].fill(&mut session, 12);
    let found: Uuid = session.value(
        "select id from combat_encounters
          where used = false and location_type = 'forest' and challenge_rating >= 0.5 and challenge_rating <= 4.5 limit 1",
        &[],
    );
    session.rows(
        "update combat_encounters set used = true, used_at = now(), spawned_at_location = '{\"x\": 1}' where id = $1",
        &[&found],
    );
    let rest: Vec<_> = std::iter::from_fn(|| POOLS[2].claim(&mut session)).collect();
    assert_eq!(rest.len(), 11);
    assert!(!rest.contains(&found));
}

fn a_claim_that_finds_nothing_is_an_empty_list(database: &Database) {
    let mut session = database.session();
    for pool in &POOLS {
        assert!(
            session.rows(&pool.claim_sql(), &[&None::<&str>]).is_empty(),
            "{}",
            pool.name
        );
    }
}
