//! The item numbers of one job that are being written. The database hands a number out to whoever
//! asks and is told which ones are taken, so two slots of one job must ask one after the other.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Debug, Default)]
pub struct Numbers {
    /// Held from asking for a number until it is noted as taken.
    pub gate: tokio::sync::Mutex<()>,
    taken: Mutex<BTreeSet<i32>>,
}

/// A number in use; given back when dropped, however the work on it ended.
#[derive(Debug)]
pub struct Number {
    pub item_no: i32,
    numbers: Arc<Numbers>,
}

impl Numbers {
    pub fn taken(&self) -> Vec<i32> {
        self.taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .copied()
            .collect()
    }

    pub fn take(self: &Arc<Self>, item_no: i32) -> Number {
        self.taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(item_no);
        Number {
            item_no,
            numbers: Arc::clone(self),
        }
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        self.numbers
            .taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.item_no);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_back_when_its_work_ends() {
        let numbers = Arc::new(Numbers::default());
        let first = numbers.take(1);
        let second = numbers.take(2);
        assert_eq!(numbers.taken(), [1, 2]);
        drop(first);
        assert_eq!(numbers.taken(), [2]);
        assert_eq!(second.item_no, 2);
    }
}
