//! The log: one line per event on stderr, readable or JSON, with no secret in it.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::redact::CleanStderr;
use crate::settings::{LogFormat, Options, SettingsError};

pub fn start(options: &Options) -> Result<(), SettingsError> {
    let filter = EnvFilter::try_new(&options.log).map_err(|_| SettingsError {
        field: "WORKER_LOG",
        given: format!("\"{}\"", options.log),
        allowed: "error, warn, info, debug, or a filter such as info,pg_worker_executor=debug".into(),
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(|| CleanStderr);
    match options.log_format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}
