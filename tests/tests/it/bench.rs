//! `make bench` stays able to run: its cheapest figure, as small as it goes. What it measures is no
//! test's business.

use std::process::Command;

fn bench(words: &[&str]) -> (Option<i32>, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(words)
        .output()
        .expect("start the bench");
    let text = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    (out.status.code(), text)
}

#[test]
fn a_figure_is_measured_and_told_with_its_command() {
    let (code, text) = bench(&[
        "quick=1",
        "only=tick",
        "rows=10000",
        "rounds=1",
        "seconds=",
        "plot=",
    ]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("fsync on, synchronous_commit on"), "{text}");
    let line = text.lines().find(|line| line.starts_with("| a tick "));
    let line = line.unwrap_or_else(|| panic!("no line for the tick:\n{text}"));
    assert!(
        line.ends_with("| `make bench ONLY=tick QUICK=1 ROWS=10000 ROUNDS=1` |"),
        "{line}"
    );
}

#[test]
fn what_is_not_understood_is_refused() {
    for (word, refusal) in [
        ("speed=1", "speed=1: not understood"),
        (
            "rows=7",
            "rows: '7' is not allowed: a whole number from 10000 to 10000000",
        ),
        ("only=clams", "only: 'clams' is not allowed: claims, drained, "),
    ] {
        let (code, text) = bench(&[word]);
        assert_eq!(code, Some(2), "{text}");
        assert!(text.starts_with(refusal), "{text}");
    }
}
