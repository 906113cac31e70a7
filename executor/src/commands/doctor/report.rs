//! What the doctor says: a line for each finding, and under what is not well a line that says what
//! to do about it. Findings are shown as they come, for a model may take minutes to answer.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use crate::redact::clean;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Ok,
    Warn,
    Fail,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub level: Level,
    pub name: &'static str,
    pub text: String,
    /// What to do about it; for all that is not well.
    pub remedy: Option<String>,
}

impl Finding {
    pub fn ok(name: &'static str, text: impl Into<String>) -> Self {
        Self {
            level: Level::Ok,
            name,
            text: text.into(),
            remedy: None,
        }
    }

    /// It works, but not as it could.
    pub fn warn(name: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            level: Level::Warn,
            name,
            text: text.into(),
            remedy: Some(remedy.into()),
        }
    }

    /// An executor cannot work like this.
    pub fn fail(name: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            level: Level::Fail,
            name,
            text: text.into(),
            remedy: Some(remedy.into()),
        }
    }

    fn lines(&self, colours: bool) -> String {
        let (word, colour) = match self.level {
            Level::Ok => ("ok", 32),
            Level::Warn => ("warn", 33),
            Level::Fail => ("fail", 31),
        };
        let word = format!("{word:<4}");
        let word = if colours {
            format!("\x1b[{colour}m{word}\x1b[0m")
        } else {
            word
        };
        let mut lines = format!("{word}  {:<17} {}\n", self.name, one_line(&self.text));
        if let Some(remedy) = &self.remedy {
            lines.push_str(&format!("      → {}\n", one_line(remedy)));
        }
        lines
    }
}

/// Cleaned of secrets, and without line breaks that somebody else's message brought along.
fn one_line(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

pub struct Report {
    colours: bool,
    told: Vec<Level>,
}

impl Report {
    pub fn begin() -> Self {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self {
            colours,
            told: Vec::new(),
        }
    }

    pub fn tell(&mut self, finding: &Finding) {
        self.told.push(finding.level);
        // A reader that went away is no reason to stop.
        let _ = std::io::stdout().write_all(finding.lines(self.colours).as_bytes());
    }

    pub fn end(self) -> ExitCode {
        let _ = writeln!(std::io::stdout(), "{}", self.summary());
        if self.told.contains(&Level::Fail) {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }

    fn summary(&self) -> String {
        let count = |level| self.told.iter().filter(|told| **told == level).count();
        format!(
            "{} ok, {} warn, {} fail",
            count(Level::Ok),
            count(Level::Warn),
            count(Level::Fail)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_stands_under_what_is_not_well() {
        assert_eq!(
            Finding::ok("clock", "fine").lines(false),
            "ok    clock             fine\n"
        );
        let lines = Finding::warn("pool quest", "0 of 20", "start\n  an executor").lines(false);
        assert_eq!(
            lines,
            "warn  pool quest        0 of 20\n      → start an executor\n"
        );
        assert!(
            Finding::fail("x", "", "y")
                .lines(true)
                .starts_with("\x1b[31mfail\x1b[0m  x")
        );
    }

    #[test]
    fn no_line_holds_a_password() {
        let finding = Finding::fail(
            "database",
            "postgres://u:hunter2@h/d",
            "not postgres://u:hunter2@h/d",
        );
        assert!(!finding.lines(false).contains("hunter2"));
    }

    #[test]
    fn the_summary_counts() {
        let told = vec![Level::Ok, Level::Warn, Level::Ok, Level::Fail];
        assert_eq!(Report { colours: false, told }.summary(), "2 ok, 1 warn, 1 fail");
    }
}
