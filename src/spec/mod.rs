//! Pipeline and stage files: parsed, checked, expanded.
