//! Columns of values, written as a Parquet file that pandas, Polars, DuckDB and R open: plain types alone, no compression,
//! and no types of Arrow that only some readers know.

use crate::{Error, Result, storage};
use arrow::array::{Array, BooleanArray, Int64Array, ListArray, PrimitiveArray, Utf8Array};
use arrow::datatypes::{ArrowDataType as Type, ArrowSchema, Field, TimeUnit};
use arrow::offset::Offsets;
use arrow::record_batch::RecordBatchT;
use polars_arrow as arrow;
use polars_error::PolarsError;
use polars_parquet::write::{
    CompressionOptions, Encoding, FileWriter, StatisticsOptions, Version, WriteOptions, row_group_iter,
    to_parquet_schema,
};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// How Parquet files begin.
const MAGIC: &[u8] = b"PAR1";

/// Rows of a row group: what a reader holds at a time.
const ROW_GROUP: usize = 1 << 18;

/// The values of a column.
pub struct Values(Box<dyn Array>);

impl Values {
    /// Times in microseconds since 1970, without a zone.
    pub fn times(times: Vec<Option<i64>>) -> Self {
        Self(Int64Array::from(times).to(Type::Timestamp(TimeUnit::Microsecond, None)).boxed())
    }

    /// A list of texts a row.
    pub fn text_lists<'a, L: IntoIterator<Item = &'a str>>(lists: impl IntoIterator<Item = L>) -> Self {
        let (mut texts, mut lengths) = (Vec::new(), Vec::new());
        for list in lists {
            let before = texts.len();
            texts.extend(list);
            lengths.push(texts.len() - before);
        }
        Self::lists(Utf8Array::<i64>::from_slice(texts).boxed(), lengths)
    }

    /// A list of integers a row.
    pub fn integer_lists<L: IntoIterator<Item = i64>>(lists: impl IntoIterator<Item = L>) -> Self {
        let (mut integers, mut lengths) = (Vec::new(), Vec::new());
        for list in lists {
            let before = integers.len();
            integers.extend(list);
            lengths.push(integers.len() - before);
        }
        Self::lists(Int64Array::from_vec(integers).boxed(), lengths)
    }

    /// A list of numbers a row, all of one length: `values` holds row after row.
    pub fn vectors(values: Vec<f32>, length: usize) -> Self {
        let rows = values.len() / length.max(1);
        Self::lists(PrimitiveArray::<f32>::from_vec(values).boxed(), vec![length; rows])
    }

    fn lists(values: Box<dyn Array>, lengths: Vec<usize>) -> Self {
        let of = ListArray::<i64>::default_datatype(values.dtype().clone());
        // No sum of lengths of what is in memory is too large for an offset.
        let offsets = Offsets::<i64>::try_from_lengths(lengths.into_iter()).unwrap_or_default();
        Self(ListArray::new(of, offsets.into(), values, None).boxed())
    }
}

macro_rules! numbers {
    ($($of:ty),*) => {$(
        impl From<Vec<$of>> for Values {
            fn from(values: Vec<$of>) -> Self {
                Self(PrimitiveArray::<$of>::from_vec(values).boxed())
            }
        }

        impl From<Vec<Option<$of>>> for Values {
            fn from(values: Vec<Option<$of>>) -> Self {
                Self(PrimitiveArray::<$of>::from(values).boxed())
            }
        }
    )*};
}

numbers! { i64, u32, f32, f64 }

impl From<Vec<bool>> for Values {
    fn from(values: Vec<bool>) -> Self {
        Self(BooleanArray::from_slice(values).boxed())
    }
}

impl From<Vec<Option<bool>>> for Values {
    fn from(values: Vec<Option<bool>>) -> Self {
        Self(BooleanArray::from(values).boxed())
    }
}

impl From<Vec<&str>> for Values {
    fn from(values: Vec<&str>) -> Self {
        Self(Utf8Array::<i64>::from_slice(values).boxed())
    }
}

impl From<Vec<Option<&str>>> for Values {
    fn from(values: Vec<Option<&str>>) -> Self {
        Self(Utf8Array::<i64>::from(values).boxed())
    }
}

/// Refuses a path at which something is that is neither empty nor a Parquet file, so that no other work is replaced.
///
/// # Errors
/// Names it.
pub fn check_replaceable(path: &Path) -> Result<()> {
    storage::check_replaceable(path, "Parquet file", |start| start.starts_with(MAGIC))
}

/// Writes columns, which have one length, as a Parquet file: whole, or not at all.
///
/// # Errors
/// When the file cannot be written.
pub fn write_parquet(path: &Path, columns: Vec<(String, Values)>) -> Result<()> {
    storage::output(path, |new| write_to(new, columns))
}

fn write_to(path: &Path, columns: Vec<(String, Values)>) -> Result<()> {
    let mut out = storage::create(path)?;
    let cause = out.cause();
    // What the system said is lost on the way through the writer.
    let failed = |e: PolarsError| match cause.take() {
        Some(error) => Error::io("write the table", path, error),
        None => Error::program("cannot write the table").at_file(path).because(e),
    };
    let field = |(name, values): &(String, Values)| {
        Field::new(name.as_str().into(), values.0.dtype().clone(), values.0.null_count() > 0)
    };
    let schema: ArrowSchema = columns.iter().map(field).map(|field| (field.name.clone(), field)).collect();
    let options = WriteOptions {
        statistics: StatisticsOptions::default(),
        version: Version::V1,
        compression: CompressionOptions::Uncompressed,
        data_page_size: None,
    };
    let types = to_parquet_schema(&schema).map_err(failed)?;
    let encodings: Vec<Vec<Encoding>> = columns.iter().map(|_| vec![Encoding::Plain]).collect();
    let encodings = polars_buffer::Buffer::from(encodings);
    let mut writer = FileWriter::new_with_parquet_schema(&mut out, schema.clone(), types.clone(), options);
    let (rows, schema) = (columns.first().map_or(0, |c| c.1.0.len()), Arc::new(schema));
    for start in (0..rows).step_by(ROW_GROUP) {
        let n = ROW_GROUP.min(rows - start);
        let arrays = columns.iter().map(|c| c.1.0.sliced(start, n)).collect();
        let batch = RecordBatchT::try_new(n, schema.clone(), arrays).map_err(failed)?;
        let group = row_group_iter(batch, encodings.clone(), types.fields().to_vec(), options);
        writer.write(n as u64, group).map_err(failed)?;
    }
    // Without Arrow's own description of the types, which not all readers understand alike.
    writer.end(Some(Vec::new())).map(drop).map_err(failed)?;
    drop(writer);
    out.flush().map_err(|e| Error::io("write the table", path, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use polars_parquet::read::{PhysicalType, read_metadata};
    use std::fs::File;

    #[test]
    fn only_parquet_files_may_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logits.parquet");
        assert!(check_replaceable(&path).is_ok());
        write_parquet(&path, vec![("a".to_owned(), vec![1i64].into())]).unwrap();
        assert!(check_replaceable(&path).is_ok());
        for text in ["my notes", "PAR"] {
            std::fs::write(&path, text).unwrap();
            let error = check_replaceable(&path).unwrap_err().to_string();
            assert!(error.contains("is no Parquet file") && error.contains("logits.parquet"), "{error}");
        }
        std::fs::write(&path, "").unwrap();
        assert!(check_replaceable(&path).is_ok(), "an empty one holds nothing");
        assert!(check_replaceable(folder.path()).unwrap_err().to_string().contains("no file"));
    }

    #[test]
    fn types_are_those_that_every_reader_knows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        let columns = [
            ("id", Values::from(vec![1i64, 2])),
            ("weight", vec![0.5f32, 1.0].into()),
            ("title", vec!["a", "b"].into()),
            ("codes", Values::text_lists([vec!["x", "y"], vec![]])),
            ("labs", Values::integer_lists([vec![], vec![7i64]])),
        ];
        write_parquet(&path, columns.map(|(name, values)| (name.to_owned(), values)).into()).unwrap();
        let metadata = read_metadata(&mut File::open(&path).unwrap()).unwrap();
        assert_eq!(metadata.num_rows, 2);
        assert!(metadata.key_value_metadata().iter().flatten().next().is_none());
        let leaves: Vec<(String, PhysicalType)> = metadata
            .schema()
            .columns()
            .iter()
            .map(|c| (c.path_in_schema.join("."), c.descriptor.primitive_type.physical_type))
            .collect();
        let expected = [
            ("id", PhysicalType::Int64),
            ("weight", PhysicalType::Float),
            ("title", PhysicalType::ByteArray),
            ("codes.list.element", PhysicalType::ByteArray),
            ("labs.list.element", PhysicalType::Int64),
        ];
        assert_eq!(leaves, expected.map(|(name, of)| (name.to_owned(), of)));
    }
}
