//! Session summaries: read from the game's own tables, stored in ours and in the game's journal.

use crate::steps::{enqueue, of_job};
use pg_worker_tests::{Cluster, Database, Executor};
use serde_json::{Value, json};
use uuid::Uuid;

const ROWAN: &str = "7d0e0f5e-0d0d-4a3a-9f2b-6c1a5b1f0001";

const GAME: &str = "
create table dm_conversations (character_id uuid, role text, content text, created_at timestamptz default now());
create table journal_entries (character_id uuid, entry_type text, content text, metadata jsonb, created_at timestamptz default now());
insert into dm_conversations (character_id, role, content)
select '7d0e0f5e-0d0d-4a3a-9f2b-6c1a5b1f0001', case n % 2 when 0 then 'player' else 'dm' end, 'Message number ' || n || ' was said.'
  from generate_series(1, 40) n;
";

/// The tables came after the install.
const SETUP: &str = "select worker.setup()";

fn at_rest() -> Database<'static> {
    let database = Database::quiet();
    database.session().run("update content_pools set enabled = false");
    database
}

/// Enqueues a summary and has it written; the job as it then is.
fn summarise(database: &Database, parameters: Value) -> (Uuid, String) {
    let mut session = database.session();
    let job = enqueue(&mut session, "summarize_session", parameters);
    Executor::on(database).output("once");
    let ended = of_job(
        &mut session,
        job,
        "concat_ws(' ', status, attempts, error_message)",
    );
    (job, ended.expect("a text"))
}

#[test]
fn the_last_messages_are_summarised_and_stored_in_three_places() {
    let database = at_rest();
    let mut session = database.session();
    session.run(GAME);
    session.run(SETUP);
    let (job, ended) = summarise(&database, json!({"character_id": ROWAN, "message_count": 5}));
    assert_eq!(ended, "completed 1");
    let sql = "select s.summary, j.content, w.result ->> 'summary', s.key_events
        from session_summaries s, journal_entries j, worker_jobs w
       where w.id = $1 and s.character_id = j.character_id and j.entry_type = 'session_summary'
         and j.metadata ->> 'session_summary_id' = s.id::text and j.metadata ->> 'job_id' = w.id::text";
    let row = session.row(sql, &[&job]);
    let (ours, journal, result): (String, String, String) = (row.get(0), row.get(1), row.get(2));
    assert!(ours == journal && ours == result, "{ours}\n{journal}\n{result}");
    assert!(
        ours.contains("5 messages") && ours.contains("number 36") && ours.contains("number 40"),
        "{ours}"
    );
    let events = json!(["Message number 37 was said.", "Message number 39 was said."]);
    assert_eq!(
        row.get::<_, Value>(3),
        events,
        "what the dungeon master told, in order"
    );
}

#[test]
fn messages_may_come_with_the_job() {
    let database = at_rest();
    let messages = json!([{"role": "dm", "content": "The {{gate}} <opens> slowly tonight."},
                          {"role": "player", "content": "I walk through, humming an old song."}]);
    let (job, ended) = summarise(&database, json!({"character_id": ROWAN, "messages": messages}));
    assert_eq!(ended, "completed 1");
    let summary = of_job(&mut database.session(), job, "result ->> 'summary'").expect("a summary");
    assert!(summary.contains("The gate opens slowly tonight."), "{summary}");
}

#[test]
fn without_messages_the_job_fails_at_once_and_says_so() {
    let database = at_rest();
    let parameters = json!({"character_id": ROWAN});
    let (_, ended) = summarise(&database, parameters.clone());
    assert_eq!(
        ended,
        "failed 1 there is no table dm_conversations, and the job brings no \"messages\" along"
    );
    database.session().run(GAME);
    database
        .session()
        .run("select worker.setup(); delete from dm_conversations");
    let (_, ended) = summarise(&database, parameters);
    assert_eq!(
        ended,
        format!("failed 1 character {ROWAN} has no messages in dm_conversations")
    );
    assert_eq!(database.session().count("session_summaries"), 0);
}

/// An installation whose owner is an ordinary role, beside tables that belong to somebody else.
fn owned_by_an_ordinary_role() -> (Database<'static>, String) {
    let database = Database::empty(Cluster::quiet());
    let owner = format!("owner_{}", database.name());
    let mut session = database.session();
    session.run(GAME);
    session.run(&format!(
        "create role {owner}; create role {owner}_teller;
         grant create, usage on schema public to {owner}, {owner}_teller;
         alter table dm_conversations owner to {owner}_teller;
         set pg_worker_ext.owner = '{owner}'; create extension pg_worker_ext;
         update content_pools set enabled = false"
    ));
    (database, owner)
}

#[test]
fn what_is_missing_is_said_and_is_never_no_messages() {
    let (database, owner) = owned_by_an_ordinary_role();
    let mut session = database.session();
    let parameters = json!({"character_id": ROWAN});
    // Nothing is granted to the owner, and row level security of the game is its owners' business.
    session.run("alter table dm_conversations enable row level security; alter table journal_entries enable row level security");
    let (_, ended) = summarise(&database, parameters.clone());
    assert_eq!(ended, "completed 1");
    for (change, reason) in [
        (
            "alter table dm_conversations force row level security",
            "row level security hides rows of dm_conversations",
        ),
        (
            "alter table dm_conversations no force row level security; drop function worker.game_dm_conversations",
            "SELECT worker.setup();",
        ),
        (
            "alter table journal_entries rename metadata to meta",
            "the table journal_entries has no column metadata",
        ),
    ] {
        session.run(change);
        let (_, ended) = summarise(&database, parameters.clone());
        assert!(
            ended.starts_with("failed 1 ") && ended.contains(reason),
            "{ended}"
        );
    }
    session.run("alter table journal_entries rename meta to metadata; reset pg_worker_ext.owner; select worker.setup()");
    let (_, ended) = summarise(&database, parameters.clone());
    assert_eq!(ended, "completed 1");
    session.run(&format!("drop extension pg_worker_ext cascade; drop schema worker cascade; drop owned by {owner}, {owner}_teller;
                          drop role {owner}, {owner}_teller"));
}
