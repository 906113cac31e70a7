//! Works off what is due and ends: for a try by hand, or a GPU that is there for an hour.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use uuid::Uuid;

use super::Failure;
use super::run::{plan, say_who_writes, stop_on_signals, tools};
use crate::engine::{Engine, Tools};
use crate::settings::Options;
use crate::vitals::Counters;

const TICK: Duration = Duration::from_millis(200);

pub async fn once(options: &Options) -> Result<ExitCode, Failure> {
    let plan = plan(options, true);
    let tools = tools(options, &plan)?;
    let stop = stop_on_signals(options.shutdown_seconds)?;
    say_who_writes(options);
    let progress = tokio::spawn(show_progress(Arc::clone(&tools)));
    let result = Engine::new(Uuid::new_v4(), Arc::clone(&tools), plan, None, stop)
        .run()
        .await;
    progress.abort();
    let _ = progress.await;
    println!("{}", summary(&tools.vitals.facts().counters));
    result.map_err(|fatal| Failure::Other(fatal.to_string()))?;
    Ok(ExitCode::SUCCESS)
}

/// A line that is drawn over on a terminal; without one, the log tells what happens.
async fn show_progress(tools: Arc<Tools>) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
        bar.set_style(style);
    }
    loop {
        let facts = tools.vitals.facts();
        bar.set_message(format!(
            "{} items stored, {} being written, {} jobs in hand, {} completed",
            facts.counters.items_stored, facts.in_flight, facts.jobs, facts.counters.jobs_completed
        ));
        bar.tick();
        tokio::time::sleep(TICK).await;
    }
}

fn summary(counters: &Counters) -> String {
    let mut text = format!(
        "{} items stored, {} jobs completed",
        counters.items_stored, counters.jobs_completed
    );
    for (count, what) in [
        (counters.answers_rejected, "answers rejected"),
        (counters.duplicates, "duplicates"),
        (counters.jobs_failed, "attempts failed"),
        (counters.jobs_released, "jobs given back"),
        (counters.jobs_lost, "jobs lost or cancelled"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_happened_is_told() {
        let counters = Counters {
            items_stored: 3,
            jobs_completed: 1,
            duplicates: 2,
            ..Counters::default()
        };
        assert_eq!(
            summary(&counters),
            "3 items stored, 1 jobs completed, 2 duplicates"
        );
    }
}
