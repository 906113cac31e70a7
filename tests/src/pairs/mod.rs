//! Every pair of verbs that write, in every order of their steps, on two connections: none of them ends as a
//! deadlock, none waits for ever, and what must hold always holds afterwards.

mod account;
mod cells;
mod drive;
mod orders;
mod room;
mod verbs;

pub use account::Account;

use crate::Database;
use crate::dice::Dice;
use account::Seen;
use cells::Cell;
use room::Room;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    /// So much of a hundred, by chance.
    pub percent: u64,
    /// Further orders of longer transactions, drawn by chance.
    pub tail: usize,
    /// At once, each in a database of its own.
    pub at_once: usize,
}

/// Tries them all; `databases` makes a fresh one for each of those that work at once.
pub fn run(plan: Plan, databases: impl Fn() -> Database<'static>, say: &(dyn Fn(&str) + Sync)) -> Account {
    let mut dice = Dice::new(plan.seed);
    let databases: Vec<Database> = (0..plan.at_once).map(|_| databases()).collect();
    let mut rooms: Vec<Room> = databases.iter().map(Room::furnish).collect();
    let mut account = Account::default();
    let parts: [(&str, Vec<Cell>); 4] = [
        (
            "every pair in every order, and before one that stays open",
            cells::pairs(plan.percent, &mut dice),
        ),
        (
            "two verbs of a game around one of somebody else",
            cells::around(plan.percent, &mut dice),
        ),
        (
            "two verbs of a game in both orders",
            cells::mirrored(plan.percent, &mut dice),
        ),
        ("longer ones, drawn by chance", cells::tail(plan.tail, &mut dice)),
    ];
    for (name, cells) in parts {
        part(&mut rooms, name, &cells, &mut account, say);
    }
    let stopped = stopped_midway(&mut rooms, plan.percent, &mut dice);
    part(
        &mut rooms,
        "every verb stopped midway by a third one, beside every other",
        &stopped,
        &mut account,
        say,
    );
    account
}

fn part(rooms: &mut [Room], name: &str, cells: &[Cell], account: &mut Account, say: &(dyn Fn(&str) + Sync)) {
    let begun = Instant::now();
    let all = Mutex::new(Seen::default());
    each(rooms, cells, |room, cell| {
        let seen = room.tries(cell);
        all.lock().expect("what was seen").add(seen);
    });
    let seen = all.into_inner().expect("what was seen");
    say(&format!(
        "{name}: {} pairs, {}, {} s",
        cells.len(),
        seen.line(),
        begun.elapsed().as_secs()
    ));
    account.add(cells.len(), seen);
}

/// Each verb with what can stop it, beside each verb.
fn stopped_midway(rooms: &mut [Room], percent: u64, dice: &mut Dice) -> Vec<Cell> {
    let gates = rooms[0].gates();
    let asked: Vec<_> = verbs::all()
        .into_iter()
        .filter(|_| dice.percent(percent.max(10)))
        .flat_map(|verb| gates.iter().map(move |gate| (verb, gate.clone())))
        .collect();
    let closed = Mutex::new(Vec::new());
    each(rooms, &asked, |room, (verb, gate)| {
        if room.is_stopped_by(verb, gate) {
            closed.lock().expect("gates").push((verb.name, gate.clone()));
        }
    });
    let mut closed = closed.into_inner().expect("gates");
    // In an order that does not depend on who was faster.
    closed.sort();
    cells::stopped(&closed, percent, dice)
}

/// Does something with each of a list, as many at once as there are rooms.
fn each<'d, T: Sync>(rooms: &mut [Room<'d>], list: &[T], one: impl Fn(&mut Room<'d>, &T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for room in rooms {
            scope.spawn(|| {
                while let Some(entry) = list.get(next.fetch_add(1, Ordering::Relaxed)) {
                    one(room, entry);
                }
            });
        }
    });
}
