//! `make chaos SECONDS=n SEED=s EXECUTORS=n LEASE=n`: breaks everything at random, the same way for the same
//! seed, and judges what is left. Exit code 1 when anything was lost, done twice or not done in time. The executors
//! have the settings that ship; where a LEASE is given, that and short timeouts.

use pg_worker_tests::chaos::{self, Plan};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut next = |name: &str, default: u64| match arguments.next() {
        None => Ok(default),
        Some(text) if text.is_empty() => Ok(default),
        Some(text) => text
            .parse()
            .map_err(|_| format!("{name}: '{text}' is no whole number")),
    };
    let plan = (|| {
        let (seconds, seed) = (next("SECONDS", 60)?, next("SEED", 1)?);
        let executors = next("EXECUTORS", 4)?;
        if !(2..=8).contains(&executors) {
            return Err(format!("EXECUTORS: {executors} is not allowed: 2 to 8"));
        }
        let executors = executors as usize;
        let lease_seconds = next("LEASE", 0)?;
        let shipped = lease_seconds == 0;
        let lease_seconds = if shipped { 30 } else { lease_seconds };
        if !(5..=3600).contains(&lease_seconds) {
            return Err(format!(
                "LEASE: {lease_seconds} is not allowed: 5 to 3600 seconds"
            ));
        }
        Ok(Plan {
            seconds,
            seed,
            executors,
            lease_seconds,
            shipped,
        })
    })();
    match plan {
        Ok(plan) => run(plan),
        Err(refusal) => {
            eprintln!("{refusal}");
            ExitCode::from(2)
        }
    }
}

fn run(plan: Plan) -> ExitCode {
    println!(
        "chaos for {} s with {} executors and leases of {} s ({}), SEED={}",
        plan.seconds,
        plan.executors,
        plan.lease_seconds,
        if plan.shipped {
            "the settings that ship"
        } else {
            "short timeouts"
        },
        plan.seed
    );
    let terminal = std::io::stdout().is_terminal();
    let verdict = chaos::run(plan, &mut |line| {
        // On a terminal one line that changes, else a line each.
        print!(
            "{}{line}{}",
            if terminal { "\r\x1b[K" } else { "" },
            if terminal { "" } else { "\n" }
        );
        let _ = std::io::stdout().flush();
    });
    println!(
        "{}{}",
        if terminal { "\r\x1b[K" } else { "" },
        verdict.account.join("\n")
    );
    for violation in &verdict.violations {
        println!("VIOLATION {violation}");
    }
    if verdict.violations.is_empty() {
        println!("verdict: nothing lost, nothing twice, no deadlock, all done");
        return ExitCode::SUCCESS;
    }
    println!(
        "verdict: {} violations; again with SEED={}",
        verdict.violations.len(),
        plan.seed
    );
    ExitCode::FAILURE
}
