//! The places at the models: of each as many items are written at once as its limit says, and of all
//! together no more than the setting.
//!
//! A slot is held while the model writes and not a moment longer: checking and storing an answer goes
//! on beside the next item. Whoever wants to write again after a rejection waits like all others; the
//! most urgent of them is first.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::places::Places;
pub use super::places::{Bounds, Company};

/// Whose turn it is: by priority, then by age.
pub type Turn = (i32, u64);

/// Which model of the host; None: the usual one.
pub type Model = Option<String>;

#[derive(Debug)]
pub struct Slots {
    state: Mutex<State>,
    given_back: Notify,
}

#[derive(Debug)]
struct State {
    /// Over all models.
    most: usize,
    /// The name of the usual model, which a kind may name too.
    usual: Option<String>,
    models: HashMap<Model, Places>,
    turns: u64,
    waiting: BTreeMap<Turn, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    model: Model,
    tokens: usize,
    give: oneshot::Sender<Held>,
}

/// An item that is begun and will need a slot.
#[derive(Debug)]
pub struct Wish {
    slots: Arc<Slots>,
    model: Model,
    turn: Turn,
}

/// The right to let the model write one item. Given back when dropped.
#[derive(Debug)]
pub struct Slot {
    held: Held,
    _wish: Wish,
}

#[derive(Debug)]
struct Held {
    slots: Arc<Slots>,
    model: Model,
    number: u64,
}

impl Slots {
    pub fn new(most: usize) -> Arc<Self> {
        let state = State {
            most,
            usual: None,
            models: HashMap::new(),
            turns: 0,
            waiting: BTreeMap::new(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            given_back: Notify::new(),
        })
    }

    /// From now on. What is held beyond that is given back in its own time.
    pub fn set(self: &Arc<Self>, model: &Model, bounds: Bounds) {
        self.state().places(model).bounds = bounds;
        self.hand_out();
    }

    pub fn name_usual(&self, name: Option<String>) {
        self.state().usual = name;
    }

    /// The model that an item's kind names, if that is not the usual one.
    pub fn model(&self, named: Option<&str>) -> Model {
        let state = self.state();
        named
            .filter(|name| state.usual.as_deref() != Some(*name))
            .map(ToOwned::to_owned)
    }

    /// All models that were ever asked for.
    pub fn models(&self) -> Vec<Model> {
        self.state().models.keys().cloned().collect()
    }

    pub fn is_paused(&self, model: &Model) -> bool {
        self.state().places(model).bounds.paused
    }

    /// Slots of this model that nobody holds or wants.
    pub fn free(&self, model: &Model) -> usize {
        let mut state = self.state();
        let wanted: usize = state.models.values().map(|places| places.wanted).sum();
        let left = state.most.saturating_sub(wanted);
        let places = state.places(model);
        places.bounds.open.saturating_sub(places.wanted).min(left)
    }

    pub fn held(&self) -> usize {
        self.state().held()
    }

    pub fn held_of(&self, model: &Model) -> usize {
        self.state().places(model).held()
    }

    /// Somebody wants one less than before.
    pub async fn given_back(&self) {
        self.given_back.notified().await;
    }

    pub fn wish(self: &Arc<Self>, model: Model, priority: i32) -> Wish {
        let mut state = self.state();
        state.turns += 1;
        let turn = (priority, state.turns);
        drop(state);
        Wish::again(self, model, turn)
    }

    fn hand_out(self: &Arc<Self>) {
        loop {
            let mut state = self.state();
            let Some(next) = state.next() else { return };
            let Some(first) = state.waiting.remove(&next) else {
                return;
            };
            state.turns += 1;
            let number = state.turns;
            state.places(&first.model).hold(number, first.tokens);
            drop(state);
            let held = Held {
                slots: Arc::clone(self),
                model: first.model,
                number,
            };
            // To somebody who went away it comes straight back.
            let _ = first.give.send(held);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn places(&mut self, model: &Model) -> &mut Places {
        self.models.entry(model.clone()).or_default()
    }

    fn held(&self) -> usize {
        self.models.values().map(Places::held).sum()
    }

    /// The first that can have a slot. Nobody is passed by one who wants the same model.
    fn next(&self) -> Option<Turn> {
        if self.held() >= self.most {
            return None;
        }
        let mut passed = HashSet::new();
        for (turn, wanted) in &self.waiting {
            let fits = |places: &Places| places.fit(wanted.tokens);
            if !passed.contains(&wanted.model) && self.models.get(&wanted.model).is_some_and(fits) {
                return Some(*turn);
            }
            passed.insert(&wanted.model);
        }
        None
    }
}

impl Wish {
    /// Waits for its turn. `tokens`: what its prompt and its answer take of a context, at most.
    pub async fn slot(self, tokens: usize) -> Slot {
        let (give, get) = oneshot::channel();
        let waiting = Waiting {
            model: self.model.clone(),
            tokens,
            give,
        };
        self.slots.state().waiting.insert(self.turn, waiting);
        self.slots.hand_out();
        let held = get.await.expect("whoever waits is kept until it is their turn");
        Slot { held, _wish: self }
    }

    /// The same item's wish for another slot.
    pub fn again(slots: &Arc<Slots>, model: Model, turn: Turn) -> Self {
        slots.state().places(&model).wanted += 1;
        Self {
            slots: Arc::clone(slots),
            model,
            turn,
        }
    }

    /// It is another model that will be asked.
    pub fn of(self, model: &Model) -> Self {
        if self.model == *model {
            self
        } else {
            Self::again(&self.slots, model.clone(), self.turn)
        }
    }

    pub fn turn(&self) -> Turn {
        self.turn
    }
}

impl Slot {
    pub fn give_back(self) -> Company {
        let mut state = self.held.slots.state();
        state.places(&self.held.model).company(self.held.number)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.slots.state().places(&self.model).give_back(self.number);
        self.slots.hand_out();
    }
}

impl Drop for Wish {
    fn drop(&mut self) {
        self.slots.state().places(&self.model).wanted -= 1;
        self.slots.given_back.notify_one();
    }
}

#[cfg(test)]
#[path = "slots_tests.rs"]
mod tests;
