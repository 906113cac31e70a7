//! A short run of the chaos that `make chaos` makes for as long as one likes.

use pg_worker_tests::chaos::{self, Plan};

#[test]
fn nothing_is_lost_and_nothing_done_twice_while_everything_breaks() {
    let plan = Plan {
        seconds: 15,
        seed: 20,
        executors: 3,
        lease_seconds: 5,
        shipped: false,
    };
    let mut course = Vec::new();
    let verdict = chaos::run(plan, &mut |line| course.push(line.to_owned()));
    let told = format!("{}\n{}", course.join("\n"), verdict.account.join("\n"));
    assert!(
        verdict.violations.is_empty(),
        "{}\n{told}",
        verdict.violations.join("\n")
    );
    assert!(verdict.kills >= 3, "{told}");
}
