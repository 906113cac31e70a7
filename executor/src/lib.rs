//! The program next to the GPU: leases jobs, has a model write their items, checks and stores them.
//!
//! From the outside in: `cli` → `commands` → `engine` (which job gets the next free slot) →
//! `generator` (who writes) and `door` (the database). It knows no quest from no dungeon: what to
//! write and what is allowed comes from the database with every item.

mod breaker;
pub mod cli;
mod commands;
mod door;
mod engine;
mod extract;
mod generator;
mod listen;
mod logging;
mod metrics;
mod redact;
mod rejection;
mod retry;
mod schema;
mod serve;
mod settings;
mod tls;
mod vitals;
