//! Multi-turn BFCL: conversations whose calls act on worlds that live on.
//!
//! Nothing here runs a call: [`world::Worlds`] does, and its implementation that talks to a process is elsewhere. Pure: text
//! and results in; calls to run, messages to send and verdicts out.
//!
//! [`entry`] reads the official files; [`decode`] makes call texts of model text; [`conversation`] is the loop of turns and
//! steps; [`judge`] runs answer and ground truth side by side, and [`check`] compares what they did by [`state`] and results.
//! Rules of the official evaluation are followed to the letter in [`Mode::Official`]; [`Mode::Fair`] and what it changes is
//! told in [`decode`].
//!
//! Source: `bfcl-eval` 2026.3.23, `eval_checker/multi_turn_eval`, `eval_checker/eval_runner.py`, `model_handler`.

pub mod check;
pub mod conversation;
pub mod decode;
pub mod entry;
pub mod judge;
pub mod state;
pub mod verdict;
pub mod world;

/// Whose rules are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The official ones, quirks included.
    #[default]
    Official,
    /// Ours: no call is lost or bent between the model's text and the API.
    Fair,
}
