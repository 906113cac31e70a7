//! Claim, lease, refill and tick on a million rows: by index, and with a bounded number of buffers,
//! also when nothing fits. Measured by counters, never by time.

pub mod big;
mod claims;
mod queue;
