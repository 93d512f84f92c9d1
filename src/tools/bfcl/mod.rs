//! BFCL v4, single turn: decoding model text, judging the calls, as the official `bfcl-eval` 2026.3.23 does it.
//!
//! An implementation of its own: facts of the official package, none of its code. It knows no files and no clock; what
//! is decoded is never run. [`judge`] gives verdicts; [`prompt`] asks, [`questions`] and [`scores`] have the official files.

mod category;
mod check;
mod decode;
mod entry;
mod fair;
mod format;
mod judge;
pub mod multi_turn;
pub mod prompt;
pub mod questions;
pub mod scores;
mod verdict;

pub use category::{Category, FILE_PREFIX, Group, Language, Task};
pub use decode::{Decoded, decode};
pub use entry::Entry;
pub use fair::{Conduct, Difference, Fair, FairVerdict};
pub use format::{DocFormat, Format, PromptFormat, PromptStyle, ReturnFormat};
pub use judge::{Prepared, judge};
pub use verdict::{Complaint, ErrorType, Verdict};
