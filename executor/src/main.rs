//! The program next to the GPU. Everything that can be tested lives in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    pg_worker_executor::cli::main()
}
