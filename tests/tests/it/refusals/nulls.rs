//! NULL for every argument in turn of every function of both doors: it means the default, or it is refused
//! with 22023 and the argument's name; it is never an error of the server's own.

use super::STATE;
use pg_worker_tests::{Database, Session, on_both_installs};

on_both_installs!(null_is_the_default_or_refused, no_function_of_a_door_is_left_out);

const ID: &str = "'00000000-0000-4000-8000-000000000001'::uuid";

/// A function, its arguments, and what it says to NULL in each place: the field that it refuses, or "".
type Case = (&'static str, &'static [(&'static str, &'static str)]);

const CASES: [Case; 27] = [
    ("public.cancel_worker_job", &[(ID, "p_job_id")]),
    ("public.retry_worker_job", &[(ID, "p_job_id")]),
    (
        "public.enqueue_worker_job",
        &[
            ("'generate_quests'", "job_type"),
            ("'{}'", ""),
            ("5", ""),
            ("now()", ""),
            ("'key'", ""),
        ],
    ),
    (
        "public.claim_quest_from_pool",
        &[(ID, ""), ("1", ""), ("10", ""), ("'r'", "")],
    ),
    (
        "public.claim_npc_from_pool",
        &[("'c'", ""), ("'{}'", ""), ("'r'", "")],
    ),
    (
        "public.claim_encounter_from_pool",
        &[("'forest'", ""), ("1", ""), ("5", ""), ("'{}'", ""), ("'r'", "")],
    ),
    (
        "public.claim_dungeon_from_pool",
        &[("'easy'", ""), ("'{}'", ""), ("'r'", "")],
    ),
    (
        "public.claim_poi_from_pool",
        &[
            ("'c'", "campaign_seed"),
            ("'ruin'", ""),
            ("'{}'", ""),
            ("'r'", ""),
        ],
    ),
    (
        "public.claim_from_pool",
        &[("'tavern'", "kind"), ("'{}'", ""), ("'r'", "")],
    ),
    ("worker.batch_estimates", &[("33", "")]),
    (
        "worker.lease_jobs",
        &[
            (ID, "p_executor"),
            ("1", "p_limit"),
            ("30", "p_lease_seconds"),
            ("10", "p_least_priority"),
        ],
    ),
    (
        "worker.lease_for_empty_pool",
        &[(ID, "p_executor"), ("30", "p_lease_seconds")],
    ),
    (
        "worker.heartbeat",
        &[
            ("array[]::uuid[]", "p_job_ids"),
            ("array[]::uuid[]", "p_lease_tokens"),
            ("30", "p_lease_seconds"),
        ],
    ),
    ("worker.complete_job", &[(ID, ""), (ID, "")]),
    (
        "worker.complete_jobs",
        &[
            ("array[]::uuid[]", "p_job_ids"),
            ("array[]::uuid[]", "p_lease_tokens"),
        ],
    ),
    (
        "worker.fail_job",
        &[(ID, ""), (ID, ""), ("'x'", ""), ("true", "")],
    ),
    (
        "worker.release_job",
        &[(ID, ""), (ID, ""), ("0", "p_delay_seconds"), ("'x'", "")],
    ),
    (
        "worker.next_item",
        &[(ID, ""), (ID, ""), ("'{}'", ""), ("0", ""), ("1", "")],
    ),
    (
        "worker.store_item",
        &[(ID, ""), (ID, ""), ("1", ""), ("'{}'", ""), ("'{}'", "")],
    ),
    (
        "worker.check_item",
        &[("'quest'", "kind"), ("'{}'", ""), ("'{}'", "")],
    ),
    (
        "worker.reject_item",
        &[
            (ID, ""),
            (ID, ""),
            ("1", ""),
            ("'schema'", "p_class"),
            ("'x'", ""),
            ("'{}'", ""),
        ],
    ),
    (
        "worker.preview_item",
        &[("'quest'", "kind"), ("'{}'", ""), ("0", "")],
    ),
    ("worker.next_due", &[("now()", "")]),
    (
        "worker.report_executor",
        &[(ID, "p_executor"), ("'{}'", "p_info")],
    ),
    ("worker.show_presence", &[(ID, "p_executor")]),
    ("worker.unregister_executor", &[(ID, "")]),
    (
        "worker.retire_items",
        &[("'builtin'", ""), ("'m'", ""), ("'1'", ""), ("'quest'", "")],
    ),
];

fn null_is_the_default_or_refused(database: &Database) {
    database
        .session()
        .run("select worker.add_kind('tavern', 'Write one.', '{\"type\": \"object\", \"properties\": {}}')");
    let mut session = database.session();
    for (function, arguments) in CASES {
        call(&mut session, function, arguments, None);
        for (place, (_, refused)) in arguments.iter().enumerate() {
            let answer = call(&mut session, function, arguments, Some(place));
            match (*refused, answer) {
                ("", None) => {}
                ("", Some(message)) => panic!("{function}, NULL in place {place}: {message}"),
                (field, answer) => {
                    let message = answer.unwrap_or_else(|| panic!("{function} takes NULL for {field}"));
                    assert_eq!(
                        message,
                        format!("22023: {field}: NULL is not allowed"),
                        "{function}"
                    );
                }
            }
        }
    }
}

/// What the server says to the call with NULL in one place, if it refuses it; rolled back in any case.
fn call(
    session: &mut Session,
    function: &str,
    arguments: &[(&str, &str)],
    null: Option<usize>,
) -> Option<String> {
    let given: Vec<&str> = (0..)
        .zip(arguments)
        .map(|(place, (value, _))| if null == Some(place) { "null" } else { value })
        .collect();
    let before: String = session.value(STATE, &[]);
    session.run("begin");
    let result = session.batch_execute(&format!("select * from {function}({})", given.join(", ")));
    session.run("rollback");
    assert_eq!(session.value::<String>(STATE, &[]), before);
    let error = result.err()?;
    let error = error.as_db_error().expect("the server's word");
    Some(format!("{}: {}", error.code().code(), error.message()))
}

/// Every function with arguments that a role may be granted by name: of the game's door, and of the executor's.
fn no_function_of_a_door_is_left_out(database: &Database) {
    let doors = "select p.pronamespace::regnamespace || '.' || p.proname from pg_proc p
                  where p.oid in (select f from worker.our_functions() f) and p.pronargs > 0
                    and (p.pronamespace = 'public'::regnamespace or p.prosecdef)
                    and p.prorettype <> 'trigger'::regtype";
    for function in database.session().column::<String>(doors, &[]) {
        assert!(CASES.iter().any(|case| case.0 == function), "{function}");
    }
    let wrong = "select count(*) from pg_proc where pronamespace::regnamespace || '.' || proname = $1 and pronargs = $2::int";
    for (function, arguments) in CASES {
        let count = i32::try_from(arguments.len()).unwrap();
        assert_eq!(
            database.session().value::<i64>(wrong, &[&function, &count]),
            1,
            "{function}"
        );
    }
}
