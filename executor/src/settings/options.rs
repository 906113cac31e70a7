//! Every flag with its variable. This file is what `--help` prints, so it is written for somebody
//! who has never seen the program.

use std::net::IpAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{ActiveHours, Authorization, Endpoint, SettingsError, Target, parse};
use crate::redact::Secret;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One readable line per event
    Text,
    /// One JSON object per line, for log collectors
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fallback {
    /// Jobs wait until the model answers again
    None,
    /// Empty pools get items from the built-in word lists meanwhile
    Builtin,
}

#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Where the database is: postgres://user:password@host:5432/database. libpq's sslmode and
    /// sslrootcert are understood
    #[arg(
        long,
        env = "DATABASE_URL",
        value_name = "URL",
        hide_env_values = true,
        global = true
    )]
    #[arg(help_heading = "Database")]
    pub database_url: Option<String>,

    /// Longest wait for an answer of the database, in seconds, before the connection is made anew: at most a
    /// third of WORKER_LEASE_SECONDS. Without it that third, or 10 where it is more
    #[arg(long, env = "WORKER_DATABASE_TIMEOUT", value_name = "SECONDS", global = true)]
    #[arg(value_parser = parse::database_timeout, help_heading = "Database", hide_env_values = true)]
    pub database_timeout: Option<Duration>,

    /// Base URL of an OpenAI-compatible server (LM Studio, llama.cpp, Ollama, vLLM), such as
    /// http://192.168.42.145:1234/v1. Without it items come from built-in word lists
    #[arg(
        long,
        env = "LOCAL_LLM_ENDPOINT",
        value_name = "URL",
        hide_env_values = true,
        global = true
    )]
    #[arg(help_heading = "Language model")]
    pub llm_endpoint: Option<String>,

    /// Key that the model server asks for, if it does
    #[arg(
        long,
        env = "LOCAL_LLM_API_KEY",
        value_name = "KEY",
        hide_env_values = true,
        global = true
    )]
    #[arg(help_heading = "Language model")]
    pub llm_api_key: Option<String>,

    /// Model to ask for. Without it the first one that the server lists
    #[arg(
        long,
        env = "LOCAL_LLM_MODEL",
        value_name = "NAME",
        hide_env_values = true,
        global = true
    )]
    #[arg(help_heading = "Language model")]
    pub llm_model: Option<String>,

    /// Longest wait for a connection to the model server, in seconds
    #[arg(
        long,
        env = "WORKER_CONNECT_TIMEOUT",
        value_name = "SECONDS",
        default_value = "10",
        global = true
    )]
    #[arg(value_parser = parse::connect_timeout, help_heading = "Language model", hide_env_values = true)]
    pub connect_timeout: Duration,

    /// Longest wait for an answer's first token, in seconds. Long, since a model may be loading
    #[arg(
        long,
        env = "WORKER_FIRST_TOKEN_TIMEOUT",
        value_name = "SECONDS",
        default_value = "300",
        global = true
    )]
    #[arg(value_parser = parse::first_token_timeout, help_heading = "Language model", hide_env_values = true)]
    pub first_token_timeout: Duration,

    /// Longest wait between two tokens, in seconds
    #[arg(
        long,
        env = "WORKER_TOKEN_TIMEOUT",
        value_name = "SECONDS",
        default_value = "60",
        global = true
    )]
    #[arg(value_parser = parse::token_timeout, help_heading = "Language model", hide_env_values = true)]
    pub token_timeout: Duration,

    /// Longest time for one whole answer, in seconds
    #[arg(
        long,
        env = "WORKER_ITEM_TIMEOUT",
        value_name = "SECONDS",
        default_value = "900",
        global = true
    )]
    #[arg(value_parser = parse::item_timeout, help_heading = "Language model", hide_env_values = true)]
    pub item_timeout: Duration,

    /// How often to look at the queue when no notification arrives, in milliseconds
    #[arg(
        long,
        env = "WORKER_POLL_INTERVAL_MS",
        value_name = "MS",
        default_value = "60000",
        global = true
    )]
    #[arg(value_parser = parse::poll_interval, help_heading = "Work", hide_env_values = true)]
    pub poll_interval_ms: Duration,

    /// How long a job stays ours without a sign of life, in seconds; renewed every third of it
    #[arg(
        long,
        env = "WORKER_LEASE_SECONDS",
        value_name = "SECONDS",
        default_value = "30",
        global = true
    )]
    #[arg(value_parser = parse::lease_seconds, help_heading = "Work", hide_env_values = true)]
    pub lease_seconds: i32,

    /// How many items to generate at once, over all jobs. Without it the number of slots that the
    /// model server reports, else what turns out best, from 1 to 4
    #[arg(long, env = "WORKER_MAX_IN_FLIGHT", value_name = "COUNT", global = true)]
    #[arg(value_parser = parse::max_in_flight, help_heading = "Work", hide_env_values = true)]
    pub max_in_flight: Option<usize>,

    /// When to work, by this machine's clock, such as 22:00-08:00 or 1-6,13-14:30; outside of it the
    /// GPU is left to its owner. Without it always
    #[arg(long, env = "WORKER_ACTIVE_HOURS", value_name = "SPANS", global = true)]
    #[arg(value_parser = parse::active_hours, help_heading = "Work", hide_env_values = true)]
    pub active_hours: Option<ActiveHours>,

    /// What to do while the model cannot be reached and a pool is empty
    #[arg(
        long,
        env = "WORKER_FALLBACK",
        value_name = "GENERATOR",
        default_value = "none",
        global = true
    )]
    #[arg(value_enum, help_heading = "Work", hide_env_values = true)]
    pub fallback: Fallback,

    /// On SIGTERM: how long to wait for items that are being written, in seconds
    #[arg(
        long,
        env = "WORKER_SHUTDOWN_SECONDS",
        value_name = "SECONDS",
        default_value = "20",
        global = true
    )]
    #[arg(value_parser = parse::shutdown_seconds, help_heading = "Work", hide_env_values = true)]
    pub shutdown_seconds: Duration,

    /// Port for /health and /metrics
    #[arg(
        long,
        env = "WORKER_PORT",
        value_name = "PORT",
        default_value = "3002",
        global = true
    )]
    #[arg(value_parser = parse::port, help_heading = "Health", hide_env_values = true)]
    pub port: u16,

    /// Address for /health and /metrics; 127.0.0.1 keeps them on this machine
    #[arg(
        long,
        env = "WORKER_BIND",
        value_name = "ADDRESS",
        default_value = "0.0.0.0",
        global = true
    )]
    #[arg(help_heading = "Health", hide_env_values = true)]
    pub bind: IpAddr,

    /// How log lines look
    #[arg(
        long,
        env = "WORKER_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text",
        global = true
    )]
    #[arg(value_enum, help_heading = "Logging", hide_env_values = true)]
    pub log_format: LogFormat,

    /// What to log: error, warn, info, debug, or a filter such as info,pg_worker_executor=debug
    #[arg(
        long,
        env = "WORKER_LOG",
        value_name = "FILTER",
        default_value = "info",
        global = true
    )]
    #[arg(help_heading = "Logging", hide_env_values = true)]
    pub log: String,
}

impl Options {
    pub fn target(&self) -> Result<Target, SettingsError> {
        let url = given(self.database_url.as_deref()).ok_or_else(|| SettingsError {
            field: "DATABASE_URL",
            given: "it is missing".into(),
            allowed: "postgres://user:password@host:5432/database, as a variable or with --database-url"
                .into(),
        })?;
        Target::parse(url)
    }

    pub fn endpoint(&self) -> Result<Option<Endpoint>, SettingsError> {
        let parsed = given(self.llm_endpoint.as_deref()).map(Endpoint::parse);
        Ok(parsed.transpose()?.map(|(endpoint, _)| endpoint))
    }

    /// The key of its own setting, or what stands before the `@` of the endpoint.
    pub fn authorization(&self) -> Result<Option<Authorization>, SettingsError> {
        let parsed = given(self.llm_endpoint.as_deref())
            .map(Endpoint::parse)
            .transpose()?;
        let in_url = parsed.and_then(|(_, authorization)| authorization);
        let Some(key) = given(self.llm_api_key.as_deref()) else {
            return Ok(in_url);
        };
        let secret = Secret::new(key);
        if key.chars().any(char::is_control) {
            return Err(SettingsError {
                field: "LOCAL_LLM_API_KEY",
                given: "it has a line break or another control character inside".into(),
                allowed: "one line of text".into(),
            });
        }
        if in_url.is_some() {
            return Err(SettingsError {
                field: "LOCAL_LLM_API_KEY",
                given: "it is set, and LOCAL_LLM_ENDPOINT has a key or a password before its @, too".into(),
                allowed: "one of the two".into(),
            });
        }
        Ok(Some(Authorization::Bearer(secret)))
    }

    pub fn model(&self) -> Option<String> {
        given(self.llm_model.as_deref()).map(ToOwned::to_owned)
    }
}

/// A setting left empty, as in `LOCAL_LLM_ENDPOINT=`, is not set; blanks around one are nobody's wish.
fn given(value: Option<&str>) -> Option<&str> {
    value.map(str::trim).filter(|value| !value.is_empty())
}
