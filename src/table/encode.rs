//! Rows → Parquet bytes, the same every time.

use std::sync::Arc;

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema},
};
use parquet::{
    arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions},
    basic::{Compression, Encoding, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties, WriterVersion},
    schema::types::ColumnPath,
};

use crate::table::{ColumnType, TableError, TableRow, TableSchema};

/// What our files name as their writer, instead of the library and its version.
pub const CREATED_BY: &str = "toolexpander table 1";

/// Rows of a row group. Part of the format.
const GROUP_ROWS: usize = 65_536;

/// Returns the Parquet file with `rows`. The bytes depend on the rows and on nothing else.
///
/// # Errors
/// [`TableError::NotJson`] for a text in a JSON column that is neither JSON nor empty; [`TableError::Encode`] if the
/// writer fails.
pub fn encode<R: TableRow>(rows: &[R]) -> Result<Vec<u8>, TableError> {
    let failed =
        |reason: &dyn std::fmt::Display| TableError::Encode { schema: R::SCHEMA.name, reason: reason.to_string() };
    let schema = arrow_schema(&R::SCHEMA);
    let options = ArrowWriterOptions::new().with_properties(properties(&R::SCHEMA)).with_skip_arrow_metadata(true);
    let mut bytes = Vec::new();
    let mut writer =
        ArrowWriter::try_new_with_options(&mut bytes, schema.clone(), options).map_err(|error| failed(&error))?;
    for (index, group) in rows.chunks(GROUP_ROWS).enumerate() {
        let columns = R::to_columns(group);
        super::decode::check_json(&R::SCHEMA, &columns, index * GROUP_ROWS)?;
        let batch = RecordBatch::try_new(schema.clone(), columns).map_err(|error| failed(&error))?;
        writer.write(&batch).map_err(|error| failed(&error))?;
    }
    writer.close().map_err(|error| failed(&error))?;
    Ok(bytes)
}

fn arrow_schema(schema: &TableSchema) -> Arc<Schema> {
    let fields = schema.columns.iter().map(|column| Field::new(column.name, column.column_type.arrow(), false));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Everything that decides about bytes, written out, so that a changed default of the library changes nothing.
fn properties(schema: &TableSchema) -> WriterProperties {
    let level = ZstdLevel::try_new(3).expect("3 is a level of zstd");
    let mut properties = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(level))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_bloom_filter_enabled(false)
        .set_dictionary_enabled(false)
        .set_dictionary_page_size_limit(1 << 20)
        .set_data_page_size_limit(1 << 20)
        .set_data_page_row_count_limit(20_000)
        .set_write_batch_size(1024)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_max_row_group_bytes(None)
        .set_key_value_metadata(None)
        .set_coerce_types(false)
        .set_encoding(Encoding::PLAIN);
    for column in schema.columns.iter().filter(|column| column.column_type == ColumnType::Text) {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(column.name), true);
    }
    properties.build()
}
