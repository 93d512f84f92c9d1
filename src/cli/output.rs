//! Where words go: stdout for the answer, stderr for the talk, colour only where it is wanted.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::cli::{Failure, exit::exit_code};

/// Writes the answer to stdout. A reader that went away is no error.
pub fn answer(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') || text.is_empty() { Ok(()) } else { stdout.write_all(b"\n") });
    written.and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::BrokenPipe,
        _ => Failure::Message {
            message: format!("the answer cannot be written to stdout: {error}"),
            help: None,
            code: exit_code::USAGE,
        },
    })
}

/// Writes the answer as one JSON object on stdout.
pub fn answer_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::usage(format!("the answer cannot be written as JSON: {error}")))?;
    answer(&text)
}

/// Writes a line of talk to stderr.
pub fn say(line: &str) {
    let mut stderr = io::stderr().lock();
    // Nobody is left to tell when stderr is gone.
    let _ = writeln!(stderr, "{line}");
}

/// Returns whether stderr is a terminal that wants bars and colour.
pub fn talks_to_person() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Returns whether colour is wanted on stderr: `NO_COLOR` and `TERM=dumb` say no, `CLICOLOR_FORCE` says yes.
pub fn colour() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if set("NO_COLOR") {
        return false;
    }
    (set("CLICOLOR_FORCE") && std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value != "0")) || talks_to_person()
}
