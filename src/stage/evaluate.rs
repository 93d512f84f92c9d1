//! `evaluate`: a model's answers, judged.
//!
//! The half that needs no model is [`score_completion`]: the same judgement that rewards are made of.

mod score;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use self::score::score_completion;
use crate::{
    base::Seed,
    lm::{
        LanguageModel,
        sample::{PromptRequest, Sampling, sample},
    },
    stage::{
        StageCtx, StageError,
        training::{
            self,
            prompts::{LongPrompts, Question, Room, questions},
            rollouts::BATCH,
        },
    },
    table::{ReportRow, ScoreRow},
    tools::Sample,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Parameters {
    demonstrations: bool,
    temperature: f32,
    top_p: f32,
    top_k: usize,
    max_tokens: usize,
    stop: Vec<String>,
    sampling_seed: u64,
    long_prompts: Long,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Long {
    Error,
    Wrong,
}

pub(super) fn run(context: &mut StageCtx) -> Result<(), StageError> {
    let parameters: Parameters = context.params()?;
    training::on_threads(context, |context| evaluate(context, &parameters))
}

fn evaluate(context: &mut StageCtx, parameters: &Parameters) -> Result<(), StageError> {
    let model = LanguageModel::load(context.input_path("model")?).map_err(StageError::failed("read the model"))?;
    let samples = context.input_samples("samples")?;
    let long = if parameters.long_prompts == Long::Error { LongPrompts::Error } else { LongPrompts::Skip };
    let room = Room { context: model.config.max_position_embeddings, long };
    let questions =
        questions(context, &samples, &model.tokenizer, parameters.demonstrations, room, |_| parameters.max_tokens)?;
    let mut answers = answer(context, &model, &samples, &questions, parameters)?;
    let mut scores = Vec::with_capacity(samples.len());
    for (index, sample) in samples.iter().enumerate() {
        scores.push(match answers.remove(&index) {
            Some(text) => score_completion(sample, &text),
            None => score::unanswered(sample, "the prompt is too long for the model"),
        });
    }
    let report = report(&scores);
    context.log(format!(
        "{} of {} samples are answered right, {} read as calls",
        scores.iter().filter(|row| row.correct).count(),
        scores.len(),
        scores.iter().filter(|row| row.parsed).count()
    ));
    context.write_table("scores", &scores)?;
    context.write_table("report", &report)
}

/// Returns the model's answers by the sample's index.
fn answer(
    context: &mut StageCtx,
    model: &LanguageModel,
    samples: &[Sample],
    questions: &[Question],
    parameters: &Parameters,
) -> Result<BTreeMap<usize, String>, StageError> {
    let sampling = Sampling {
        temperature: parameters.temperature,
        top_k: parameters.top_k,
        top_p: parameters.top_p,
        max_tokens: parameters.max_tokens,
        stop: parameters.stop.clone(),
    };
    let seed = Seed(parameters.sampling_seed).derive("evaluate");
    let (mut answers, mut tokens, mut right) = (BTreeMap::new(), 0_u64, 0_u64);
    // A chunk at a time, so that progress is seen.
    for chunk in questions.chunks(BATCH) {
        let requests: Vec<PromptRequest> = chunk
            .iter()
            .map(|question| PromptRequest {
                id: samples[question.sample].id.clone(),
                tokens: question.tokens(parameters.demonstrations).to_vec(),
                count: 1,
            })
            .collect();
        let completions = sample(model, &requests, &sampling, seed, BATCH, &mut |_| {})
            .map_err(StageError::failed(format!("answer questions (sampling seed {})", parameters.sampling_seed)))?;
        for (question, completion) in chunk.iter().zip(completions.into_iter().flatten()) {
            tokens += completion.tokens.len() as u64;
            right += u64::from(crate::tools::judge(&samples[question.sample], &completion.text).correct);
            answers.insert(question.sample, completion.text);
        }
        context.progress_tokens(answers.len() as u64, questions.len() as u64, "samples", tokens);
        #[expect(clippy::cast_precision_loss, reason = "counts of rows")]
        context.metric("accuracy", answers.len() as u64, right as f64 / answers.len() as f64);
    }
    Ok(answers)
}

/// What is asked of a row.
type Test = fn(&ScoreRow) -> bool;

/// Returns the shares over all samples and by category.
fn report(scores: &[ScoreRow]) -> Vec<ReportRow> {
    let mut groups: BTreeMap<&str, Vec<&ScoreRow>> = BTreeMap::new();
    for row in scores {
        groups.entry(row.category.as_str()).or_default().push(row);
    }
    let mut rows = Vec::new();
    let mut add = |prefix: &str, group: &[&ScoreRow]| {
        let tests: [(&str, Test); 6] = [
            ("parsed", |row| row.parsed),
            ("matched", |row| row.matched),
            ("executed", |row| row.executed),
            ("results-equal", |row| row.results_equal),
            ("state-equal", |row| row.state_equal),
            ("correct", |row| row.correct),
        ];
        #[expect(clippy::cast_precision_loss, reason = "counts of rows")]
        let total = group.len() as f64;
        rows.push(ReportRow { name: format!("{prefix}samples"), value: total });
        for (name, test) in tests {
            #[expect(clippy::cast_precision_loss, reason = "counts of rows")]
            let count = group.iter().filter(|row| test(row)).count() as f64;
            rows.push(ReportRow { name: format!("{prefix}{name}"), value: count / total });
        }
    };
    add("", &scores.iter().collect::<Vec<_>>());
    for (category, group) in &groups {
        add(&format!("{category}."), group);
    }
    rows
}
