//! The six tables `data_*.csv`.
//!
//! Source: `bfcl_eval/eval_checker/eval_runner_helper.py` and `constants/column_headers.py` of bfcl-eval 2026.3.23. Cells
//! are not quoted, the last line has no line end, both as in the original.

use super::{
    board::{Board, Cell},
    format::FormatSensitivity,
    usage::{Prices, Usage},
};
use crate::tools::{
    bfcl::{Category as C, Format},
    python::{PyValue, repr},
};

/// How a model is presented.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelCard {
    /// Its name in tables.
    pub display_name: String,
    /// Where it is described.
    pub url: String,
    /// Who made it.
    pub organization: String,
    /// How it may be used.
    pub license: String,
    /// What it costs behind an API; `None` of one that runs locally.
    pub prices: Option<Prices>,
}

/// Everything that the tables say of a model.
#[derive(Clone, Debug)]
pub struct ModelScores {
    /// How it is presented.
    pub card: ModelCard,
    /// Its accuracies.
    pub board: Board,
    /// Its accuracies by prompt format, if they were asked for.
    pub formats: Option<FormatSensitivity>,
    /// What its answers cost.
    pub usage: Usage,
}

const NOT_AVAILABLE: &str = "N/A";

const NON_LIVE: &str = "Rank,Model,Non-Live Overall Acc,AST Summary,Simple AST,Python Simple AST,Java Simple AST,\
    JavaScript Simple AST,Multiple AST,Parallel AST,Parallel Multiple AST,Irrelevance Detection";
const LIVE: &str = "Rank,Model,Live Overall Acc,AST Summary,Python Simple AST,Python Multiple AST,Python Parallel AST,\
    Python Parallel Multiple AST,Irrelevance Detection,Relevance Detection";
const MULTI_TURN: &str = "Rank,Model,Multi Turn Overall Acc,Base,Miss Func,Miss Param,Long Context";
const AGENTIC: &str = "Rank,Model,Agentic Overall Acc,Web Search Summary,Web Search Base,Web Search No Snippet,\
    Memory Summary,Memory KV,Memory Vector,Memory Recursive Summarization";
const FORMATS: &str = "Rank,Model,Format Sensitivity Max Delta,Format Sensitivity Standard Deviation";
const OVERALL: &str = "Rank,Overall Acc,Model,Model Link,Total Cost ($),Latency Mean (s),\
    Latency Standard Deviation (s),Latency 95th Percentile (s),Non-Live AST Acc,Non-Live Simple AST,\
    Non-Live Multiple AST,Non-Live Parallel AST,Non-Live Parallel Multiple AST,Live Acc,Live Simple AST,\
    Live Multiple AST,Live Parallel AST,Live Parallel Multiple AST,Multi Turn Acc,Multi Turn Base,\
    Multi Turn Miss Func,Multi Turn Miss Param,Multi Turn Long Context,Web Search Acc,Web Search Base,\
    Web Search No Snippet,Memory Acc,Memory KV,Memory Vector,Memory Recursive Summarization,Relevance Detection,\
    Irrelevance Detection,Format Sensitivity Max Delta,Format Sensitivity Standard Deviation,Organization,License";

/// Returns the names and texts of the six tables. Models of equal rank keep their order.
pub fn tables(models: &[ModelScores]) -> Vec<(&'static str, String)> {
    vec![
        ("data_overall.csv", table(OVERALL, models, |model| Some(model.board.overall.accuracy), overall)),
        ("data_live.csv", table(LIVE, models, |model| Some(model.board.live.accuracy), live)),
        ("data_non_live.csv", table(NON_LIVE, models, |model| Some(model.board.non_live.accuracy), non_live)),
        ("data_multi_turn.csv", table(MULTI_TURN, models, |model| Some(model.board.multi_turn.accuracy), multi_turn)),
        ("data_agentic.csv", table(AGENTIC, models, |model| Some(model.board.agentic.accuracy), agentic)),
        ("data_format_sensitivity.csv", {
            let configurations: String = Format::all().iter().map(|format| format!(",Config {format}")).collect();
            let delta = |model: &ModelScores| Some(model.formats.as_ref()?.spread().max_delta);
            table(&format!("{FORMATS}{configurations}"), models, delta, formats)
        }),
    ]
}

/// Returns a table, best models first; those without the number that ranks come last.
fn table(
    header: &str,
    models: &[ModelScores],
    rank_by: impl Fn(&ModelScores) -> Option<f64>,
    cells: impl Fn(&ModelScores) -> Vec<String>,
) -> String {
    let mut ranked: Vec<(f64, &ModelScores)> =
        models.iter().map(|model| (rank_by(model).unwrap_or(-1.0), model)).collect();
    ranked.sort_by(|(one, _), (two, _)| two.total_cmp(one));
    let mut text = header.to_owned();
    for (index, (_, model)) in ranked.into_iter().enumerate() {
        text.push_str(&format!("\n{},{}", index + 1, cells(model).join(",")));
    }
    text
}

fn percent(cell: Cell) -> String {
    if cell.shown { share(Some(cell.accuracy)) } else { NOT_AVAILABLE.to_owned() }
}

fn share(accuracy: Option<f64>) -> String {
    accuracy.map_or_else(|| NOT_AVAILABLE.to_owned(), |accuracy| format!("{:.2}%", accuracy * 100.0))
}

fn named(model: &ModelScores, cells: &[Cell]) -> Vec<String> {
    let mut row = vec![model.card.display_name.clone()];
    row.extend(cells.iter().copied().map(percent));
    row
}

fn categories<const N: usize>(board: &Board, wanted: [C; N]) -> [Cell; N] {
    wanted.map(|category| board.category(category))
}

fn non_live(model: &ModelScores) -> Vec<String> {
    let board = &model.board;
    let mut cells = vec![board.non_live, board.non_live_summary, board.simple];
    cells.extend(categories(board, [C::SimplePython, C::SimpleJava, C::SimpleJavascript]));
    cells.extend(categories(board, [C::Multiple, C::Parallel, C::ParallelMultiple, C::Irrelevance]));
    named(model, &cells)
}

fn live(model: &ModelScores) -> Vec<String> {
    let board = &model.board;
    let mut cells = vec![board.live, board.live_summary];
    cells.extend(categories(board, [C::LiveSimple, C::LiveMultiple, C::LiveParallel, C::LiveParallelMultiple]));
    cells.extend(categories(board, [C::LiveIrrelevance, C::LiveRelevance]));
    named(model, &cells)
}

/// The multi-turn summary and categories, as two tables list them.
fn turns(board: &Board) -> Vec<Cell> {
    let mut cells = vec![board.multi_turn];
    let turns = [C::MultiTurnBase, C::MultiTurnMissFunc, C::MultiTurnMissParam, C::MultiTurnLongContext];
    cells.extend(categories(board, turns));
    cells
}

/// The agentic summaries and categories, as two tables list them.
fn agents(board: &Board) -> Vec<Cell> {
    let mut cells = vec![board.web_search];
    cells.extend(categories(board, [C::WebSearchBase, C::WebSearchNoSnippet]));
    cells.push(board.memory);
    cells.extend(categories(board, [C::MemoryKv, C::MemoryVector, C::MemoryRecSum]));
    cells
}

fn multi_turn(model: &ModelScores) -> Vec<String> {
    named(model, &turns(&model.board))
}

fn agentic(model: &ModelScores) -> Vec<String> {
    let mut cells = vec![model.board.agentic];
    cells.extend(agents(&model.board));
    named(model, &cells)
}

/// Returns the cells of the spread over prompt formats, in points.
fn spread(model: &ModelScores) -> [String; 2] {
    let Some(formats) = &model.formats else { return [NOT_AVAILABLE, NOT_AVAILABLE].map(str::to_owned) };
    let spread = formats.spread();
    [spread.max_delta, spread.deviation].map(|points| repr(&PyValue::Float(points)))
}

fn formats(model: &ModelScores) -> Vec<String> {
    let mut row = vec![model.card.display_name.clone()];
    row.extend(spread(model));
    row.extend(
        Format::all()
            .iter()
            .map(|format| share(model.formats.as_ref().and_then(|formats| formats.accuracy(&format.to_string())))),
    );
    row
}

fn overall(model: &ModelScores) -> Vec<String> {
    let (board, card) = (&model.board, &model.card);
    let usage = model.usage.cells(card.prices);
    let mut row = vec![percent(board.overall), card.display_name.clone(), card.url.clone()];
    let used = [usage.cost, usage.latency_mean, usage.latency_deviation, usage.latency_percentile_95];
    row.extend(used.map(|cell| cell.unwrap_or_else(|| NOT_AVAILABLE.to_owned())));
    let mut cells = vec![board.non_live_summary, board.simple];
    cells.extend(categories(board, [C::Multiple, C::Parallel, C::ParallelMultiple]));
    cells.push(board.live);
    cells.extend(categories(board, [C::LiveSimple, C::LiveMultiple, C::LiveParallel, C::LiveParallelMultiple]));
    cells.extend(turns(board));
    cells.extend(agents(board));
    cells.extend([board.category(C::LiveRelevance), board.irrelevance]);
    row.extend(cells.into_iter().map(percent));
    row.extend(spread(model));
    row.extend([card.organization.clone(), card.license.clone()]);
    row
}
