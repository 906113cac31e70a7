//! The life of a job at the executor's door: lease, fence, items, ends, rescue, ticks and refills.
//! Each promise is kept by both installations.

mod accept;
mod ends;
mod enqueue;
mod facets;
mod fence;
mod items;
mod lease;
mod low_water;
mod parked;
mod parts;
mod presence;
mod refill;
mod rescue;
mod tick;
