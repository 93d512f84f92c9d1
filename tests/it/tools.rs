//! The tools and prompt rooms: parsing, matching, rewarding, executing, generating, rendering.

mod bfcl_prompt;
mod bfcl_scores;
mod bfcl_verdicts;
mod execution;
mod generate;
mod grammar;
mod matching;
mod parse;
mod prompt;
mod reward;
mod toolrl;
