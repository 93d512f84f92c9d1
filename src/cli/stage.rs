//! The hidden commands: what the engine's child processes do.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use camino::Utf8Path;

use crate::{
    cli::{
        Failure,
        exit::{chain, exit_code},
        output,
    },
    engine::keeper,
    sandbox::helper,
    stage,
};

/// `pipeline __stage REQUEST`: events as JSON lines on stdout, words on stderr, exit code 1 on failure.
pub(super) fn run(request: &Utf8Path) -> Result<(), Failure> {
    let mut stdout = io::stdout();
    let done = stage::run_request(request, |event| {
        // The engine that reads this is gone only when this process is about to be killed.
        if let Ok(mut line) = serde_json::to_vec(&event) {
            line.push(b'\n');
            let _ = stdout.write_all(&line).and_then(|()| stdout.flush());
        }
    });
    done.map_err(|error| Failure::Message { message: chain(&error), help: None, code: exit_code::STAGE_FAILED })
}

/// `pipeline __score SCORING`: a line of completions on stdin, a line of rewards on stdout, until stdin ends.
pub(super) fn score(scoring: &Utf8Path) -> Result<(), Failure> {
    let done = stage::serve_scores(scoring, io::stdin().lock(), io::stdout().lock());
    done.map_err(|error| Failure::Message { message: chain(&error), help: None, code: exit_code::STAGE_FAILED })
}

/// `pipeline __keeper`.
pub(super) fn keep() -> Result<(), Failure> {
    keeper::main().map_err(|error| Failure::Message {
        message: format!("the keeper stopped: {error}"),
        help: None,
        code: exit_code::STAGE_FAILED,
    })
}

/// `pipeline __sandbox`: what goes wrong is said on the descriptor on which the assignment came.
pub(super) fn sandbox() -> ExitCode {
    match helper::main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::say(&format!("error: the sandbox's helper stopped: {error}"));
            ExitCode::FAILURE
        }
    }
}
