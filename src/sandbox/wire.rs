//! What caller and helper say to each other: one JSON object a line, over the socket that is the helper's standard error.
//!
//! The caller's first line is an [`Assignment`]. The helper answers with one [`Report::Started`], [`Report::Missing`] or
//! [`Report::Refused`], takes [`Order`]s, and says [`Report::Ended`] last. A line that is no report is what the helper's
//! own runtime printed, a panic for example.

use serde::{Deserialize, Serialize};

use super::{Mechanism, Policy, Verdict};

/// What the helper is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Assignment {
    pub policy: Policy,
    /// The only mechanism to try: a failed attempt leaves the helper half shut in, so the next one needs a new process.
    pub mechanism: Mechanism,
}

/// What the caller says to a running helper.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Order {
    /// A new turn begins, with a full allowance.
    Turn,
    /// The turn is over: no limit on time until the next one.
    Rest,
    /// End the program.
    Stop,
}

/// What the helper says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Report {
    /// The program runs.
    Started,
    /// The mechanism does not work here.
    Missing {
        /// What was tried.
        step: String,
        /// Why it failed.
        reason: String,
    },
    /// The policy cannot be carried out.
    Refused {
        /// What was tried.
        step: String,
        /// Why it failed.
        reason: String,
    },
    /// The program and all its descendants are gone.
    Ended(Verdict),
}

/// The line of a message.
pub(super) fn line(message: &impl Serialize) -> Vec<u8> {
    // Only maps with keys that are no strings cannot be JSON, and no message has a map.
    let mut line = serde_json::to_vec(message).expect("messages are structs of plain values");
    line.push(b'\n');
    line
}
