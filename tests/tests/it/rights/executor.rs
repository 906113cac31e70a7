//! `worker.grant_executor`: the whole protocol, and no table.

use super::{callable, denied, on_both, usable};
use crate::steps::{call, enqueue_quests, heartbeat, lease_one, outcome, store_quest};
use pg_worker_tests::{Database, Session};

on_both!(
    an_executor_can_do_the_whole_protocol,
    an_executor_has_no_table_and_no_door_but_its_own,
    row_level_security_of_the_game_hides_nothing_from_the_protocol,
);

fn executor(database: &Database) -> Session {
    database.session().run("select worker.grant_executor('gpu')");
    database.session_as("gpu")
}

fn an_executor_can_do_the_whole_protocol(database: &Database) {
    let mut owner = database.session();
    let mut gpu = executor(database);
    for ask in [
        "select worker.version(), worker.contract_version(), worker.about(), worker.ready(), worker.next_due()",
        "select worker.report_executor('00000000-0000-4000-8000-000000000001', '{\"host\": \"gpu\"}')",
        "select * from worker.preview_item('npc')",
        "select * from worker.lease_for_empty_pool(gen_random_uuid())",
        "select worker.tick()",
        "select worker.unregister_executor('00000000-0000-4000-8000-000000000001')",
    ] {
        gpu.run(ask);
    }
    owner.run("delete from worker_jobs; update content_pools set enabled = false");
    let job = enqueue_quests(&mut owner, 1);
    let lease = lease_one(&mut gpu);
    assert_eq!(lease.job, job);
    assert_eq!(heartbeat(&mut gpu, &lease), "ok");
    let next = "select outcome from worker.next_item($1, $2)";
    assert_eq!(gpu.value::<String>(next, &[&lease.job, &lease.token]), "item");
    gpu.rows(
        "select worker.reject_item($1, $2, 1, 'schema', 'x')",
        &[&lease.job, &lease.token],
    );
    store_quest(&mut gpu, &lease, 1);
    assert_eq!(outcome(&mut gpu, "complete_job", &lease, ""), "completed");
    assert_eq!(owner.count("quest_templates"), 1);
    enqueue_quests(&mut owner, 1);
    let lease = lease_one(&mut gpu);
    assert_eq!(outcome(&mut gpu, "release_job", &lease, ""), "released");
    let lease = lease_one(&mut gpu);
    assert_eq!(call(&mut gpu, "fail_job", &lease, ", 'no', true").0, "failed");
    gpu.run("listen worker_jobs");
}

fn an_executor_has_no_table_and_no_door_but_its_own(database: &Database) {
    let mut gpu = executor(database);
    let mut owner = database.session();
    assert_eq!(usable(&mut owner, "gpu"), Vec::<String>::new());
    let door = "select f::text from worker.our_functions() f join pg_proc p on p.oid = f
                 where p.pronamespace = 'worker'::regnamespace and p.prorettype <> 'trigger'::regtype
                   and (p.prosecdef or p.proname in ('version', 'contract_version')) order by 1";
    assert_eq!(callable(&mut owner, "gpu"), owner.column::<String>(door, &[]));
    for statement in [
        "select enqueue_worker_job('generate_quests')",
        "select schedule_pool_check()",
        "select * from claim_quest_from_pool(null)",
        "select cancel_worker_job(gen_random_uuid())",
        "select * from worker_jobs",
        "select * from quest_templates",
        "select * from worker.kinds",
        "select worker.grant_executor('stranger')",
        "select worker.setup()",
        "select worker.retire_items('builtin')",
    ] {
        denied(&mut gpu, statement);
    }
}

/// The game's own tables have row level security as well; a summary still finds the conversation.
fn row_level_security_of_the_game_hides_nothing_from_the_protocol(database: &Database) {
    let mut owner = database.session();
    owner.run(
        "create table characters (id uuid primary key, campaign_seed text);
         alter table characters enable row level security;
         insert into characters values ('00000000-0000-4000-8000-000000000001', 'camp');
         select worker.setup()",
    );
    let mut gpu = executor(database);
    owner.run("select schedule_pool_check()");
    gpu.run("select worker.tick()");
    let seen = "worker_jobs where job_type = 'generate_pois' and parameters ->> 'campaign_seed' = 'camp'";
    assert!(owner.count(seen) > 0);
}
