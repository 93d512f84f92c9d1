//! `score-bfcl`: answers to BFCL, judged as the official evaluator does, in its files.
//!
//! The walk: gather answers (a result folder, tables of `evaluate`, conversations of `converse-bfcl`, verdicts of others) →
//! run those of several turns → judge them by category → add up → write. What is judged how, `tools::bfcl` knows; this only reads and writes.

mod answers;
mod executing;
mod fair;
mod judging;

use std::collections::BTreeMap;

use serde::Deserialize;

use self::judging::Scored;
use crate::{
    stage::{
        StageCtx, StageError,
        bfcl_data::{Benchmark, Reasoning, categories},
    },
    table::{ReportRow, ScoreRow},
    tools::bfcl::{
        Category,
        scores::{Board, ModelCard, ModelScores, Prices, csv, file, layout, results},
    },
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Parameters {
    /// Absent where it is a path.
    #[serde(default, rename = "source")]
    _source: Option<String>,
    /// The same.
    #[serde(default, rename = "results")]
    _results: Option<String>,
    /// With `digest` and `categories`, those of [`crate::stage::bfcl_data`].
    #[serde(rename = "member")]
    _member: String,
    #[serde(rename = "digest")]
    _digest: String,
    model: String,
    #[serde(rename = "categories")]
    _categories: Vec<String>,
    mode: Mode,
    partial: bool,
    #[serde(default)]
    python: Option<String>,
    #[serde(default)]
    gold: Option<bool>,
    reasoning: Reasoning,
    display_name: String,
    url: String,
    organization: String,
    license: String,
    prices: Option<PriceTable>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceTable {
    input: f64,
    output: f64,
}

/// Whose verdicts the output `scores` has.
#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    Official,
    Fair,
}

pub(super) fn run(context: &mut StageCtx) -> Result<(), StageError> {
    let parameters: Parameters = context.params()?;
    let wanted = categories(context, "category", |_| true)?;
    let benchmark = Benchmark::fetch(context)?;
    let files = benchmark.files();
    let mut answers = answers::gather(context, &parameters, &wanted, &files)?;
    let fair = executing::execute(context, &parameters, &benchmark, &mut answers)?;
    let scored = judging::judge(context, &parameters, &files, &answers, fair)?;
    for (category, rows) in &answers.rows {
        let path = format!("result/{}", layout::result_path(&answers.model, *category));
        context.write_into("folder", &path, results::write(rows).as_bytes())?;
    }
    for (category, judged) in &scored.judged {
        let formats = scored.formats.as_ref().filter(|_| *category == Category::FormatSensitivity);
        let path = format!("score/{}", layout::score_path(&answers.model, *category));
        context.write_into("folder", &path, file::write(judged, formats).as_bytes())?;
    }
    let board = Board::new(scored.category_scores());
    let mut report = report(&board, &scored);
    if let Some(fair) = &scored.fair {
        report.extend(fair::report(fair));
        context.write_into("folder", "differences.jsonl", fair.lines().as_bytes())?;
        context.log(format!("{} verdicts are other than the official ones", fair.differences.len()));
    }
    let card = card(&parameters, &answers.model);
    let model = ModelScores { card, board, formats: scored.formats.clone(), usage: scored.usage.clone() };
    for (name, text) in csv::tables(std::slice::from_ref(&model)) {
        context.write_into("folder", &format!("score/{name}"), text.as_bytes())?;
    }
    context.log(format!("{}: {}", answers.model, summary(&model.board)));
    let rows: Vec<ScoreRow> = scored.rows;
    context.write_table("scores", &rows)?;
    context.write_table("report", &report)
}

fn card(parameters: &Parameters, model: &str) -> ModelCard {
    let name =
        if parameters.display_name.is_empty() { layout::model_folder(model) } else { parameters.display_name.clone() };
    ModelCard {
        display_name: name,
        url: parameters.url.clone(),
        organization: parameters.organization.clone(),
        license: parameters.license.clone(),
        prices: parameters.prices.map(|PriceTable { input, output }| Prices { input, output }),
    }
}

/// Returns the summaries of the leaderboard by name.
fn summaries(board: &Board) -> [(&'static str, f64); 6] {
    [
        ("overall", board.overall),
        ("non_live", board.non_live),
        ("live", board.live),
        ("irrelevance", board.irrelevance),
        ("multi_turn", board.multi_turn),
        ("agentic", board.agentic),
    ]
    .map(|(name, cell)| (name, cell.accuracy))
}

fn summary(board: &Board) -> String {
    let parts = summaries(board).map(|(name, accuracy)| format!("{name} {:.2} %", accuracy * 100.0));
    let missing = Category::ALL.iter().filter(|category| !board.categories().contains_key(category)).count();
    let missing = missing - usize::from(!board.categories().contains_key(&Category::FormatSensitivity));
    format!("{} ({missing} of {} categories are missing and count as 0)", parts.join(", "), Category::ALL.len() - 1)
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows")]
fn report(board: &Board, scored: &Scored) -> Vec<ReportRow> {
    let mut rows = Vec::new();
    let mut add = |name: String, value: f64| rows.push(ReportRow { name, value });
    for (name, accuracy) in summaries(board) {
        add(format!("summary.{name}"), accuracy);
    }
    let mut mistakes: BTreeMap<&str, usize> = BTreeMap::new();
    for (category, judged) in &scored.judged {
        let (right, all) = file::count(judged);
        add(format!("{category}.samples"), all as f64);
        add(format!("{category}.correct"), right as f64);
        add(format!("{category}.accuracy"), right as f64 / all as f64);
        for failure in judged.iter().filter_map(|judged| judged.failure.as_ref()) {
            *mistakes.entry(failure.error_type.as_str()).or_default() += 1;
        }
    }
    if let Some(formats) = &scored.formats {
        let spread = formats.spread();
        add("format_sensitivity.max-delta".to_owned(), spread.max_delta);
        add("format_sensitivity.deviation".to_owned(), spread.deviation);
        for configuration in formats.configurations.keys() {
            add(format!("format_sensitivity.{configuration}"), formats.accuracy(configuration).unwrap_or_default());
        }
    }
    for (mistake, count) in mistakes {
        add(format!("mistakes.{mistake}"), count as f64);
    }
    for (category, count) in &scored.unjudged {
        add(format!("unjudged.{category}"), *count as f64);
    }
    rows
}
