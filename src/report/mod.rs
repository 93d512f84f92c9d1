//! Reports: what a run, a plan or a comparison looks like as text.
//!
//! Pure: values in, text out. Printing it is the business of `cli`.

mod comparison;
mod run;
mod text_table;

pub use comparison::comparison_text;
pub use run::{duration, plan_text, run_text};
pub use text_table::{Align, TextTable};
