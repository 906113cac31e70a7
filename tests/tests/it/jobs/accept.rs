//! The native trigger takes plain jobs by itself and asks worker.job_inserted() about all others: the
//! result is that function's own in every case.

use pg_worker_tests::{Database, Session};

/// The same table with the judge alone, and what becomes of a row in either: its columns, or the refusal.
const SETUP: &str = "
    create table judged (like worker_jobs including all);
    create trigger job_inserted before insert on judged for each row execute function worker.job_inserted();
    create function fate(p_table text, p_row jsonb) returns text language plpgsql as $$
    declare
      v_names text := (select string_agg(quote_ident(key), ', ') from jsonb_object_keys(p_row) key);
      v_row jsonb;
      v_detail text;
    begin
      execute format('insert into %1$I as t (%2$s) select %2$s from jsonb_populate_record(null::%1$I, $1) returning to_jsonb(t)', p_table, v_names)
        into v_row using p_row;
      -- Different by chance, but always there. Raised, so that nothing stays.
      raise exception using errcode = 'PW999', message = v_row - '{id,run_at,created_at,lease_token,lease_expires_at,started_at}'::text[]
             || jsonb_build_object('due', (v_row ->> 'run_at')::timestamptz between now() - interval '1 day' and clock_timestamp(),
                                   'token', v_row -> 'lease_token' <> 'null');
    exception when sqlstate 'PW999' then
      return sqlerrm;
    when others then
      get stacked diagnostics v_detail = pg_exception_detail;
      return sqlstate || ' ' || sqlerrm || case sqlstate when '22023' then ' ' || v_detail else '' end;
    end $$;
    create function told_apart(p_row jsonb) returns setof text language plpgsql as $$
    declare
      v_quick text := replace(fate('worker_jobs', p_row), 'worker_jobs', 'judged');
      v_judged text := replace(fate('judged', p_row), 'worker_jobs', 'judged');
    begin
      if v_quick is distinct from v_judged then
        return next format('%s: %s, the judge says %s', p_row, v_quick, v_judged);
      end if;
    end $$";

/// Each value for each parameter of each kind, alone and beside another one.
const PARAMETERS: &str = r#"
    with value(v) as (select jsonb_array_elements($j$[
      null, true, 0, 1, 5, 1000, 1001, 2147483648, 5.0, 5.5, -1, 1e2, 99999999999999999999, "", " ", "  x ", "\t", "5", "ruin",
      "Ruin", "hard", "forest", "ß", "7f0c0c8e-6f0b-4f5e-9d3a-0c5d3a9b1e11", "7F0C0C8E-6F0B-4F5E-9D3A-0C5D3A9B1E11",
      "7f0c0c8e6f0b4f5e9d3a0c5d3a9b1e11", "7f0c0c8e-6f0b-4f5e-9d3a-0c5d3a9b1e1g", [], [1], [1, 2], [2, 1], [3, 3], [1, 20], [1, 21],
      [0, 5], [1, 2, 3], [1.0, 2.0], [1.5, 2], [0.125, 30], [0.1249999999999999999999, 2], [2, 30.00000000000000000001], [0.2, 0.2],
      ["1", "2"], [null, 2], {}, {"a": 1}, [{"role": "dm", "content": "x"}], [{"role": "x", "content": "x"}]]$j$::jsonb)
      union all select to_jsonb(repeat('ä', n)) from unnest(array[64, 65, 200, 201]) n),
    kind as (select job_type, parameters from worker.kinds union all select 'check_all_pools', '{}' union all select 'make_coffee', '{}'),
    job(row) as (
      select jsonb_build_object('job_type', k.job_type, 'parameters', needed.p || jsonb_build_object(name, v))
        from kind k cross join value
       cross join lateral (select jsonb_object_keys(k.parameters) union all select 'sugar') n(name)
       cross join (values ('{}'::jsonb), ('{"campaign_seed": "camp", "character_id": "7f0c0c8e-6f0b-4f5e-9d3a-0c5d3a9b1e11"}')) needed(p))
    select t from job cross join lateral told_apart(job.row) t"#;

/// Everything else that a row may have.
const COLUMNS: &str = r#"
    with plain(row) as (values ('{"job_type": "generate_quests", "parameters": {"count": 3}}'::jsonb)),
    other(o) as (select jsonb_array_elements($j$[
      {}, {"parameters": null}, {"parameters": []}, {"parameters": "x"}, {"parameters": {}}, {"job_type": null},
      {"priority": null}, {"priority": 0}, {"priority": 1}, {"priority": 10}, {"priority": 11}, {"status": null}, {"status": "running"},
      {"status": "completed"}, {"status": "odd"}, {"dedupe_key": ""}, {"dedupe_key": "k"}, {"run_at": null}, {"run_at": "2001-01-01"},
      {"asked": 7}, {"asked": null}, {"stored": 1}, {"attempts": 2}, {"max_attempts": 0}, {"refill": true}, {"lease_token": null}]$j$::jsonb)
      union all select jsonb_build_object('dedupe_key', repeat('ä', n)) from unnest(array[250, 251, 500, 501]) n)
    select t from plain cross join other cross join lateral told_apart(plain.row || other.o) t"#;

#[test]
fn the_quick_way_and_the_judge_agree() {
    let database = Database::quiet();
    let mut session = database.session();
    session.run(SETUP);
    let mut agree = |what: &str| {
        let apart: Vec<String> = session.column(what, &[]);
        assert!(
            apart.is_empty(),
            "{} told apart:\n{}",
            apart.len(),
            apart.join("\n")
        );
    };
    agree(PARAMETERS);
    agree(COLUMNS);
}

#[test]
fn plain_jobs_do_not_wait_for_the_judge() {
    let database = Database::quiet();
    let mut session = database.session();
    session.run(
        "create or replace function worker.job_inserted() returns trigger language plpgsql as $$
         begin raise exception using errcode = '22023', message = 'the judge is asked'; end $$",
    );
    for plain in [
        "'generate_quests', '{\"count\": 5, \"level_range\": [3, 6]}'",
        "'generate_npcs', '{}'",
        "'generate_encounters', '{\"cr_range\": [0.5, 2], \"location_type\": \"forest\"}'",
        "'generate_dungeons', '{\"difficulty\": \"hard\", \"count\": null}'",
        "'summarize_session', '{\"character_id\": \"7f0c0c8e-6f0b-4f5e-9d3a-0c5d3a9b1e11\", \"message_count\": 20}'",
    ] {
        session.run(&format!("select enqueue_worker_job({plain})"));
    }
    let refusal = session.refused(
        "select enqueue_worker_job('generate_quests', '{\"count\": 0}')",
        &[],
    );
    assert_eq!(refusal.message, "the judge is asked");
}

#[test]
fn a_changed_kind_or_pool_counts_from_the_next_statement_on() {
    let database = Database::quiet();
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
    session.run("update worker.kinds set parameters = '{}' where kind = 'quest'");
    let refused = session.refused(
        "insert into worker_jobs (job_type, parameters) values ('generate_quests', '{\"count\": 1}')",
        &[],
    );
    assert_eq!(refused.message, "parameters: count is not allowed");
    session.run("rollback");
    // Another session's change, between two statements of one transaction.
    session.run("begin");
    assert_eq!(asked(&mut session), 10);
    database
        .session()
        .run("update content_pools set batch_size = 8 where kind = 'quest'");
    assert_eq!(asked(&mut session), 8);
}
