//! `make bench`: measures this project beside the physical limit of the machine that it runs on, in the
//! same run, and prints the ratios as a table. `rows`, `rounds`, `seconds` say how much, `only` which.

use pg_worker_tests::bench::{self, Options};
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = Options::parse(std::env::args().skip(1));
    match options.and_then(|options| bench::run(&options, &mut |line| eprintln!("{line}"))) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(refusal) => {
            eprintln!("{refusal}");
            ExitCode::from(2)
        }
    }
}
