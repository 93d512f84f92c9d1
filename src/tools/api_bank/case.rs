//! One call of a dialogue as an executable question: the state of [`Environment`](crate::tools::Environment)s of the
//! suite `api-bank`.

use serde::{Deserialize, Serialize};

use super::{
    fair::fair,
    toolrl,
    verdict::{Recorded, official},
};
use crate::tools::{Call, execution::Executed};

/// By whose rules calls are judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The official evaluator's.
    Official,
    /// Ours.
    #[default]
    Fair,
    /// ToolRL's, which runs nothing.
    Toolrl,
}

/// A call that a dialogue expects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// By whose rules it is judged.
    #[serde(default)]
    pub mode: Mode,
    /// The dialogue's calls before it.
    #[serde(default)]
    pub earlier: Vec<Recorded>,
    /// The call and its result.
    pub gold: Recorded,
}

impl Case {
    /// Runs what a text calls and says what came of it. The tool's rule looks at results and databases at once, so both
    /// are equal or neither.
    pub fn judge(&self, completion: &str) -> Ruled {
        let (parsed, executed, correct, error) = match self.mode {
            Mode::Official => {
                let verdict = official(completion, &self.gold);
                (verdict.call.is_some(), verdict.result.is_some(), verdict.correct, verdict.error())
            }
            Mode::Fair => {
                let verdict = fair(completion, &self.earlier, &self.gold);
                let executed = verdict.result.is_some() || verdict.correct;
                (verdict.call.is_some(), executed, verdict.correct, verdict.reason)
            }
            Mode::Toolrl => {
                let gold = Call { name: self.gold.name.clone(), arguments: self.gold.arguments.clone() };
                let (parsed, right) = (!toolrl::calls(completion).is_empty(), toolrl::is_right(completion, &gold));
                (parsed, right, right, (!right).then(|| format!("no call is `{gold}`")))
            }
        };
        Ruled {
            parsed,
            executed: Executed { executed, results_equal: correct, state_equal: correct, error, ..Executed::default() },
        }
    }
}

/// What a suite with rules of its own says of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruled {
    /// A call could be read.
    pub parsed: bool,
    /// What came of running it.
    pub executed: Executed,
}
