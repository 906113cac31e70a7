//! Waiting for something to become true, with a bound, instead of sleeping for a guessed time.

use std::time::{Duration, Instant};

/// Long enough for a busy two-core machine, short enough to notice that it will never happen.
pub const BOUND: Duration = Duration::from_secs(30);

/// Asks again and again until `condition` gives a value. Panics, naming `what`, after `bound`.
#[track_caller]
pub fn wait_for<T>(what: &str, bound: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + bound;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < end, "not within {bound:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// [`wait_for`] with a plain condition.
#[track_caller]
pub fn wait_until(what: &str, bound: Duration, mut condition: impl FnMut() -> bool) {
    wait_for(what, bound, || condition().then_some(()));
}
