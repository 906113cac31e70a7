//! A database with one of everything, and two who use it: an order is played, then it is judged.

use super::account::Seen;
use super::cells::{Cell, Deed, Way};
use super::drive::{Course, HANGING, Table};
use super::orders::Side;
use super::verbs::{self, Caller, Verb, with_ids};
use crate::{Database, invariants};
use std::time::Duration;

const FIXTURE: &str = include_str!("fixture.sql");

/// How long a lock of somebody else is waited for in the held cells, unless the verb has a bound of its own.
const BOUND: &str = "set local lock_timeout = '200ms';";
/// Whoever waits so long did not obey it, or his own: 10 s for another setup(), 2 s for a claim of the same request.
const FAR_BEYOND: Duration = Duration::from_secs(4);
const FAR_BEYOND_ITS_OWN: Duration = Duration::from_secs(15);

/// What nobody need be surprised by: bad input (the kind is gone), and the bound on a wait.
const EXPECTED: [&str; 2] = ["22023", "55P03"];
const DEADLOCK: &str = "40P01";
/// To every command after an error, until the transaction ends.
const AFTER_AN_ERROR: &str = "25P02";

pub struct Room<'d> {
    database: &'d Database<'d>,
    table: Table,
    reset: String,
    gates: Vec<String>,
    tried: usize,
}

impl<'d> Room<'d> {
    pub fn furnish(database: &'d Database<'d>) -> Room<'d> {
        let mut session = database.session();
        session.run(&with_ids(FIXTURE));
        let reset = session.value("select pairs.keep()", &[]);
        let gates = session.column("select pairs.gates()", &[]);
        Room {
            database,
            table: Table::new(database),
            reset,
            gates,
            tried: 0,
        }
    }

    /// All orders of a cell.
    pub fn tries(&mut self, cell: &Cell) -> Seen {
        let mut seen = Seen::default();
        let steps = |bound: &str| cell.deeds.each_ref().map(|deed| steps_of(deed, bound));
        match &cell.way {
            Way::Orders(orders) => {
                for order in orders {
                    self.prepare(cell);
                    let course = self.table.play(&steps(""), order);
                    self.judge(cell, &letters(order), &course, &mut seen);
                }
            }
            Way::Held => {
                self.prepare(cell);
                let of_second = |what: fn(&Verb) -> bool| cell.deeds[1].iter().all(what);
                let its_own = of_second(|verb| verb.bounded);
                let patience = if its_own || of_second(|verb| verb.caller == Caller::Admin) {
                    FAR_BEYOND_ITS_OWN
                } else {
                    FAR_BEYOND
                };
                let bound = if its_own { "" } else { BOUND };
                let course = self.hold(&steps(bound), patience);
                self.judge(cell, "AB, A stays open", &course, &mut seen);
            }
            Way::Stopped(gate) => {
                self.prepare(cell);
                let course = self.table.play_behind(gate, &steps(""));
                self.judge(cell, &format!("AB, A stopped by: {gate}"), &course, &mut seen);
            }
        }
        seen
    }

    /// What a third one may hold: rows, tables, and whatever a game has open.
    pub fn gates(&self) -> Vec<String> {
        let mut gates = self.gates.clone();
        let games = verbs::all()
            .into_iter()
            .filter(|verb| verb.caller == Caller::Game && verb.prepare.is_empty());
        gates.extend(games.map(|verb| with_ids(verb.sql)));
        gates.sort();
        gates
    }

    /// Whether a verb comes to wait for somebody who has done this and not committed.
    pub fn is_stopped_by(&mut self, verb: &Verb, gate: &str) -> bool {
        self.prepare_deed(&[*verb]);
        let steps = steps_of(&vec![*verb], "");
        self.table.stops(gate, &steps[0])
    }

    fn prepare(&mut self, cell: &Cell) {
        let deed: Deed = cell.deeds.iter().flatten().copied().collect();
        self.prepare_deed(&deed);
    }

    fn prepare_deed(&mut self, deed: &[Verb]) {
        self.tried += 1;
        let mut sql = self.reset.clone();
        for verb in deed {
            sql.push_str(&with_ids(verb.prepare));
            sql.push(';');
        }
        let watch = self.table.watch();
        watch.run(&sql);
        // What was put back so often has left its dead rows.
        if self.tried.is_multiple_of(100) {
            watch.run("vacuum");
        }
    }

    /// The first stays open; the second has a bound on its waits, and no way to see the end of the first.
    fn hold(&mut self, steps: &[Vec<String>; 2], patience: Duration) -> Course {
        let first = steps.each_ref().map(|steps| steps[..1].to_vec());
        self.table.patience = patience;
        let mut course = self.table.play(&first, &Side::BOTH);
        if course.hanging.is_none() {
            let end = || vec!["rollback".to_owned()];
            course.hanging = self.table.play(&[end(), end()], &Side::BOTH).hanging;
        }
        self.table.patience = HANGING;
        course
    }

    fn judge(&mut self, cell: &Cell, order: &str, course: &Course, seen: &mut Seen) {
        let at = format!("{} in the order {order}", name_of(cell));
        let held = matches!(cell.way, Way::Held);
        seen.orders += 1;
        seen.waits += course.waits;
        seen.longest = seen.longest.max(course.longest);
        let refused = course
            .answers
            .iter()
            .flatten()
            .filter_map(|answer| answer.as_ref().err());
        for refused in refused.filter(|refused| refused.code != AFTER_AN_ERROR) {
            *seen.errors.entry(refused.code.clone()).or_default() += 1;
            if refused.code == DEADLOCK && made_by_games(cell) {
                seen.of_games += 1;
            } else if !EXPECTED.contains(&refused.code.as_str()) {
                seen.violation(format!("{} {at}", refused.code), &refused.words);
            }
        }
        if let Some(side) = &course.hanging {
            let what = if held { "waits beyond its bound" } else { "hangs" };
            seen.violation(format!("{side} {what}: {at}"), "");
            self.table.break_up();
            self.table = Table::new(self.database);
        }
        if !held && given_twice(cell, course) {
            seen.violation(format!("given twice: {at}"), "");
        }
        let items_go = cell
            .deeds
            .iter()
            .flatten()
            .any(|verb| verb.name == "DELETE an item");
        for name in self.table.watch().column::<String>(&invariants::broken(), &[]) {
            if !(items_go && name.starts_with("the ledger and the pool")) {
                seen.violation(format!("{name}: {at}"), "");
            }
        }
    }
}

/// Two transactions that lock what they themselves have named, in opposite orders.
fn made_by_games(cell: &Cell) -> bool {
    cell.deeds
        .iter()
        .all(|deed| deed.iter().filter(|verb| verb.named).count() > 1)
}

fn letters(order: &[Side]) -> String {
    order.iter().map(|side| format!("{side:?}")).collect()
}

/// The statements of one transaction.
fn steps_of(deed: &Deed, first: &str) -> Vec<String> {
    let mut steps: Vec<String> = deed.iter().map(|verb| with_ids(verb.sql)).collect();
    steps[0] = format!("begin; {first}{}", steps[0]);
    steps.push("commit".into());
    steps
}

fn name_of(cell: &Cell) -> String {
    let names = cell.deeds.each_ref().map(|deed| {
        let names: Vec<&str> = deed.iter().map(|verb| verb.name).collect();
        names.join("; ")
    });
    format!("A ({}) B ({})", names[0], names[1])
}

/// Whether both were given one and the same, and both have committed.
fn given_twice(cell: &Cell, course: &Course) -> bool {
    let given = Side::BOTH.map(|side| {
        let (deed, answers) = (&cell.deeds[side as usize], &course.answers[side as usize]);
        let whole = answers.iter().all(Result::is_ok);
        let of = deed.iter().zip(answers).filter(|_| whole);
        of.filter_map(|(verb, answer)| Some((verb.gives?, answer.as_ref().ok()?)))
            .flat_map(|(what, ids)| ids.iter().map(move |id| (what, id.clone())))
            .collect::<Vec<_>>()
    });
    given[0].iter().any(|one| given[1].contains(one))
}
