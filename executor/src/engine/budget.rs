//! How many items are written at once.
//!
//! A setting decides, else the slots that the server tells, else it is found: from one upwards while
//! more in flight gives more per second, never above [`UNTOLD`], because a server that does not say
//! what it can take may die of more (LM Studio, when its shared cache overflows); only those that are
//! made for many are tried with more. A server that is too busy halves it, and a full context does so
//! whatever the setting says. Pure arithmetic; time is passed in.

use std::time::Duration;

use tokio::time::Instant;

use crate::generator::Cause;

/// The most that is tried where neither a setting nor the server says how many.
pub const UNTOLD: usize = 4;
/// One more in flight must give so much more per second to be kept.
const WORTH_IT: f64 = 1.08;
/// Full windows after which a refused step up is tried again.
const PATIENCE: u32 = 20;

#[derive(Debug)]
pub struct Budget {
    limit: usize,
    now: usize,
    /// Nothing is to be found out.
    fixed: bool,
    /// What the server said last.
    told: Option<usize>,
    window: Window,
    /// The budget and the rate of the last full window.
    last: Option<(usize, f64)>,
    hold: u32,
}

/// Items that were written one after the other while every slot was in use.
#[derive(Debug, Default)]
struct Window {
    since: Option<Instant>,
    items: usize,
    work: f64,
}

impl Budget {
    pub fn new(setting: Option<usize>) -> Self {
        let (now, fixed) = (setting.unwrap_or(1), setting.is_some());
        Self {
            limit: setting.unwrap_or(UNTOLD),
            now,
            fixed,
            told: None,
            window: Window::default(),
            last: None,
            hold: 0,
        }
    }

    pub fn now(&self) -> usize {
        self.now
    }

    /// The server says how many requests it works on at once.
    pub fn told(&mut self, slots: Option<usize>, most: Option<usize>) {
        if self.fixed {
            return;
        }
        if self.told.is_none() {
            self.limit = most.unwrap_or(UNTOLD);
            self.now = self.now.min(self.limit);
        }
        // The same word again is no news: what was found to be too much since stays so.
        if let Some(slots) = slots.filter(|slots| self.told != Some(*slots)) {
            (self.limit, self.now, self.told) = (slots, slots, Some(slots));
            (self.last, self.window) = (None, Window::default());
        }
    }

    /// Several may be written at once without any loss: there is no model that they share.
    pub fn free_of_charge(&mut self) {
        if !self.fixed {
            (self.limit, self.now, self.fixed) = (UNTOLD, UNTOLD, true);
        }
    }

    /// An item was written; `work` is its tokens, `busy` how many were in flight until then.
    pub fn wrote(&mut self, now: Instant, work: f64, busy: usize) {
        if self.fixed && self.now == self.limit || self.limit == 1 {
            return;
        }
        if busy < self.now {
            self.window = Window::default();
            return;
        }
        let Some(since) = self.window.since else {
            // The first one only starts the clock: when it began is not known.
            self.window.since = Some(now);
            return;
        };
        self.window.items += 1;
        self.window.work += work;
        if self.window.items >= 2 * self.now + 2 {
            let rate = self.window.work / (now - since).max(Duration::from_millis(1)).as_secs_f64();
            self.decide(rate);
            self.window = Window::default();
        }
    }

    fn decide(&mut self, rate: f64) {
        let previous = self.last.replace((self.now, rate));
        match previous {
            Some((budget, before)) if !self.fixed && self.now > budget && rate < before * WORTH_IT => {
                self.now = budget;
                self.last = Some((budget, before));
                self.hold = PATIENCE;
            }
            _ if self.hold > 0 => self.hold -= 1,
            // By half where there are many: one more of them would not be felt.
            _ => self.now = (self.now + (self.now / 2).max(1)).min(self.limit),
        }
    }

    /// The host failed. Where it has more to do than it takes on, it is asked for less; where it says how many
    /// it takes, only that word counts, for a proxy that breaks connections says nothing about load.
    pub fn failed(&mut self, cause: Cause) {
        let load = match cause {
            Cause::Busy => true,
            Cause::Silent | Cause::Broken | Cause::Other => self.told.is_none(),
            Cause::Unreachable
            | Cause::Loading
            | Cause::Key
            | Cause::NotFound
            | Cause::NoModel
            | Cause::Elsewhere => false,
        };
        if load && !self.fixed {
            self.shrink(self.now);
        }
    }

    /// So many together were more than the context holds: half of them from now on.
    pub fn overflowed(&mut self, together: usize) {
        self.shrink(together);
    }

    /// To half of `from`, once, however many of them fail.
    fn shrink(&mut self, from: usize) {
        self.now = self.now.min((from / 2).max(1));
        self.hold = PATIENCE;
        (self.last, self.window) = (None, Window::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets a server of so many slots write `items` of 100 tokens; a slot writes one in a second.
    fn work(budget: &mut Budget, clock: &mut Instant, slots: usize, items: usize) {
        for _ in 0..items {
            let busy = budget.now();
            *clock += Duration::from_secs_f64(1.0 / busy.min(slots) as f64);
            budget.wrote(*clock, 100.0, busy);
        }
    }

    #[test]
    fn it_grows_to_what_the_server_can_do_and_no_further() {
        for (slots, found) in [(1, 1), (2, 2), (3, 3), (4, 4), (64, UNTOLD)] {
            let (mut budget, mut clock) = (Budget::new(None), Instant::now());
            work(&mut budget, &mut clock, slots, 100);
            assert_eq!(budget.now(), found, "{slots} slots");
        }
    }

    #[test]
    fn a_setting_and_the_servers_word_are_obeyed() {
        let (mut budget, mut clock) = (Budget::new(Some(7)), Instant::now());
        budget.told(Some(2), None);
        work(&mut budget, &mut clock, 1, 50);
        budget.failed(Cause::Busy);
        assert_eq!(budget.now(), 7);
        let mut budget = Budget::new(None);
        budget.told(Some(UNTOLD), None);
        assert_eq!(
            budget.now(),
            UNTOLD,
            "also where it is what would be tried anyway"
        );
        budget.told(Some(8), None);
        assert_eq!(budget.now(), 8);
        work(&mut budget, &mut clock, 8, 200);
        assert_eq!(budget.now(), 8);
    }

    #[test]
    fn a_refusal_halves_it_and_it_comes_back_in_time() {
        let (mut budget, mut clock) = (Budget::new(None), Instant::now());
        work(&mut budget, &mut clock, 4, 100);
        budget.failed(Cause::Busy);
        assert_eq!(budget.now(), 2);
        work(&mut budget, &mut clock, 4, 20);
        assert_eq!(budget.now(), 2, "not at once");
        work(&mut budget, &mut clock, 4, 400);
        assert_eq!(budget.now(), 4);
    }

    #[test]
    fn a_proxy_that_breaks_connections_takes_nothing_from_what_the_server_told() {
        let mut budget = Budget::new(None);
        budget.told(Some(4), None);
        for _ in 0..10 {
            budget.failed(Cause::Broken);
            budget.told(Some(4), None);
        }
        assert_eq!(budget.now(), 4);
    }

    #[test]
    fn a_full_context_halves_what_was_in_flight_also_where_a_setting_decides() {
        for mut budget in [Budget::new(Some(6)), Budget::new(None)] {
            budget.told(Some(6), None);
            // Six fail together, one after the other.
            (0..6).for_each(|_| budget.overflowed(6));
            assert_eq!(budget.now(), 3);
            let mut clock = Instant::now();
            work(&mut budget, &mut clock, 3, 20);
            assert_eq!(budget.now(), 3, "not at once");
            work(&mut budget, &mut clock, 64, 1000);
            assert_eq!(budget.now(), 6);
            (0..9).for_each(|_| budget.overflowed(budget.now()));
            assert_eq!(budget.now(), 1);
        }
    }

    #[test]
    fn a_server_that_is_made_for_many_is_tried_with_many() {
        let (mut budget, mut clock) = (Budget::new(None), Instant::now());
        budget.told(None, Some(64));
        work(&mut budget, &mut clock, 32, 2000);
        assert!((20..=42).contains(&budget.now()), "{}", budget.now());
    }

    #[test]
    fn slots_without_work_say_nothing() {
        let (mut budget, mut clock) = (Budget::new(None), Instant::now());
        work(&mut budget, &mut clock, 4, 100);
        for _ in 0..100 {
            clock += Duration::from_secs(60);
            budget.wrote(clock, 100.0, 1);
        }
        assert_eq!(budget.now(), 4);
    }
}
