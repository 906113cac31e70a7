//! What breaks when: all of it is drawn from the seed before anything is started, so that a run can be
//! repeated fault by fault.

use super::Plan;
use super::game::{self, Holding};
use crate::dice::Dice;
use std::time::Duration;

/// The verbs whose answer may get lost.
const VERBS: [&str; 6] = [
    "lease_jobs",
    "heartbeat",
    "next_item",
    "store_item",
    "complete_job",
    "release_job",
];

/// One thing that is done to the system. `usize`: which executor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// SIGKILL, and a new one some time later.
    Kill(usize),
    Start(usize),
    /// SIGSTOP until after the lease, then SIGCONT.
    Freeze(usize),
    Thaw(usize),
    /// The executors' connections are terminated by the server.
    TerminateExecutors,
    TerminateBackgroundWorker,
    /// `kill -9` of a server process: the postmaster starts everything anew.
    KillServerProcess,
    /// `pg_ctl stop -m immediate`, and a start.
    RestartServer,
    CutDatabase,
    HalfOpenDatabase,
    SlowDatabase(u64),
    LoseAnswerTo(&'static str),
    CutModel,
    HalfOpenModel,
    CloseModel,
    OpenModel,
    /// A transaction of the game that stays open until it is let go, by its number.
    Hold(u64, Holding),
    LetGo(u64),
    DropGameTables,
    MakeGameTables,
}

/// An action and its time from the start.
pub type Planned = (Duration, Action);

/// The faults of a run, in order. Everything is whole again at its end.
pub fn draw(plan: &Plan) -> Vec<Planned> {
    let mut dice = Dice::new(plan.seed);
    let mut planned = Vec::new();
    let end = plan.seconds * 1000;
    let mut busy = vec![0; plan.executors];
    let mut model_back = 0;
    // Nothing breaks before there is something to break.
    let mut now = 1500;
    while now < end {
        let victim = dice.between(0, plan.executors as u64 - 1) as usize;
        let (first, then) = one(&mut dice, victim, plan.lease_seconds);
        let until = then.map_or(now, |(later, _)| now + later);
        let overlaps = match first {
            Action::Kill(victim) | Action::Freeze(victim) => busy[victim] > now,
            Action::CloseModel => model_back > now,
            _ => false,
        };
        if !overlaps {
            match first {
                Action::Kill(victim) | Action::Freeze(victim) => busy[victim] = until,
                Action::CloseModel => model_back = until,
                _ => {}
            }
            planned.push((now, first));
            planned.extend(then.map(|(_, action)| (until, action)));
        }
        now += dice.between(150, 1200);
    }
    planned.sort_by_key(|(at, _)| *at);
    planned
        .into_iter()
        .map(|(at, action)| (Duration::from_millis(at), action))
        .collect()
}

/// A fault, and what ends it so many milliseconds later.
fn one(dice: &mut Dice, victim: usize, lease_seconds: u64) -> (Action, Option<(u64, Action)>) {
    let first = dice.weighted(&[
        (45, Action::Kill(victim)),
        (7, Action::Freeze(victim)),
        (10, Action::TerminateExecutors),
        (4, Action::TerminateBackgroundWorker),
        (1, Action::KillServerProcess),
        (2, Action::RestartServer),
        (8, Action::CutDatabase),
        (5, Action::HalfOpenDatabase),
        (3, Action::SlowDatabase(0)),
        (10, Action::LoseAnswerTo("")),
        (6, Action::CutModel),
        (4, Action::HalfOpenModel),
        (3, Action::CloseModel),
        (12, Action::Hold(0, Holding::Snapshot)),
        (4, Action::DropGameTables),
    ]);
    match first {
        Action::Kill(_) => (first, Some((dice.between(50, 1500), Action::Start(victim)))),
        Action::Freeze(_) => {
            let length = lease_seconds * 1000 + dice.between(200, 4000);
            (first, Some((length, Action::Thaw(victim))))
        }
        Action::CloseModel => (first, Some((dice.between(300, 3000), Action::OpenModel))),
        Action::SlowDatabase(_) => {
            let delay = dice.between(20, 300);
            let over = (dice.between(500, 2000), Action::SlowDatabase(0));
            (Action::SlowDatabase(delay), Some(over))
        }
        Action::Hold(..) => {
            let (number, holding) = (dice.between(1, u64::MAX - 1), dice.one_of(&Holding::ALL));
            let over = (game::how_long(dice, holding), Action::LetGo(number));
            (Action::Hold(number, holding), Some(over))
        }
        Action::DropGameTables => (first, Some((dice.between(500, 4000), Action::MakeGameTables))),
        Action::LoseAnswerTo(_) => (Action::LoseAnswerTo(dice.one_of(&VERBS)), None),
        _ => (first, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_alone_decides_and_everything_is_mended() {
        let plan = |seed| Plan {
            seconds: 600,
            seed,
            executors: 4,
            lease_seconds: 5,
            shipped: false,
        };
        let planned = draw(&plan(7));
        assert_eq!(planned, draw(&plan(7)));
        assert_ne!(planned, draw(&plan(8)));
        let count = |wanted: fn(&Action) -> bool| planned.iter().filter(|(_, action)| wanted(action)).count();
        let kills = count(|action| matches!(action, Action::Kill(_)));
        assert!(kills >= 200, "{kills}");
        assert_eq!(kills, count(|action| matches!(action, Action::Start(_))));
        assert_eq!(
            count(|action| matches!(action, Action::Freeze(_))),
            count(|action| matches!(action, Action::Thaw(_)))
        );
        assert_eq!(
            count(|action| *action == Action::CloseModel),
            count(|action| *action == Action::OpenModel)
        );
        assert_eq!(
            count(|action| matches!(action, Action::Hold(..))),
            count(|action| matches!(action, Action::LetGo(_)))
        );
    }
}
