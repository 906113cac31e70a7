//! One binary for all integration tests: it links once, and its tests share their clusters.
#![expect(
    clippy::unwrap_used,
    reason = "a step of a test may panic, too, and not only the test itself"
)]

mod adoption;
mod background;
mod backup;
mod bench;
mod chaos;
mod circles;
mod claims;
mod deeds;
mod executor;
mod failover;
mod guide;
mod harness;
mod hostile;
mod install;
mod jobs;
mod json_schema;
mod kinds;
mod languages;
mod llama;
mod locales;
mod longlife;
mod model;
mod network;
mod pairs;
mod pg_upgrade;
mod plans;
mod poolers;
mod queue;
mod races;
mod refusals;
mod rights;
mod scripts;
mod squatter;
mod steps;
mod stock;
mod storm;
mod supabase;
mod timing;
mod upgrade;
mod work;
