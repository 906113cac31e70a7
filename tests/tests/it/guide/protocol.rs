//! `docs/protocol.md`: one job walked through by hand, all of its SQL as one psql session.

use super::page::{Block, Page};
use super::place::Place;
use pg_worker_tests::Database;

#[test]
fn the_protocol() {
    let database = Database::quiet();
    let page = Page::open("docs/protocol.md");
    every_verb_is_explained(&page, &database);
    let (walk, others): (Vec<Block>, Vec<Block>) =
        page.all().into_iter().partition(|block| block.language == "sql");
    let walk = Block {
        text: walk.iter().map(|block| block.text.as_str()).collect(),
        ..walk[0].clone()
    };
    let printed = Place::new(&database).sql(&walk);
    let woken = printed
        .lines()
        .filter(|line| line.starts_with("Asynchronous notification \"worker_jobs\""));
    assert!(woken.count() > 0, "LISTEN heard of the enqueue");
    let [request] = &others[..] else {
        panic!("one block in another language: {others:#?}")
    };
    println!(
        "left out: {}: the shape of a request; the executor's own tests send it",
        request.place
    );
    assert_eq!(request.language, "text");
}

/// Every function of the executor's door stands in the table, and no other.
fn every_verb_is_explained(page: &Page, database: &Database) {
    let rows = page.table("function");
    let mut explained: Vec<String> = rows
        .iter()
        .flat_map(|row| row[0].split(", "))
        .filter_map(|call| Some(call.split_once('(')?.0.to_owned()))
        .collect();
    explained.sort();
    let verbs: Vec<String> = database.session().column(
        "select proname::text from pg_proc where pronamespace = 'worker'::regnamespace and prorettype <> 'trigger'::regtype
            and (prosecdef or proname = 'contract_version') order by proname collate \"C\"",
        &[],
    );
    assert_eq!(explained, verbs);
}
