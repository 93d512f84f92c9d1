//! The tools and prompt rooms: parsing, matching, rewarding, executing, generating, rendering.

mod matching;
mod parse;
mod toolrl;
