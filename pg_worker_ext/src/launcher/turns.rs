//! Whose turn it is: pure arithmetic over the databases that want a background worker.
//!
//! At most so many workers run at a time. Who has waited longest is first; a worker that has had its time
//! makes room when others wait.

use super::moment::Moment;
use std::time::Duration;

/// A worker may go on for so long while other databases wait.
pub const TURN: Duration = Duration::from_secs(2);

/// How a database stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Its worker runs, or is being started, since then.
    Running(Moment),
    /// It wants a worker since then.
    Waiting(Moment),
    /// It will want one at this moment.
    Resting(Moment),
}

/// What the launcher is to do.
#[derive(PartialEq, Eq, Debug)]
pub struct Turns<K> {
    pub start: Vec<K>,
    /// Whose worker is to make room.
    pub make_room: Option<K>,
    /// When to look again, if nothing happens before.
    pub again_at: Moment,
}

/// Deals out `places` workers.
pub fn deal<K: Copy>(databases: &[(K, Standing)], places: usize, now: Moment) -> Turns<K> {
    let mut running = Vec::new();
    let mut waiting = Vec::new();
    let mut again_at = Moment::NEVER;
    for (database, standing) in databases {
        match standing {
            Standing::Running(since) => running.push((*since, *database)),
            Standing::Waiting(since) => waiting.push((*since, *database)),
            Standing::Resting(until) => again_at = again_at.min(*until),
        }
    }
    waiting.sort_by_key(|(since, _)| *since);
    let free = places.saturating_sub(running.len()).min(waiting.len());
    let start = waiting[..free].iter().map(|(_, database)| *database).collect();
    let mut make_room = None;
    if free < waiting.len()
        && let Some((since, longest)) = running.iter().min_by_key(|(since, _)| *since)
    {
        if *since + TURN <= now {
            make_room = Some(*longest);
            again_at = again_at.min(now + TURN);
        } else {
            again_at = again_at.min(*since + TURN);
        }
    } else if free < waiting.len() {
        // All places are taken by those that are being started now.
        again_at = again_at.min(now + TURN);
    }
    Turns {
        start,
        make_room,
        again_at,
    }
}
