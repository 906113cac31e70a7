//! The executor's door: the only way into the database. One named function per verb of schema
//! `worker`; nothing else in this program holds SQL that changes anything.
//!
//! Every verb may be repeated when its answer was lost: the lease token and the item's number make
//! the second call say what the first one did.

pub mod advice;
mod connection;
mod encryption;
mod ends;
mod error;
mod pool;
mod rows;
mod shown;
mod verbs;

use std::sync::Arc;
use std::time::Duration;

pub use connection::Connection;
pub use error::{Away, DoorError, Refusal};
pub use pool::{Parameter, Pool};
pub use rows::{
    About, BatchEstimate, Ended, Gone, Lease, Message, Next, Order, PoolLevel, QueueLevel, Server, Stored,
};
pub use shown::KindLevel;
pub use verbs::ItemId;

use crate::settings::Target;

/// The version of the contract between the SQL and the executor that this program speaks.
pub const CONTRACT_VERSION: i32 = 1;

/// Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub struct Door {
    pool: Arc<Pool>,
}

impl Door {
    pub fn new(target: Target, bound: Duration) -> Result<Self, DoorError> {
        Ok(Self {
            pool: Arc::new(Pool::new(target, bound)?),
        })
    }

    pub fn pool(&self) -> &Pool {
        &self.pool
    }
}
