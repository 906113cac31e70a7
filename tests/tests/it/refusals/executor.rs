//! The executor's door, and what is called by the owner.

use super::refuses;
use crate::steps::{enqueue_quests, lease_one};
use pg_worker_tests::{Database, on_both_installs};

on_both_installs!(
    the_executors_door_refuses_what_is_out_of_range,
    a_held_lease_is_no_leave_for_nonsense,
    roles_and_kinds_must_exist,
);

fn the_executors_door_refuses_what_is_out_of_range(database: &Database) {
    let mut session = database.session();
    enqueue_quests(&mut session, 1);
    for (call, given, allowed) in [
        ("lease_jobs(gen_random_uuid(), 0)", "p_limit: 0", "1 to 1000"),
        (
            "lease_jobs(gen_random_uuid(), 1001)",
            "p_limit: 1001",
            "1 to 1000",
        ),
        (
            "lease_jobs(gen_random_uuid(), 1, 4)",
            "p_lease_seconds: 4",
            "5 to 3600",
        ),
        (
            "lease_jobs(gen_random_uuid(), 1, 3601)",
            "p_lease_seconds: 3601",
            "5 to 3600",
        ),
        (
            "lease_jobs(gen_random_uuid(), 1, 30, 0)",
            "p_least_priority: 0",
            "1 to 10",
        ),
        (
            "lease_jobs(gen_random_uuid(), 1, 30, 11)",
            "p_least_priority: 11",
            "1 to 10",
        ),
        (
            "heartbeat(array[gen_random_uuid()], array[]::uuid[])",
            "p_lease_tokens: 0 tokens",
            "one token for each job",
        ),
        (
            "heartbeat(array[gen_random_uuid()], array[gen_random_uuid()], 1)",
            "p_lease_seconds: 1",
            "5 to 3600",
        ),
        (
            "release_job(gen_random_uuid(), gen_random_uuid(), -1)",
            "p_delay_seconds: -1",
            "0 to 86400",
        ),
        (
            "release_job(gen_random_uuid(), gen_random_uuid(), 86401)",
            "p_delay_seconds: 86401",
            "0 to 86400",
        ),
        (
            "report_executor(gen_random_uuid(), '[]')",
            "p_info: []",
            "a JSON object",
        ),
        (
            "preview_item('quest', '{\"count\": 0}')",
            "parameters.count: 0",
            "1 to 1000",
        ),
        (
            "preview_item('quest', null, -1)",
            "p_try: -1",
            "0 (the first try)",
        ),
    ] {
        refuses(
            &mut session,
            &format!("select * from worker.{call}"),
            given,
            allowed,
        );
    }
}

fn a_held_lease_is_no_leave_for_nonsense(database: &Database) {
    let mut session = database.session();
    enqueue_quests(&mut session, 2);
    let lease = lease_one(&mut session);
    for (function, rest, given, allowed) in [
        ("next_item", "'{}', 0, 3", "p_item_no: 3", "1 to 2"),
        ("next_item", "'{}', 0, 0", "p_item_no: 0", "1 to 2"),
        (
            "next_item",
            "'{}', 1000001",
            "p_try: 1000001",
            "0 (the first try)",
        ),
        ("store_item", "3, '{}'", "p_item_no: 3", "1 to 2"),
        ("store_item", "null, '{}'", "p_item_no: NULL", "1 to 2"),
        ("store_item", "1, '{}', '[]'", "p_provenance: []", "a JSON object"),
        (
            "store_item",
            "1, '{}', '{\"prompt_tokens\": \"many\"}'",
            "p_provenance.prompt_tokens: many",
            "a number",
        ),
        (
            "reject_item",
            "1, 'Bad Class', 'x'",
            "p_class: Bad Class",
            "a-z and _",
        ),
    ] {
        let call = format!(
            "select * from worker.{function}('{}', '{}', {rest})",
            lease.job, lease.token
        );
        refuses(&mut session, &call, given, allowed);
    }
}

fn roles_and_kinds_must_exist(database: &Database) {
    let mut session = database.session();
    for (call, given, allowed) in [
        (
            "grant_backend('nobody here')",
            "role: nobody here",
            "the name of an existing role",
        ),
        (
            "grant_executor('nobody here')",
            "role: nobody here",
            "the name of an existing role",
        ),
        (
            "preview_item('queste')",
            "kind: queste",
            "dungeon, encounter, npc, poi, quest",
        ),
        (
            "check_item('queste', null, '{}')",
            "kind: queste",
            "dungeon, encounter, npc, poi, quest",
        ),
        (
            "retire_items()",
            "p_generator, p_model, p_prompt_version: NULL",
            "at least one of the three",
        ),
    ] {
        refuses(
            &mut session,
            &format!("select * from worker.{call}"),
            given,
            allowed,
        );
    }
}
