//! Blocks in languages that are not run here: what they name is compared with what is there.

use super::page::Block;
use super::place::Place;
use pg_worker_tests::wait::wait_for;
use pg_worker_tests::{BOUND, Session, paths};
use serde_json::Value;
use std::path::Path;

/// Every service that the block's commands name is one of `compose.yaml`.
#[track_caller]
pub fn names_compose_services(block: &Block) {
    let compose = paths::read("compose.yaml");
    for line in block.commands() {
        let words = line
            .split_whitespace()
            .skip(2)
            .filter(|word| !word.starts_with('-'));
        for service in words.take(1) {
            assert!(
                compose.contains(&format!("\n  {service}:\n")),
                "{}: {line}",
                block.place
            );
        }
    }
}

/// Every `.rpc('function', { argument: …, … })` names a function with these arguments: PostgREST finds
/// functions by the names of their arguments.
#[track_caller]
pub fn names_functions(block: &Block, session: &mut Session) {
    let calls: Vec<&str> = block.text.split(".rpc('").skip(1).collect();
    assert!(!calls.is_empty(), "{}: no call", block.place);
    for call in calls {
        let (function, rest) = call.split_once('\'').expect("the function's name ends");
        let arguments = rest
            .trim_start()
            .strip_prefix(',')
            .and_then(|rest| rest.trim_start().strip_prefix('{'))
            .map_or(vec![], keys);
        let found: bool = session.value(
            "select exists (select from pg_proc where pronamespace = 'public'::regnamespace and proname = $1
                             and $2::text[] <@ coalesce(proargnames[1:pronargs], '{}')
                             and cardinality($2::text[]) >= pronargs - pronargdefaults)",
            &[&function, &arguments],
        );
        assert!(
            found,
            "{}: no function {function} with {arguments:?}",
            block.place
        );
    }
    println!(
        "left out: {} ({}): needs node and PostgREST, make test-all runs it; the functions and arguments that it names are there",
        block.place, block.language
    );
}

/// The keys of an object literal, from behind its opening brace.
fn keys(literal: &str) -> Vec<String> {
    let mut depth = 1;
    let mut top = String::new();
    for c in literal.chars() {
        depth += i32::from("{[(".contains(c)) - i32::from("}])".contains(c));
        if depth == 0 {
            break;
        }
        if depth == 1 {
            top.push(c);
        }
    }
    let keys = top
        .split(',')
        .map(|entry| entry.split(':').next().unwrap_or_default().trim().to_owned());
    keys.filter(|key| !key.is_empty()).collect()
}

/// The fields of `promised` are there with values of the same sort; null may also be a text.
#[track_caller]
pub fn has_shape_of(answer: &Value, promised: &Value) {
    for (name, value) in promised.as_object().expect("an object") {
        let given = answer
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {answer}"));
        let same = std::mem::discriminant(given) == std::mem::discriminant(value);
        assert!(same || value.is_null() && given.is_string(), "{name}: {given}");
    }
}

/// pg_cron is not here: a stand-in takes the schedule, and then its command is run.
#[track_caller]
pub fn pg_cron_stand_in(block: &Block, place: &Place) {
    let mut session = place.session();
    session.run(
        "create schema cron;
         create table cron.job (name text, schedule text, command text);
         create function cron.schedule(text, text, text) returns bigint language sql as
           'insert into cron.job values ($1, $2, $3) returning 1::bigint'",
    );
    place.sql(block);
    let job = session.row("select schedule, command from cron.job", &[]);
    let (schedule, command): (String, String) = (job.get(0), job.get(1));
    is_a_schedule(&schedule);
    session.run(&command);
    session.run("drop schema cron cascade");
    println!(
        "left out: {}: needs pg_cron; a stand-in took it, and its command was run",
        block.place
    );
}

/// A crontab: variables, then an entry whose command is run as cron does it, by sh with nothing else.
#[track_caller]
pub fn crontab_entry(block: &Block, place: &Place) {
    let lines = block.commands();
    let [variable, entry] = lines[..] else {
        panic!("{}: two lines", block.place)
    };
    let (name, _) = variable.split_once('=').expect("NAME=value");
    assert_eq!(name, "DATABASE_URL");
    let words: Vec<&str> = entry.splitn(6, ' ').collect();
    is_a_schedule(&words[..5].join(" "));
    let command = words[5];
    assert!(!command.contains('%'), "cron turns % into a new line: {command}");
    let mut session = place.session();
    session.wait_until_true(NO_CHECK_WAITS, BOUND);
    let out = place.shell("sh", command, Path::new("/"), &[]);
    let printed = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    assert!(out.status.success(), "{}: {out:?}", block.place);
    let made = session.count(&format!(
        "worker_jobs where job_type = 'check_all_pools' and id::text = '{printed}'"
    ));
    assert_eq!(made, 1, "{printed}");
}

const NO_CHECK_WAITS: &str =
    "select not exists (select from worker_jobs where job_type = 'check_all_pools' and status = 'pending')";

#[track_caller]
fn is_a_schedule(text: &str) {
    let fields: Vec<&str> = text.split(' ').collect();
    assert_eq!(fields.len(), 5, "{text}");
    let plain =
        |field: &&str| !field.is_empty() && field.chars().all(|c| c.is_ascii_digit() || "*/,-".contains(c));
    assert!(fields.iter().all(plain), "{text}");
}

/// Runs a claim until it gives a row, calling `meanwhile` after each time that nothing fits, and gives
/// the names of its columns.
#[track_caller]
pub fn claims(statement: &str, session: &mut Session, mut meanwhile: impl FnMut()) -> Vec<String> {
    let statement = Place::filled_statement(statement.trim().trim_end_matches(';'));
    let row = wait_for(&statement, BOUND, || {
        let row = session.rows(&statement, &[]).pop();
        if row.is_none() {
            meanwhile();
        }
        row
    });
    row.columns()
        .iter()
        .map(|column| column.name().to_owned())
        .collect()
}
