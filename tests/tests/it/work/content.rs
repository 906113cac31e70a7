//! What the built-in generator writes: enough for a game to begin with, and what was asked for.

use crate::steps::enqueue;
use pg_worker_tests::{Database, Executor, Session};
use serde_json::json;

/// Table and title of each kind that has a pool.
const POOLS: [(&str, &str, &str); 5] = [
    ("generate_quests", "quest_templates", "title"),
    ("generate_npcs", "npc_personalities", "name"),
    ("generate_encounters", "combat_encounters", "name"),
    ("generate_dungeons", "dungeon_content", "name"),
    ("generate_pois", "campaign_pois", "name"),
];

/// Without refills: only what is asked for is written.
fn at_rest() -> Database<'static> {
    let database = Database::quiet();
    database.session().run("update content_pools set enabled = false");
    database
}

#[test]
fn two_hundred_items_of_each_kind_have_different_titles() {
    let database = at_rest();
    let mut session = database.session();
    for (job_type, ..) in POOLS {
        let scope = (job_type == "generate_pois").then_some("salt-road");
        let parameters = json!({"count": 200, "campaign_seed": scope});
        let parameters = match scope {
            Some(_) => parameters,
            None => json!({"count": 200}),
        };
        // Named here, and with the job all that is drawn for its items: no luck in this test.
        session.rows(
            "insert into worker_jobs (id, job_type, parameters) values (md5($1)::uuid, $1, $2)",
            &[&job_type, &parameters],
        );
    }
    Executor::on(&database).succeeds("once");
    for (_, table, title) in POOLS {
        let sql = format!("select count(*), count(distinct lower({title})) from {table}");
        let row = session.row(&sql, &[]);
        assert_eq!(
            (row.get::<_, i64>(0), row.get::<_, i64>(1)),
            (200, 200),
            "{table}"
        );
    }
    mechanics(&mut session);
    names_are_spread(&mut session);
}

/// No name of a person or a place is in more than a few of the 200 quests. A name is what is written
/// with a capital letter elsewhere than at the beginning of a sentence.
fn names_are_spread(session: &mut Session) {
    let often = "
        select name || ' ' || count(*)
          from (select distinct q.id, (regexp_matches(description, '[a-z,;]\\s([A-Z][a-z]{2,})', 'g'))[1] as name
                  from quest_templates q) n
         group by name having count(*) > 5 order by count(*) desc, name";
    let names: Vec<String> = session.column(often, &[]);
    assert_eq!(names, Vec::<String>::new(), "in more than five quests");
}

/// Written down here once more, so that a mistake in the kinds' own checks shows.
fn mechanics(session: &mut Session) {
    for wrong in [
        "quest_templates where level_min > level_max or level_min < 1 or level_max > 10
            or xp_reward not between level_min * 50 and level_max * 100 or jsonb_array_length(objectives) < 1",
        "combat_encounters where challenge_rating not between 1 and 5 or jsonb_array_length(enemies) < 1",
        "dungeon_content where room_count <> jsonb_array_length(rooms) or room_count < 1",
        "campaign_pois where campaign_seed <> 'salt-road' or encounter_chance not between 0 and 1",
        "npc_personalities where '' in (name, race, occupation, personality, quirk, secret)",
    ] {
        assert_eq!(session.count(wrong), 0, "{wrong}");
    }
    for text in [
        "select title || description || objectives::text from quest_templates",
        "select name || race || occupation || personality || quirk || secret from npc_personalities",
        "select name || description || enemies::text from combat_encounters",
        "select name || description || rooms::text from dungeon_content",
        "select name || description from campaign_pois",
    ] {
        for text in session.column::<String>(text, &[]) {
            assert!(
                !text.contains("{=") && !text.contains("{^") && !text.contains("{{"),
                "{text}"
            );
        }
    }
}

#[test]
fn what_was_asked_for_is_what_is_stored() {
    let database = at_rest();
    let mut session = database.session();
    enqueue(
        &mut session,
        "generate_quests",
        json!({"count": 6, "level_range": [3, 4]}),
    );
    let encounters = json!({"count": 6, "cr_range": [0.25, 0.5], "location_type": "swamp"});
    enqueue(&mut session, "generate_encounters", encounters);
    enqueue(
        &mut session,
        "generate_dungeons",
        json!({"count": 3, "difficulty": "deadly"}),
    );
    let pois = json!({"count": 4, "campaign_seed": "north", "poi_type": "tower"});
    enqueue(&mut session, "generate_pois", pois);
    Executor::on(&database).succeeds("once");
    for (count, right) in [
        (6, "quest_templates where level_min >= 3 and level_max <= 4"),
        (
            6,
            "combat_encounters where challenge_rating between 0.25 and 0.5 and location_type = 'swamp'",
        ),
        (3, "dungeon_content where difficulty = 'deadly'"),
        (
            4,
            "campaign_pois where campaign_seed = 'north' and type = 'tower'",
        ),
    ] {
        assert_eq!(session.count(right), count, "{right}");
    }
    let results =
        "select bool_and(status = 'completed' and (result ->> 'asked')::int = (result ->> 'stored')::int
        and result ->> 'generator' = 'builtin') from worker_jobs";
    assert!(session.value::<bool>(results, &[]));
}

#[test]
fn a_users_settings_are_obeyed_by_the_next_item() {
    let database = at_rest();
    let mut session = database.session();
    let ask = |session: &mut Session| -> (String, serde_json::Value, Option<String>) {
        let row = session.row(
            "select messages -> 1 ->> 'content', sampling, model from worker.preview_item('npc')",
            &[],
        );
        (row.get(0), row.get(1), row.get(2))
    };
    session.run(
        "update content_pools set prompt = 'Write {{recent_titles}} anew.', temperature = 0.25, max_tokens = 333, model = 'other'
          where kind = 'npc'",
    );
    let (prompt, sampling, model) = ask(&mut session);
    assert_eq!(prompt, "Write (none yet) anew.");
    assert_eq!(
        (&sampling["temperature"], &sampling["max_tokens"]),
        (&json!(0.25), &json!(333))
    );
    assert_eq!(model.as_deref(), Some("other"));
    session.run("select worker.setup()");
    assert_eq!(
        ask(&mut session).0,
        "Write (none yet) anew.",
        "setup keeps what the user set"
    );
    session
        .run("update content_pools set prompt = null, temperature = null, max_tokens = null, model = null");
    assert!(ask(&mut session).0.starts_with("Write one"), "as shipped again");
}
