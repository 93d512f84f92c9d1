//! Reports: run results as text and JSON.
