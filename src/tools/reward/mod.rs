//! Rewards of one completion, as named parts with weights.
//!
//! Each part has its own file and source: [`toolrl`] for format and correctness, [`tool_n1`] for Tool-N1's binary reward,
//! [`bonus`] for the self-exemplifying bonus, [`graded`] for a shaped reward; the execution part is [`crate::tools::execution`]'s verdict as 0 or 1.
//! Turning rewards into advantages happens elsewhere.

pub mod bonus;
pub mod graded;
pub mod tool_n1;
pub mod toolrl;

use serde::{Deserialize, Serialize};

use super::{
    Call, Sample, Style,
    judgement::{Judgement, judge},
    python_json::Json,
    render::parameters_object,
};

/// The category of ToolRL's samples that want calls and an answer to the user.
pub const BOTH: &str = "both";

/// How completions are rewarded: the weight of each part, and what the parts look at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RewardSpec {
    /// Weight of the format part (0 or 1).
    pub format: f64,
    /// Weight of the correctness part (−3 … 3).
    pub correctness: f64,
    /// Weight of the execution part (0 or 1; 0 where the sample has no environment).
    pub execution: f64,
    /// Weight of the bonus part, which itself is 0 or 0.01: a weight of 1 gives the paper's bonus.
    pub bonus: f64,
    /// Weight of the graded part (0 … 1).
    pub graded: f64,
    /// Weight of Tool-N1's binary part (0 or 1), which reads completions as its authors do, whatever `style`.
    pub tool_n1: f64,
    /// Gives the bonus only to correct completions. Without, a group of equally wrong completions is told apart by the
    /// bonus alone, and normalising by the group's deviation makes that a full-size advantage.
    pub gate_bonus: bool,
    /// The manner in which completions should be written.
    pub style: Style,
    /// The switches of ToolRL's reward.
    pub toolrl: toolrl::Switches,
    /// The training step, over all rounds, that ToolRL's schedules look at; no setting.
    #[serde(skip)]
    pub step: u32,
}

impl Default for RewardSpec {
    /// ToolRL's parts, execution and the bonus at full weight; no graded part, none of Tool-N1's; the bonus as in the paper, not gated.
    fn default() -> Self {
        Self {
            format: 1.0,
            correctness: 1.0,
            execution: 1.0,
            bonus: 1.0,
            graded: 0.0,
            tool_n1: 0.0,
            gate_bonus: false,
            style: Style::default(),
            toolrl: toolrl::Switches::default(),
            step: 0,
        }
    }
}

/// The parts of one completion's reward, before weighting, and their weighted sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct RewardParts {
    /// 0 or 1: the completion has the shape asked for (ToolRL; with its schedules other ends).
    pub format: f64,
    /// −3 … 3: how near the calls are to the gold calls (ToolRL).
    pub correctness: f64,
    /// 0 or 1: the calls ran, with the gold's results and end state.
    pub execution: f64,
    /// 0 or 0.01: the thinking holds an example.
    pub bonus: f64,
    /// 0 … 1: how much is right, in small steps.
    pub graded: f64,
    /// 0 or 1: thinking, and exactly the gold calls (Tool-N1).
    pub tool_n1: f64,
    /// The weighted sum.
    pub total: f64,
    /// Whether the completion is correct, by the same rule as in evaluation.
    pub correct: bool,
}

/// Rewards one completion of a sample.
///
/// ```
/// use toolexpander::{base::Seed, tools::{Style, answer_text, reward::{RewardSpec, score}, suite::{GenerateOptions, generate}}};
///
/// let sample = generate(Seed(7), 1, &GenerateOptions::default())?.remove(0);
/// let parts = score(&RewardSpec::default(), &sample, &answer_text(&sample.gold, Style::Python));
/// assert_eq!((parts.format, parts.correctness, parts.execution, parts.total), (1.0, 3.0, 1.0, 5.0));
/// assert!(parts.correct);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn score(spec: &RewardSpec, sample: &Sample, completion: &str) -> RewardParts {
    score_judged(spec, sample, completion, &judge(sample, completion))
}

/// Like [`score`], for a completion that was judged already.
pub fn score_judged(spec: &RewardSpec, sample: &Sample, completion: &str, judgement: &Judgement) -> RewardParts {
    let (format, correctness) = toolrl_parts(spec, sample, completion, judgement);
    let execution = if sample.environment.is_some() && judgement.execution.right() { 1.0 } else { 0.0 };
    let allowed = judgement.correct || !spec.gate_bonus;
    let bonus = if allowed { bonus::bonus(sample, &judgement.output) } else { 0.0 };
    let graded = graded::graded(sample, &judgement.output, judgement.correct);
    let tool_n1 = tool_n1::binary(&sample.gold, completion);
    let total = spec.format * format
        + spec.correctness * correctness
        + spec.execution * execution
        + spec.bonus * bonus
        + spec.graded * graded
        + spec.tool_n1 * tool_n1;
    RewardParts { format, correctness, execution, bonus, graded, tool_n1, total, correct: judgement.correct }
}

/// Format and correctness. In ToolRL's style exactly as ToolRL scores them (so calls must say `parameters`); in the
/// other styles format means "the calls in that style and nothing else" beside optional thinking, and correctness is
/// ToolRL's formula on the calls that were read.
fn toolrl_parts(spec: &RewardSpec, sample: &Sample, completion: &str, judgement: &Judgement) -> (f64, f64) {
    let gold = as_json(&sample.gold);
    if spec.style == Style::Toolrl {
        // Where ToolRL's data wants calls and an answer to the user, `prepare-data` says so by the category.
        let response = gold.is_empty() || sample.category == BOTH;
        let calls = if gold.is_empty() { toolrl::Wanted::Nothing } else { toolrl::Wanted::Calls(gold) };
        let score = toolrl::score(&toolrl::Truth { calls, response }, completion, &spec.toolrl, spec.step);
        return (score.format + score.length, score.correctness);
    }
    let output = &judgement.output;
    let empty = output.calls.as_ref().is_ok_and(Vec::is_empty);
    let formatted = output.well_formed && (empty || output.style == Some(spec.style));
    let format = if formatted { 1.0 } else { 0.0 };
    if gold.is_empty() {
        return (format, 0.0);
    }
    let correctness = match &output.calls {
        Ok(calls) => toolrl::correctness_of_calls(&gold, &as_json(calls), &spec.toolrl, spec.step),
        Err(_) => toolrl::lowest_correctness(&spec.toolrl, spec.step),
    };
    (format, correctness)
}

/// Returns calls as ToolRL's reward reads them.
fn as_json(calls: &[Call]) -> Vec<Json> {
    calls.iter().map(|call| Json::from(&parameters_object(call))).collect()
}
