//! What a job may ask for: every sort of value for every parameter of every kind, beside the rules
//! said once more here; and what else a row may hold, whether it is inserted or changed.

use crate::steps::refused_field;
use pg_worker_tests::{Database, Session, on_both_installs};
use serde_json::{Value, json};

on_both_installs!(
    each_value_is_taken_or_refused_as_the_rules_say,
    what_lies_just_outside_is_refused,
    whole_numbers_may_be_written_with_a_point,
    a_changed_job_is_checked_like_a_new_one,
    a_changed_count_changes_what_is_asked_for_until_it_is_leased,
    a_job_that_is_finished_from_the_start_has_an_end,
    a_changed_kind_or_pool_counts_from_the_next_statement_on,
);

/// Each value for each parameter of each kind, beside what the kind requires; what comes of it.
const GRID: &str = r#"
    with value(v) as (select jsonb_array_elements($j$[
      null, true, 0, 1, 5, 1000, 1001, 2147483648, 5.0, 5.5, -1, 1e2, 99999999999999999999, "", " ", "  x ", "\t", "5", "ruin",
      "Ruin", "hard", "forest", "ß", "7f0c0c8e-6f0b-4f5e-9d3a-0c5d3a9b1e11", "7F0C0C8E-6F0B-4F5E-9D3A-0C5D3A9B1E11",
      "7f0c0c8e6f0b4f5e9d3a0c5d3a9b1e11", "7f0c0c8e-6f0b-4f5e-9d3a-0c5d3a9b1e1g", [], [1], [1, 2], [2, 1], [3, 3], [1, 20], [1, 21],
      [0, 5], [1, 2, 3], [1.0, 2.0], [1.5, 2], [0.125, 30], [0.2, 0.2], [[1, 2], 3], ["1", "2"], [null, 2], {}, {"a": 1},
      [{"role": "dm", "content": "x"}], [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}],
      [{"role": "x", "content": "x"}]]$j$::jsonb)
      union all select to_jsonb(repeat('ä', n)) from unnest(array[64, 65, 200, 201]) n)
    select k.job_type, n.name, coalesce(k.parameters -> n.name, 'null'), v, fate(k.job_type, needed(k.parameters) || jsonb_build_object(n.name, v))
      from worker.kinds k cross join value
     cross join lateral (select jsonb_object_keys(k.parameters) union all select 'sugar') n(name)"#;

const SETUP: &str = r#"
    create function needed(p_rules jsonb) returns jsonb language sql as $$
      select coalesce(jsonb_object_agg(key, case value ->> 'type' when 'uuid' then '7f0c0c8e-6f0b-4f5e-9d3a-0c5d3a9b1e11' else 'camp' end), '{}')
        from jsonb_each(p_rules) where value -> 'required' = 'true' $$;
    create function fate(p_job_type text, p_parameters jsonb) returns text language plpgsql as $$
    begin
      perform enqueue_worker_job(p_job_type, p_parameters);
      return 'taken';
    exception when others then
      return sqlstate || ' ' || sqlerrm;
    end $$"#;

fn each_value_is_taken_or_refused_as_the_rules_say(database: &Database) {
    let mut session = database.session();
    session.run(SETUP);
    let rows = session.rows(GRID, &[]);
    assert!(rows.len() > 800, "{} cells", rows.len());
    for row in rows {
        let (job_type, name): (String, String) = (row.get(0), row.get(1));
        let (rule, value, fate): (Value, Value, String) = (row.get(2), row.get(3), row.get(4));
        let expected = if rule.is_null() {
            format!("22023 parameters: {name} is not allowed")
        } else if fits(&rule, &value) {
            "taken".to_owned()
        } else {
            format!("22023 parameters.{name}: ")
        };
        assert!(fate.starts_with(&expected), "{job_type} {name} {value}: {fate}");
    }
}

/// The rules of `worker.kinds.parameters`, once more.
fn fits(rule: &Value, value: &Value) -> bool {
    let within =
        |number: f64| (rule["min"].as_f64() <= Some(number)) && (Some(number) <= rule["max"].as_f64());
    let whole = |number: f64| number.fract() == 0.0;
    let range = |whole_only: bool| match value.as_array().map(Vec::as_slice) {
        Some([low, high]) => match (low.as_f64(), high.as_f64()) {
            (Some(low), Some(high)) => {
                low <= high
                    && [low, high]
                        .into_iter()
                        .all(|n| within(n) && (!whole_only || whole(n)))
            }
            _ => false,
        },
        _ => false,
    };
    let message = |message: &Value| {
        ["player", "dm", "user", "assistant"].contains(&message["role"].as_str().unwrap_or(""))
            && message["content"].is_string()
    };
    // null means the default, where there may be one
    if value.is_null() {
        return rule["required"] != json!(true);
    }
    match rule["type"].as_str().expect("a type") {
        "integer" => value
            .as_f64()
            .is_some_and(|number| whole(number) && within(number)),
        "integer_range" => range(true),
        "number_range" => range(false),
        "text" => value.as_str().is_some_and(|text| {
            text.chars().any(|c| c != ' ')
                && text.chars().count() as u64 <= rule["max_length"].as_u64().expect("a length")
        }),
        "uuid" => value
            .as_str()
            .is_some_and(|text| text.len() == 36 && text.parse::<uuid::Uuid>().is_ok()),
        "one_of" => value.is_string() && rule["values"].as_array().expect("a list").contains(value),
        "messages" => value
            .as_array()
            .is_some_and(|list| !list.is_empty() && list.iter().all(message)),
        other => panic!("{other}"),
    }
}

/// Closer than a double can tell.
fn what_lies_just_outside_is_refused(database: &Database) {
    let mut session = database.session();
    for range in ["[0.1249999999999999999999, 2]", "[2, 30.00000000000000000001]"] {
        let call = format!("select enqueue_worker_job('generate_encounters', '{{\"cr_range\": {range}}}')");
        refused_field(&session.refused(&call, &[]), "parameters.cr_range");
    }
}

/// As Python's and C#'s floats come out.
fn whole_numbers_may_be_written_with_a_point(database: &Database) {
    let mut session = database.session();
    session.run(
        "select enqueue_worker_job('generate_quests', '{\"count\": 5.0, \"level_range\": [1.0, 3.00]}')",
    );
    let row = session.row("select parameters::text, asked from worker_jobs", &[]);
    assert_eq!(
        (row.get::<_, String>(0), row.get::<_, i32>(1)),
        ("{\"count\": 5, \"level_range\": [1, 3]}".to_owned(), 5)
    );
    let lease = crate::steps::lease_one(&mut session);
    assert_eq!(
        crate::steps::outcome(&mut session, "next_item", &lease, ""),
        "item"
    );
    let preview = "select count(*) from worker.preview_item('quest', '{\"level_range\": [2.0, 4.0]}')";
    assert_eq!(session.value::<i64>(preview, &[]), 1);
}

fn a_changed_job_is_checked_like_a_new_one(database: &Database) {
    let mut session = database.session();
    session.run("select enqueue_worker_job('generate_quests')");
    for (change, field) in [
        ("parameters = '{\"count\": 0}'", "parameters.count"),
        ("parameters = '{\"sugar\": 1}'", "parameters"),
        ("parameters = '[]'", "parameters"),
        ("job_type = 'make_coffee'", "job_type"),
        ("job_type = 'generate_pois'", "parameters.campaign_seed"),
    ] {
        refused_field(
            &session.refused(&format!("update worker_jobs set {change}"), &[]),
            field,
        );
    }
    session.run("update worker_jobs set job_type = 'generate_npcs', parameters = '{\"count\": 4.0}'");
    assert_eq!(
        session.value::<String>("select parameters::text from worker_jobs", &[]),
        "{\"count\": 4}"
    );
}

fn a_changed_count_changes_what_is_asked_for_until_it_is_leased(database: &Database) {
    let mut session = database.session();
    let change = |session: &mut Session, count: i32| -> i32 {
        session.value(
            &format!("update worker_jobs set parameters = '{{\"count\": {count}}}' returning asked"),
            &[],
        )
    };
    session.run("select enqueue_worker_job('generate_quests', '{\"count\": 3}')");
    assert_eq!(change(&mut session, 2), 2);
    crate::steps::lease_one(&mut session);
    assert_eq!(change(&mut session, 7), 2, "its executor was told");
}

fn a_job_that_is_finished_from_the_start_has_an_end(database: &Database) {
    let mut session = database.session();
    for status in ["completed", "failed", "cancelled"] {
        session.run(&format!(
            "insert into worker_jobs (job_type, status) values ('generate_npcs', '{status}')"
        ));
    }
    assert_eq!(session.count("worker_jobs where completed_at is null"), 0);
    session.run("update worker_jobs set completed_at = now() - interval '8 days'");
    assert_eq!(session.value::<i32>("select worker.prune_jobs()", &[]), 3);
}

fn a_changed_kind_or_pool_counts_from_the_next_statement_on(database: &Database) {
    let mut session = database.session();
    let asked = |session: &mut Session| -> i32 {
        session.value(
            "insert into worker_jobs (job_type) values ('generate_quests') returning asked",
            &[],
        )
    };
    session.run("begin");
    assert_eq!(asked(&mut session), 10);
    session.run("savepoint before; update content_pools set batch_size = 7 where kind = 'quest'");
    assert_eq!(asked(&mut session), 7);
    session.run("rollback to before");
    assert_eq!(asked(&mut session), 10);
    session.run("rollback; begin");
    assert_eq!(asked(&mut session), 10);
    database
        .session()
        .run("update content_pools set batch_size = 8 where kind = 'quest'");
    assert_eq!(asked(&mut session), 8, "another session's, in between");
}
