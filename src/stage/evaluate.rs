//! `evaluate`: a model's answers, judged.
//!
//! The half that needs no model is [`score_completion`]: the same judgement that rewards are made of, and [`breakdown()`],
//! which says what the scores come to. How long answers take is told as metrics and in the log, and is in no output: the
//! same question to the same model gives the same bytes.

mod score;

pub(super) use self::score::row;
pub use self::score::score_completion;
use crate::{
    base::Seed,
    stage::{
        StageCtx, StageError,
        breakdown::breakdown,
        training::{self, completions::Order},
    },
    table::ScoreRow,
};

pub(super) fn run(context: &mut StageCtx) -> Result<(), StageError> {
    training::on_threads(context, evaluate)
}

fn evaluate(context: &mut StageCtx) -> Result<(), StageError> {
    let seed = Seed(context.param("sampling-seed")?).derive("evaluate");
    let attempts = context.param::<Option<usize>>("attempts")?.unwrap_or(1);
    if attempts > 1 && context.param::<f64>("temperature")? == 0.0 {
        let reason = "at temperature 0 all answers are the same: set `temperature`, or leave `attempts` out";
        return Err(StageError::parameter("attempts", reason));
    }
    let order = Order::read(context, attempts, seed, if attempts == 1 { "samples" } else { "answers" })?;
    let samples = &order.samples;
    let mut answered: Vec<Vec<ScoreRow>> = vec![Vec::new(); samples.len()];
    let (mut ended, mut right) = (0_u64, 0_u64);
    order.complete(context, |context, request, answers| {
        let (sample, tokens) = (order.sample_of(request), order.requests[request].tokens.len());
        let rows: Vec<ScoreRow> = answers
            .iter()
            .enumerate()
            .map(|(attempt, answer)| score::score_answer(sample, attempt, tokens, answer))
            .collect();
        ended += rows.len() as u64;
        right += rows.iter().filter(|row| row.correct).count() as u64;
        answered[order.questions[request].sample] = rows;
        #[expect(clippy::cast_precision_loss, reason = "counts of rows")]
        context.metric("accuracy", ended, right as f64 / ended as f64);
    })?;
    let too_long = "the prompt is too long for the model";
    let scores: Vec<ScoreRow> = samples
        .iter()
        .zip(answered)
        .flat_map(|(sample, rows)| {
            if !rows.is_empty() {
                return rows;
            }
            (0..attempts).map(|attempt| score::unanswered(sample, attempt, "prompt-too-long", too_long)).collect()
        })
        .collect();
    context.log(format!(
        "{} of {} answers are right, {} read as calls",
        scores.iter().filter(|row| row.correct).count(),
        scores.len(),
        scores.iter().filter(|row| row.parsed).count()
    ));
    context.write_table("scores", &scores)?;
    context.write_table("report", &breakdown(&scores))
}
