//! `gold-ceiling`: what the gold answers themselves score.
//!
//! They are written as a model would write them and go through the judge of `evaluate`, so what they miss is a defect of the
//! data, of the tools or of the judge, and no model can be blamed for it. The scores are a table like `evaluate`'s: beside a
//! model's in `compare` they are the ceiling.

use std::fmt::Write as _;

use crate::{
    stage::{
        StageCtx, StageError,
        breakdown::breakdown,
        evaluate::{row, score_completion},
        worlds::Worlds,
    },
    table::ScoreRow,
    tools::{
        Sample, Style, answer_text,
        episode::{self, Episode},
    },
};

/// Defective samples that the log names.
const NAMED: usize = 20;

pub(super) fn run(context: &mut StageCtx) -> Result<(), StageError> {
    let style: Style = context.param("style")?;
    let worlds = Worlds::read(context)?;
    let mut samples = context.input_samples("samples")?;
    worlds.offer(&mut samples)?;
    let mut scores: Vec<ScoreRow> = Vec::with_capacity(samples.len());
    for (done, sample) in samples.iter().enumerate() {
        scores.push(score(&worlds, sample, answer_text(&sample.gold, style))?);
        context.progress(done as u64 + 1, samples.len() as u64, "samples");
    }
    let defective: Vec<&ScoreRow> = scores.iter().filter(|row| !row.correct).collect();
    context.log(summary(&scores, &defective));
    let mut text = String::new();
    for row in &defective {
        let _ = writeln!(text, "{}\t{}\t{}", row.sample_id, row.error_type, row.error.replace(['\n', '\t'], " "));
    }
    context.write_table("scores", &scores)?;
    context.write_table("report", &breakdown(&scores))?;
    context.write_file("defects", text.as_bytes())
}

/// Judges a sample's gold answer. Calls that are served run once for the answer and once for the gold, so that what does not
/// come out the same twice shows.
fn score(worlds: &Worlds, sample: &Sample, text: String) -> Result<ScoreRow, StageError> {
    let served = if worlds.are_served() { worlds.toolbox(sample)? } else { None };
    let Some(toolbox) = served else { return Ok(score_completion(sample, &text)) };
    let mut episode = Episode::new(toolbox, 1);
    episode.answer(&text);
    let (found, gold) = (episode.end(), worlds.gold(sample)?);
    let turns = [text];
    let judgement = episode::judge(sample, &turns, &found, &gold);
    Ok(row(sample, &turns[0], judgement))
}

fn summary(scores: &[ScoreRow], defective: &[&ScoreRow]) -> String {
    #[expect(clippy::cast_precision_loss, reason = "counts of rows")]
    let percent = 100.0 * (scores.len() - defective.len()) as f64 / (scores.len().max(1)) as f64;
    let mut text = format!("the gold answers score {percent:.1} %");
    if !defective.is_empty() {
        let ids: Vec<&str> = defective.iter().take(NAMED).map(|row| row.sample_id.as_str()).collect();
        let more = if defective.len() > NAMED { " …" } else { "" };
        let _ = write!(text, "; {} of {} are defective: {}{more}", defective.len(), scores.len(), ids.join(", "));
    }
    text
}
