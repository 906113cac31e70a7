//! One file per command.

pub mod doctor;
pub mod healthcheck;
pub mod once;
pub mod preview;
pub mod run;

use std::sync::Arc;

use crate::door::{Door, DoorError};
use crate::generator::llm::{Bounds, WireError};
use crate::generator::{Builtin, Generator, Llm};
use crate::settings::{ActiveHours, Options, SettingsError};

/// Why a command could not do its work, in one line for a person.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Door(#[from] DoorError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("{0}")]
    Other(String),
}

/// The way into the database that the settings name. Connects when it is used.
pub fn door(options: &Options) -> Result<Door, Failure> {
    let target = options.target()?;
    if !target.ignored.is_empty() {
        tracing::info!(
            "DATABASE_URL: {} means nothing here and is left aside",
            target.ignored.join(", ")
        );
    }
    Ok(Door::new(target, options.database_bound()?)?)
}

/// The model at LOCAL_LLM_ENDPOINT; None without one. `hours`: when it may be asked.
pub fn llm(options: &Options, hours: Option<ActiveHours>) -> Result<Option<Llm>, Failure> {
    let Some(endpoint) = options.endpoint()? else {
        return Ok(None);
    };
    let bounds = Bounds {
        connect: options.connect_timeout,
        first_token: options.first_token_timeout,
        between_tokens: options.token_timeout,
        whole: options.item_timeout,
    };
    Ok(Some(Llm::new(
        endpoint,
        options.authorization()?,
        options.model(),
        bounds,
        hours,
    )?))
}

/// Who writes.
pub fn generator(options: &Options, hours: Option<ActiveHours>) -> Result<Arc<dyn Generator>, Failure> {
    Ok(match llm(options, hours)? {
        Some(llm) => Arc::new(llm),
        None => Arc::new(Builtin),
    })
}
