//! Claims: random, atomic, never the same item twice, never empty-handed while a fitting item is
//! there. What is true of one pool must be true of each; `pools` says how they differ.

mod direct;
mod fair;
mod filter;
mod pools;
mod race;
mod request;
mod waiting;
mod wanted;

pub use pools::POOLS;
