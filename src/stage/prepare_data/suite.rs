//! `suite:NAME?count=…&seed=…`: questions generated for a built-in executable suite.

use super::Gathered;
use crate::stage::StageError;

pub(super) fn read(_query: &str, _categories: &[String]) -> Result<Gathered, StageError> {
    Err(StageError::parameter("source", "no suite is built in"))
}
