//! `docs/faults.md` and `docs/security.md` name tests: each of them is there.

use super::page::Page;
use pg_worker_tests::paths;
use std::fs;
use std::path::Path;

#[test]
fn every_proof_that_is_named_is_a_test() {
    let mut sources = String::new();
    read_all(&paths::root().join("tests/tests"), &mut sources);
    for (page, table, least) in [
        ("docs/faults.md", "fault", 15),
        ("docs/security.md", "who", 8),
        ("docs/security.md", "somebody", 8),
        ("docs/security.md", "what", 4),
    ] {
        let rows = Page::open(page).table(table);
        assert!(rows.len() >= least, "{page}: {} rows of {table}", rows.len());
        for row in rows {
            for name in row[2].split(", ") {
                assert!(
                    sources.contains(&format!("fn {name}(")),
                    "{page}: {name} ({})",
                    row[0]
                );
            }
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
