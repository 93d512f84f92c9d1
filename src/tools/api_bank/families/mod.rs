//! The tools of levels 1 and 2, one file a family: what each does to the world, and its own rule of what is right.
//!
//! What a tool looks up, in which order, and the words of its exceptions are upstream's, since results are compared; the
//! code is this project's. Source: AlibabaResearch/DAMO-ConvAI, api-bank/apis.

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
