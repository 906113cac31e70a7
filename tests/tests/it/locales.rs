//! Content that is not English, in databases of other locales: each kind takes it, finds its duplicates and hands
//! it out as it came in. A database that is not UTF8 refuses both installs in one line.

mod speech;

use crate::steps::{Lease, enqueue, outcome, store};
use pg_worker_tests::psql::Psql;
use pg_worker_tests::stub_llm::fill;
use pg_worker_tests::{Cluster, Database, Session};
use serde_json::{Value, json};
use speech::{LANGUAGES, Language, spoken};
use uuid::Uuid;

/// How a database of each sort is made.
const C: &str = "encoding 'UTF8' locale 'C'";
const C_UTF8: &str = "encoding 'UTF8' locale 'C.UTF-8'";
const ICU: &str = "encoding 'UTF8' locale 'C.UTF-8' locale_provider icu icu_locale 'und'";

/// A kind, what its job is asked for, its title's field, and a claim that gives an item back as JSON.
struct Kind {
    job_type: &'static str,
    parameters: Value,
    title: &'static str,
    claim: &'static str,
}

fn kinds() -> [Kind; 6] {
    let kind = |job_type, parameters, title, claim| Kind {
        job_type,
        parameters,
        title,
        claim,
    };
    [
        kind(
            "generate_quests",
            json!({}),
            "title",
            "claim_quest_from_pool(gen_random_uuid())",
        ),
        kind(
            "generate_npcs",
            json!({}),
            "name",
            "claim_npc_from_pool('north', null)",
        ),
        kind(
            "generate_encounters",
            json!({}),
            "name",
            "claim_encounter_from_pool(null)",
        ),
        kind(
            "generate_dungeons",
            json!({}),
            "name",
            "claim_dungeon_from_pool(null)",
        ),
        kind(
            "generate_pois",
            json!({"campaign_seed": "north"}),
            "name",
            "claim_poi_from_pool('north')",
        ),
        kind(
            "generate_tavern",
            json!({}),
            "name",
            "claim_from_pool('tavern') t(id, item) cross join lateral jsonb_to_record(t.item) x(name text, ale text)",
        ),
    ]
}

const TAVERN: &str = "select worker.add_kind('tavern', 'Write a tavern.', p_title_field => 'name', p_item_schema =>
    '{\"type\": \"object\", \"required\": [\"name\", \"ale\"], \"properties\": {\"name\": {\"type\": \"string\", \"maxLength\": 60}, \"ale\": {\"type\": \"string\"}}}')";

const CONVERSATIONS: &str =
    "create table dm_conversations (id uuid default gen_random_uuid(), character_id uuid, role text,
    content text, created_at timestamptz default clock_timestamp())";

/// A database of this sort with the extension, and one with the single file; none where the server lacks it.
fn databases(options: &str) -> Vec<Database<'static>> {
    let of = |cluster| match Database::of_locale(cluster, options) {
        Ok(database) => Some(database),
        Err(error) => {
            // A server may have been built without ICU.
            let words = error.as_db_error().map_or("", |error| error.message());
            assert!(words.contains("ICU is not supported"), "{error:?}");
            println!("skipped: {words}");
            None
        }
    };
    let (extension, single_file) = (of(Cluster::quiet()), of(Cluster::plain()));
    if let Some(database) = &extension {
        database.session().run("create extension pg_worker_ext");
    }
    if let Some(database) = &single_file {
        database.install_sql_only();
    }
    extension.into_iter().chain(single_file).collect()
}

/// All that went wrong, so that one run tells all of it.
fn troubles(options: &str) -> Vec<String> {
    let mut troubles = Vec::new();
    for database in databases(options) {
        let mut session = database.session();
        session.run(TAVERN);
        // A table that has come later than we: setup() takes note of it.
        session.run(CONVERSATIONS);
        session.run("select worker.setup()");
        for language in LANGUAGES {
            // The locale C knows no letters but those of English: there only the same title is the same.
            let again = if options == C {
                language.titles[0]
            } else {
                language.again
            };
            for kind in kinds() {
                if let Err(trouble) = one_kind(&mut session, &kind, language, again) {
                    troubles.push(format!("{} {}: {trouble}", language.name, kind.job_type));
                }
            }
            if let Err(trouble) = a_summary(&mut session, language) {
                troubles.push(format!("{} summary: {trouble}", language.name));
            }
        }
    }
    troubles
}

fn leased(session: &mut Session, job_type: &str, parameters: Value) -> Lease {
    let job = enqueue(session, job_type, parameters);
    session.rows("update worker_jobs set priority = 1 where id = $1", &[&job]);
    let leases = crate::steps::lease(session, 1);
    assert_eq!(leases[0].job, job);
    leases[0].clone()
}

/// An item such as a model would write for this number, in a language: all free texts are of it.
fn written(session: &mut Session, lease: &Lease, number: i32, language: &Language) -> Value {
    let sql = "select item_schema from worker.next_item($1, $2)";
    let schema: Value = session.value(sql, &[&lease.job, &lease.token]);
    let mut item = fill(&schema, number.unsigned_abs().into());
    spoken(&mut item, &schema, language, &mut (number as usize * 40));
    item
}

/// Two titles that have nothing in common are both stored, the first one again is a duplicate, and what
/// was stored is claimed as it was written.
fn one_kind(session: &mut Session, kind: &Kind, language: &Language, again: &str) -> Result<(), String> {
    let mut parameters = kind.parameters.clone();
    parameters["count"] = json!(3);
    let lease = leased(session, kind.job_type, parameters);
    let [first, second] = language.titles;
    let keep = |session: &mut Session, number: i32, title: &str, wanted: &str| {
        let mut item = written(session, &lease, number, language);
        item[kind.title] = json!(title);
        let answer = store(session, &lease, number, &item);
        let said = answer.reason.unwrap_or_default();
        (answer.outcome == wanted).then_some(()).ok_or(format!(
            "\"{title}\" is {} and not {wanted}: {said}",
            answer.outcome
        ))
    };
    let kept = keep(session, 1, first, "stored")
        .and_then(|()| keep(session, 2, second, "stored"))
        .and_then(|()| keep(session, 3, again, "duplicate"))
        .and_then(|()| {
            let sql = format!("select {}::text from {}", kind.title, kind.claim);
            let mut claimed: Vec<String> = (0..2).flat_map(|_| session.column::<String>(&sql, &[])).collect();
            claimed.sort();
            let mut given = vec![first.to_owned(), second.to_owned()];
            given.sort();
            (claimed == given)
                .then_some(())
                .ok_or(format!("claimed {claimed:?}"))
        });
    session.rows("select cancel_worker_job($1)", &[&lease.job]);
    kept
}

/// A summary is made of a conversation in the language and told in it.
fn a_summary(session: &mut Session, language: &Language) -> Result<(), String> {
    let character = Uuid::new_v4();
    for text in language.sentences {
        session.rows(
            "insert into dm_conversations (character_id, role, content) values ($1, 'user', $2)",
            &[&character, text],
        );
    }
    let lease = leased(session, "summarize_session", json!({"character_id": character}));
    let asked: String = session.value(
        "select messages::text from worker.next_item($1, $2)",
        &[&lease.job, &lease.token],
    );
    let item = written(session, &lease, 1, language);
    let answer = store(session, &lease, 1, &item);
    let done = outcome(session, "complete_job", &lease, "");
    session.rows("select cancel_worker_job($1)", &[&lease.job]);
    if !asked.contains(language.sentences[0]) {
        return Err(format!("the prompt does not have the conversation: {asked}"));
    }
    let kept = "select count(*) from session_summaries where character_id = $1 and summary = $2";
    let kept: i64 = session.value(kept, &[&character, &item["summary"].as_str()]);
    (done == "completed" && kept == 1).then_some(()).ok_or(format!(
        "{} {}: {}",
        answer.outcome,
        done,
        answer.reason.unwrap_or_default()
    ))
}

fn takes_every_language(options: &str) {
    let troubles = troubles(options);
    assert!(
        troubles.is_empty(),
        "{} troubles:\n{}",
        troubles.len(),
        troubles.join("\n")
    );
}

#[test]
fn every_language_in_the_locale_c() {
    takes_every_language(C);
}

#[test]
fn every_language_in_the_locale_c_utf8() {
    takes_every_language(C_UTF8);
}

#[test]
fn every_language_in_a_locale_of_icu() {
    takes_every_language(ICU);
}

/// What was there before and nothing else: no schema, no function, no table.
const LEFT: &str = "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('public', 'worker') and c.relkind in ('r', 'v')";

#[test]
fn a_database_that_is_not_utf8_refuses_the_extension_in_one_line() {
    for encoding in ["SQL_ASCII", "LATIN1"] {
        let options = format!("encoding '{encoding}' locale 'C'");
        let database = Database::of_locale(Cluster::quiet(), &options).expect("a database");
        let refused = database.session().refused("create extension pg_worker_ext", &[]);
        assert!(refused.message.contains("UTF8"), "{encoding}: {refused:?}");
        assert!(refused.message.contains(encoding), "{encoding}: {refused:?}");
        assert_eq!(refused.message.lines().count(), 1, "{refused:?}");
        assert_eq!(database.session().value::<i64>(LEFT, &[]), 0);
    }
}

#[test]
fn a_database_that_is_not_utf8_refuses_the_single_file_in_one_line() {
    for encoding in ["SQL_ASCII", "LATIN1"] {
        let options = format!("encoding '{encoding}' locale 'C'");
        let database = Database::of_locale(Cluster::plain(), &options).expect("a database");
        let said = Psql::new(&database).file("sql/pg_worker_ext.sql").fails();
        let errors: Vec<&str> = said.lines().filter(|line| line.contains("ERROR:")).collect();
        assert_eq!(errors.len(), 1, "{encoding}: {said}");
        assert!(
            errors[0].contains("UTF8") && errors[0].contains(encoding),
            "{said}"
        );
        assert_eq!(database.session().value::<i64>(LEFT, &[]), 0, "{encoding}");
    }
}
