//! `evaluate`: a model's answers, judged.
//!
//! The half that needs no model is [`score_completion`]: the same judgement that rewards are made of.

mod score;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use self::score::score_completion;
use crate::{
    base::Seed,
    lm::sample::{PromptRequest, Sampling},
    stage::{
        StageCtx, StageError,
        training::{
            self,
            completions::Order,
            constrain::Constrain,
            policy::Policy,
            prompts::{LongPrompts, Question, Room, questions},
        },
    },
    table::{ReportRow, ScoreRow},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Parameters {
    demonstrations: bool,
    temperature: f32,
    top_p: f32,
    min_p: f32,
    top_k: usize,
    max_tokens: usize,
    stop: Vec<String>,
    constrain: Constrain,
    sampling_seed: u64,
    long_prompts: LongPrompts,
    #[serde(default)]
    backend: serde_json::Value,
}

pub(super) fn run(context: &mut StageCtx) -> Result<(), StageError> {
    let parameters: Parameters = context.params()?;
    training::on_threads(context, |context| evaluate(context, &parameters))
}

fn evaluate(context: &mut StageCtx, parameters: &Parameters) -> Result<(), StageError> {
    let policy = Policy::read(context, &parameters.backend)?;
    let samples = context.input_samples("samples")?;
    let room = Room { context: policy.context(), long: parameters.long_prompts };
    let questions =
        questions(context, &samples, policy.tokenizer(), parameters.demonstrations, room, |_| parameters.max_tokens)?;
    let requests: Vec<PromptRequest> = questions
        .iter()
        .map(|question| PromptRequest {
            id: samples[question.sample].id.clone(),
            tokens: question.tokens(parameters.demonstrations).to_vec(),
            count: 1,
        })
        .collect();
    let sampling = Sampling {
        temperature: parameters.temperature,
        top_k: parameters.top_k,
        top_p: parameters.top_p,
        min_p: parameters.min_p,
        max_tokens: parameters.max_tokens,
        stop: parameters.stop.clone(),
    };
    let seed = Seed(parameters.sampling_seed).derive("evaluate");
    let grammar = |question: &Question| parameters.constrain.grammar(&samples[question.sample]);
    let grammars = questions.iter().map(grammar).collect();
    let texts = policy.texts(context, &samples, &questions, parameters.demonstrations)?;
    let order = Order {
        policy: &policy,
        requests: &requests,
        texts: &texts,
        sampling: &sampling,
        seed,
        grammars,
        unit: "samples",
    };
    let mut answered: Vec<Option<ScoreRow>> = vec![None; samples.len()];
    let (mut ended, mut right) = (0_u64, 0_u64);
    order.complete(context, |context, request, answers| {
        let index = questions[request].sample;
        for answer in answers {
            let row = score_completion(&samples[index], &answer.text);
            ended += 1;
            right += u64::from(row.correct);
            answered[index] = Some(row);
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of rows")]
        context.metric("accuracy", ended, right as f64 / ended as f64);
    })?;
    let scores: Vec<ScoreRow> = samples
        .iter()
        .zip(answered)
        .map(|(sample, row)| row.unwrap_or_else(|| score::unanswered(sample, "the prompt is too long for the model")))
        .collect();
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
