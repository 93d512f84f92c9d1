//! API-Bank, levels 1 and 2: 53 tools, 47 of which run here, and the verdict on a call.
//!
//! [`official`] says what the official evaluator says; [`fair`] repairs what that does by accident, and says what it
//! repaired; [`Case`] is a call of a dialogue as a sample carries it. Nothing here reads a file, a clock or a network: the
//! databases are compiled in (`data/`, with its NOTICE), today is a constant, and what is random comes from a seed.
//! Source: Li et al., API-Bank (arXiv 2304.08244); AlibabaResearch/DAMO-ConvAI, api-bank, Apache-2.0. Level 3 is judged
//! without running anything: [`toolrl`].

mod calculator;
mod case;
mod catalogue;
mod dates;
mod fair;
mod families;
mod input;
mod loose;
mod python;
mod reading;
mod rules;
mod running;
mod searcher;
pub mod toolrl;
mod verdict;
mod world;

pub use case::{Case, Mode, Ruled};
pub use catalogue::{TOOL_SEARCHER, is_offline, tool, tools};
pub use fair::{Comparison, FairVerdict, Repair, as_written, fair};
pub use reading::{MAX_CALL_BYTES, read_call};
pub use running::CallError;
pub use verdict::{ErrorClass, Recorded, Verdict, official};
pub use world::World;
