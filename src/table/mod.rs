//! Tables: named schemas, typed rows, deterministic Parquet bytes.
//!
//! A table artifact is one Parquet file whose columns are those of a schema of [`SCHEMAS`]. The same rows always become
//! the same bytes: no wall-clock value, no host name and no library version is written, and row groups, pages,
//! dictionaries and compression are fixed here. Nested values are JSON texts, so that every reader of Parquet can open
//! every table. This module turns rows into bytes and back and must not touch files; `stage` and `store` do.

mod decode;
mod encode;
mod error;
mod rows;
mod schema;

pub use decode::{MAX_BYTES, MAX_ROWS, check, decode, json_rows};
pub use encode::{CREATED_BY, encode};
pub use error::TableError;
pub use rows::{
    BreakdownRow, CategoryRow, ComparisonRow, FlipRow, HardRow, MetricRow, OverlapRow, ReportRow, RolloutRow, SCHEMAS,
    SampleRow, ScoreRow, SpreadRow, TableRow,
};
pub use schema::{Column, ColumnType, TableSchema, describe, schema};
