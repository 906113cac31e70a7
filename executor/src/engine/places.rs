//! The places at one model: what may be asked of it, and what is in flight there.

use std::collections::HashMap;

/// What one model may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub open: usize,
    /// For prompts and answers of all that is in flight together, where these share one context.
    pub tokens: Option<usize>,
    /// Nothing is asked of it now.
    pub paused: bool,
}

#[derive(Debug)]
pub struct Places {
    pub bounds: Bounds,
    /// Held, or wanted by an item that is begun.
    pub wanted: usize,
    held: HashMap<u64, Use>,
}

#[derive(Debug)]
struct Use {
    tokens: usize,
    peak: usize,
}

/// How many slots of its model were held together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Company {
    /// When this one was given back, itself included.
    pub at_the_end: usize,
    /// At any time while it was held.
    pub peak: usize,
}

impl Default for Places {
    fn default() -> Self {
        // A model that is new is tried with one.
        let bounds = Bounds {
            open: 1,
            tokens: None,
            paused: false,
        };
        Self {
            bounds,
            wanted: 0,
            held: HashMap::new(),
        }
    }
}

impl Places {
    pub fn fit(&self, tokens: usize) -> bool {
        let used: usize = self.held.values().map(|used| used.tokens).sum();
        // One alone is always let through: whether it fits is the server's to say.
        let room = self
            .bounds
            .tokens
            .is_none_or(|most| used.saturating_add(tokens) <= most);
        self.held.len() < self.bounds.open && (self.held.is_empty() || room)
    }
}

impl Places {
    pub fn hold(&mut self, number: u64, tokens: usize) {
        self.held.insert(number, Use { tokens, peak: 0 });
        let together = self.held.len();
        self.held
            .values_mut()
            .for_each(|used| used.peak = used.peak.max(together));
    }

    pub fn held(&self) -> usize {
        self.held.len()
    }

    pub fn company(&self, number: u64) -> Company {
        let at_the_end = self.held.len();
        let peak = self.held.get(&number).map_or(at_the_end, |used| used.peak);
        Company { at_the_end, peak }
    }

    pub fn give_back(&mut self, number: u64) {
        self.held.remove(&number);
    }
}
