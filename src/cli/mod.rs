//! The command line: the only place that prints text, colours and exit codes.
//!
//! One file a command. A command asks `project` for the pipeline, the floors below for the answer, and writes the answer
//! to stdout (`--json` on each) and the talk to stderr. Nothing here decides what is run or kept.

mod args;
mod comparison;
mod completions;
mod diagnostics;
mod diff;
mod exit;
mod explain;
mod export;
mod gc;
mod init;
mod log;
mod ls;
mod output;
mod pin;
mod plan;
mod progress;
mod project;
mod run;
mod schema;
mod selector;
mod show;
mod stage;
mod stages;
mod time;
mod verify;

use std::process::ExitCode;

use clap::Parser;

pub use args::{Arguments, Command};
pub use exit::{Failure, exit_code};

/// Does what the command line says. The exit codes are in [`exit_code`].
pub fn main() -> ExitCode {
    // Before the words are parsed: this process is started for every sandboxed program, and is no command of anybody's.
    if std::env::args_os().nth(1).is_some_and(|word| word == "__sandbox") {
        return stage::sandbox();
    }
    let arguments = Arguments::parse();
    let store = arguments.store.as_ref();
    let done = match &arguments.command {
        Command::Run(words) => run::run(words, store),
        Command::Plan(words) => plan::run(words, store),
        Command::Explain(words) => explain::run(words, store),
        Command::Ls(words) => ls::run(words, store),
        Command::Show(words) => show::run(words, store),
        Command::Log(words) => log::run(words, store),
        Command::Diff(words) => diff::run(words, store),
        Command::Compare(words) => comparison::run(words, store),
        Command::Export(words) => export::run(words, store),
        Command::Verify(words) => verify::run(words, store),
        Command::Gc(words) => gc::run(words, store),
        Command::Pin(words) => pin::run(words, store),
        Command::Schema(words) => schema::run(words, store),
        Command::Stages(words) => stages::run(words, store),
        Command::Init(words) => init::run(words),
        Command::Completions(words) => completions::run(words),
        Command::Stage { request } => stage::run(request),
        Command::Score { scoring } => stage::score(scoring),
        Command::Keeper => stage::keep(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            match &failure {
                Failure::Configuration(mistakes) => output::say(diagnostics::draw(mistakes).trim_end()),
                Failure::Message { message, help, .. } => {
                    output::say(&format!("error: {message}"));
                    if let Some(help) = help {
                        output::say(&format!("help: {help}"));
                    }
                }
                Failure::BrokenPipe | Failure::Said(_) => {}
            }
            failure.code()
        }
    }
}
