//! Which functions a backend and an executor may call: two lists in the code, and these tests of them.

use super::{callable, denied, on_both};
use pg_worker_tests::install::released_versions;
use pg_worker_tests::{Database, Session};
use std::collections::{BTreeMap, BTreeSet};

on_both!(
    a_backend_may_call_what_the_games_functions_call_and_nothing_else,
    the_lists_are_what_is_granted,
    what_an_earlier_version_gave_is_taken_back,
);

fn names(session: &mut Session, sql: &str) -> BTreeSet<String> {
    session.column(sql, &[]).into_iter().collect()
}

/// Follows the calls from the game's functions, the triggers and the views down to where a SECURITY DEFINER function
/// acts for the owner.
fn a_backend_may_call_what_the_games_functions_call_and_nothing_else(database: &Database) {
    let mut session = database.session();
    let rows = session.rows(
        "select n.nspname || '.' || p.proname, p.prosecdef, p.prosrc || coalesce(pg_get_function_sqlbody(p.oid), ''), p.prorettype = 'trigger'::regtype
           from worker.our_functions() f join pg_proc p on p.oid = f join pg_namespace n on n.oid = p.pronamespace",
        &[],
    );
    let mut functions: BTreeMap<String, (bool, String)> = BTreeMap::new();
    let mut to_do = names(
        &mut session,
        "select 'worker.' || unnest(array['version', 'contract_version', 'retire_items'])",
    );
    let mut triggers = BTreeSet::new();
    for row in rows {
        let (name, definer, text, trigger): (String, bool, String, bool) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        if name.starts_with("public.") || trigger {
            to_do.insert(name.clone());
        }
        if trigger {
            triggers.insert(name.clone());
        }
        functions.insert(name, (definer, without_words(&text)));
    }
    let views = "select string_agg(pg_get_viewdef(r), ' ') from worker.our_relations() r join pg_class c on c.oid = r and c.relkind = 'v'";
    to_do.extend(calls(&without_words(&session.value::<String>(views, &[]))));
    let mut needed = BTreeSet::new();
    while let Some(name) = to_do.pop_first() {
        let Some((definer, text)) = functions.get(&name) else {
            continue;
        };
        if needed.insert(name) && !definer {
            to_do.extend(calls(text).into_iter().filter(|call| !needed.contains(call)));
        }
    }
    let needed: BTreeSet<String> = needed
        .into_iter()
        .filter(|name| name.starts_with("worker.") && !triggers.contains(name))
        .collect();
    let listed = names(&mut session, "select 'worker.' || unnest(worker.backend_calls())");
    let missing: Vec<_> = needed.difference(&listed).collect();
    let superfluous: Vec<_> = listed.difference(&needed).collect();
    assert!(
        missing.is_empty() && superfluous.is_empty(),
        "worker.backend_calls() misses {missing:?}, has too much {superfluous:?}"
    );
    assert!(needed.len() > 20);
}

/// SQL without its comments and texts: what is named there is not called.
fn without_words(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default())
        .collect();
    let text = lines.join("\n");
    text.split('\'').step_by(2).collect::<Vec<_>>().join(" ")
}

fn calls(text: &str) -> Vec<String> {
    let name = |rest: &str| {
        let (name, _) = rest.split_once('(')?;
        let known = name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        known.then(|| format!("worker.{name}"))
    };
    text.split("worker.").skip(1).filter_map(name).collect()
}

fn the_lists_are_what_is_granted(database: &Database) {
    let mut session = database.session();
    session.run("select worker.grant_backend('game'); select worker.grant_executor('gpu')");
    for (role, list, public) in [("game", "backend_calls", true), ("gpu", "executor_calls", false)] {
        let wanted = format!(
            "select f::text from worker.our_functions() f join pg_proc p on p.oid = f
              where p.prorettype <> 'trigger'::regtype
                and case when p.pronamespace = 'worker'::regnamespace then p.proname = any (worker.{list}()) else {public} end order by 1"
        );
        let wanted: Vec<String> = session.column(&wanted, &[]);
        assert_eq!(callable(&mut session, role), wanted, "{role}");
        let unknown = format!(
            "select n from unnest(worker.{list}()) n where not exists (
               select from pg_proc where proname = n and pronamespace = 'worker'::regnamespace)"
        );
        assert_eq!(session.column::<String>(&unknown, &[]), Vec::<String>::new());
    }
    let mut game = database.session_as("game");
    for statement in [
        "select worker.settle_pool('generate_quests', '{}', 'x')",
        "select worker.setup_data()",
        "select worker.setup()",
        "select worker.prune_jobs()",
        "select worker.json_schema_errors('{}', '{}')",
        "select worker.conversation(gen_random_uuid(), 10)",
        "select worker.add_kind('gem', 'x', '{}')",
        "select worker.drop_kind('gem')",
        "select worker.grant_backend('stranger')",
    ] {
        denied(&mut game, statement);
    }
}

fn what_an_earlier_version_gave_is_taken_back(database: &Database) {
    let mut session = database.session();
    session.run("select worker.grant_backend('game'); select worker.grant_executor('gpu')");
    let before = (callable(&mut session, "game"), callable(&mut session, "gpu"));
    session.run("grant execute on all functions in schema worker to game, gpu; select worker.setup()");
    assert_eq!(
        (callable(&mut session, "game"), callable(&mut session, "gpu")),
        before
    );
    // A role may be both, and nobody else's rights are touched.
    session.run("grant execute on function worker.ready() to stranger; select worker.grant_executor('game'); select worker.setup()");
    let both: BTreeSet<String> = before.0.iter().chain(&before.1).cloned().collect();
    assert_eq!(
        callable(&mut session, "game")
            .into_iter()
            .collect::<BTreeSet<_>>(),
        both
    );
    assert_eq!(callable(&mut session, "stranger"), ["worker.ready()"]);
}

#[test]
fn an_upgrade_takes_back_what_the_released_versions_gave() {
    for version in released_versions() {
        let database = super::generous();
        let mut session = database.session();
        session.run(&format!(
            "create extension pg_worker_ext version '{version}'; select worker.grant_backend('game'); select worker.grant_executor('gpu');
             alter extension pg_worker_ext update; select worker.setup()"
        ));
        let fresh = super::extension();
        let mut other = fresh.session();
        other.run("select worker.grant_backend('game'); select worker.grant_executor('gpu')");
        for role in ["game", "gpu"] {
            assert_eq!(callable(&mut session, role), callable(&mut other, role), "{role}");
        }
    }
}
