//! The tools of levels 1 and 2, one file a family: what each does to the world, and its own rule of what is right.
//!
//! Written from the descriptions of the tools and the results recorded in the dialogues; the wording of exceptions is
//! upstream's, since it is compared. Source: AlibabaResearch/DAMO-ConvAI, api-bank.

mod account;
mod agenda;
mod bank;
mod elsewhere;
mod home;
mod hospital;
mod knowledge;
mod meeting;

use super::input::Tool;

const FAMILIES: [&[Tool]; 8] = [
    account::TOOLS,
    agenda::TOOLS,
    bank::TOOLS,
    elsewhere::TOOLS,
    home::TOOLS,
    hospital::TOOLS,
    knowledge::TOOLS,
    meeting::TOOLS,
];

/// Returns every tool.
pub(super) fn all() -> impl Iterator<Item = &'static Tool> {
    FAMILIES.into_iter().flatten()
}

/// Returns the tool called `name`.
pub(super) fn named(name: &str) -> Option<&'static Tool> {
    all().find(|tool| tool.name == name)
}
