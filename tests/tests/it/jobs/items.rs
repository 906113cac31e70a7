//! Items: numbered, stored once, checked, counted, given to the next attempt where the last ended.

use crate::steps::{
    enqueue, enqueue_quests, in_background, lease_one, of_job, outcome, quest, store, store_quest, title,
    wait_until_blocked,
};
use pg_worker_tests::{Database, Session, on_both_installs};
use serde_json::{Value, json};

on_both_installs!(
    a_number_stored_again_gives_the_same_item,
    a_number_stored_twice_at_once_gives_the_same_item,
    more_than_was_asked_is_refused,
    two_items_of_a_job_are_stored_side_by_side,
    next_item_skips_what_is_stored_or_in_flight,
    what_was_rejected_keeps_its_facets_and_a_duplicate_gets_others,
    whole_numbers_of_an_item_may_be_written_with_a_point,
    a_title_that_no_index_could_hold_is_rejected_in_words,
    objectives_are_checked_without_a_library_too,
    an_equal_title_is_a_duplicate_and_leaves_nothing,
    a_rejected_item_says_why_and_leaves_nothing,
    what_the_executor_rejected_is_counted,
    the_prompt_obeys_an_update_at_the_next_item,
    provenance_stands_beside_the_item,
);

fn a_number_stored_again_gives_the_same_item(database: &Database) {
    let mut session = database.session();
    enqueue_quests(&mut session, 1);
    let lease = lease_one(&mut session);
    let first = store(&mut session, &lease, 1, &quest(1));
    assert_eq!((first.outcome.as_str(), first.stored), ("stored", Some(1)));
    assert_eq!(
        store(&mut session, &lease, 1, &quest(2)),
        first,
        "the first one counts"
    );
    assert_eq!(outcome(&mut session, "complete_job", &lease, ""), "completed");
    assert_eq!(
        store(&mut session, &lease, 1, &quest(1)),
        first,
        "also after the end"
    );
    assert_eq!(session.count("quest_templates"), 1);
    assert_eq!(of_job(&mut session, lease.job, "stored").as_deref(), Some("1"));
}

fn a_number_stored_twice_at_once_gives_the_same_item(database: &Database) {
    let (mut one, mut other) = (database.session(), database.session());
    enqueue_quests(&mut one, 2);
    let lease = lease_one(&mut one);
    one.run("begin");
    let first = store(&mut one, &lease, 1, &quest(1));
    let pid = other.backend_pid();
    let again = lease.clone();
    let second = in_background(other, move |session| store(session, &again, 1, &quest(2)));
    wait_until_blocked(&mut database.session(), pid);
    one.run("commit");
    assert_eq!(second.join().unwrap(), first);
    assert_eq!(one.count("quest_templates"), 1);
}

fn more_than_was_asked_is_refused(database: &Database) {
    let mut session = database.session();
    enqueue_quests(&mut session, 2);
    let lease = lease_one(&mut session);
    for number in [Some(0), Some(3), Some(-1), None] {
        let refusal = session.refused(
            "select * from worker.store_item($1, $2, $3, $4)",
            &[&lease.job, &lease.token, &number, &quest(1)],
        );
        assert_eq!(refusal.code(), "22023", "{number:?}: {refusal:?}");
        assert!(refusal.message.starts_with("p_item_no"), "{refusal:?}");
    }
    assert_eq!(session.count("quest_templates"), 0);
    assert_eq!(of_job(&mut session, lease.job, "stored").as_deref(), Some("0"));
}

fn two_items_of_a_job_are_stored_side_by_side(database: &Database) {
    let mut session = database.session();
    enqueue_quests(&mut session, 40);
    let lease = lease_one(&mut session);
    let next = std::sync::atomic::AtomicI32::new(1);
    crate::steps::together(database, 4, |session| {
        for _ in 0..10 {
            let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            store_quest(session, &lease, number);
        }
    });
    assert_eq!(of_job(&mut session, lease.job, "stored").as_deref(), Some("40"));
    assert_eq!(session.count("quest_templates"), 40);
}

fn next_item_number(session: &mut Session, lease: &crate::steps::Lease, in_flight: &[i32]) -> Option<i32> {
    let sql = "select item_no from worker.next_item($1, $2, $3)";
    session.value(sql, &[&lease.job, &lease.token, &in_flight])
}

fn next_item_skips_what_is_stored_or_in_flight(database: &Database) {
    let mut session = database.session();
    enqueue_quests(&mut session, 4);
    let lease = lease_one(&mut session);
    assert_eq!(next_item_number(&mut session, &lease, &[]), Some(1));
    store_quest(&mut session, &lease, 2);
    assert_eq!(next_item_number(&mut session, &lease, &[1]), Some(3));
    assert_eq!(next_item_number(&mut session, &lease, &[3, 1]), Some(4));
    assert_eq!(next_item_number(&mut session, &lease, &[1, 3, 4]), None);
    assert_eq!(
        outcome(&mut session, "next_item", &lease, ", array[1, 3, 4]"),
        "none"
    );
}

fn what_was_rejected_keeps_its_facets_and_a_duplicate_gets_others(database: &Database) {
    let mut session = database.session();
    enqueue_quests(&mut session, 3);
    let lease = lease_one(&mut session);
    let draw = |session: &mut Session, number: i32, attempt: i32| -> (i64, Value, Value) {
        let sql =
            "select seed, facets, context - 'recent_titles' from worker.next_item($1, $2, '{}', $3, $4)";
        let row = session.row(sql, &[&lease.job, &lease.token, &attempt, &number]);
        (row.get(0), row.get(1), row.get(2))
    };
    let first = draw(&mut session, 2, 0);
    assert_eq!(
        draw(&mut session, 2, 0),
        first,
        "the same question, the same answer"
    );
    let bad = store(&mut session, &lease, 2, &json!({"title": "Nothing else"}));
    assert_eq!(bad.outcome, "rejected");
    let again = draw(&mut session, 2, 1);
    assert_eq!((&again.1, &again.2), (&first.1, &first.2), "the same facts");
    assert_ne!(again.0, first.0, "other words");
    store_quest(&mut session, &lease, 1);
    let twin = store(&mut session, &lease, 2, &quest(1));
    assert_eq!(twin.outcome, "duplicate");
    let anew = draw(&mut session, 2, 2);
    assert_ne!(anew.1["theme"], first.1["theme"], "another theme");
    assert_ne!(anew.1, draw(&mut session, 3, 0).1, "and not the neighbour's");
    store_quest(&mut session, &lease, 2);
    let noted = of_job(&mut session, lease.job, "progress -> 'drawn_again'");
    assert_eq!(noted, None, "forgotten when it is stored");
}

fn whole_numbers_of_an_item_may_be_written_with_a_point(database: &Database) {
    let mut session = database.session();
    enqueue_quests(&mut session, 1);
    let lease = lease_one(&mut session);
    let mut item = quest(1);
    item["xp_reward"] = json!(100.0);
    item["level_max"] = json!(3.0);
    item["objectives"][0]["count"] = json!(1.0);
    item["description"] =
        json!("A miller asks for 5.0 sacks of flour that never reached the market of the town.");
    assert_eq!(store(&mut session, &lease, 1, &item).outcome, "stored");
    let kept = "select format('%s %s %s %s', xp_reward, level_max, objectives -> 0 ->> 'count', description like '%5.0%') from quest_templates";
    assert_eq!(session.value::<String>(kept, &[]), "100 3 1 t");
}

fn a_title_that_no_index_could_hold_is_rejected_in_words(database: &Database) {
    let mut session = database.session();
    session.run(
        "select worker.add_kind('tale', 'Write.', '{\"type\": \"object\", \"properties\": {\"name\": {\"type\": \"string\"}}}', p_title_field => 'name')",
    );
    session.run("select enqueue_worker_job('generate_tale', '{\"count\": 1}')");
    let lease = lease_one(&mut session);
    // Random, so that it does not become short in the index.
    let title: String = session.value(
        "select string_agg(md5(random()::text), ' ') from generate_series(1, 400)",
        &[],
    );
    let answer = store(&mut session, &lease, 1, &json!({ "name": title }));
    assert_eq!(answer.outcome, "rejected");
    assert_eq!(
        answer.reason.as_deref(),
        Some("name has 13199 characters: at most 500 are allowed")
    );
}

fn objectives_are_checked_without_a_library_too(database: &Database) {
    let mut session = database.session();
    for (objectives, good) in [
        (json!("kill all"), false),
        (json!([]), false),
        (json!(["kill all"]), false),
        (
            json!([{"type": "kill_enemies", "target": "wolves", "count": 0}]),
            false,
        ),
        (
            json!([{"type": "kill_enemies", "target": " ", "count": 1}]),
            false,
        ),
        (json!([{"type": "sing", "target": "wolves", "count": 1}]), false),
        (
            json!([{"type": "kill_enemies", "target": "wolves", "count": 3}]),
            true,
        ),
    ] {
        let mut item = quest(1);
        item["objectives"] = objectives;
        let reason: Option<String> = session.value("select worker.check_item('quest', '{}', $1)", &[&item]);
        assert_eq!(reason.is_none(), good, "{item}: {reason:?}");
    }
}

fn an_equal_title_is_a_duplicate_and_leaves_nothing(database: &Database) {
    let mut session = database.session();
    enqueue_quests(&mut session, 5);
    let lease = lease_one(&mut session);
    store_quest(&mut session, &lease, 1);
    let first = title(1);
    for title in [
        first.clone(),
        format!("the {}!", first.to_uppercase().replace(' ', ", ")),
        format!("  An {}", first.replace(' ', "   ")),
    ] {
        let mut twin = quest(2);
        twin["title"] = json!(title);
        let answer = store(&mut session, &lease, 2, &twin);
        assert_eq!(
            (answer.outcome.as_str(), answer.stored),
            ("duplicate", Some(1)),
            "{title}: {answer:?}"
        );
    }
    assert_eq!(session.count("quest_templates"), 1);
    assert_eq!(session.count("worker.items"), 1);
    let duplicates = of_job(&mut session, lease.job, "progress ->> 'duplicates'");
    assert_eq!(duplicates.as_deref(), Some("3"));
}

fn a_rejected_item_says_why_and_leaves_nothing(database: &Database) {
    let mut session = database.session();
    enqueue(
        &mut session,
        "generate_quests",
        json!({"count": 3, "level_range": [1, 4]}),
    );
    let lease = lease_one(&mut session);
    let with = |key: &str, value: Value| {
        let mut item = quest(1);
        item[key] = value;
        item
    };
    let bad = [
        (with("level_max", json!(5)), "outside"),
        (with("xp_reward", json!(9000)), "xp_reward"),
        (with("gold_reward", json!(1)), "gold_reward"),
        (
            with(
                "description",
                json!("Lorem ipsum dolor sit amet, seven words and more to come."),
            ),
            "placeholder",
        ),
        (json!(["a", "list"]), "JSON object"),
    ];
    for (item, reason) in &bad {
        let answer = store(&mut session, &lease, 1, item);
        assert_eq!(answer.outcome, "rejected", "{item}");
        assert!(answer.reason.as_deref().unwrap().contains(reason), "{answer:?}");
    }
    assert_eq!(session.count("quest_templates"), 0);
    assert_eq!(session.count("worker.items"), 0);
    let counted = of_job(&mut session, lease.job, "progress -> 'rejected' ->> 'rules'");
    assert_eq!(counted, Some(bad.len().to_string()));
}

fn what_the_executor_rejected_is_counted(database: &Database) {
    let mut session = database.session();
    enqueue_quests(&mut session, 1);
    let lease = lease_one(&mut session);
    let sql = "select worker.reject_item($1, $2, 1, $3, 'no brace', '{\"prompt_tokens\": 5, \"llm_seconds\": 0.5}')";
    for class in ["not_json", "not_json", "truncated"] {
        assert_eq!(
            session.value::<String>(sql, &[&lease.job, &lease.token, &class]),
            "counted"
        );
    }
    let progress: Value = session.value("select progress from worker_jobs", &[]);
    assert_eq!(progress["rejected"], json!({"not_json": 2, "truncated": 1}));
    assert_eq!(progress["prompt_tokens"], json!(15));
    assert_eq!(progress["llm_seconds"].as_f64(), Some(1.5));
    assert_eq!(progress["last_rejection"], json!("no brace"));
}

fn the_prompt_obeys_an_update_at_the_next_item(database: &Database) {
    let mut session = database.session();
    enqueue_quests(&mut session, 2);
    let lease = lease_one(&mut session);
    let sql =
        "select messages -> 1 ->> 'content', sampling, prompt_version, model from worker.next_item($1, $2)";
    let shipped = session.row(sql, &[&lease.job, &lease.token]);
    session.run(
        "update content_pools set prompt = 'Levels {{level_min}}: {{theme}} {{nothing}}', temperature = 0.5, model = 'big'
          where kind = 'quest'",
    );
    let own = session.row(sql, &[&lease.job, &lease.token]);
    let text: String = own.get(0);
    assert!(text.starts_with("Levels ") && !text.contains("{{"), "{text}");
    assert_eq!(own.get::<_, Value>(1)["temperature"], json!(0.5));
    assert_eq!(
        own.get::<_, Value>(1)["max_tokens"],
        shipped.get::<_, Value>(1)["max_tokens"]
    );
    assert_ne!(own.get::<_, String>(2), shipped.get::<_, String>(2));
    assert_eq!(own.get::<_, Option<String>>(3).as_deref(), Some("big"));
}

fn provenance_stands_beside_the_item(database: &Database) {
    let mut session = database.session();
    enqueue_quests(&mut session, 1);
    let lease = lease_one(&mut session);
    let item = store_quest(&mut session, &lease, 1);
    let provenance: Value = session.value("select provenance from quest_templates where id = $1", &[&item]);
    assert_eq!(provenance["job_id"], json!(lease.job));
    assert_eq!(
        (&provenance["item_no"], &provenance["model"]),
        (&json!(1), &json!("m"))
    );
}
