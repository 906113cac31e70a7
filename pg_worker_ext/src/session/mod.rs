//! What an ordinary session tells the background worker.
//!
//! - [`wake`]: something happened in its transaction, once that has committed;
//! - [`presence`]: it stands for an executor, whose jobs are looked at when it ends.

pub mod presence;
pub mod wake;
