//! Tables: Arrow schemas, rows, deterministic Parquet bytes.
