//! `evaluate`: a model's answers, judged.
//!
//! The half that needs no model is [`score_completion`]: the same judgement that rewards are made of.

mod score;

use std::collections::BTreeMap;

pub use self::score::score_completion;
use crate::{
    base::Seed,
    stage::{
        StageCtx, StageError,
        training::{self, completions::Order},
    },
    table::{ReportRow, ScoreRow},
};

pub(super) fn run(context: &mut StageCtx) -> Result<(), StageError> {
    training::on_threads(context, evaluate)
}

fn evaluate(context: &mut StageCtx) -> Result<(), StageError> {
    let seed = Seed(context.param("sampling-seed")?).derive("evaluate");
    let order = Order::read(context, 1, seed, "samples")?;
    let samples = &order.samples;
    let mut answered: Vec<Option<ScoreRow>> = vec![None; samples.len()];
    let (mut ended, mut right) = (0_u64, 0_u64);
    order.complete(context, |context, request, answers| {
        for answer in answers {
            let row = score_completion(order.sample_of(request), &answer.text);
            ended += 1;
            right += u64::from(row.correct);
            answered[order.questions[request].sample] = Some(row);
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
