//! Every pair of writing verbs in every order of their steps; here a sample of them.

use pg_worker_tests::Database;
use pg_worker_tests::pairs::{self, Plan};

/// Tries what the plan says, tells the counts, and fails with all that must not be.
fn tries(plan: Plan, databases: impl Fn() -> Database<'static> + Sync) {
    let account = pairs::run(plan, databases, &|line| println!("{line}"));
    println!("{} (seed {})", account.line(), plan.seed);
    assert!(account.violations().is_empty(), "{}", account.violations());
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a whole number"))
}

#[test]
fn no_two_verbs_end_as_a_deadlock() {
    let plan = Plan {
        seed: 1,
        percent: 4,
        tail: 60,
        at_once: 2,
    };
    tries(plan, Database::quiet);
}

/// What the suite tries, unless it is told otherwise.
fn all_of(percent: u64) -> Plan {
    Plan {
        seed: number("SEED", 1),
        percent: number("PERCENT", percent),
        tail: number("TAIL", 2000) as usize,
        at_once: number("AT_ONCE", 4) as usize,
    }
}

#[test]
#[ignore = "a quarter of an hour: scripts/suites/pairs.sh"]
fn no_two_verbs_end_as_a_deadlock_whichever_they_are() {
    tries(all_of(100), Database::quiet);
}

#[test]
#[ignore = "some minutes: scripts/suites/pairs.sh"]
fn no_two_verbs_end_as_a_deadlock_whichever_they_are_sql_only() {
    tries(all_of(20), Database::sql_only);
}
