//! What was there is there afterwards, and works.

use super::{Install, on_both};
use pg_worker_tests::{Executor, Session};
use uuid::Uuid;

on_both!(
    every_row_is_kept,
    jobs_in_every_state_go_on,
    the_former_functions_are_replaced,
    every_pool_can_be_claimed_from,
    the_former_worker_may_finish_what_it_holds,
    history_is_not_pruned_at_once,
    installing_again_changes_nothing,
    those_who_used_the_tables_use_them_on,
    an_executor_fills_what_is_missing,
);

const POOLS: [&str; 4] = [
    "quest_templates",
    "npc_personalities",
    "combat_encounters",
    "dungeon_content",
];

/// Every row as JSON, without the columns that only ours have and without NULLs.
fn rows(session: &mut Session, table: &str, columns: &[String]) -> Vec<String> {
    session.column(
        &format!(
            "select jsonb_strip_nulls((select jsonb_object_agg(key, value) from jsonb_each(to_jsonb(t)) where key = any ($1)))::text
               from {table} t order by id"
        ),
        &[&columns],
    )
}

fn columns(session: &mut Session, table: &str) -> Vec<String> {
    session.column(
        "select attname::text from pg_attribute where attrelid = $1::text::regclass and attnum > 0",
        &[&table],
    )
}

fn every_row_is_kept(install: Install) {
    let database = install.guide();
    let mut session = database.session();
    // The row of NULLs gets its defaults, which is said below.
    session.run("delete from quest_templates where used is null; update combat_encounters set loot_tier = 'rich' where loot_tier is null;
                 update dungeon_content set rooms = '[]' where rooms is null");
    let before: Vec<_> = POOLS
        .iter()
        .map(|table| {
            let columns = columns(&mut session, table);
            (*table, rows(&mut session, table, &columns), columns)
        })
        .collect();
    install.over(&database);
    for (table, rows_before, columns) in before {
        assert_eq!(rows(&mut session, table, &columns), rows_before, "{table}");
    }
}

fn jobs_in_every_state_go_on(install: Install) {
    let database = install.guide();
    let mut session = database.session();
    install.over(&database);
    let jobs: Vec<String> = session.column(
        "select concat_ws(' ', job_type, parameters ->> 'count', priority, status, asked, error_message,
                          case when lease_token is not null then 'leased' end,
                          case when lease_expires_at = started_at + interval '30 minutes' then 'for 30 minutes' end)
           from worker_jobs order by 1",
        &[],
    );
    let first: Uuid = session.value(
        "select id from worker_jobs where job_type = 'check_all_pools' and status = 'pending'",
        &[],
    );
    let superseded = format!("check_all_pools 1 cancelled 1 superseded by {first}");
    assert_eq!(
        jobs,
        [
            superseded.as_str(),
            superseded.as_str(),
            "check_all_pools 1 completed 1",
            "check_all_pools 1 pending 1",
            "generate_dungeons 5 5 running 5 leased for 30 minutes",
            "generate_dungeons many 10 failed 1 parameters.count: \"many\" is not allowed",
            "generate_encounters 15 5 running 15 leased for 30 minutes",
            "generate_npcs 15 5 failed 1 LLM timeout",
            "generate_npcs 5 pending 15",
            "generate_pois 25 1 pending 25",
            "generate_pois 25 5 failed 1 parameters.campaign_seed: null is not allowed",
            "generate_quests 10 5 completed 1",
            "generate_quests 7 5 pending 7",
            "summarize_session 3 completed 1",
        ]
    );
    assert_eq!(
        session.count(
            "worker_jobs where status in ('completed', 'failed', 'cancelled') and completed_at is null"
        ),
        0
    );
    // The oldest first, as it was.
    let next: Vec<String> = session.column(
        "select job_type from worker.lease_jobs(gen_random_uuid(), 10)",
        &[],
    );
    assert_eq!(next, ["generate_pois", "generate_npcs", "generate_quests"]);
    assert_eq!(
        session.column::<String>("select campaign_seed from worker.campaigns", &[]),
        ["abc123"]
    );
}

fn the_former_functions_are_replaced(install: Install) {
    let database = install.guide();
    install.over(&database);
    let mut session = database.session();
    let names: Vec<String> = session.column(
        "select proname::text from pg_proc where pronamespace = 'public'::regnamespace order by 1",
        &[],
    );
    let mut once = names.clone();
    once.dedup();
    assert_eq!(names, once, "no overloads");
    assert!(!names.contains(&"fetch_and_lock_job".to_owned()));
    let types: Vec<String> = session.column(
        "select distinct atttypid::regtype::text from pg_attribute where attrelid = 'worker_jobs'::regclass and attname in ('job_type', 'status')",
        &[],
    );
    assert_eq!(types, ["text"]);
    session.value::<Uuid>(
        "select enqueue_worker_job('generate_quests', '{\"count\": 20}', 5)",
        &[],
    );
    session.value::<Uuid>(
        "insert into worker_jobs (job_type, priority) values ('generate_npcs', 2) returning id",
        &[],
    );
    assert_eq!(
        session.value::<Option<Uuid>>("select schedule_pool_check()", &[]),
        None
    );
}

fn every_pool_can_be_claimed_from(install: Install) {
    let database = install.guide();
    install.over(&database);
    let mut session = database.session();
    assert_eq!(
        session.value::<Option<String>>("select worker.ready()", &[]),
        None
    );
    let hero: Uuid = session.value("select id from characters", &[]);
    let taken = |session: &mut Session, claim: &str| {
        let mut names: Vec<String> = Vec::new();
        while let Some(name) = session.column::<String>(claim, &[]).pop() {
            names.push(name);
        }
        names.sort_unstable();
        names.dedup();
        names.len()
    };
    // The row of NULLs was never used, so it is there too.
    let quest = format!("select title from claim_quest_from_pool('{hero}', 1, 5)");
    assert_eq!(taken(&mut session, &quest), 21);
    assert_eq!(
        taken(
            &mut session,
            "select name from claim_npc_from_pool('abc123', '{\"x\": 1}')"
        ),
        30
    );
    assert_eq!(
        taken(
            &mut session,
            "select name from claim_encounter_from_pool('forest', 1, 3)"
        ),
        30
    );
    assert_eq!(
        taken(&mut session, "select name from claim_dungeon_from_pool()"),
        10
    );
}

fn the_former_worker_may_finish_what_it_holds(install: Install) {
    let database = install.guide();
    install.over(&database);
    let mut session = database.session();
    // The one that began two hours ago is beyond its 30 minutes, the other is not.
    assert_eq!(session.value::<i32>("select worker.rescue_jobs()", &[]), 1);
    let rescued: Vec<String> = session.column(
        "select job_type from worker_jobs where error_message like '%lease ran out%' and status = 'pending'",
        &[],
    );
    assert_eq!(rescued, ["generate_dungeons"]);
    session.run(
        "update worker_jobs set status = 'completed', completed_at = now(), result = '{\"generated\": 15}'
                  where job_type = 'generate_encounters' and status = 'running'",
    );
    assert_eq!(session.count("worker_jobs where job_type = 'generate_encounters' and status = 'completed' and lease_token is null"), 1);
}

fn history_is_not_pruned_at_once(install: Install) {
    let database = install.guide();
    install.over(&database);
    let mut session = database.session();
    assert_eq!(session.value::<i32>("select worker.prune_jobs()", &[]), 0);
    session.run("update worker.schema_version set adopted_at = now() - interval '8 days' where only_row");
    assert_eq!(
        session.value::<i32>("select worker.prune_jobs()", &[]),
        1,
        "the one of 90 days"
    );
}

fn installing_again_changes_nothing(install: Install) {
    let database = install.guide();
    install.over(&database);
    let mut session = database.session();
    let state = "select md5(string_agg(t::text, '|' order by id)) from worker_jobs t";
    let before: String = session.value(state, &[]);
    let shape = super::everything(&mut session);
    session.run("select worker.setup()");
    if matches!(install, Install::SqlOnly) {
        install.over(&database);
    }
    assert_eq!(session.value::<String>(state, &[]), before);
    assert_eq!(super::everything(&mut session), shape);
}

fn those_who_used_the_tables_use_them_on(install: Install) {
    let database = install.guide();
    let mut session = database.session();
    let (app, game, watcher) = (
        format!("{}_app", database.name()),
        format!("{}_game", database.name()),
        format!("{}_watcher", database.name()),
    );
    session.run(&format!(
        "create role {app} login; create role {game} login; create role {watcher} login;
         grant all on schema public to {app}; grant usage on schema public to {game}, {watcher};
         grant select, insert, update on worker_jobs, quest_templates to {game}; grant select on worker_jobs to {watcher}"
    ));
    for table in POOLS.iter().chain(&["worker_jobs"]) {
        session.run(&format!("alter table {table} owner to {app}"));
    }
    session.run(&format!(
        "alter type job_type owner to {app}; alter type job_status owner to {app}"
    ));
    install.over(&database);
    if matches!(install, Install::Extension) {
        // A superuser's CREATE EXTENSION leaves the tables with whose they were.
        let owner: String = session.value("select worker.about() ->> 'owner'", &[]);
        assert_eq!(owner, app);
        assert_eq!(database.session_as(&app).count("worker_jobs"), 14);
    }
    let mut as_game = database.session_as(&game);
    as_game.value::<Uuid>("select enqueue_worker_job('generate_quests')", &[]);
    assert_eq!(as_game.count("claim_quest_from_pool(null)"), 1);
    let mut as_watcher = database.session_as(&watcher);
    assert_eq!(as_watcher.count("worker_jobs"), 15);
    assert_eq!(
        as_watcher
            .refused("select enqueue_worker_job('generate_quests')", &[])
            .code(),
        "42501"
    );
    drop((as_game, as_watcher));
    session.run(&format!("reassign owned by {app} to postgres; drop owned by {app}, {game}, {watcher}; drop role {app}, {game}, {watcher}"));
}

fn an_executor_fills_what_is_missing(install: Install) {
    let database = install.guide();
    install.over(&database);
    let mut session = database.session();
    Executor::on(&database).succeeds("once");
    assert_eq!(session.count("content_pool_status where available < minimum"), 0);
    assert_eq!(
        session.count("quest_templates where provenance is null"),
        25,
        "the former ones"
    );
    assert_eq!(session.count("worker_jobs where status = 'pending'"), 0);
}
