//! `pipeline __score`: what completions are worth, for the processes of TRL.
//!
//! A question is a line of JSON on standard input, the answer a line on standard output. Completions come as tokens: what
//! becomes of them (text, calls, verdicts) is decided here and nowhere else, and nothing of it is ever run.

use std::io::{self, BufRead, Write};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::{
    lm::LanguageModel,
    stage::{StageError, samples},
    table::{self, SampleRow},
    tools::{
        Sample,
        reward::{RewardSpec, score},
    },
};

use super::error::TrlError;

/// The file that such a process begins with.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scoring {
    /// The folder of the policy, for its tokenizer.
    pub(super) model: Utf8PathBuf,
    /// The table of samples.
    pub(super) samples: Utf8PathBuf,
    pub(super) rewards: RewardSpec,
    /// The steps of earlier rounds.
    pub(super) steps_before: usize,
}

/// One question.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    /// The step of the round, from 0.
    step: usize,
    completions: Vec<Completion>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Completion {
    /// The sample's index in its table.
    sample: usize,
    tokens: Vec<u32>,
}

#[derive(Serialize)]
struct Answer {
    /// One a completion.
    rewards: Vec<f64>,
}

/// Returns the words of the command that scores by the file at `scoring`.
pub(super) fn words(scoring: &Utf8Path) -> io::Result<Vec<String>> {
    let program = std::env::current_exe()?;
    let program = Utf8PathBuf::from_path_buf(program)
        .map_err(|path| io::Error::other(format!("{} is no UTF-8", path.display())))?;
    Ok(vec![program.into_string(), "__score".to_owned(), scoring.to_string()])
}

/// Returns a function that wraps an error of something below.
fn failed<E: Into<Box<dyn std::error::Error + Send + Sync>>>(scoring: &Utf8Path) -> impl FnOnce(E) -> StageError {
    StageError::failed(format!("score completions by {scoring}"))
}

/// Answers every line of `questions` until they end. `scoring` is the file that the stage has written.
///
/// # Errors
/// [`StageError::Io`] and [`StageError::Failed`] for files that cannot be read and lines that are no questions.
pub fn serve_scores(scoring: &Utf8Path, questions: impl BufRead, mut answers: impl Write) -> Result<(), StageError> {
    let bytes = fs::read(scoring).map_err(StageError::io("read", scoring))?;
    let Scoring { model, samples, mut rewards, steps_before } =
        serde_json::from_slice(&bytes).map_err(failed(scoring))?;
    let (_, tokenizer) = LanguageModel::load_head(&model).map_err(failed(scoring))?;
    let bytes = fs::read(&samples).map_err(StageError::io("read", &samples))?;
    let rows: Vec<SampleRow> = table::decode(&bytes).map_err(failed(scoring))?;
    let samples: Vec<Sample> = rows.iter().map(samples::from_row).collect::<Result<_, _>>()?;
    for (index, line) in questions.lines().enumerate() {
        let line =
            line.map_err(|source| TrlError::Pipe { doing: "read questions", source }).map_err(failed(scoring))?;
        let wrong = |reason: String| failed(scoring)(TrlError::Question { line: index + 1, reason });
        let question: Question = serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
        rewards.step = u32::try_from(steps_before + question.step).unwrap_or(u32::MAX);
        let mut answer = Answer { rewards: Vec::with_capacity(question.completions.len()) };
        for Completion { sample, tokens } in question.completions {
            let text = tokenizer.decode(&tokens).map_err(failed(scoring))?;
            let sample = samples
                .get(sample)
                .ok_or_else(|| wrong(format!("there is no sample {sample} among {}", samples.len())))?;
            answer.rewards.push(score(&rewards, sample, &text).total);
        }
        serde_json::to_writer(&mut answers, &answer).map_err(failed(scoring))?;
        let write = |source| failed(scoring)(TrlError::Pipe { doing: "write scores", source });
        answers.write_all(b"\n").and_then(|()| answers.flush()).map_err(write)?;
    }
    Ok(())
}
