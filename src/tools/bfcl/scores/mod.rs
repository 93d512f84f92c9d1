//! BFCL's files: results in, scores and tables out, byte for byte as the official evaluator has them.
//!
//! Pure: texts and rows in, texts out. Which files there are and where, [`layout`] says; reading and writing them is the
//! business of stages. Verdicts come from outside: of single-turn entries from [`super::judge`], of others from whoever
//! executed them.

mod board;
pub mod csv;
mod episode;
pub mod file;
mod format;
pub mod layout;
pub mod results;
mod statistics;
mod usage;

pub use board::{Board, CategoryScore, Cell};
pub use csv::{ModelCard, ModelScores};
pub use episode::EpisodeVerdict;
pub use file::{Asked, Failure, Judged};
pub use format::{FormatSensitivity, Spread};
pub use results::{ResultError, ResultRow};
pub use usage::{Prices, Usage, UsageCells};
