//! The command line, and how a command ends: 0 done, 1 not done, 2 called wrongly.

use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use serde_json::Value;

use crate::commands::{self, Failure};
use crate::settings::Options;
use crate::settings::parse::{self, USUAL_PORT};
use crate::settings::unknown::{Unknown, unknown_variables};
use crate::{logging, redact};

/// Writes game content with a language model of your own, and keeps the pools in the game's
/// PostgreSQL filled.
#[derive(Parser)]
#[command(
    name = "pg-worker-executor",
    version,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "Every option can be given as the variable that is named with it. Begin with:\n  \
    pg-worker-executor doctor     what is wrong, and what to do about it\n  \
    pg-worker-executor run        work until stopped"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    options: Options,
}

#[derive(Subcommand)]
enum Command {
    /// Work until stopped (SIGTERM or Ctrl-C)
    Run,
    /// Work until no job is due any more, then end
    Once,
    /// Check everything and say what to do about what is wrong; exit code 1 if something fails
    Doctor,
    /// Write one item and show it; nothing is stored
    Preview(Preview),
    /// Ask a running executor on this machine whether it is well (for containers)
    Healthcheck,
}

#[derive(Args)]
pub struct Preview {
    /// What to write: quest, npc, encounter, dungeon, poi, session_summary or a kind of your own
    pub kind: String,
    /// Parameters as in a job, such as '{"level_range": [1, 3]}'
    #[arg(long, value_name = "JSON", value_parser = json_object)]
    pub parameters: Option<Value>,
}

fn json_object(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err("a JSON object is wanted, such as {\"level_range\": [1, 3]}".into()),
        Err(error) => Err(format!("this is no JSON: {error}")),
    }
}

pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    // Registered before anything is logged.
    let _ = cli.options.authorization();
    match start(cli) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("pg-worker-executor: {}", redact::clean(&failure.to_string()));
            ExitCode::FAILURE
        }
    }
}

/// As clap does it, but what was typed may hold a password. Help and version come this way too.
fn refuse(error: &clap::Error) -> ExitCode {
    let text = redact::clean(&error.render().to_string());
    if error.use_stderr() {
        eprint!("{text}");
    } else {
        print!("{text}");
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

fn start(cli: Cli) -> Result<ExitCode, Failure> {
    logging::start(&cli.options)?;
    for variable in unknown_variables(
        std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()),
        &variables(),
    ) {
        tell(&variable);
    }
    if let Ok(link) = std::env::var("WORKER_PORT")
        && parse::is_service_link(&link)
    {
        tracing::warn!(
            "WORKER_PORT={link} is Kubernetes' name of a service and no port: {USUAL_PORT} is taken. \
             enableServiceLinks: false in the pod's spec keeps it away"
        );
    }
    if let Command::Healthcheck = cli.command {
        return commands::healthcheck::check(&cli.options);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::Other(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        match cli.command {
            Command::Run => commands::run::run(&cli.options).await,
            Command::Once => commands::once::once(&cli.options).await,
            Command::Doctor => commands::doctor::doctor(&cli.options).await,
            Command::Preview(preview) => commands::preview::preview(&cli.options, &preview).await,
            Command::Healthcheck => unreachable!("answered above"),
        }
    })
}

fn tell(variable: &Unknown) {
    let name = &variable.name;
    match &variable.nearest {
        Some(nearest) => {
            tracing::warn!("the variable {name} is unknown and does nothing; did you mean {nearest}?")
        }
        None => tracing::warn!("the variable {name} is unknown and does nothing; --help lists them all"),
    }
}

/// The variables that the command line declares.
fn variables() -> Vec<String> {
    let command = Cli::command();
    let names = command.get_arguments().filter_map(|argument| argument.get_env());
    names.map(|name| name.to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        assert!(variables().contains(&"WORKER_POLL_INTERVAL_MS".to_owned()));
    }

    #[test]
    fn parameters_of_a_preview_are_an_object() {
        assert!(json_object("{\"count\": 1}").is_ok());
        assert!(json_object("[1]").unwrap_err().contains("object"));
        assert!(json_object("{").unwrap_err().contains("no JSON"));
    }
}
