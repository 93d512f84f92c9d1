//! Answers of several turns, run in the benchmark's own classes: their verdicts.

use std::collections::BTreeMap;

use super::{Mode, Parameters, answers::Answers, judging::no_question};
use crate::{
    servers::worlds::WorldsError,
    stage::{StageCtx, StageError, bfcl_classes, bfcl_data::Benchmark},
    tools::bfcl::{
        Group,
        multi_turn::{self, entry::MultiTurnEntry, judge::judge_result, verdict::Verdict},
        scores::{EpisodeVerdict, layout},
    },
};

/// Fair verdicts by entry.
pub(super) type FairVerdicts = BTreeMap<String, Verdict>;

/// Runs the answers that nobody has judged yet and adds their verdicts; returns the fair ones, if they are asked for.
///
/// # Errors
/// Those of [`bfcl_classes::open`]; [`StageError::Failed`] for questions that cannot be read and worlds that cannot be asked.
pub(super) fn execute(
    context: &mut StageCtx,
    parameters: &Parameters,
    benchmark: &Benchmark,
    answers: &mut Answers,
) -> Result<FairVerdicts, StageError> {
    let mut fair = FairVerdicts::new();
    let Some(python) = &parameters.python else { return Ok(fair) };
    let files = benchmark.files();
    let mut episodes: Vec<(MultiTurnEntry, &serde_json::Value)> = Vec::new();
    for (category, rows) in answers.rows.iter().filter(|(category, _)| category.group() == Group::MultiTurn) {
        let doing = || format!("read the questions of `{category}`");
        let questions = files.questions(*category).map_err(StageError::failed(doing()))?;
        for row in rows.iter().filter(|row| !answers.verdicts.contains_key(&row.id)) {
            let question = questions.iter().find(|question| question.id == row.id);
            let question = question.ok_or_else(|| no_question(*category, &row.id))?;
            episodes.push((MultiTurnEntry::of(question).map_err(StageError::failed(doing()))?, &row.result));
        }
    }
    if episodes.is_empty() {
        return Ok(fair);
    }
    let mut worlds = bfcl_classes::open(context, &benchmark.fetched, python, episodes.iter().map(|(entry, _)| entry))?;
    let model = layout::model_folder(&answers.model);
    let mut judged = |entry: &MultiTurnEntry, result: &serde_json::Value, mode: multi_turn::Mode| {
        let verdict = judge_result(&mut worlds, entry, result, mode, &model).or_else(WorldsError::into_verdict);
        verdict.map_err(StageError::failed(format!("run the answer to `{}`", entry.id)))
    };
    let mut verdicts = Vec::with_capacity(episodes.len());
    for (done, (entry, result)) in episodes.iter().enumerate() {
        let verdict = judged(entry, result, multi_turn::Mode::Official)?;
        verdicts.push((entry.id.clone(), EpisodeVerdict::from(&verdict)));
        if parameters.mode == Mode::Fair {
            fair.insert(entry.id.clone(), judged(entry, result, multi_turn::Mode::Fair)?);
        }
        context.progress(done as u64 + 1, episodes.len() as u64, "episodes");
    }
    if parameters.gold == Some(true) {
        let wrong = verdicts.iter().filter(|(_, verdict)| verdict.error.is_some()).map(|(id, _)| id.as_str());
        context.log(ceiling("official", wrong.collect(), verdicts.len()));
        if parameters.mode == Mode::Fair {
            let wrong = fair.iter().filter(|(_, verdict)| !verdict.is_valid()).map(|(id, _)| id.as_str());
            context.log(ceiling("fair", wrong.collect(), fair.len()));
        }
    }
    answers.verdicts.extend(verdicts);
    Ok(fair)
}

/// Says what the ground truth scores by the official or the fair rules, and which entries are defective.
fn ceiling(rules: &str, defective: Vec<&str>, all: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "counts of entries")]
    let share = 100.0 * (all - defective.len()) as f64 / all as f64;
    let ids = if defective.is_empty() { String::new() } else { format!("; judged wrong: {}", defective.join(", ")) };
    format!("the ground truth scores {share:.1} % in conversations by the {rules} rules{ids}")
}
