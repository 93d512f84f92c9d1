//! Parquet bytes → rows; any bytes at all give rows or an error.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use crate::table::{
    BreakdownRow, CategoryRow, ComparisonRow, FlipRow, HardRow, MetricRow, OverlapRow, ReportRow, RolloutRow,
    SampleRow, ScoreRow, SpreadRow, TableError, TableRow, TableSchema, schema,
};

/// Rows a table may have.
pub const MAX_ROWS: u64 = 50_000_000;

/// Bytes a table may have when unpacked, by its own account and as counted while reading.
pub const MAX_BYTES: u64 = 8 << 30;

/// Rows unpacked at a time: small, so that a hostile file cannot unpack much before it is noticed.
const BATCH_ROWS: usize = 1024;

/// Returns the rows of a Parquet file. Columns may come in any order, and from any writer.
///
/// # Errors
/// Bytes that are no Parquet file, damage anywhere in it, sizes beyond [`MAX_ROWS`] and [`MAX_BYTES`], columns other
/// than declared, missing values, JSON columns with other text.
pub fn decode<R: TableRow>(bytes: &[u8]) -> Result<Vec<R>, TableError> {
    let mut rows = Vec::new();
    read(&R::SCHEMA, bytes, &mut |columns| {
        let batch = R::from_columns(columns).ok_or_else(|| TableError::Unreadable {
            schema: R::SCHEMA.name,
            reason: "columns of different lengths".to_owned(),
        })?;
        rows.extend(batch);
        Ok(())
    })?;
    Ok(rows)
}

/// Returns at most `limit` rows of a Parquet file of any schema as JSON objects, columns in schema order, for people and
/// scripts to look at.
///
/// # Errors
/// [`TableError::UnknownSchema`], and those of [`decode`].
pub fn json_rows(name: &str, bytes: &[u8], limit: usize) -> Result<Vec<serde_json::Value>, TableError> {
    fn rows<R: TableRow>(bytes: &[u8], limit: usize) -> Result<Vec<serde_json::Value>, TableError> {
        // A row of plain columns always has a JSON form.
        Ok(decode::<R>(bytes)?.iter().take(limit).filter_map(|row| serde_json::to_value(row).ok()).collect())
    }
    match schema(name)?.name {
        "samples" => rows::<SampleRow>(bytes, limit),
        "rollouts" => rows::<RolloutRow>(bytes, limit),
        "hard" => rows::<HardRow>(bytes, limit),
        "metrics" => rows::<MetricRow>(bytes, limit),
        "scores" => rows::<ScoreRow>(bytes, limit),
        "breakdown" => rows::<BreakdownRow>(bytes, limit),
        "comparison" => rows::<ComparisonRow>(bytes, limit),
        "categories" => rows::<CategoryRow>(bytes, limit),
        "flips" => rows::<FlipRow>(bytes, limit),
        "spread" => rows::<SpreadRow>(bytes, limit),
        "overlaps" => rows::<OverlapRow>(bytes, limit),
        _ => rows::<ReportRow>(bytes, limit),
    }
}

/// Returns the number of rows of a Parquet file, after checking it against the schema called `name`.
///
/// # Errors
/// [`TableError::UnknownSchema`], and those of [`decode`].
pub fn check(name: &str, bytes: &[u8]) -> Result<usize, TableError> {
    let schema = schema(name)?;
    let mut rows = 0;
    read(schema, bytes, &mut |columns| {
        rows += columns.first().map_or(0, |column| column.len());
        Ok(())
    })?;
    Ok(rows)
}

type Sink<'a> = &'a mut dyn FnMut(&[ArrayRef]) -> Result<(), TableError>;

/// Feeds the columns of `bytes` to `sink`, batch by batch, in schema order, checked.
fn read(schema: &TableSchema, bytes: &[u8], sink: Sink<'_>) -> Result<(), TableError> {
    // The Parquet reader is meant to give errors, but a damaged file can still trip an assertion in it.
    catch_unwind(AssertUnwindSafe(|| read_unguarded(schema, bytes, sink))).unwrap_or_else(|_| {
        Err(TableError::Unreadable { schema: schema.name, reason: "the reader gave up on damaged content".to_owned() })
    })
}

fn read_unguarded(schema: &TableSchema, bytes: &[u8], sink: Sink<'_>) -> Result<(), TableError> {
    let unreadable =
        |reason: &dyn std::fmt::Display| TableError::Unreadable { schema: schema.name, reason: reason.to_string() };
    // Types come from Parquet, not from an embedded Arrow schema: the same file reads alike whoever wrote it.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(Bytes::copy_from_slice(bytes), options)
        .map_err(|error| unreadable(&error))?;
    check_sizes(schema, &builder, bytes.len())?;
    let order = column_order(schema, builder.schema())?;
    let claimed = builder.metadata().file_metadata().num_rows();
    let reader = builder.with_batch_size(BATCH_ROWS).build().map_err(|error| unreadable(&error))?;
    let (mut rows, mut unpacked) = (0_usize, 0_u64);
    for batch in reader {
        let batch: RecordBatch = batch.map_err(|error| unreadable(&error))?;
        let columns: Vec<ArrayRef> = order.iter().map(|index| batch.column(*index).clone()).collect();
        unpacked += columns.iter().map(|column| column.get_buffer_memory_size() as u64).sum::<u64>();
        within(schema, unpacked, MAX_BYTES, "bytes unpacked")?;
        check_nulls(schema, &columns, rows)?;
        check_json(schema, &columns, rows)?;
        sink(&columns)?;
        rows += batch.num_rows();
    }
    if i64::try_from(rows) != Ok(claimed) {
        return Err(unreadable(&format_args!("it claims {claimed} rows and holds {rows}")));
    }
    Ok(())
}

fn within(schema: &TableSchema, found: u64, limit: u64, unit: &'static str) -> Result<(), TableError> {
    if found <= limit { Ok(()) } else { Err(TableError::TooLarge { schema: schema.name, found, limit, unit }) }
}

fn check_sizes(
    schema: &TableSchema,
    builder: &ParquetRecordBatchReaderBuilder<Bytes>,
    file_bytes: usize,
) -> Result<(), TableError> {
    let unreadable = |reason: String| TableError::Unreadable { schema: schema.name, reason };
    let metadata = builder.metadata();
    let rows =
        u64::try_from(metadata.file_metadata().num_rows()).map_err(|_| unreadable("negative row count".into()))?;
    within(schema, rows, MAX_ROWS, "rows")?;
    let mut unpacked = 0_u64;
    for group in metadata.row_groups() {
        for column in group.columns() {
            let (Ok(packed), Ok(size)) =
                (u64::try_from(column.compressed_size()), u64::try_from(column.uncompressed_size()))
            else {
                return Err(unreadable(format!("negative size of column `{}`", column.column_path())));
            };
            if packed > file_bytes as u64 {
                return Err(unreadable(format!(
                    "column `{}` claims more bytes than the file has",
                    column.column_path()
                )));
            }
            unpacked = unpacked.saturating_add(size);
        }
    }
    within(schema, unpacked, MAX_BYTES, "bytes unpacked")
}

/// Returns, for each declared column, where the file has it.
fn column_order(schema: &TableSchema, found: &arrow::datatypes::Schema) -> Result<Vec<usize>, TableError> {
    if let Some(unknown) =
        found.fields().iter().find(|field| schema.columns.iter().all(|column| column.name != field.name()))
    {
        return Err(TableError::UnknownColumn {
            schema: schema.name,
            column: unknown.name().clone(),
            declared: schema.column_names(),
        });
    }
    let place = |column: &crate::table::Column| {
        let mut places = found.fields().iter().enumerate().filter(|(_, field)| field.name() == column.name);
        let Some((index, field)) = places.next() else {
            return Err(TableError::MissingColumn {
                schema: schema.name,
                column: column.name,
                expected: column.column_type,
                present: found.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", "),
            });
        };
        if *field.data_type() != column.column_type.arrow() || places.next().is_some() {
            return Err(TableError::WrongType {
                schema: schema.name,
                column: column.name,
                expected: column.column_type,
                found: format!("{}", field.data_type()),
            });
        }
        Ok(index)
    };
    schema.columns.iter().map(place).collect()
}

fn check_nulls(schema: &TableSchema, columns: &[ArrayRef], first_row: usize) -> Result<(), TableError> {
    for (column, array) in schema.columns.iter().zip(columns) {
        if let Some(row) = (array.null_count() > 0).then(|| (0..array.len()).find(|row| array.is_null(*row))).flatten()
        {
            return Err(TableError::Null { schema: schema.name, column: column.name, row: first_row + row });
        }
    }
    Ok(())
}

/// Checks that the texts of JSON columns are JSON values or empty.
pub(super) fn check_json(schema: &TableSchema, columns: &[ArrayRef], first_row: usize) -> Result<(), TableError> {
    for (column, array) in schema.columns.iter().zip(columns).filter(|(column, _)| column.is_json()) {
        let Some(texts) = array.as_any().downcast_ref::<StringArray>() else { continue };
        for (row, text) in texts.iter().enumerate() {
            let text = text.unwrap_or_default();
            if text.is_empty() {
                continue;
            }
            serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|source| TableError::NotJson {
                schema: schema.name,
                column: column.name,
                row: first_row + row,
                source,
            })?;
        }
    }
    Ok(())
}
