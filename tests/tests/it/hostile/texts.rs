//! What a player types or a model writes is data: quotes, placeholders, format specifiers and SQL in
//! titles, campaigns and messages come out of claims, refills and prompts as they went in.

use super::{Besieged, values::NASTY};
use crate::steps::{enqueue, lease_one, quest, store};
use pg_worker_tests::{Database, Executor, Session, on_both_installs};
use serde_json::{Value, json};

on_both_installs!(
    titles_come_out_as_they_went_in,
    campaigns_are_nothing_but_names,
    messages_are_nothing_but_words,
    facets_of_ones_own_kind_are_nothing_but_words,
);

/// Those that a title, a campaign or a message can be.
fn texts() -> impl Iterator<Item = &'static str> {
    NASTY.into_iter().filter(|text| !text.trim().is_empty())
}

/// The words of the user's message that the next item of the leased job is asked for with.
fn prompt(session: &mut Session, lease: &crate::steps::Lease) -> String {
    let sql = "select messages -> 1 ->> 'content' from worker.next_item($1, $2)";
    session.value(sql, &[&lease.job, &lease.token])
}

fn titles_come_out_as_they_went_in(database: &Database) {
    let mut besieged = Besieged::new(database);
    let owner = &mut besieged.owner;
    owner.run("update content_pools set prompt = 'Not these: {{recent_titles}}' where kind = 'quest'");
    // A title that looks like a placeholder is rejected; here is one that got in some other way.
    let placeholder = "{{theme}} {{recent_titles}}";
    let sql = "insert into worker.items (job_id, item_no, kind, item_id, title) values (gen_random_uuid(), 1, 'quest', gen_random_uuid(), $1)";
    owner
        .execute(sql, &[&placeholder])
        .expect("an entry of the ledger");
    let fit: Vec<&str> = texts().filter(|text| !text.contains("{{")).collect();
    enqueue(owner, "generate_quests", json!({ "count": fit.len() + 1 }));
    let lease = lease_one(owner);
    let mut titles = Vec::new();
    for (number, text) in fit.iter().enumerate() {
        let number = i32::try_from(number + 1).expect("few");
        let mut item = quest(number);
        let title = format!("{} {text}", item["title"].as_str().expect("a title"));
        item["title"] = json!(title);
        item["description"] = json!(format!(
            "{text} {}",
            item["description"].as_str().expect("a text")
        ));
        let answer = store(&mut besieged.executor, &lease, number, &item);
        assert_eq!(answer.outcome, "stored", "{title}: {answer:?}");
        titles.push(title);
    }
    let asked = prompt(&mut besieged.executor, &lease);
    for title in titles.iter().map(String::as_str).chain([placeholder]) {
        assert!(asked.contains(&format!("- {title}")), "{title:?} in {asked}");
    }
    // Every one can be claimed, once, by a request that is as strange as itself.
    let mut claimed = Vec::new();
    for text in fit {
        let sql = "select title, description from claim_quest_from_pool(null, 1, 20, $1)";
        let row = besieged.game.row(sql, &[&text]);
        claimed.push(row.get::<_, String>(0));
        let again: String = besieged.game.row(sql, &[&text]).get(0);
        assert_eq!(Some(&again), claimed.last());
        assert!(row.get::<_, String>(1).ends_with("never reached the market."));
    }
    claimed.sort();
    titles.sort();
    assert_eq!(claimed, titles);
    assert_eq!(besieged.trouble(), None);
}

/// A campaign's name goes through job, refill, prompt, word lists, pool and claim.
fn campaigns_are_nothing_but_names(database: &Database) {
    let mut besieged = Besieged::new(database);
    besieged.owner.run(
        "update content_pools set min_size = 0 where kind <> 'poi';
         update content_pools set min_size = 1, batch_size = 1, prompt = 'For {{campaign_seed}}.' where kind = 'poi'",
    );
    let seeds: Vec<&str> = texts().collect();
    for seed in &seeds {
        let claim = "select * from claim_poi_from_pool($1, 'ruin', '{\"x\": 1}')";
        assert!(
            besieged.game.rows(claim, &[seed]).is_empty(),
            "{seed:?}: nothing is there yet"
        );
        let preview = "select messages -> 1 ->> 'content' from worker.preview_item('poi', jsonb_build_object('campaign_seed', $1::text))";
        assert_eq!(
            besieged.executor.value::<String>(preview, &[seed]),
            format!("For {seed}.")
        );
    }
    besieged.owner.run("select worker.tick()");
    Executor::on(database).succeeds("once");
    for seed in &seeds {
        let claim = "select campaign_seed from claim_poi_from_pool($1, 'ruin')";
        assert_eq!(besieged.game.value::<String>(claim, &[seed]), **seed);
        let status = "select campaign_seed from content_pool_status where campaign_seed = $1";
        assert_eq!(besieged.game.value::<String>(status, &[seed]), **seed);
    }
    let failed: Vec<String> = besieged.owner.column(
        "select error_message from worker_jobs where status = 'failed'",
        &[],
    );
    assert_eq!(failed, Vec::<String>::new());
    assert_eq!(besieged.trouble(), None);
}

fn messages_are_nothing_but_words(database: &Database) {
    let mut besieged = Besieged::new(database);
    besieged.owner.run("update content_pools set min_size = 0");
    let messages: Vec<Value> = texts()
        .map(|text| json!({"role": "player", "content": text}))
        .collect();
    let character = "7d0e0f5e-0d0d-4a3a-9f2b-6c1a5b1f0001";
    let parameters = json!({"character_id": character, "messages": messages, "message_count": 100});
    enqueue(&mut besieged.game, "summarize_session", parameters);
    let lease = lease_one(&mut besieged.executor);
    let asked = prompt(&mut besieged.executor, &lease);
    for text in texts() {
        assert!(asked.contains(text), "{text:?} in {asked}");
    }
    // The word lists quote the first and the last message.
    besieged
        .owner
        .run("select worker.release_job(id, lease_token) from worker_jobs");
    Executor::on(database).succeeds("once");
    let summary: String = besieged.owner.value("select summary from session_summaries", &[]);
    let (first, last) = (texts().next().expect("texts"), texts().last().expect("texts"));
    assert!(
        summary.contains(&format!("“{first}”")) && summary.contains(&format!("“{last}”")),
        "{summary}"
    );
    assert_eq!(besieged.trouble(), None);
}

/// Only the owner adds a kind; what is in it is still no code.
fn facets_of_ones_own_kind_are_nothing_but_words(database: &Database) {
    let texts: Vec<&str> = texts().collect();
    let sql = "select worker.add_kind('oddity', 'It has {{mark}}.',
        '{\"type\": \"object\", \"properties\": {\"name\": {\"type\": \"string\"}}}', p_title_field => 'name', p_facets => $1)";
    database.session().rows(sql, &[&json!({ "mark": texts })]);
    let mut besieged = Besieged::new(database);
    let mut drawn: Vec<String> = Vec::new();
    for number in 0..i32::try_from(texts.len()).expect("few") {
        let sql = "select facets ->> 'mark', messages -> 1 ->> 'content' from worker.preview_item('oddity', '{}', $1)";
        let row = besieged.executor.row(sql, &[&number]);
        let mark: String = row.get(0);
        assert_eq!(row.get::<_, String>(1), format!("It has {mark}."));
        drawn.push(mark);
    }
    assert!(
        drawn.iter().all(|mark| texts.contains(&mark.as_str())),
        "{drawn:?}"
    );
    assert_eq!(besieged.trouble(), None);
}
