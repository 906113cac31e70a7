//! What was tried and what came of it.

use std::collections::BTreeMap;
use std::time::Duration;

/// Of some orders.
#[derive(Debug, Default)]
pub struct Seen {
    pub orders: usize,
    pub waits: usize,
    pub longest: Duration,
    /// By SQLSTATE.
    pub errors: BTreeMap<String, usize>,
    /// Deadlocks of two games that named the same two rows in opposite orders: nobody else's matter.
    pub of_games: usize,
    /// What must not be, where, and what the server said to it.
    pub violations: Vec<(String, String)>,
}

impl Seen {
    pub fn violation(&mut self, what: String, words: &str) {
        self.violations.push((what, words.to_owned()));
    }

    pub fn add(&mut self, other: Seen) {
        self.orders += other.orders;
        self.waits += other.waits;
        self.longest = self.longest.max(other.longest);
        self.of_games += other.of_games;
        for (code, count) in other.errors {
            *self.errors.entry(code).or_default() += count;
        }
        self.violations.extend(other.violations);
    }

    pub fn line(&self) -> String {
        let errors: Vec<String> = self
            .errors
            .iter()
            .map(|(code, count)| format!("{count} × {code}"))
            .collect();
        let errors = if errors.is_empty() {
            "none".into()
        } else {
            errors.join(", ")
        };
        format!(
            "{} orders, {} waits, the longest {:.1} s; errors: {errors}; circles that two games made: {}; violations: {}",
            self.orders,
            self.waits,
            self.longest.as_secs_f64(),
            self.of_games,
            self.violations.len()
        )
    }
}

/// Of a whole run.
#[derive(Debug, Default)]
pub struct Account {
    pub cells: usize,
    pub all: Seen,
}

impl Account {
    pub fn add(&mut self, cells: usize, seen: Seen) {
        self.cells += cells;
        self.all.add(seen);
    }

    /// In one line.
    pub fn line(&self) -> String {
        format!("{} pairs, {}", self.cells, self.all.line())
    }

    /// The violations with the server's words.
    pub fn violations(&self) -> String {
        let lines = self.all.violations.iter().map(|(what, words)| {
            let words: String = words.lines().map(|line| format!("\n    {line}")).collect();
            format!("{what}{words}")
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}
