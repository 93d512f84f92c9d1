//! Python's values and expressions, as far as BFCL's tools meet them: what model text decodes to, how values are compared
//! and printed.
//!
//! Nothing runs here: expressions are parsed, and only constants are ever computed with, within limits. The official
//! evaluations are Python programs whose verdicts and files show Python's `==`, `repr`, `json.dumps` and messages.

mod arithmetic;
mod ast;
pub(crate) mod characters;
mod dict;
mod dumps;
mod equality;
mod error;
mod formatted;
mod literal;
mod loads;
mod mistakes;
mod number;
mod parse;
mod plain;
mod repr;
mod resolve;
mod token;
mod unparse;
mod value;

pub use dict::PyDict;
pub use dumps::{DumpsError, dumps, dumps_unicode};
pub use error::SyntaxError;
pub use loads::{LoadsError, loads};
pub use number::{parse_float, parse_int};
pub use repr::{repr, repr_str, to_str, write_float, write_repr};
pub use resolve::{Call, CallsError, LiteralError, calls, calls_with_places, literal};
pub use value::PyValue;
