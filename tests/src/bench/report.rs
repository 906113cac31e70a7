//! What was measured, as a table of markdown.

use super::Options;
use super::measure::Pair;
use std::fmt;

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Line {
    pub what: String,
    pub ours: String,
    pub limit: String,
    pub ratio: String,
    pub aim: String,
    pub command: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line {
            what,
            ours,
            limit,
            ratio,
            aim,
            command,
        } = self;
        write!(f, "| {what} | {ours} | {limit} | {ratio} | {aim} | `{command}` |")
    }
}

/// One point of the picture of growth.
#[derive(Clone, Debug)]
pub struct Point {
    pub curve: &'static str,
    pub size: f64,
    pub ratio: f64,
}

/// All that a run has measured so far.
#[derive(Debug, Default)]
pub struct Report {
    pub lines: Vec<Line>,
    pub points: Vec<Point>,
    pub notes: Vec<String>,
}

/// How a number is written.
#[derive(Clone, Copy, Debug)]
pub enum Unit {
    PerSecond,
    Milliseconds,
}

impl Unit {
    pub fn text(self, value: f64) -> String {
        let digits = match value {
            _ if value >= 100.0 => 0,
            _ if value >= 10.0 => 1,
            _ => 2,
        };
        match self {
            Unit::PerSecond => format!("{value:.digits$}/s"),
            Unit::Milliseconds => format!("{value:.digits$} ms"),
        }
    }
}

/// A comparison, before it is a line.
pub struct Figure<'a> {
    pub what: &'a str,
    pub unit: Unit,
    /// What stands on the other side.
    pub limit: &'a str,
    pub aim: &'a str,
}

impl Report {
    /// Adds a comparison.
    pub fn pair(&mut self, group: &str, options: &Options, figure: &Figure, pair: &Pair) {
        let (low, high) = pair.spread();
        self.lines.push(Line {
            what: figure.what.into(),
            ours: figure.unit.text(pair.ours.median()),
            limit: format!("{}: {}", figure.limit, figure.unit.text(pair.limit.median())),
            ratio: format!("**{:.2}** ({low:.2}–{high:.2})", pair.ratio()),
            aim: figure.aim.into(),
            command: options.command(group),
        });
    }

    /// Adds a figure that has nothing on the other side.
    pub fn alone(&mut self, group: &str, options: &Options, what: &str, ours: &str, aim: &str) {
        self.lines.push(Line {
            what: what.into(),
            ours: ours.into(),
            limit: "–".into(),
            ratio: "–".into(),
            aim: aim.into(),
            command: options.command(group),
        });
    }

    pub fn point(&mut self, curve: &'static str, size: f64, ratio: f64) {
        self.points.push(Point { curve, size, ratio });
    }

    pub fn table(&self) -> String {
        let mut text = String::from(
            "| what | ours | limit | ratio (of single rounds) | aim | command |\n|---|---|---|---|---|---|\n",
        );
        for line in &self.lines {
            text.push_str(&format!("{line}\n"));
        }
        for note in &self.notes {
            text.push_str(&format!("\n{note}"));
        }
        text
    }
}
