//! `check-contamination`: what evaluation samples have in common with training samples.

use serde::Deserialize;

use crate::{
    stage::{StageCtx, StageError, samples},
    table::{OverlapRow, ReportRow, SampleRow},
    tools::{
        Sample,
        contamination::{Lengths, Overlap, TrainingIndex},
    },
};

/// Share of short runs in common from which a question counts as reworded (PaLM's rule, arXiv 2204.02311, section 8).
const REWORDED: f64 = 0.7;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Parameters {
    ngram: usize,
    short_ngram: usize,
}

pub(super) fn run(context: &mut StageCtx) -> Result<(), StageError> {
    let parameters: Parameters = context.params()?;
    let mut train: Vec<Sample> = Vec::new();
    for (_, rows) in context.input_tables::<SampleRow>("train")? {
        for row in &rows {
            train.push(samples::from_row(row)?);
        }
    }
    if train.is_empty() {
        let reason = "holds no sample to compare with".to_owned();
        return Err(StageError::Port { port: "train".into(), reason });
    }
    let eval = context.input_samples("eval")?;
    let index = TrainingIndex::new(&train, Lengths { long: parameters.ngram, short: parameters.short_ngram });
    let overlaps: Vec<Overlap> = eval.iter().map(|sample| index.overlap(sample)).collect();
    let rows: Vec<OverlapRow> = eval.iter().zip(&overlaps).map(|(sample, overlap)| row(sample, overlap)).collect();
    let report = report(train.len(), &rows);
    let clean: Vec<Sample> = eval
        .into_iter()
        .zip(&overlaps)
        .filter(|(_, overlap)| !overlap.is_contaminated())
        .map(|(sample, _)| sample)
        .collect();
    context.log(format!(
        "{} of {} evaluation samples are contaminated by {} training samples: {} ask the same",
        rows.len() - clean.len(),
        rows.len(),
        train.len(),
        rows.iter().filter(|row| !row.duplicate_of.is_empty()).count()
    ));
    context.write_table("overlaps", &rows)?;
    context.write_table("report", &report)?;
    context.write_samples("clean", &clean)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "counts of words and tools of one sample"
)]
fn row(sample: &Sample, overlap: &Overlap) -> OverlapRow {
    let share = |(all, known): (usize, usize)| if all == 0 { 0.0 } else { known as f64 / all as f64 };
    let json = |names: &[String]| serde_json::to_string(names).unwrap_or_default();
    OverlapRow {
        sample_id: sample.id.clone(),
        category: sample.category.clone(),
        duplicate_of: overlap.duplicate_of.clone().unwrap_or_default(),
        ngrams: overlap.long.0 as i32,
        ngram_share: share(overlap.long),
        short_share: share(overlap.short),
        tools: sample.tools.len() as i32,
        shared_tools: json(&overlap.shared_tools),
        shared_schemas: json(&overlap.shared_schemas),
        gold_tool_trained: overlap.gold_tool_trained,
        contaminated: overlap.is_contaminated(),
    }
}

/// What is counted of an evaluation sample.
type Test = fn(&OverlapRow) -> bool;

/// Returns the counts, over all and by category.
fn report(train: usize, rows: &[OverlapRow]) -> Vec<ReportRow> {
    const TESTS: [(&str, Test); 8] = [
        ("samples", |_| true),
        ("contaminated", |row| row.contaminated),
        ("duplicates", |row| !row.duplicate_of.is_empty()),
        ("ngram-overlaps", |row| row.ngram_share > 0.0),
        ("short-ngram-overlaps", |row| row.short_share >= REWORDED),
        ("shared-tools", |row| row.shared_tools != "[]"),
        ("shared-schemas", |row| row.shared_schemas != "[]"),
        ("gold-tools-trained", |row| row.gold_tool_trained),
    ];
    #[expect(clippy::cast_precision_loss, reason = "counts of rows")]
    let counted = |name: String, count: usize| ReportRow { name, value: count as f64 };
    let mut categories: Vec<&str> = rows.iter().map(|row| row.category.as_str()).collect();
    categories.sort_unstable();
    categories.dedup();
    let mut counts = vec![counted("train-samples".to_owned(), train)];
    for (name, test) in TESTS {
        counts.push(counted(name.to_owned(), rows.iter().filter(|row| test(row)).count()));
    }
    for category in categories {
        for (name, test) in TESTS {
            let count = rows.iter().filter(|row| row.category == category && test(row)).count();
            counts.push(counted(format!("{category}.{name}"), count));
        }
    }
    counts
}
