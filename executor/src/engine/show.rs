//! How things stand: for /health, /metrics, and the executor's row in the database.

use serde_json::{Value, json};

use super::Engine;
use crate::listen::{Ear, Listener};
use crate::settings::ActiveHours;

impl Engine {
    /// Shows in the vitals how things stand.
    pub(super) fn show(&self) {
        let vitals = &self.tools.vitals;
        vitals.turned();
        let usual = self.models.usual();
        let trouble = usual.breaker.trouble().map(ToString::to_string);
        let builtin = vitals.generator() == "builtin";
        vitals.update(|facts| {
            facts.reason = match () {
                () if !self.queue.is_reachable() => facts.last_error.clone(),
                () if !self.is_awake() => Some(self.rest_reason()),
                () => trouble,
            };
            facts.state = match () {
                () if self.stop.borrow().is_some() => "stopping",
                () if !self.queue.is_reachable() || facts.reason.is_some() => "paused",
                () if !self.book.is_empty() => "working",
                () => "idle",
            };
            facts.llm = match usual.breaker.is_closed() {
                _ if builtin => "none",
                // It is not asked now, so nobody knows.
                _ if !self.is_awake() => "unknown",
                true => "up",
                false => "down",
            };
            facts.breaker = usual.breaker.state();
            facts.jobs = self.book.len();
            facts.in_flight = self.slots.held();
            facts.budget = usual.budget.now();
            facts.listening = self.listener.as_ref().map(Listener::ear) == Some(Ear::Hears);
        });
    }

    pub(super) fn rest_reason(&self) -> String {
        let hours = self.plan.hours.as_ref().map_or("none", ActiveHours::label);
        format!("outside of WORKER_ACTIVE_HOURS ({hours})")
    }

    /// What the database is told about us: as things stand now, not as they stood a turn ago.
    pub(super) fn info(&self) -> Value {
        self.show();
        let facts = self.tools.vitals.facts();
        json!({
            "host": host_name(),
            "pid": std::process::id(),
            "version": env!("CARGO_PKG_VERSION"),
            "generator": self.tools.generator.name(),
            "model": facts.model,
            "state": facts.state,
            "reason": facts.reason.map(|reason| reason.chars().take(1000).collect::<String>()),
            "jobs": facts.jobs,
            "in_flight": facts.in_flight,
            "budget": facts.budget,
            "listening": facts.listening,
        })
    }
}

fn host_name() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname");
    kernel
        .map(|name| name.trim().to_owned())
        .unwrap_or_else(|_| "unknown".into())
}
