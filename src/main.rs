//! The `pipeline` binary: see [`toolexpander::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["__keeper"] if toolexpander::engine::keeper::main().is_ok() => ExitCode::SUCCESS,
        _ => ExitCode::from(2),
    }
}
