//! A SQLite file: its schema, and the rows of its tables in an order of our own.
//!
//! The file was written by a program that may be hostile, and may still be open. So it is copied, with its journal, by descriptors
//! that cannot be bent, and the copy is opened: nobody is locked out, and recovering a journal changes only the copy. Rows are
//! read from ordinary tables by plain `SELECT`s, views and virtual tables are known by their definition only, functions in the
//! schema are not trusted, and rows and bytes are bounded.

use std::{
    cmp::Ordering,
    collections::BTreeMap,
    io::{self, Read as _},
    os::fd::BorrowedFd,
    path::Path,
};

use camino::Utf8Path;
use rusqlite::{Connection, OpenFlags, config::DbConfig, types::ValueRef};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Probe, StateError, number_order};
use crate::{base::Digest, servers::inside};

/// The largest file that is read.
const MOST_BYTES: u64 = 256 << 20;
/// Rows that are read at most, all tables together.
const MOST_ROWS: usize = 1_000_000;

/// A SQLite file's content.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Database {
    /// Name → definition in SQL, white space made one: tables, indexes, views, triggers.
    pub schema: BTreeMap<String, String>,
    /// Table → content.
    pub tables: BTreeMap<String, Table>,
}

/// A table's content.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Column names.
    pub columns: Vec<String>,
    /// Rows, sorted; a blob is an object with its length and digest.
    pub rows: Vec<Vec<Value>>,
}

pub(super) fn read(probe: &Probe, path: &Utf8Path, folder: BorrowedFd<'_>) -> Result<Database, StateError> {
    let failed = |source: io::Error| StateError::Read { probe: probe.name(), source };
    let copies = tempfile::tempdir().map_err(failed)?;
    let copy = copies.path().join("copy.db");
    copy_file(folder, path.as_str(), &copy).map_err(failed)?;
    for suffix in ["-wal", "-journal"] {
        match copy_file(folder, &format!("{path}{suffix}"), &copies.path().join(format!("copy.db{suffix}"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    read_copy(&copy).map_err(|error| match error {
        ReadError::Sqlite(source) => StateError::Sqlite { probe: probe.name(), source },
        ReadError::TooMuch => {
            StateError::Unfit { probe: probe.name(), reason: format!("it holds more than {MOST_ROWS} rows") }
        }
    })
}

fn copy_file(folder: BorrowedFd<'_>, path: &str, to: &Path) -> io::Result<()> {
    let mut source = inside::open_file_below(folder, Path::new(path))?.take(MOST_BYTES + 1);
    let copied = io::copy(&mut source, &mut std::fs::File::create(to)?)?;
    if copied > MOST_BYTES { Err(io::Error::other(format!("it is larger than {MOST_BYTES} bytes"))) } else { Ok(()) }
}

enum ReadError {
    Sqlite(rusqlite::Error),
    TooMuch,
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

fn read_copy(path: &Path) -> Result<Database, ReadError> {
    // Writable, since a journal that was left must be played back; it is our own copy.
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "query_only", true)?;
    let mut database = Database::default();
    let mut ordinary = Vec::new();
    let mut entries =
        connection.prepare("SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")?;
    let mut found = entries.query([])?;
    while let Some(row) = found.next()? {
        let (kind, name, sql): (String, String, Option<String>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let sql: String = sql.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
        if kind == "table" && !sql.to_ascii_uppercase().starts_with("CREATE VIRTUAL") {
            ordinary.push(name.clone());
        }
        database.schema.insert(format!("{kind} {name}"), sql);
    }
    let mut rows_left = MOST_ROWS;
    for name in ordinary {
        let table = read_table(&connection, &name, &mut rows_left)?;
        database.tables.insert(name, table);
    }
    Ok(database)
}

fn read_table(connection: &Connection, name: &str, rows_left: &mut usize) -> Result<Table, ReadError> {
    let mut statement = connection.prepare(&format!("SELECT * FROM \"{}\"", name.replace('"', "\"\"")))?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut table = Table { rows: Vec::new(), columns };
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        *rows_left = rows_left.checked_sub(1).ok_or(ReadError::TooMuch)?;
        let cells = (0..table.columns.len()).map(|index| Ok(cell(row.get_ref(index)?)));
        table.rows.push(cells.collect::<Result<_, rusqlite::Error>>()?);
    }
    table.rows.sort_by(|left, right| row_order(left, right));
    Ok(table)
}

fn cell(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => json!(number),
        // JSON has no infinity; SQLite has no NaN.
        ValueRef::Real(number) if number.is_infinite() => json!({ "real": if number > 0.0 { "inf" } else { "-inf" } }),
        ValueRef::Real(number) => json!(number),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => json!(text),
            Err(_) => json!({ "text": Digest::of(text).to_string(), "bytes": text.len() }),
        },
        ValueRef::Blob(bytes) => json!({ "blob": Digest::of(bytes).to_string(), "bytes": bytes.len() }),
    }
}

/// Orders rows so that those equal by Python's equality lie at the same place: numbers of both kinds by their value.
pub(super) fn row_order(left: &[Value], right: &[Value]) -> Ordering {
    left.iter()
        .zip(right)
        .map(|(left, right)| cell_order(left, right))
        .find(|order| order.is_ne())
        .unwrap_or_else(|| left.len().cmp(&right.len()))
}

fn cell_order(left: &Value, right: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null => 0,
        Value::Bool(_) | Value::Number(_) => 1,
        Value::String(_) => 2,
        Value::Array(_) | Value::Object(_) => 3,
    };
    rank(left).cmp(&rank(right)).then_with(|| match (left, right) {
        (Value::Number(left), Value::Number(right)) => number_order(left, right),
        (Value::String(left), Value::String(right)) => left.cmp(right),
        _ => left.to_string().cmp(&right.to_string()),
    })
}
