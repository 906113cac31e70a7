//! `docs/faults.md` names tests: each of them is there.

use super::page::Page;
use pg_worker_tests::paths;
use std::fs;
use std::path::Path;

#[test]
fn every_proof_that_is_named_is_a_test() {
    let mut sources = String::new();
    read_all(&paths::root().join("tests/tests"), &mut sources);
    let rows = Page::open("docs/faults.md").table("fault");
    assert!(rows.len() > 15, "{} faults", rows.len());
    for row in rows {
        for name in row[2].split(", ") {
            assert!(sources.contains(&format!("fn {name}(")), "{name} ({})", row[0]);
        }
    }
}

fn read_all(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_all(&path, into);
        } else {
            into.push_str(&fs::read_to_string(path).unwrap_or_default());
        }
    }
}
