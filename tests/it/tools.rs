//! The tools and prompt rooms: parsing, matching, rewarding, executing, generating, rendering.

mod parse;
mod toolrl;
