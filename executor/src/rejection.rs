//! Why an answer was rejected before it became an item.

use std::fmt;

/// What this program itself, or the database, found wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub class: Class,
    pub reason: String,
}

/// The sort of reason: counted by it, and it decides what the next try is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Nothing came, or nothing but thoughts.
    Empty,
    /// The answer stopped coming.
    Timeout,
    /// The server gave an error in its place.
    Error,
    NotJson,
    Truncated,
    Schema,
    Rules,
}

impl Class {
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Timeout => "timeout",
            Self::Error => "error",
            Self::NotJson => "not_json",
            Self::Truncated => "truncated",
            Self::Schema => "schema",
            Self::Rules => "rules",
        }
    }

    /// The answer was an object, and only what stood in it was wrong: worth correcting.
    pub fn is_correctable(self) -> bool {
        matches!(self, Self::Schema | Self::Rules)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Rejection {
    pub fn new(class: Class, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { class, reason }
    }
}
