//! JSON Schemas (draft 2020-12) of the files people write, for editors.

use serde_json::{Value, json};

use crate::spec::Kinds;

/// Returns the schema of pipeline files that use `kinds`.
pub fn pipeline_schema(kinds: &Kinds) -> Value {
    let _ = kinds;
    json!({})
}

/// Returns the schema of `stage.toml` files.
pub fn manifest_schema() -> Value {
    json!({})
}
