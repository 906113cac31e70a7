//! What is stored, as far as the reference model speaks of it.

use std::collections::BTreeMap;
use uuid::Uuid;

/// A job's row. Times are moments; `lease_end` only while it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub job_type: String,
    pub status: String,
    pub priority: i32,
    pub key: Option<String>,
    pub asked: i32,
    pub stored: i32,
    pub attempts: i32,
    pub token: Option<Uuid>,
    pub run_at: i64,
    pub lease_end: Option<i64>,
    pub started: Option<i64>,
    pub completed: Option<i64>,
    pub rejected: i32,
    pub duplicates: i32,
    /// Made by a refill.
    pub refill: bool,
    /// The lowest level that its quests may have.
    pub low: i32,
}

/// A quest of the pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Quest {
    pub low: i32,
    pub used: bool,
    pub request: Option<String>,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub jobs: BTreeMap<Uuid, Job>,
    /// By job and number: the item and its title.
    pub ledger: BTreeMap<(Uuid, i32), (Uuid, String)>,
    pub pool: BTreeMap<Uuid, Quest>,
    /// Failures in a row, and when the pool is tried again.
    pub trouble: Option<(i32, i64)>,
}

impl Job {
    pub fn is(&self, status: &str) -> bool {
        self.status == status
    }

    pub fn is_on_the_way(&self) -> bool {
        self.is("pending") || self.is("running")
    }

    pub fn is_check(&self) -> bool {
        self.job_type == "check_all_pools"
    }
}

impl State {
    /// The first things in which two states differ, or nothing.
    pub fn difference(&self, real: &State) -> Option<String> {
        if self == real {
            return None;
        }
        let mut lines = Vec::new();
        compare("job", &self.jobs, &real.jobs, &mut lines);
        compare("ledger", &self.ledger, &real.ledger, &mut lines);
        compare("pool", &self.pool, &real.pool, &mut lines);
        if self.trouble != real.trouble {
            lines.push(format!(
                "trouble: model {:?}\n  real  {:?}",
                self.trouble, real.trouble
            ));
        }
        Some(lines.join("\n"))
    }
}

fn compare<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
    what: &str,
    model: &BTreeMap<K, V>,
    real: &BTreeMap<K, V>,
    lines: &mut Vec<String>,
) {
    let keys: std::collections::BTreeSet<&K> = model.keys().chain(real.keys()).collect();
    for key in keys {
        let (model, real) = (model.get(key), real.get(key));
        if model != real {
            lines.push(format!("{what} {key:?}\n  model {model:?}\n  real  {real:?}"));
        }
    }
}
