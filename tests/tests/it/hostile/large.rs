//! Arguments that are far too large: ten megabytes, a hundred thousand members, sixty thousand levels.

use super::Besieged;
use super::calls::{Function, call, functions};
use crate::steps::quest;
use pg_worker_tests::{Database, Session, on_both_installs};
use serde_json::json;

on_both_installs!(what_is_far_too_large_is_refused_or_done);

const MEGABYTES: usize = 10 * 1024 * 1024;
const MANY: usize = 100_000;

/// Something ordinary for an argument that is not the large one.
fn ordinary(of: &str) -> Option<String> {
    let value = match of {
        "text" => "quest",
        "jsonb" => "{}",
        "uuid" => "00000000-0000-4000-8000-000000000001",
        "integer" => "5",
        "bigint" | "real" | "numeric" | "double precision" => "1",
        "boolean" => "true",
        "timestamp with time zone" => "now",
        "integer[]" => "{1}",
        "uuid[]" => "{00000000-0000-4000-8000-000000000001}",
        other => panic!("what is ordinary for type {other}?"),
    };
    Some(value.to_owned())
}

/// What is far too large for an argument of a type; nothing where there is no such thing.
fn large(of: &str) -> Vec<String> {
    let long = "x".repeat(MEGABYTES);
    match of {
        "text" => vec![long, "'{{theme}}".repeat(MANY)],
        "jsonb" => {
            let mut vast = quest(1);
            vast["description"] = json!(long);
            let members: Vec<String> = (0..MANY).map(|n| format!("\"{n}\":{n}")).collect();
            vec![
                vast.to_string(),
                format!("{{{}}}", members.join(",")),
                "[".repeat(60_000) + &"]".repeat(60_000),
                "{\"count\":".repeat(1_000) + "1" + &"}".repeat(1_000),
            ]
        }
        "integer[]" => vec![format!("{{{}1}}", "1,".repeat(MANY))],
        "uuid[]" => vec![format!("{{{}null}}", "null,".repeat(MANY))],
        _ => Vec::new(),
    }
}

/// Each argument of a function in turn.
fn try_all(session: &mut Session, function: &Function) -> usize {
    let mut calls = 0;
    for (place, of) in function.types.iter().enumerate() {
        for value in large(of) {
            let mut arguments: Vec<_> = function.types.iter().map(|of| ordinary(of)).collect();
            arguments[place] = Some(value);
            if let Err(trouble) = call(session, function, &arguments) {
                panic!("argument {} of {}: {trouble}", place + 1, function.name);
            }
            calls += 1;
        }
    }
    calls
}

fn what_is_far_too_large_is_refused_or_done(database: &Database) {
    let mut besieged = Besieged::new(database);
    let doors = [("hostile_game", "public."), ("hostile_gpu", "worker.")];
    for (role, schema) in doors {
        let mut session = database.session_as(role);
        session.run("set statement_timeout = '60s'");
        let mut calls = 0;
        for function in functions(&mut besieged.owner, role) {
            if function.name.starts_with(schema) {
                calls += try_all(&mut session, &function);
            }
        }
        assert!(calls > 20, "{role}: {calls} calls");
        assert_eq!(besieged.trouble(), None);
    }
}
