//! `make bench`: measures this project beside the physical limit of the machine that it runs on, in the
//! same run, and prints the ratios as a table. `rows`, `rounds`, `seconds` say how much, `only` which.

use pg_worker_tests::bench::{self, Options};
use std::process::ExitCode;

fn main() -> ExitCode {
    match Options::parse(std::env::args().skip(1)) {
        Ok(options) => {
            println!("{}", bench::run(&options, &mut |line| eprintln!("{line}")));
            ExitCode::SUCCESS
        }
        Err(refusal) => {
            eprintln!("{refusal}");
            ExitCode::from(2)
        }
    }
}
