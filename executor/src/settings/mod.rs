//! The settings, checked. A command takes from [`Options`] what it needs, so that `healthcheck`
//! runs without a database and `preview` without a port.

mod bounds;
pub mod database;
mod dsn;
pub mod endpoint;
mod hours;
pub mod options;
pub mod parse;
pub mod unknown;

pub use database::Target;
pub use endpoint::{Authorization, Endpoint};
pub use hours::ActiveHours;
pub use options::{Fallback, LogFormat, Options};

/// One setting that is missing or wrong: which, what was given, what is allowed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{field}: {given}. Allowed is {allowed}.")]
pub struct SettingsError {
    pub field: &'static str,
    pub given: String,
    pub allowed: String,
}
