//! `pipeline completions SHELL`.

use clap::CommandFactory;

use crate::cli::{Arguments, Failure, args::CompletionsArguments, output};

pub(super) fn run(arguments: &CompletionsArguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "pipeline", &mut script);
    output::answer(&String::from_utf8_lossy(&script))
}
