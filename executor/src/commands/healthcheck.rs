//! Asks `/health` of the executor on this machine. No runtime, no database: cheap enough for a
//! container engine that calls it every few seconds.

use std::process::ExitCode;
use std::time::Duration;

use super::Failure;
use crate::settings::Options;

const BOUND: Duration = Duration::from_secs(4);

pub fn check(options: &Options) -> Result<ExitCode, Failure> {
    let host = if options.bind.is_unspecified() {
        "127.0.0.1".to_owned()
    } else {
        options.bind.to_string()
    };
    let host = if options.bind.is_ipv6() && !options.bind.is_unspecified() {
        format!("[{host}]")
    } else {
        host
    };
    let url = format!("http://{host}:{}/health", options.port);
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(BOUND))
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into();
    let answer = agent
        .get(&url)
        .call()
        .map_err(|error| Failure::Other(format!("no answer from {url}: {error}")))?;
    let well = answer.status().is_success();
    let body = answer.into_body().read_to_string().unwrap_or_default();
    println!("{body}");
    Ok(if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
