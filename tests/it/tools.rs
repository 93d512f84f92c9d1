//! The tools and prompt rooms: parsing, matching, rewarding, executing, generating, rendering.

mod api_bank;
mod episode;
mod execution;
mod generate;
mod grammar;
mod matching;
mod parse;
mod prompt;
mod reward;
mod tool_n1;
mod toolrl;
