//! The protocol as a state machine: random steps of executors, games, administrators and time, on a
//! real PostgreSQL, compared after each with a small reference model. A failure is shrunk to the
//! shortest sequence that still shows it.
//!
//! `PROPTEST_CASES` sets the number of sequences, `MODEL_SEED` another start of the dice.

mod executors;
mod games;
mod op;
mod reference;
mod state;
mod steps;
mod stock;
mod upkeep;
mod world;

use op::Op;
use pg_worker_tests::Database;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use std::cell::RefCell;

/// The grain of time, in seconds: every duration in a step is a multiple of it, and a step takes far
/// less, so that what is due does not depend on how fast the machine is.
const MOMENT: i64 = 30;

const LONGEST: usize = 80;

/// A number from the environment.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name}: {text}"))
    })
}

fn agrees_with_the_model(database: &Database, cases: u64, default_seed: u64) {
    let seed = setting("MODEL_SEED", default_seed);
    let config = Config {
        cases: setting("PROPTEST_CASES", cases) as u32,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    };
    let pair = RefCell::new(steps::Pair::new(database));
    let played = TestRunner::new(config).run(&op::course(LONGEST), |ops| {
        pair.borrow_mut().play(&ops).map_err(TestCaseError::fail)
    });
    match played {
        Ok(()) => {}
        Err(TestError::Fail(_, ops)) => {
            let (ops, reason) = shortest(&mut pair.borrow_mut(), ops);
            panic!("{}\n{reason}\nMODEL_SEED={seed}", listed(&ops))
        }
        Err(TestError::Abort(reason)) => panic!("{reason}\nMODEL_SEED={seed}"),
    }
}

/// Leaves out every step without which it still fails: the runner's own shrinking is over whole parts.
fn shortest(pair: &mut steps::Pair, mut ops: Vec<Op>) -> (Vec<Op>, String) {
    let mut reason = pair.play(&ops).expect_err("it failed before");
    for index in (0..ops.len()).rev() {
        let mut fewer = ops.clone();
        fewer.remove(index);
        if let Err(still) = pair.play(&fewer) {
            (ops, reason) = (fewer, still);
        }
    }
    (ops, reason)
}

fn listed(ops: &[Op]) -> String {
    let lines = ops
        .iter()
        .enumerate()
        .map(|(number, op)| format!("{:3} {op:?}", number + 1));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn any_sequence_of_steps_does_what_the_model_says() {
    agrees_with_the_model(&Database::quiet(), 80, 4);
}

#[test]
fn any_sequence_does_the_same_in_the_sql_only_installation() {
    agrees_with_the_model(&Database::sql_only(), 30, 5);
}
