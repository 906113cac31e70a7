//! The places at the model: as many items are written at once as the budget says.
//!
//! A slot is held while the model writes and not a moment longer: checking and storing an answer goes
//! on beside the next item. Whoever wants to write again after a rejection waits like all others; the
//! most urgent of them is first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

/// Whose turn it is: by priority, then by age.
pub type Turn = (i32, u64);

#[derive(Debug)]
pub struct Slots {
    state: Mutex<State>,
    given_back: Notify,
}

#[derive(Debug, Default)]
struct State {
    open: usize,
    /// Held, or wanted by an item that is begun.
    wanted: usize,
    held: usize,
    wishes: u64,
    waiting: BTreeMap<Turn, oneshot::Sender<Held>>,
}

/// An item that is begun and will need a slot.
#[derive(Debug)]
pub struct Wish {
    slots: Arc<Slots>,
    turn: Turn,
}

/// The right to let the model write one item. Given back when dropped.
#[derive(Debug)]
pub struct Slot {
    held: Held,
    _wish: Wish,
}

#[derive(Debug)]
struct Held(Arc<Slots>);

impl Slots {
    pub fn new(open: usize) -> Arc<Self> {
        let state = State {
            open,
            ..State::default()
        };
        Arc::new(Self {
            state: Mutex::new(state),
            given_back: Notify::new(),
        })
    }

    /// So many from now on. What is held beyond that is given back in its own time.
    pub fn open(self: &Arc<Self>, open: usize) {
        self.state().open = open;
        self.hand_out();
    }

    /// Slots that nobody holds or wants.
    pub fn free(&self) -> usize {
        let state = self.state();
        state.open.saturating_sub(state.wanted)
    }

    pub fn held(&self) -> usize {
        self.state().held
    }

    /// Somebody wants one less than before.
    pub async fn given_back(&self) {
        self.given_back.notified().await;
    }

    pub fn wish(self: &Arc<Self>, priority: i32) -> Wish {
        let mut state = self.state();
        state.wanted += 1;
        state.wishes += 1;
        Wish {
            slots: Arc::clone(self),
            turn: (priority, state.wishes),
        }
    }

    fn hand_out(self: &Arc<Self>) {
        loop {
            let mut state = self.state();
            if state.held >= state.open {
                return;
            }
            let Some((_, first)) = state.waiting.pop_first() else {
                return;
            };
            state.held += 1;
            drop(state);
            // To somebody who went away it comes straight back.
            let _ = first.send(Held(Arc::clone(self)));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wish {
    /// Waits for its turn.
    pub async fn slot(self) -> Slot {
        let (give, get) = oneshot::channel();
        self.slots.state().waiting.insert(self.turn, give);
        self.slots.hand_out();
        let held = get.await.expect("whoever waits is kept until it is their turn");
        Slot { held, _wish: self }
    }

    /// The same item's wish for another slot.
    pub fn again(slots: &Arc<Slots>, turn: Turn) -> Self {
        slots.state().wanted += 1;
        Self {
            slots: Arc::clone(slots),
            turn,
        }
    }

    pub fn turn(&self) -> Turn {
        self.turn
    }
}

impl Slot {
    /// How many were held at that moment, this one included.
    pub fn give_back(self) -> usize {
        self.held.0.held()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.state().held -= 1;
        self.0.hand_out();
    }
}

impl Drop for Wish {
    fn drop(&mut self) {
        self.slots.state().wanted -= 1;
        self.slots.given_back.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::task::JoinHandle;
    use tokio::time::{Duration, sleep};

    fn wait(slots: &Arc<Slots>, priority: i32) -> JoinHandle<Slot> {
        tokio::spawn(slots.wish(priority).slot())
    }

    /// Lets everybody else come to rest: the clock of these tests stands until then.
    async fn rest() {
        sleep(Duration::from_millis(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_most_urgent_is_first_and_then_the_oldest() {
        let slots = Slots::new(1);
        let first = wait(&slots, 5);
        rest().await;
        let (old, young, urgent) = (wait(&slots, 5), wait(&slots, 5), wait(&slots, 1));
        rest().await;
        drop(first.await.unwrap());
        let urgent = urgent.await.unwrap();
        rest().await;
        assert!(!old.is_finished() && !young.is_finished());
        drop(urgent);
        let old = old.await.unwrap();
        assert!(!young.is_finished());
        assert_eq!((old.give_back(), slots.free()), (1, 0));
        drop(young.await.unwrap());
        assert_eq!((slots.held(), slots.free()), (0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_goes_away_leaves_nothing_behind() {
        let slots = Slots::new(1);
        let (held, gone) = (wait(&slots, 5), wait(&slots, 5));
        rest().await;
        gone.abort();
        let next = wait(&slots, 5);
        rest().await;
        held.abort();
        drop(held.await);
        drop(next.await.unwrap());
        assert_eq!((slots.held(), slots.free()), (0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn fewer_are_handed_out_after_the_budget_shrank() {
        let slots = Slots::new(2);
        let (one, two, three) = (wait(&slots, 5), wait(&slots, 5), wait(&slots, 5));
        rest().await;
        slots.open(1);
        drop(one.await.unwrap());
        rest().await;
        assert!(!three.is_finished());
        drop(two.await.unwrap());
        drop(three.await.unwrap());
        assert_eq!(slots.free(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wish_counts_until_its_answer_is_there() {
        let slots = Slots::new(2);
        let wish = slots.wish(5);
        assert_eq!(slots.free(), 1);
        let turn = wish.turn();
        let slot = wish.slot().await;
        assert_eq!((slots.free(), slots.held()), (1, 1));
        drop(slot);
        slots.given_back().await;
        assert_eq!(slots.free(), 2);
        let _again = Wish::again(&slots, turn);
        assert_eq!(slots.free(), 1);
    }
}
