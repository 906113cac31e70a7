//! What the door's functions answer, as types. An outcome that this version does not know is an
//! error of its own and never taken for success.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

use super::DoorError;

/// What any PostgreSQL says of itself, with or without schema `worker`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Behind a pooler another name than the one in the URL.
    pub role: String,
    pub version: String,
    pub read_only: bool,
    pub now: DateTime<Utc>,
}

/// `worker.about()`.
#[derive(Clone, Debug, Deserialize)]
pub struct About {
    pub version: Option<String>,
    pub schema_version: Option<String>,
    #[serde(default)]
    pub preloaded: bool,
    #[serde(default)]
    pub background_worker: bool,
    /// Whether a background worker is at work in this database just now.
    #[serde(default)]
    pub awake: bool,
    /// When the next one looks, if nothing happens before.
    #[serde(default)]
    pub next_look: Option<DateTime<Utc>>,
    /// None where the native library is not installed.
    pub library_version: Option<String>,
    pub ready_problem: Option<String>,
}

/// A job that is ours for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    pub job_id: Uuid,
    pub token: Uuid,
    pub job_type: String,
    pub priority: i32,
    pub asked: i32,
    pub stored: i32,
    pub attempt: i32,
    pub max_attempts: i32,
}

/// Everything that is needed to make one item.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    pub item_no: i32,
    pub messages: Vec<Message>,
    pub schema: Value,
    pub sampling: Value,
    pub model: Option<String>,
    pub seed: i64,
    pub facets: Value,
    pub prompt_version: Option<String>,
    pub grammar: Value,
    pub context: Value,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub role: String,
    pub content: String,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    Item(Box<Order>),
    /// Everything is stored or on its way.
    Nothing,
    Gone(Gone),
}

/// Why a job is no longer ours. Whatever is being made for it is of no use any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gone {
    Cancelled,
    LeaseLost,
    Failed(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    Yes { stored: i32, asked: i32 },
    Duplicate(String),
    Rejected(String),
    Gone(Gone),
}

/// How a job ended for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As asked: completed, failed or released, now or by an earlier call with the same token.
    Done,
    RetryLater(String),
    Incomplete(String),
    Gone(Gone),
}

#[derive(Clone, Debug, PartialEq)]
pub struct PoolLevel {
    pub kind: String,
    pub scope: Option<String>,
    pub available: i64,
    pub min_size: i32,
    pub on_the_way: i64,
    pub level: String,
    pub last_failure: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct QueueLevel {
    pub job_type: String,
    pub status: String,
    pub jobs: i64,
    pub oldest_seconds: Option<f64>,
}

/// How long a batch of a kind takes, and what the guide says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchEstimate {
    pub kind: String,
    pub items: i32,
    pub seconds: Option<f64>,
    pub guide_seconds: Option<String>,
}

impl BatchEstimate {
    pub fn from_row(row: &Row) -> Result<Self, DoorError> {
        Ok(Self {
            kind: column(row, "kind")?,
            items: column(row, "items")?,
            seconds: column(row, "seconds")?,
            guide_seconds: column(row, "guide_seconds")?,
        })
    }
}

/// One column by name; a missing or differently typed one means another version of the contract.
pub fn column<'a, T: FromSql<'a>>(row: &'a Row, name: &str) -> Result<T, DoorError> {
    row.try_get(name)
        .map_err(|error| DoorError::Shape(format!("column {name}: {error}")))
}

fn gone(outcome: &str, reason: Option<String>) -> Option<Gone> {
    match outcome {
        "cancelled" => Some(Gone::Cancelled),
        "lease lost" => Some(Gone::LeaseLost),
        "failed" => Some(Gone::Failed(reason.unwrap_or_default())),
        _ => None,
    }
}

fn unknown(outcome: &str) -> DoorError {
    DoorError::Shape(format!("outcome \"{outcome}\""))
}

impl Server {
    pub fn from_row(row: &Row) -> Result<Self, DoorError> {
        Ok(Self {
            role: column(row, "role")?,
            version: column(row, "version")?,
            read_only: column(row, "read_only")?,
            now: column(row, "now")?,
        })
    }
}

impl Lease {
    pub fn from_row(row: &Row) -> Result<Self, DoorError> {
        Ok(Self {
            job_id: column(row, "job_id")?,
            token: column(row, "lease_token")?,
            job_type: column(row, "job_type")?,
            priority: column(row, "priority")?,
            asked: column::<Option<i32>>(row, "asked")?.unwrap_or(1),
            stored: column::<Option<i32>>(row, "stored")?.unwrap_or(0),
            attempt: column(row, "attempt")?,
            max_attempts: column(row, "max_attempts")?,
        })
    }
}

impl Next {
    pub fn from_row(row: &Row) -> Result<Self, DoorError> {
        let outcome: String = column(row, "outcome")?;
        match outcome.as_str() {
            "item" => Ok(Self::Item(Box::new(Order::from_row(
                row,
                column(row, "item_no")?,
            )?))),
            "none" => Ok(Self::Nothing),
            other => gone(other, column(row, "reason")?)
                .map(Self::Gone)
                .ok_or_else(|| unknown(other)),
        }
    }
}

impl Order {
    pub fn from_row(row: &Row, item_no: i32) -> Result<Self, DoorError> {
        let messages: Value = column(row, "messages")?;
        let messages = serde_json::from_value(messages)
            .map_err(|error| DoorError::Shape(format!("column messages: {error}")))?;
        let json = |name| column::<Option<Value>>(row, name).map(Option::unwrap_or_default);
        Ok(Self {
            item_no,
            messages,
            schema: json("item_schema")?,
            sampling: json("sampling")?,
            model: column(row, "model")?,
            seed: column::<Option<i64>>(row, "seed")?.unwrap_or_default(),
            facets: json("facets")?,
            prompt_version: column(row, "prompt_version")?,
            grammar: json("grammar")?,
            context: json("context")?,
        })
    }
}

impl Stored {
    pub fn from_row(row: &Row) -> Result<Self, DoorError> {
        let outcome: String = column(row, "outcome")?;
        let reason = || column::<Option<String>>(row, "reason").map(Option::unwrap_or_default);
        match outcome.as_str() {
            "stored" => Ok(Self::Yes {
                stored: column(row, "stored")?,
                asked: column(row, "asked")?,
            }),
            "duplicate" => Ok(Self::Duplicate(reason()?)),
            "rejected" => Ok(Self::Rejected(reason()?)),
            other => gone(other, Some(reason()?))
                .map(Self::Gone)
                .ok_or_else(|| unknown(other)),
        }
    }
}

impl Ended {
    pub fn from_row(row: &Row) -> Result<Self, DoorError> {
        let outcome: String = column(row, "outcome")?;
        let reason = column::<Option<String>>(row, "reason")?.unwrap_or_default();
        match outcome.as_str() {
            "completed" | "released" | "failed" | "already done" => Ok(Self::Done),
            "retry later" => Ok(Self::RetryLater(reason)),
            "incomplete" => Ok(Self::Incomplete(reason)),
            other => gone(other, Some(reason))
                .map(Self::Gone)
                .ok_or_else(|| unknown(other)),
        }
    }
}

/// What a beat or a rejection says about the job: still ours, or gone.
pub fn still_ours(outcome: &str) -> Result<Option<Gone>, DoorError> {
    match outcome {
        "ok" | "counted" => Ok(None),
        other => gone(other, None).map(Some).ok_or_else(|| unknown(other)),
    }
}

impl PoolLevel {
    pub fn from_row(row: &Row) -> Result<Self, DoorError> {
        Ok(Self {
            kind: column(row, "kind")?,
            scope: column(row, "scope")?,
            available: column(row, "available")?,
            min_size: column(row, "min_size")?,
            on_the_way: column(row, "on_the_way")?,
            level: column(row, "level")?,
            last_failure: column(row, "last_failure")?,
        })
    }
}

impl QueueLevel {
    pub fn from_row(row: &Row) -> Result<Self, DoorError> {
        Ok(Self {
            job_type: column(row, "job_type")?,
            status: column(row, "status")?,
            jobs: column(row, "jobs")?,
            oldest_seconds: column(row, "oldest_seconds")?,
        })
    }
}
