//! What is tried with what.

use super::orders::{self, Side};
use super::verbs::{self, Caller, Verb};
use crate::dice::Dice;

/// What one transaction does, before its commit.
pub type Deed = Vec<Verb>;

/// Two transactions, and how they meet.
pub struct Cell {
    pub deeds: [Deed; 2],
    pub way: Way,
}

pub enum Way {
    /// The orders of their steps.
    Orders(Vec<Vec<Side>>),
    /// The first stays open until the second has given up or is through.
    Held,
    /// A third one holds this, so that the first stops on its way; it lets go when the second has begun.
    Stopped(String),
}

use Side::{A, B};

/// Pairs of transactions of one verb each.
pub fn pairs(percent: u64, dice: &mut Dice) -> Vec<Cell> {
    let all = verbs::all();
    let mut cells = Vec::new();
    for (number, one) in all.iter().enumerate() {
        for other in all[number..].iter().filter(|_| dice.percent(percent)) {
            let deeds = [vec![*one], vec![*other]];
            let turned = [vec![*other], vec![*one]];
            cells.push(cell(deeds.clone(), Way::Orders(orders::all(2, 2))));
            cells.push(cell(deeds, Way::Held));
            if one.name != other.name {
                cells.push(cell(turned, Way::Held));
            }
        }
    }
    cells
}

/// A game's transaction of two verbs, between which somebody else begins his own.
pub fn around(percent: u64, dice: &mut Dice) -> Vec<Cell> {
    let (games, others): (Vec<Verb>, Vec<Verb>) = verbs::all()
        .into_iter()
        .partition(|verb| verb.caller == Caller::Game);
    let mut cells = Vec::new();
    for first in &games {
        for second in &games {
            for other in &others {
                // They are many: a tenth of them shows as much.
                if dice.percent(percent) && dice.percent(10) {
                    let order = vec![A, B, A, A, B];
                    cells.push(cell(
                        [vec![*first, *second], vec![*other]],
                        Way::Orders(vec![order]),
                    ));
                }
            }
        }
    }
    cells
}

/// The same two verbs of a game, and of another game in the opposite order.
pub fn mirrored(percent: u64, dice: &mut Dice) -> Vec<Cell> {
    let games: Vec<Verb> = games();
    let mut cells = Vec::new();
    for (number, one) in games.iter().enumerate() {
        for other in &games[number + 1..] {
            if dice.percent(percent) {
                let deeds = [vec![*one, *other], vec![*other, *one]];
                cells.push(cell(deeds, Way::Orders(vec![vec![A, B, A, B, A, B]])));
            }
        }
    }
    cells
}

/// Transactions of one or two verbs in some order.
pub fn tail(count: usize, dice: &mut Dice) -> Vec<Cell> {
    let (all, games) = (verbs::all(), games());
    let one = |dice: &mut Dice| match dice.percent(30) {
        true => vec![dice.one_of(&all)],
        false => vec![dice.one_of(&games), dice.one_of(&games)],
    };
    (0..count)
        .map(|_| {
            let deeds = [one(dice), one(dice)];
            let order = orders::one(dice, deeds[0].len() + 1, deeds[1].len() + 1);
            cell(deeds, Way::Orders(vec![order]))
        })
        .collect()
}

/// Verbs that a lock of somebody stops, beside every verb.
pub fn stopped(closed: &[(&str, String)], percent: u64, dice: &mut Dice) -> Vec<Cell> {
    let all = verbs::all();
    let mut cells = Vec::new();
    for (name, gate) in closed {
        let verb = all.iter().find(|verb| verb.name == *name).expect("a verb");
        for other in all.iter().filter(|_| dice.percent(percent)) {
            cells.push(cell([vec![*verb], vec![*other]], Way::Stopped(gate.clone())));
        }
    }
    cells
}

fn cell(deeds: [Deed; 2], way: Way) -> Cell {
    Cell { deeds, way }
}

fn games() -> Vec<Verb> {
    let mut all = verbs::all();
    all.retain(|verb| verb.caller == Caller::Game);
    all
}
