//! From the accuracy of categories to the summaries of the leaderboard.
//!
//! Source: `bfcl_eval/eval_checker/eval_runner_helper.py` of bfcl-eval 2026.3.23. A category without a score counts as 0
//! in every summary above it and is printed as `N/A`.

use std::collections::BTreeMap;

use crate::tools::bfcl::Category;

/// The accuracy of a category.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CategoryScore {
    /// Right answers over answers.
    pub accuracy: f64,
    /// How many answers.
    pub total: usize,
}

impl CategoryScore {
    /// Returns the score of `correct` right answers among `total`.
    #[expect(clippy::cast_precision_loss, reason = "counts of entries")]
    pub fn of(correct: usize, total: usize) -> Self {
        Self { accuracy: correct as f64 / total as f64, total }
    }
}

/// A category's, or a summary's, number and whether it is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// What counts in the summaries above, a share of 1.
    pub accuracy: f64,
    /// How many answers it rests on; of a category without a score, how many the whole benchmark has.
    pub total: usize,
    /// Whether it is printed; otherwise `N/A` is.
    pub shown: bool,
}

/// How many entries the categories have that the live summary weighs.
const LIVE_SIZES: [(Category, usize); 4] = [
    (Category::LiveSimple, 258),
    (Category::LiveMultiple, 1053),
    (Category::LiveParallel, 16),
    (Category::LiveParallelMultiple, 24),
];

/// The weights of the overall accuracy, in per cent: non-live, live, irrelevance, multi-turn, agentic.
const OVERALL_WEIGHTS: [f64; 5] = [10.0, 10.0, 10.0, 30.0, 40.0];

/// Every number of the leaderboard that is made of accuracies.
#[derive(Clone, Debug, PartialEq)]
pub struct Board {
    categories: BTreeMap<Category, CategoryScore>,
    /// Mean of the simple categories of three languages.
    pub simple: Cell,
    /// Mean of `simple` and the other three non-live categories, not shown where one is missing.
    pub non_live_summary: Cell,
    /// The same, always shown.
    pub non_live: Cell,
    /// Mean of the four live categories weighted by their entries, not shown where one is missing.
    pub live_summary: Cell,
    /// The same, always shown.
    pub live: Cell,
    /// Mean of the four multi-turn categories.
    pub multi_turn: Cell,
    /// Mean of the web searches.
    pub web_search: Cell,
    /// Mean of the memory backends.
    pub memory: Cell,
    /// Mean of web search and memory.
    pub agentic: Cell,
    /// Mean of both irrelevance categories.
    pub irrelevance: Cell,
    /// The accuracy that models are ranked by.
    pub overall: Cell,
}

impl Board {
    /// Computes all summaries of the scores that there are.
    pub fn new(categories: BTreeMap<Category, CategoryScore>) -> Self {
        use Category as C;
        let cell = |category| cell(&categories, category);
        let mean_of = |names: &[Category]| mean(&names.iter().copied().map(cell).collect::<Vec<_>>());
        let simple = mean_of(&[C::SimplePython, C::SimpleJava, C::SimpleJavascript]);
        let others = [C::Multiple, C::Parallel, C::ParallelMultiple].map(cell);
        let non_live_summary = mean(&[simple, others[0], others[1], others[2]]);
        let live_summary = weighted_by_total(&LIVE_SIZES.map(|(category, _)| cell(category)));
        let turns = [C::MultiTurnBase, C::MultiTurnMissFunc, C::MultiTurnMissParam, C::MultiTurnLongContext];
        let multi_turn = always(mean_of(&turns));
        let web_search = mean_of(&[C::WebSearchBase, C::WebSearchNoSnippet]);
        let memory = mean_of(&[C::MemoryKv, C::MemoryVector, C::MemoryRecSum]);
        let agentic = always(mean(&[web_search, memory]));
        let irrelevance = mean_of(&[C::Irrelevance, C::LiveIrrelevance]);
        let (non_live, live) = (always(non_live_summary), always(live_summary));
        let overall = always(overall([non_live, live, irrelevance, multi_turn, agentic]));
        Self {
            simple,
            non_live_summary,
            non_live,
            live_summary,
            live,
            multi_turn,
            web_search,
            memory,
            agentic,
            irrelevance,
            overall,
            categories,
        }
    }

    /// Returns the cell of a category.
    pub fn category(&self, category: Category) -> Cell {
        cell(&self.categories, category)
    }

    /// Returns the scores that there are.
    pub fn categories(&self) -> &BTreeMap<Category, CategoryScore> {
        &self.categories
    }
}

fn cell(categories: &BTreeMap<Category, CategoryScore>, category: Category) -> Cell {
    match categories.get(&category) {
        Some(score) => Cell { accuracy: score.accuracy, total: score.total, shown: true },
        None => {
            let total = LIVE_SIZES.iter().find(|(live, _)| *live == category).map_or(0, |(_, total)| *total);
            Cell { accuracy: 0.0, total, shown: false }
        }
    }
}

fn always(cell: Cell) -> Cell {
    Cell { shown: true, ..cell }
}

fn merged(cells: &[Cell], accuracy: f64) -> Cell {
    Cell { accuracy, total: cells.iter().map(|cell| cell.total).sum(), shown: cells.iter().all(|cell| cell.shown) }
}

#[expect(clippy::cast_precision_loss, reason = "a handful of cells")]
fn mean(cells: &[Cell]) -> Cell {
    let sum = cells.iter().fold(0.0, |sum, cell| sum + cell.accuracy);
    merged(cells, sum / cells.len() as f64)
}

#[expect(clippy::cast_precision_loss, reason = "counts of entries")]
fn weighted_by_total(cells: &[Cell]) -> Cell {
    let sum = cells.iter().fold(0.0, |sum, cell| sum + cell.accuracy * cell.total as f64);
    let total: usize = cells.iter().map(|cell| cell.total).sum();
    merged(cells, sum / total as f64)
}

fn overall(cells: [Cell; 5]) -> Cell {
    let all: f64 = OVERALL_WEIGHTS.iter().sum();
    let sum = cells.iter().zip(OVERALL_WEIGHTS).fold(0.0, |sum, (cell, weight)| sum + cell.accuracy * (weight / all));
    merged(&cells, sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(scores: &[(Category, usize, usize)]) -> Board {
        let scores = scores.iter().map(|(category, right, all)| (*category, CategoryScore::of(*right, *all)));
        Board::new(scores.collect())
    }

    #[test]
    fn missing_categories_count_as_zero_and_hide_their_summaries() {
        let board = board(&[(Category::SimplePython, 3, 4), (Category::LiveSimple, 129, 258)]);
        assert_eq!((board.simple.accuracy, board.simple.shown), (0.25, false));
        assert_eq!((board.non_live.accuracy, board.non_live.shown), (0.0625, true));
        // 129 right of 258 + 1053 + 16 + 24 entries.
        assert_eq!(board.live.accuracy, 129.0 / 1351.0);
        assert!(!board.live_summary.shown && !board.web_search.shown && !board.category(Category::MemoryKv).shown);
        assert_eq!((board.agentic.accuracy, board.agentic.shown), (0.0, true));
        assert_eq!(board.overall.accuracy, 0.0625 * 0.1 + 129.0 / 1351.0 * 0.1);
    }

    #[test]
    fn groups_have_their_weights() {
        let single: Vec<_> = Category::ALL[..6].iter().chain(&Category::ALL[7..11]).map(|it| (*it, 1, 1)).collect();
        assert_eq!(board(&single).overall.accuracy, 0.2);
        assert_eq!(board(&[(Category::MultiTurnBase, 1, 1)]).overall.accuracy, 0.25 * 0.3);
        assert_eq!(board(&[(Category::MemoryKv, 1, 1)]).agentic.accuracy, 1.0 / 3.0 / 2.0);
        assert_eq!(board(&[(Category::LiveRelevance, 1, 1)]).overall.accuracy, 0.0);
    }
}
