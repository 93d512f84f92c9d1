//! Reports: what a run, a plan or a comparison looks like as text.
//!
//! Pure: values in, text out. Printing it is the business of `cli`.

mod breakdown;
mod comparison;
mod run;
mod text_table;

pub use breakdown::breakdown_text;
pub use comparison::{categories_text, comparison_text, flips_text, spread_text};
pub use run::{duration, plan_text, run_text};
pub use text_table::{Align, TextTable};
