//! Why a server gave no completion.

/// Characters of an answer that a message repeats.
const SHOWN: usize = 300;

/// Why a server gave no completion. No message holds the API key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(in crate::stage) enum BackendError {
    /// It refuses, and would refuse again.
    #[error("{endpoint} answers {status}: {body}; {help}")]
    Refused {
        /// Where it was asked.
        endpoint: String,
        /// The status, with its name.
        status: String,
        /// The beginning of what it said.
        body: String,
        /// What to do.
        help: &'static str,
    },
    /// It was asked as often as may be, and failed each time.
    #[error(
        "{endpoint} answers {status}: {body}; that was attempt {attempts} of {attempts}: look at the server's log, or raise \
         `retries` of `backend`"
    )]
    Failing {
        /// Where it was asked.
        endpoint: String,
        /// The last status, with its name.
        status: String,
        /// The beginning of what it said last.
        body: String,
        /// How often it was asked.
        attempts: u32,
    },
    /// Nothing came back.
    #[error("{endpoint} gives no answer (attempt {attempts} of {attempts}); {help}")]
    Unreachable {
        /// Where it was asked.
        endpoint: String,
        /// How often it was asked.
        attempts: u32,
        /// What to do.
        help: &'static str,
        /// What the last attempt came to.
        #[source]
        source: ureq::Error,
    },
    /// It answered with what is no completion.
    #[error("{endpoint} answers with what is no completion: {reason}: {body}; is it an OpenAI-compatible server?")]
    Malformed {
        /// Where it was asked.
        endpoint: String,
        /// What is wrong.
        reason: String,
        /// The beginning of what it said.
        body: String,
    },
    /// A setting that the server cannot be told.
    #[error("{0}")]
    Setting(&'static str),
}

/// Returns the beginning of an answer on one line.
pub(super) fn beginning(body: &str) -> String {
    let line: String = body.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None if line.is_empty() => "nothing more".to_owned(),
        None => line,
    }
}

/// Returns what to do about a status that no retry changes.
pub(super) fn help(status: u16) -> &'static str {
    match status {
        300..=399 => "the address redirects: write where it leads to as `openai` of `backend`",
        401 | 403 => {
            "put a key that the server takes into an environment variable and name the variable as `api-key-env` of \
             `backend`"
        }
        404 | 405 => {
            "check `openai` of `backend` (the server's address, up to and with its `/v1`) and `model` (a name that its \
             `/v1/models` lists)"
        }
        413 => "the prompt is too long for the server: let it hold a longer context, or shorten the prompt",
        _ => {
            "check `model` of `backend`, the server's context length, and whether it takes `top_k`, `min_p` and \
             `repetition_penalty` (`extensions = false` leaves them out)"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_answers_are_cut_between_characters() {
        assert_eq!(beginning(" {\n  \"a\": 1 }\n"), "{ \"a\": 1 }");
        assert_eq!(beginning(""), "nothing more");
        let cut = beginning(&"ü".repeat(301));
        assert_eq!(cut.chars().count(), 301);
        assert!(cut.ends_with("ü…"));
    }
}
