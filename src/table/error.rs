//! What can be wrong with a table.

use crate::table::ColumnType;

/// Why rows could not be written as a table, or bytes not be read as one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// No schema has this name.
    #[error("no table schema is called `{name}`; known schemas: {known}{}", .suggestion.as_ref().map(|word| format!("; did you mean `{word}`?")).unwrap_or_default())]
    UnknownSchema {
        /// The name asked for.
        name: String,
        /// All names.
        known: String,
        /// The nearest name, if one is near.
        suggestion: Option<String>,
    },
    /// The bytes are no Parquet file, or a damaged one.
    #[error(
        "the `{schema}` table is not readable as Parquet: {reason}; the file is truncated, damaged or of another format"
    )]
    Unreadable {
        /// The schema expected.
        schema: &'static str,
        /// What the reader said.
        reason: String,
    },
    /// The file claims or holds more than a table may.
    #[error("the `{schema}` table is too large: {found} {unit}, at most {limit} are read")]
    TooLarge {
        /// The schema expected.
        schema: &'static str,
        /// How many there are.
        found: u64,
        /// How many there may be.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
    /// A declared column is not there.
    #[error("the `{schema}` table lacks the column `{column}` ({expected}); it has: {present}")]
    MissingColumn {
        /// The schema expected.
        schema: &'static str,
        /// The column.
        column: &'static str,
        /// Its type.
        expected: ColumnType,
        /// The columns that are there.
        present: String,
    },
    /// A column is there that the schema does not declare.
    #[error("the `{schema}` table has a column `{column}` that its schema does not declare; declared: {declared}")]
    UnknownColumn {
        /// The schema expected.
        schema: &'static str,
        /// The column.
        column: String,
        /// The columns declared.
        declared: String,
    },
    /// A column has another type than declared.
    #[error(
        "column `{column}` of the `{schema}` table is {found}, its schema declares {expected}; cast it where the table is written"
    )]
    WrongType {
        /// The schema expected.
        schema: &'static str,
        /// The column.
        column: &'static str,
        /// The declared type.
        expected: ColumnType,
        /// The type found, as Arrow names it.
        found: String,
    },
    /// A value is missing.
    #[error("row {row} of the `{schema}` table has no value in column `{column}`; every column needs one in every row")]
    Null {
        /// The schema expected.
        schema: &'static str,
        /// The column.
        column: &'static str,
        /// The row, from 0.
        row: usize,
    },
    /// A JSON column holds something else.
    #[error("row {row} of the `{schema}` table: column `{column}` is not JSON")]
    NotJson {
        /// The schema expected.
        schema: &'static str,
        /// The column.
        column: &'static str,
        /// The row, from 0.
        row: usize,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// The Parquet writer failed.
    #[error("failed to encode the `{schema}` table: {reason}")]
    Encode {
        /// The schema.
        schema: &'static str,
        /// What the writer said.
        reason: String,
    },
}
