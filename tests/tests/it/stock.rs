//! A server with our library preloaded is the same server for everybody else: whatever fails on it fails with
//! the same words. The server is a stock one, with RUST_BACKTRACE in its environment.

use pg_worker_tests::psql::Psql;
use pg_worker_tests::{Cluster, Database};
use std::collections::BTreeMap;

/// What psql shows: the rows and tags of all statements, and by the line of the file what it says of each one.
struct Shown {
    rows: String,
    messages: BTreeMap<u32, String>,
}

impl Shown {
    fn by(database: &Database) -> Shown {
        let file = "tests/tests/it/stock/statements.sql";
        let psql = Psql::new(database).arg("-v").arg("ON_ERROR_STOP=0").file(file);
        let out = psql.output();
        let text = |bytes| String::from_utf8(bytes).expect("psql prints UTF-8");
        let said = text(out.stderr);
        let mut messages = BTreeMap::new();
        for message in said.split(&format!("psql:{file}:")).skip(1) {
            let (line, words) = message.split_once(':').expect("a line number");
            let kept: &mut String = messages.entry(line.parse().expect("a number")).or_default();
            kept.push_str(words);
        }
        Shown {
            rows: text(out.stdout),
            messages,
        }
    }

    fn of(&self, line: u32) -> &str {
        self.messages.get(&line).map_or("", String::as_str)
    }

    fn errors(&self) -> usize {
        let words = self.messages.values().flat_map(|message| message.lines());
        words.filter(|line| line.starts_with(" ERROR: ")).count()
    }
}

/// Where the two servers say something different: the line of the file, and both words.
fn differences(without: &Shown, with: &Shown) -> Vec<String> {
    let lines = without.messages.keys().chain(with.messages.keys());
    let mut lines: Vec<u32> = lines.copied().collect();
    lines.sort_unstable();
    lines.dedup();
    lines.retain(|line| without.of(*line) != with.of(*line));
    let show = |line: u32| {
        format!(
            "line {line}, without:\n{}with:\n{}",
            without.of(line),
            with.of(line)
        )
    };
    lines.into_iter().map(show).collect()
}

fn says_the_same(without: &Shown, with: &Shown, what: &str) {
    let errors = without.errors();
    let differ = differences(without, with);
    println!("{what}: {errors} errors, {} statements differ", differ.len());
    assert!(errors >= 250, "{errors} errors: the file was not run to its end");
    assert!(
        differ.is_empty(),
        "{} of {errors}:\n{}",
        differ.len(),
        differ.join("\n")
    );
    assert_eq!(without.rows, with.rows);
}

#[test]
fn every_error_is_the_same_with_the_library() {
    let plain = Cluster::stock_without_library(&[]);
    let loaded = Cluster::stock(&[]);
    let without = Shown::by(&Database::empty(&plain));
    says_the_same(
        &without,
        &Shown::by(&Database::empty(&loaded)),
        "a database without us",
    );
    let ours = Database::with_extension(&loaded);
    says_the_same(&without, &Shown::by(&ours), "a database with the extension");
}
