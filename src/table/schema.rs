//! Names, types, units and meaning of a table's columns.

use std::fmt::{self, Write as _};

use arrow::datatypes::DataType;

use crate::{
    base::did_you_mean,
    table::{SCHEMAS, TableError},
};

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8 text.
    Text,
    /// A whole number of 32 bits.
    Int32,
    /// A whole number of 64 bits.
    Int64,
    /// A number of 32 bits.
    Float32,
    /// A number of 64 bits.
    Float64,
    /// A truth value.
    Bool,
}

impl ColumnType {
    /// Returns the Arrow type that a column of this type is read and written as.
    pub fn arrow(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Bool => DataType::Boolean,
        }
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Text => "text",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Bool => "bool",
        })
    }
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub column_type: ColumnType,
    /// What its values count or measure, if that is not plain: `tokens`. `json` marks a text that is a JSON value or empty.
    pub unit: Option<&'static str>,
    /// The lines of its description.
    pub doc: &'static [&'static str],
}

impl Column {
    /// Returns whether the column's texts are JSON values.
    pub fn is_json(&self) -> bool {
        self.unit == Some("json")
    }

    /// Returns the description as one line.
    pub fn doc_text(&self) -> String {
        join(self.doc)
    }
}

/// The columns of a table.
#[derive(Clone, Copy, Debug)]
pub struct TableSchema {
    /// Its name: what follows `table:` in a port's type.
    pub name: &'static str,
    /// The lines of its description.
    pub doc: &'static [&'static str],
    /// The columns, in order.
    pub columns: &'static [Column],
}

impl TableSchema {
    /// Returns the description as one line.
    pub fn doc_text(&self) -> String {
        join(self.doc)
    }

    /// Returns the names of all columns, comma-separated.
    pub(super) fn column_names(&self) -> String {
        self.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
    }
}

fn join(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// Returns the schema called `name`.
///
/// # Errors
/// [`TableError::UnknownSchema`], which names the known ones.
pub fn schema(name: &str) -> Result<&'static TableSchema, TableError> {
    SCHEMAS.iter().copied().find(|schema| schema.name == name).ok_or_else(|| {
        let names = || SCHEMAS.iter().map(|schema| schema.name);
        TableError::UnknownSchema {
            name: name.to_owned(),
            known: names().collect::<Vec<_>>().join(", "),
            suggestion: did_you_mean(name, names()).map(str::to_owned),
        }
    })
}

/// Returns a description of every table as Markdown: one heading and one list of columns a table.
pub fn describe() -> String {
    let mut text = String::new();
    for schema in SCHEMAS {
        let _ = write!(
            text,
            "## `table:{}`\n\n{}\n\n| column | type | unit | meaning |\n| --- | --- | --- | --- |\n",
            schema.name,
            schema.doc_text()
        );
        for column in schema.columns {
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} |",
                column.name,
                column.column_type,
                column.unit.unwrap_or(""),
                column.doc_text().replace('|', "\\|")
            );
        }
        text.push('\n');
    }
    text
}
