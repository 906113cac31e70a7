//! What the integration tests stand on: private PostgreSQL clusters, fresh databases, the real
//! executor as a child process and a scripted model server.
//!
//! A test usually begins with [`Database::quiet`] (no background worker: nothing happens unless
//! the test does it) or [`Database::live`] (with the background worker). Whatever is started ends
//! with the test process, also when that is killed: see [`guardian`].

pub mod account;
pub mod backup;
pub mod bench;
mod both;
pub mod chaos;
pub mod cluster;
pub mod database;
pub mod dice;
pub mod executor;
pub mod guardian;
pub mod http;
pub mod install;
pub mod invariants;
pub mod llama;
pub mod pairs;
pub mod paths;
pub mod pgbouncer;
pub mod proxy;
pub mod psql;
pub mod session;
pub mod stub_llm;
pub mod time;
pub mod wait;

pub use cluster::Cluster;
pub use database::Database;
pub use executor::Executor;
pub use llama::LlamaServer;
pub use pgbouncer::{PgBouncer, PoolMode};
pub use proxy::{Proxy, Trap};
pub use session::{Refusal, Session};
pub use stub_llm::{Reply, StubLlm};
pub use wait::{BOUND, wait_until};
