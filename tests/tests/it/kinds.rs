//! What holds for every kind: names that are not wanted, titles that are too alike, the account of
//! tokens, fair refills; and kinds of one's own.

use crate::steps::{enqueue_quests, lease_one, outcome, quest, refused_field, store, title};
use pg_worker_tests::{Database, Session, on_both_installs};
use serde_json::{Value, json};
use uuid::Uuid;

on_both_installs!(
    a_title_that_resembles_another_is_a_duplicate,
    trigrams_are_those_of_pg_trgm,
    a_stock_name_is_rejected_by_name,
    tokens_are_counted_by_day_and_cost_what_an_api_would_take,
    campaigns_do_not_keep_a_quest_waiting,
    a_kind_that_always_fails_makes_few_jobs,
    a_kind_of_ones_own_is_filled_and_claimed,
    a_kind_of_ones_own_is_data,
    bad_kinds_are_refused,
    a_kind_that_was_dropped_can_come_back,
    a_kind_is_dropped_beside_its_executors,
);

fn a_title_that_resembles_another_is_a_duplicate(database: &Database) {
    let mut session = database.session();
    enqueue_quests(&mut session, 5);
    let lease = lease_one(&mut session);
    let mut named = |number: i32, title: &str| {
        let mut item = quest(number);
        item["title"] = json!(title);
        let stored = store(&mut session, &lease, number, &item);
        (stored.outcome, stored.reason.unwrap_or_default())
    };
    assert_eq!(named(1, "The Whispering Bells of Alderton").0, "stored");
    let (outcome, reason) = named(2, "The Whispering Bell of Alderton");
    assert_eq!(outcome, "duplicate");
    assert!(
        reason.contains("resembles \"The Whispering Bells of Alderton\""),
        "{reason}"
    );
    assert_eq!(named(2, "A Debt in Alderton").0, "stored");
}

/// Taken from pg_trgm's documentation and from show_trgm().
fn trigrams_are_those_of_pg_trgm(database: &Database) {
    let mut session = database.session();
    let mut trigrams = |text: &str| session.value::<Vec<String>>("select worker.trigrams($1)", &[&text]);
    assert_eq!(trigrams("cat"), ["  c", " ca", "at ", "cat"]);
    assert_eq!(
        trigrams("foo|bar"),
        ["  b", "  f", " ba", " fo", "ar ", "bar", "foo", "oo "]
    );
    assert_eq!(trigrams(" -!"), [""; 0]);
}

fn a_stock_name_is_rejected_by_name(database: &Database) {
    let mut session = database.session();
    enqueue_quests(&mut session, 2);
    let lease = lease_one(&mut session);
    let mut item = quest(1);
    item["description"] = json!("The widow ELARA asks you to look after eight sacks of flour at the mill.");
    let answer = store(&mut session, &lease, 1, &item);
    assert_eq!(answer.outcome, "rejected");
    assert_eq!(
        answer.reason.as_deref(),
        Some("the name ELARA is used too often; invent another one")
    );
    item["description"] =
        json!("The widow Elaraine asks you to look after eight sacks of flour at the mill.");
    assert_eq!(
        store(&mut session, &lease, 1, &item).outcome,
        "stored",
        "a longer name"
    );
    let prompt =
        "select messages -> 1 ->> 'content' like '%(Elara, Elias%' from worker.preview_item('quest')";
    assert!(session.value::<bool>(prompt, &[]), "the prompt asks for it too");
}

fn tokens_are_counted_by_day_and_cost_what_an_api_would_take(database: &Database) {
    let mut session = database.session();
    enqueue_quests(&mut session, 2);
    let lease = lease_one(&mut session);
    let provenance = "{\"model\": \"m\", \"generator\": \"llm\", \"prompt_tokens\": 1000, \"completion_tokens\": 500, \"llm_seconds\": 2.5}";
    let keep = format!("select outcome from worker.store_item($1, $2, $3, $4, '{provenance}')");
    for number in 1..=2 {
        let outcome: String = session.value(&keep, &[&lease.job, &lease.token, &number, &quest(number)]);
        assert_eq!(outcome, "stored");
    }
    let reject = format!("select worker.reject_item($1, $2, 1, 'not_json', 'x', '{provenance}')");
    session.rows(&reject, &[&lease.job, &lease.token]);
    session.run("delete from worker_jobs; delete from quest_templates");
    let sql = "select format('%s %s %s %s %s %s %s %s', kind, generator, model, items, rejected, prompt_tokens, completion_tokens, llm_seconds)
        from worker_costs where day = (now() at time zone 'utc')::date";
    assert_eq!(session.value::<String>(sql, &[]), "quest llm m 2 1 3000 1500 7.5");
    let cost = "select round(api_usd, 6)::text || ' ' || round(api_usd_per_item, 6)::text from worker_costs";
    assert_eq!(
        session.value::<String>(cost, &[]),
        "0.000900 0.000450",
        "0.10 and 0.40 dollars a million"
    );
    session.run("set pg_worker_ext.price_completion = 4");
    assert_eq!(session.value::<String>(cost, &[]), "0.006300 0.003150");
}

fn campaigns_do_not_keep_a_quest_waiting(database: &Database) {
    let mut session = database.session();
    session.run(
        "update content_pools set enabled = kind in ('poi', 'quest');
         insert into quest_templates (title, description) select 'q' || n, 'x' from generate_series(1, 20) n;
         insert into worker.campaigns select 'campaign ' || n from generate_series(1, 500) n",
    );
    assert_eq!(session.value::<i32>("select worker.refill_pools()", &[]), 1000);
    session.run("update quest_templates set used = true where title = 'q1'");
    assert_eq!(session.value::<i32>("select worker.refill_pools()", &[]), 1);
    let next = "select job_type from worker.lease_jobs(gen_random_uuid())";
    assert_eq!(session.value::<String>(next, &[]), "generate_quests");
}

/// An hour in which every job fails, minute by minute.
fn a_kind_that_always_fails_makes_few_jobs(database: &Database) {
    let mut session = database.session();
    session.run(
        "update content_pools set enabled = kind = 'poi';
         insert into worker.campaigns select 'campaign ' || n from generate_series(1, 50) n",
    );
    let mut failed = 0;
    for _minute in 0..60 {
        session.run("select worker.refill_pools()");
        let due = "select job_id, lease_token from worker.lease_jobs(gen_random_uuid())";
        while let Some(row) = session.rows(due, &[]).pop() {
            let (job, token): (Uuid, Uuid) = (row.get(0), row.get(1));
            session.rows("select worker.fail_job($1, $2, 'no luck', true)", &[&job, &token]);
            failed += 1;
        }
        session.run(
            "update worker_jobs set run_at = run_at - interval '1 minute' where status = 'pending';
             update worker.pool_trouble set next_try_at = next_try_at - interval '1 minute',
                                            last_failed_at = last_failed_at - interval '1 minute'",
        );
    }
    assert!((1..=8).contains(&failed), "{failed} jobs in an hour");
}

const TAVERN: &str = "select worker.add_kind('tavern', 'Write a tavern in {{town}}. Not one of: {{recent_titles}}',
    '{\"type\": \"object\", \"required\": [\"name\", \"ale\"], \"properties\": {\"name\": {\"type\": \"string\"}, \"ale\": {\"type\": \"string\"}}}',
    p_min_size => 4, p_batch_size => 3, p_title_field => 'name', p_facets => '{\"town\": [\"Leith\", \"Wick\"]}')";

fn a_kind_of_ones_own_is_filled_and_claimed(database: &Database) {
    let mut session = database.session();
    session.run("update content_pools set enabled = false");
    assert_eq!(session.value::<String>(TAVERN, &[]), "public.tavern_items");
    let claim = "select item ->> 'name' from claim_from_pool('tavern', request_id => $1)";
    let claimed = |session: &mut Session, request: &str| session.column::<String>(claim, &[&request]);
    assert!(claimed(&mut session, "first").is_empty());
    assert_eq!(
        session.value::<i32>("select worker.refill_pools()", &[]),
        1,
        "one is wanted already"
    );
    let level = "select format('%s %s %s', available, minimum, on_the_way) from content_pool_status where kind = 'tavern'";
    assert_eq!(session.value::<String>(level, &[]), "0 4 4");
    let lease = {
        let row = session.row(
            "select job_id, lease_token, job_type, kind from worker.lease_jobs(gen_random_uuid())",
            &[],
        );
        assert_eq!(
            (row.get::<_, String>(2), row.get::<_, String>(3)),
            ("generate_tavern".into(), "tavern".into())
        );
        crate::steps::Lease {
            job: row.get(0),
            token: row.get(1),
            attempt: 1,
            stored: 0,
        }
    };
    let prompt = "select messages -> 1 ->> 'content' from worker.next_item($1, $2)";
    let prompt: String = session.value(prompt, &[&lease.job, &lease.token]);
    assert!(
        prompt.ends_with("Not one of: (none yet)") && !prompt.contains("{{"),
        "{prompt}"
    );
    for number in 1..=3 {
        let item = json!({"name": title(number), "ale": "dark"});
        assert_eq!(store(&mut session, &lease, number, &item).outcome, "stored");
    }
    assert_eq!(outcome(&mut session, "complete_job", &lease, ""), "completed");
    let one = claimed(&mut session, "second");
    assert_eq!(one.len(), 1);
    assert_eq!(
        claimed(&mut session, "second"),
        one,
        "the same request, the same item"
    );
    for request in ["third", "fourth"] {
        assert!(!claimed(&mut session, request).contains(&one[0]), "{request}");
    }
    assert!(claimed(&mut session, "fifth").is_empty());
    assert!(session.value::<bool>("select worker.drop_kind('tavern')", &[]));
    assert_eq!(session.count("tavern_items"), 3, "the items stay");
    assert_eq!(session.count("worker_jobs where status = 'pending'"), 0);
}

fn a_kind_of_ones_own_is_data(database: &Database) {
    let mut session = database.session();
    let nasty = "'); drop table worker_jobs; -- {{setting}} {{town}} $$ \\";
    session.rows(
        "select worker.add_kind('tavern', $1, '{\"type\": \"object\", \"properties\": {}}', p_facets => jsonb_build_object('town', jsonb_build_array($1::text)))",
        &[&nasty],
    );
    let prompt: String = session.value(
        "select messages -> 1 ->> 'content' from worker.preview_item('tavern')",
        &[],
    );
    assert_eq!(
        prompt,
        nasty.replace("{{setting}}", "").replace("{{town}}", nasty),
        "one pass, only the context"
    );
    let rights = "select relrowsecurity from pg_class where oid = 'tavern_items'::regclass";
    assert!(session.value::<bool>(rights, &[]));
    let refused = session.refused(
        "select * from claim_from_pool('tavern; drop table worker_jobs')",
        &[],
    );
    assert_eq!(refused.code(), "22023");
    assert!(refused.detail.contains("tavern"), "{refused:?}");
}

fn bad_kinds_are_refused(database: &Database) {
    let mut session = database.session();
    session.run("create table mine_items (id int)");
    let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}});
    let good = json!({"p_kind": "tavern", "p_prompt": "Write.", "p_item_schema": schema});
    for (field, value) in [
        ("p_kind", json!("Tavern")),
        ("p_kind", json!("quest")),
        ("p_kind", json!("mine")),
        // its job type would be generate_quests
        ("p_kind", json!("quests")),
        ("p_prompt", json!(" ")),
        ("p_item_schema", json!([1])),
        ("p_item_schema", json!({"type": "object"})),
        ("p_min_size", json!(-1)),
        ("p_batch_size", json!(0)),
        ("p_title_field", json!("title")),
        ("p_facets", json!({"town": "Leith"})),
        ("p_sampling", json!([])),
        ("p_grammar", json!({"rules": {}})),
    ] {
        let mut given = good.clone();
        given[field] = value;
        let call = "select worker.add_kind(g ->> 'p_kind', g ->> 'p_prompt', g -> 'p_item_schema',
              coalesce((g ->> 'p_min_size')::int, 20), coalesce((g ->> 'p_batch_size')::int, 10), g ->> 'p_title_field',
              p_facets => coalesce(g -> 'p_facets', '{}'), p_sampling => coalesce(g -> 'p_sampling', '{}'), p_grammar => g -> 'p_grammar')
         from (select $1::jsonb as g) x";
        refused_field(&session.refused(call, &[&given]), field);
    }
    assert_eq!(session.count("worker.kinds where not shipped"), 0);
    let none: Value = session.value("select to_jsonb(worker.drop_kind('tavern'))", &[]);
    assert_eq!(none, json!(false));
    refused_field(&session.refused("select worker.drop_kind('npc')", &[]), "p_kind");
    refused_field(
        &session.refused("select * from claim_from_pool('quest')", &[]),
        "kind",
    );
}

fn a_kind_that_was_dropped_can_come_back(database: &Database) {
    let mut session = database.session();
    session.run(TAVERN);
    session.run("insert into tavern_items (title, item) values ('The Ox', '{\"name\": \"The Ox\", \"ale\": \"pale\"}')");
    assert!(session.value::<bool>("select worker.drop_kind('tavern')", &[]));
    assert_eq!(session.value::<String>(TAVERN, &[]), "public.tavern_items");
    let claim = "select item ->> 'name' from claim_from_pool('tavern')";
    assert_eq!(session.column::<String>(claim, &[]), ["The Ox"], "with its items");
    // A table of the same name that is somebody else's stays somebody else's.
    session.run(
        "select worker.drop_kind('tavern'); create role landlord; alter table tavern_items owner to landlord",
    );
    refused_field(&session.refused(TAVERN, &[]), "p_kind");
    session.run("drop table tavern_items; drop role landlord");
}

/// Beats lock jobs in the order of their ids, and so must everything else.
fn a_kind_is_dropped_beside_its_executors(database: &Database) {
    let (mut executor, mut owner) = (database.session(), database.session());
    owner.run(TAVERN);
    let [low, high] = [
        "00000000-0000-4000-8000-000000000001",
        "00000000-0000-4000-8000-000000000002",
    ];
    for id in [high, low] {
        owner.run(&format!(
            "insert into worker_jobs (id, job_type) values ('{id}', 'generate_tavern')"
        ));
    }
    executor.run(&format!(
        "set lock_timeout = '3s'; begin; select from worker_jobs where id = '{low}' for update"
    ));
    let pid = owner.backend_pid();
    let dropped = crate::steps::in_background(owner, |session| {
        session.value::<bool>("select worker.drop_kind('tavern')", &[])
    });
    crate::steps::wait_until_blocked(&mut database.session(), pid);
    executor.run(&format!(
        "select from worker_jobs where id = '{high}' for update; commit"
    ));
    assert!(dropped.join().unwrap());
}
