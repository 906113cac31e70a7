//! What is wrong, and what to do about it: from the database over the model host to the pools.
//!
//! Each check says one line. A check that needs another one's success is left out when that failed,
//! and the others still run, so that everything that is broken is seen at once.

mod database;
mod fit;
mod installation;
mod model;
mod remedy;
mod report;
mod stock;

use std::process::ExitCode;

use self::report::Report;
use super::Failure;
use crate::settings::Options;

pub async fn doctor(options: &Options) -> Result<ExitCode, Failure> {
    let mut report = Report::begin();
    let door = database::check(options, &mut report).await;
    let generator = model::check(options, &mut report).await;
    if let Some(door) = &door {
        if let Some((generator, host)) = &generator {
            if let Some(finding) = fit::context(door, host).await {
                report.tell(&finding);
            }
            let (finding, speed) = model::sample(door, generator.as_ref()).await;
            report.tell(&finding);
            if let Some(speed) = speed
                && let Some(finding) = fit::batches(door, speed).await
            {
                report.tell(&finding);
            }
        }
        stock::check(door, &mut report).await;
    }
    Ok(report.end())
}
