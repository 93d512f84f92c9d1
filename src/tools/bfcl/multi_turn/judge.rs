//! Runs an answer and the ground truth side by side and has them compared.

use serde_json::Value;

use super::{
    Mode,
    check::{self, Checker, Turn},
    decode,
    entry::MultiTurnEntry,
    state::{self, Difference},
    verdict::{Failure, Verdict},
    world::{Observe, Opening, Outcome, Run, Setting, Worlds, label},
};

/// An answer as it is judged: calls as text, by turn and step.
pub type Calls = Vec<Vec<Vec<String>>>;

/// Reads an answer as a result file has it (`[[text of step, …] per turn]`) and judges it.
///
/// # Errors
/// When the worlds fail; the caller knows whether that is the answer's fault (see [`Failure::World`]).
pub fn judge_result<W: Worlds>(
    worlds: &mut W,
    entry: &MultiTurnEntry,
    result: &Value,
    mode: Mode,
    model: &str,
) -> Result<Verdict, W::Error> {
    let Some(turns) = result.as_array() else { return Ok(Verdict::failed(Failure::Inference)) };
    let (found, expected) = (turns.len(), entry.ground_truth.len());
    if found != expected {
        return Ok(Verdict::failed(Failure::ForceTerminated { found, expected }));
    }
    let calls: Calls = turns
        .iter()
        .map(|turn| {
            let steps = turn.as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(Value::as_str);
            steps
                .filter_map(|text| decode::calls(text, mode, &entry.functions_in_all).ok())
                .filter(|calls| !calls.is_empty())
                .collect()
        })
        .collect();
    let verdict = judge(worlds, &entry.setting, &entry.ground_truth, &calls, &entry.id, model)?;
    Ok(Verdict { decoded: Some(calls), ..verdict })
}

/// Judges decoded calls. There must be as many turns as in the ground truth.
///
/// # Errors
/// When the worlds fail.
pub fn judge<W: Worlds>(
    worlds: &mut W,
    setting: &Setting,
    ground_truth: &[Vec<String>],
    calls: &Calls,
    id: &str,
    model: &str,
) -> Result<Verdict, W::Error> {
    let labels = [label(model, id, true, false), label(model, id, true, true)];
    let truth: Calls = ground_truth.iter().map(|calls| vec![calls.clone()]).collect();
    let both = Both { setting, labels, calls, truth: &truth };
    let outcomes = both.run(worlds, ground_truth.len(), |_| Observe::Digest)?;
    let mut checker = Checker::default();
    let mut states: Option<Vec<[Outcome; 2]>> = None;
    for (number, [model, truth]) in outcomes.iter().enumerate() {
        let turn = Turn { results: model.results.clone(), truth: truth.results.concat() };
        let mut difference = None;
        if turn.compares_states() && model.digest != truth.digest {
            // Unequal digests need not be unequal states (1 and 1.0, the working folder): look at the states themselves.
            // The worlds are closed by now, and do the same again.
            let known = match states.take() {
                Some(known) => known,
                None => both.run(worlds, ground_truth.len(), |later| {
                    if later >= number { Observe::State } else { Observe::Nothing }
                })?,
            };
            difference = difference_of(&known[number], &setting.classes);
            states = Some(known);
        }
        checker.turn(turn, difference);
        if checker.is_done() {
            break;
        }
    }
    Ok(checker.verdict())
}

fn difference_of([model, truth]: &[Outcome; 2], classes: &[String]) -> Option<Difference> {
    let nothing = Value::Null;
    state::difference(model.state.as_ref().unwrap_or(&nothing), truth.state.as_ref().unwrap_or(&nothing), classes)
}

/// Returns whether the answer calls something in a turn where nothing is to be called; no part of any verdict.
pub fn needless_turn(calls: &Calls, ground_truth: &[Vec<String>]) -> Option<usize> {
    check::needless_turn(calls, ground_truth)
}

/// An answer and the ground truth, each in a world of its own.
struct Both<'a> {
    setting: &'a Setting,
    labels: [String; 2],
    calls: &'a Calls,
    truth: &'a Calls,
}

impl Both<'_> {
    /// Runs all turns in fresh worlds and returns the outcomes by turn: the answer's and the truth's.
    fn run<W: Worlds>(
        &self,
        worlds: &mut W,
        turns: usize,
        observe: impl Fn(usize) -> Observe,
    ) -> Result<Vec<[Outcome; 2]>, W::Error> {
        let mut runs = Vec::with_capacity(turns * 2);
        for turn in 0..turns {
            for (label, turns_of) in self.labels.iter().zip([self.calls, self.truth]) {
                runs.push(Run {
                    world: label,
                    open: (turn == 0).then_some(Opening { setting: self.setting, label }),
                    steps: &turns_of[turn],
                    observe: observe(turn),
                    close: turn + 1 == turns,
                });
            }
        }
        let mut outcomes = worlds.run(&runs)?.into_iter();
        let mut pairs = Vec::with_capacity(turns);
        while let (Some(model), Some(truth)) = (outcomes.next(), outcomes.next()) {
            pairs.push([model, truth]);
        }
        Ok(pairs)
    }
}
