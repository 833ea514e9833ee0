//! The program: see `retrograd --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    retrograd::cli::main()
}
