//! The tools and prompt rooms: parsing, matching, rewarding, executing, generating, rendering.

mod bfcl_verdicts;
mod execution;
mod generate;
mod grammar;
mod matching;
mod multi_turn;
mod parse;
mod prompt;
mod python_tools;
mod reward;
mod toolrl;
