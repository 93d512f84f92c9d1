//! What is written down about stages and runs: requests, events, manifests, reports.
//!
//! Plain serde types with a format version each; reading and writing files is the business of `store` and `engine`.

mod event;
mod manifest;
mod report;
mod request;

pub use event::{RunEvent, StageEvent};
pub use manifest::{Ingredient, OutputFile, OutputRecord, RESULT_FORMAT, ResultManifest};
pub use report::{OutputSummary, REPORT_FORMAT, RunReport, RunStatus, StageReport, StageStatus};
pub use request::{InputArtifact, OutputSlot, REQUEST_FORMAT, StageRequest};
