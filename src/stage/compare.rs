//! `compare`: score tables side by side.
//!
//! The tables are about the same samples, so differences are paired: which samples flipped, and how likely that is by
//! chance. Without a baseline there are accuracies, and how far apart they lie.

mod spread;
mod tally;
mod text;

use tally::Scored;

use crate::{
    stage::{StageCtx, StageError},
    table::ScoreRow,
};

pub(super) fn run(context: &mut StageCtx) -> Result<(), StageError> {
    let baseline = context.input_tables::<ScoreRow>("baseline")?.into_iter().next();
    let origin = context.artifacts("baseline").first().map(|input| (input.label.clone(), input.digest));
    let scored = context.input_tables::<ScoreRow>("scores")?;
    if scored.is_empty() {
        return Err(StageError::Port { port: "scores".into(), reason: "nothing is connected to compare".into() });
    }
    // The baseline gets a row of its own; where it is also among the scores, it is not listed twice.
    let again = context
        .artifacts("scores")
        .iter()
        .map(|input| origin.as_ref().is_some_and(|(label, digest)| *label == input.label && *digest == input.digest));
    let baseline = baseline.as_ref().map(|(label, scores)| Scored::new(label, scores)).transpose()?;
    let others: Vec<Scored> = scored
        .iter()
        .zip(again)
        .filter(|(_, again)| !again)
        .map(|((label, scores), _)| Scored::new(label, scores))
        .collect::<Result<_, _>>()?;
    if let Some(baseline) = &baseline {
        others.iter().try_for_each(|other| other.check_samples(baseline))?;
    }
    let all = || baseline.iter().chain(&others);
    let rows: Vec<_> = all().map(|scored| scored.comparison(baseline.as_ref())).collect();
    let categories: Vec<_> = all().flat_map(|scored| scored.by_category(baseline.as_ref())).collect();
    let flips: Vec<_> =
        baseline.iter().flat_map(|baseline| others.iter().flat_map(|other| other.flips(baseline))).collect();
    let spread = spread::spread(&rows);
    let text = text::render(&rows, &categories, &flips, &spread);
    context.log(text.clone());
    context.write_table("comparison", &rows)?;
    context.write_table("categories", &categories)?;
    context.write_table("flips", &flips)?;
    context.write_table("spread", &spread)?;
    context.write_file("text", text.as_bytes())
}
