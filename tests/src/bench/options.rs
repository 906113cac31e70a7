//! What is asked for: `name=value` words, an empty value being none, so that the Makefile can pass all.

use std::path::PathBuf;

/// How much is measured, and what.
#[derive(Clone, Debug)]
pub struct Options {
    /// Rows of the largest pool.
    pub rows: u64,
    /// How often the two sides of a figure take turns.
    pub rounds: usize,
    /// About how long a side's turn takes.
    pub seconds: u64,
    /// The groups to measure; empty: all.
    pub only: Vec<String>,
    /// Where the picture of the growth goes; none: it is not drawn.
    pub plot: Option<PathBuf>,
    /// The words as they were given, for the report.
    pub given: Vec<String>,
}

impl Options {
    /// Reads the words; `quick=1` changes what the others default to.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Options, String> {
        let given: Vec<String> = words.into_iter().filter(|word| !word.ends_with('=')).collect();
        let mut options = if given.iter().any(|word| word == "quick=1") {
            Options::sized(100_000, 3, 1)
        } else {
            Options::sized(1_000_000, 5, 2)
        };
        for word in &given {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match name {
                "rows" => options.rows = number(name, value, 10_000, 10_000_000)?,
                "rounds" => options.rounds = number(name, value, 1, 100)? as usize,
                "seconds" => options.seconds = number(name, value, 1, 60)?,
                "only" => options.only = value.split(',').map(str::to_owned).collect(),
                "plot" => options.plot = Some(value.into()),
                "quick" if value == "1" => {}
                _ => {
                    return Err(format!(
                        "{word}: not understood; quick=1, only=NAME,NAME, rows=, rounds=, seconds=, plot=FILE are"
                    ));
                }
            }
        }
        options.given = given;
        Ok(options)
    }

    fn sized(rows: u64, rounds: usize, seconds: u64) -> Options {
        Options {
            rows,
            rounds,
            seconds,
            only: Vec::new(),
            plot: None,
            given: Vec::new(),
        }
    }

    /// The command that measures one group in this way.
    pub fn command(&self, group: &str) -> String {
        let words = self
            .given
            .iter()
            .filter(|word| !word.starts_with("only=") && !word.starts_with("plot="));
        let words = words.map(|word| match word.split_once('=') {
            Some((name, value)) => format!(" {}={value}", name.to_uppercase()),
            None => String::new(),
        });
        format!("make bench ONLY={group}{}", words.collect::<String>())
    }
}

fn number(name: &str, value: &str, low: u64, high: u64) -> Result<u64, String> {
    value
        .parse()
        .ok()
        .filter(|number| (low..=high).contains(number))
        .ok_or_else(|| format!("{name}: '{value}' is not allowed: a whole number from {low} to {high}"))
}
