//! What the evaluation says of a conversation.

use std::fmt;

use super::{judge::Calls, state::Difference};

/// The verdict on one conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What is wrong; `None` where all is right.
    pub failure: Option<Failure>,
    /// What the answer's calls gave, by turn and step, as far as it was judged.
    pub results: Vec<Vec<Vec<String>>>,
    /// What the calls of the ground truth gave, by turn, as far as it was judged.
    pub truth: Vec<Vec<String>>,
    /// The answer's calls, by turn and step; `None` where it did not come to that.
    pub decoded: Option<Calls>,
}

/// Why a conversation counts as wrong: the first reason found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The answer is no list of turns.
    Inference,
    /// The answer has another number of turns than the question.
    ForceTerminated {
        /// Turns of the answer.
        found: usize,
        /// Turns of the ground truth.
        expected: usize,
    },
    /// Nothing was called in a turn that needs calls.
    EmptyTurn {
        /// The turn, from 0.
        turn: usize,
    },
    /// After a turn the world is not as it should be.
    State {
        /// The turn, from 0.
        turn: usize,
        /// Where it differs.
        difference: Difference,
    },
    /// Results of the ground truth's calls are not among what the answer's calls gave so far.
    Response {
        /// The turn, from 0.
        turn: usize,
        /// The missing results.
        missing: Vec<String>,
    },
    /// The worlds were lost while the answer was run: a call never came back, or ended the process. Ours: the official
    /// program would hang or end here.
    World {
        /// What happened.
        reason: String,
    },
}

impl Verdict {
    /// Returns a verdict of a failure before anything was run.
    pub const fn failed(failure: Failure) -> Self {
        Self { failure: Some(failure), results: Vec::new(), truth: Vec::new(), decoded: None }
    }

    /// Returns whether all is right.
    pub const fn is_valid(&self) -> bool {
        self.failure.is_none()
    }

    /// Returns the official name of what is wrong.
    pub fn error_type(&self) -> Option<&'static str> {
        self.failure.as_ref().map(Failure::error_type)
    }
}

impl Failure {
    /// Every name that [`Self::error_type`] returns.
    pub const ERROR_TYPES: [&'static str; 6] = [
        "multi_turn:inference_error",
        "multi_turn:force_terminated",
        "multi_turn:empty_turn_model_response",
        "multi_turn:instance_state_mismatch",
        "multi_turn:execution_response_mismatch",
        "multi_turn:world_lost",
    ];

    /// Returns the official name (of all but [`Self::World`], which is ours).
    pub const fn error_type(&self) -> &'static str {
        Self::ERROR_TYPES[match self {
            Self::Inference => 0,
            Self::ForceTerminated { .. } => 1,
            Self::EmptyTurn { .. } => 2,
            Self::State { .. } => 3,
            Self::Response { .. } => 4,
            Self::World { .. } => 5,
        }]
    }
}

/// Says it for people; score files have sentences of their own.
impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inference => formatter.write_str("the answer is no list of turns"),
            Self::ForceTerminated { found, expected } => {
                write!(formatter, "the answer ends after {found} of {expected} turns")
            }
            Self::EmptyTurn { turn } => write!(formatter, "turn {turn} needs calls and has none"),
            Self::State { turn, difference: Difference { class, attributes, .. } } => {
                write!(formatter, "after turn {turn} `{class}` differs in {}", attributes.join(", "))
            }
            Self::Response { turn, missing } => {
                write!(formatter, "turn {turn} lacks {} of the expected results", missing.len())
            }
            Self::World { reason } => formatter.write_str(reason),
        }
    }
}
