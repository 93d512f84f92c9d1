//! The tools and prompt rooms: parsing, matching, rewarding, executing, generating, rendering.

mod api_bank;
mod bfcl_prompt;
mod bfcl_scores;
mod bfcl_verdicts;
mod episode;
mod execution;
mod generate;
mod grammar;
mod matching;
mod multi_turn;
mod parse;
mod prompt;
mod python_tools;
mod reward;
mod tool_n1;
mod toolrl;
