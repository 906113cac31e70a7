//! Any call of either door, with any arguments.

use super::{Besieged, is_an_answer, values};
use crate::model::setting;
use crate::steps::enqueue_quests;
use pg_worker_tests::{Database, Session, on_both_installs};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use std::cell::RefCell;

on_both_installs!(
    no_call_of_a_game_breaks_anything,
    no_call_of_an_executor_breaks_anything
);

/// A function and the types of its arguments.
#[derive(Clone, Debug)]
pub struct Function {
    pub name: String,
    pub types: Vec<String>,
}

/// What a role may call; not triggers, which nobody calls.
pub fn functions(owner: &mut Session, role: &str) -> Vec<Function> {
    let sql = "
        select format('%I.%I', n.nspname, p.proname),
               array(select format_type(t.type, null) from unnest(p.proargtypes) with ordinality t(type, n) order by t.n)
          from worker.our_functions() f join pg_proc p on p.oid = f join pg_namespace n on n.oid = p.pronamespace
         where p.prorettype <> 'trigger'::regtype and has_function_privilege($1::text::name, p.oid, 'execute')
         order by 1, 2";
    let rows = owner.rows(sql, &[&role]);
    let function = |row: &postgres::Row| Function {
        name: row.get(0),
        types: row.get(1),
    };
    rows.iter().map(function).collect()
}

/// A call as SQL, every argument a parameter in its text form.
pub fn statement(function: &Function) -> String {
    let arguments = function.types.iter().enumerate();
    let arguments: Vec<String> = arguments
        .map(|(n, of)| format!("${}::text::{of}", n + 1))
        .collect();
    format!("select * from {}({})", function.name, arguments.join(", "))
}

/// Calls a function; what is wrong with the answer.
pub fn call(session: &mut Session, function: &Function, arguments: &[Option<String>]) -> Result<(), String> {
    let parameters: Vec<&(dyn postgres::types::ToSql + Sync)> = arguments.iter().map(|a| a as _).collect();
    is_an_answer(session.query(&statement(function), &parameters).map(drop))
        .map_err(|trouble| format!("{}: {trouble}", function.name))
}

fn any_call(functions: Vec<Function>) -> impl Strategy<Value = (Function, Vec<Option<String>>)> {
    proptest::sample::select(functions).prop_flat_map(|function| {
        let arguments: Vec<_> = function.types.iter().map(|name| values::of_type(name)).collect();
        (Just(function), arguments)
    })
}

fn nothing_breaks(database: &Database, role: &str, of: fn(&mut Besieged) -> &mut Session) {
    let mut besieged = Besieged::new(database);
    let functions = functions(&mut besieged.owner, role);
    assert!(functions.len() > 20, "{functions:?}");
    // A lease that the garbage fits, so that it gets past the fence.
    enqueue_quests(&mut besieged.owner, 1000);
    besieged.owner.run(
        "update worker_jobs set id = '00000000-0000-4000-8000-000000000001', max_attempts = 100, status = 'running',
                lease_token = '00000000-0000-4000-8000-000000000001', lease_expires_at = now() + interval '1 day'",
    );
    let config = Config {
        cases: setting("PROPTEST_CASES", 300) as u32,
        rng_seed: RngSeed::Fixed(setting("HOSTILE_SEED", 11)),
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let besieged = RefCell::new(besieged);
    let run = TestRunner::new(config).run(&any_call(functions), |(function, arguments)| {
        let mut besieged = besieged.borrow_mut();
        call(of(&mut besieged), &function, &arguments).map_err(TestCaseError::fail)?;
        match besieged.trouble() {
            Some(trouble) => Err(TestCaseError::fail(trouble)),
            None => Ok(()),
        }
    });
    if let Err(found) = run {
        panic!("{found}\n{}", last_lines(&database.cluster().log()));
    }
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().rev().take(5).collect();
    lines.join("\n")
}

fn no_call_of_a_game_breaks_anything(database: &Database) {
    nothing_breaks(database, "hostile_game", |besieged| &mut besieged.game);
}

fn no_call_of_an_executor_breaks_anything(database: &Database) {
    nothing_breaks(database, "hostile_gpu", |besieged| &mut besieged.executor);
}
