//! What a Parquet file says of its own lengths, compared before anything is read by them.
//!
//! Polars takes a file's word for how many values a page holds and how long a list is, and a length for which there is no
//! memory ends the process: no panic, nothing to catch.

use super::{AGAIN, Unreadable};
use polars_parquet::parquet::compression::Compression;
use polars_parquet::read::ColumnChunkMetadata;
use polars_parquet_format::thrift::protocol::TCompactInputProtocol;
use polars_parquet_format::thrift::{Error as Thrift, ProtocolErrorKind};
use polars_parquet_format::{FileMetaData, PageHeader, PageType};
use std::fmt;
use std::io::Cursor;

/// Most rows of a row group, as many as fit in memory. A million are usual, pyarrow writes 2²⁶ at most.
const MOST_ROWS: usize = 1 << 27;
/// A page may become as many bytes, whatever it was compressed to.
const FREE: usize = 1 << 26;
/// Bytes that Thrift's reader counts for one byte of a list, at most.
const COUNTED: usize = 10;

/// Why a file is refused, and what to do.
#[derive(Debug)]
pub struct Refused {
    what: String,
    pub help: &'static str,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Refused {}

/// A file that is not as it was written.
pub fn damaged(what: impl Into<String>) -> Unreadable {
    Box::new(Refused { what: what.into(), help: AGAIN })
}

/// The most bytes that a page of so many compressed ones becomes.
fn most(compression: Compression, compressed: usize) -> usize {
    let ratio = match compression {
        // A block of one byte repeated: 128 KiB in 4 bytes.
        Compression::Zstd => 1 << 15,
        // A copy of up to 16 MiB in a few.
        Compression::Brotli => 1 << 22,
        // DEFLATE; Snappy and LZ4 reach less.
        _ => 1032,
    };
    compressed.saturating_mul(ratio).saturating_add(FREE)
}

/// Refuses metadata with lists that are longer than the metadata.
pub fn metadata(bytes: &[u8]) -> Result<(), Unreadable> {
    let mut protocol = TCompactInputProtocol::new(bytes, bytes.len().saturating_mul(COUNTED));
    match FileMetaData::read_from_in_protocol(&mut protocol) {
        Err(Thrift::Protocol(e)) if e.kind == ProtocolErrorKind::SizeLimit => {
            Err(damaged("a list in its metadata is longer than the metadata"))
        }
        // Polars, which is to read it, takes some that this reader does not.
        _ => Ok(()),
    }
}

/// Refuses a row group of more rows than fit in memory.
pub fn row_group(rows: usize) -> Result<(), Unreadable> {
    match rows > MOST_ROWS {
        true => Err(Box::new(Refused {
            what: format!("a row group has {rows} rows, and at most {MOST_ROWS} are taken"),
            help: "write it with smaller row groups: a million rows are usual",
        })),
        false => Ok(()),
    }
}

/// Refuses the `bytes` of a column of a row group of so many rows when its pages cannot be as long as they say.
pub fn pages(bytes: &[u8], column: &ColumnChunkMetadata, rows: usize) -> Result<(), Unreadable> {
    let values = usize::try_from(column.num_values())?;
    let (mut rest, mut left) = (Cursor::new(bytes), values);
    if values > rows {
        return Err(damaged("a column has more values than its row group has rows"));
    }
    // A dictionary is read even when there are no values.
    while rest.position() == 0 || left > 0 {
        let here = bytes.get(rest.position() as usize..).unwrap_or_default();
        if here.is_empty() {
            break; // which is said where rows are counted
        }
        let header =
            PageHeader::read_from_in_protocol(&mut TCompactInputProtocol::new(&mut rest, here.len() * COUNTED))?;
        let compressed = usize::try_from(header.compressed_page_size)?;
        let end = (rest.position() as usize).saturating_add(compressed);
        if end > bytes.len() {
            return Err(damaged("a page is longer than its column"));
        }
        rest.set_position(end as u64);
        page(&header, most(column.compression(), compressed), &mut left)?;
    }
    Ok(())
}

/// Refuses a page that would be longer than `most` bytes; takes its values from those that are `left`.
fn page(header: &PageHeader, most: usize, left: &mut usize) -> Result<(), Unreadable> {
    let size = usize::try_from(header.uncompressed_page_size)?;
    if size > most {
        return Err(damaged("a page is much longer than what it was compressed to"));
    }
    let (values, missing) = match header.type_ {
        PageType::DICTIONARY_PAGE => {
            let values = header.dictionary_page_header.as_ref().map_or(0, |page| page.num_values);
            return match usize::try_from(values)? > size {
                true => Err(damaged("a dictionary has more values than bytes")),
                false => Ok(()),
            };
        }
        PageType::DATA_PAGE => (header.data_page_header.as_ref().map_or(0, |page| page.num_values), 0),
        PageType::DATA_PAGE_V2 => {
            header.data_page_header_v2.as_ref().map_or((0, 0), |page| (page.num_values, page.num_nulls))
        }
        _ => return Ok(()),
    };
    let (values, missing) = (usize::try_from(values)?, usize::try_from(missing)?);
    if values > *left || missing > values {
        return Err(damaged("a page has more values than its column"));
    }
    *left -= values;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Parquet, unreadable};
    use super::*;
    use crate::data::columns::write_parquet;
    use polars_parquet_format::thrift::protocol::TCompactOutputProtocol;
    use polars_parquet_format::{DataPageHeader, DataPageHeaderV2, DictionaryPageHeader, Encoding};
    use std::path::Path;

    /// What is said of a column of ten rows whose first page has this header and no more than its bytes.
    fn refused(header: &PageHeader) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        write_parquet(&path, vec![("id".into(), (0..10i64).collect::<Vec<_>>().into())]).unwrap();
        let file = Parquet::open(&path).unwrap().unwrap();
        let column = file.metadata.row_groups[0].columns_under_root_iter("id").unwrap().next().unwrap();
        let mut bytes = Vec::new();
        header.write_to_out_protocol(&mut TCompactOutputProtocol::new(&mut bytes)).unwrap();
        bytes.extend(vec![0; header.compressed_page_size.max(0) as usize]);
        pages(&bytes, column, 10).err().map(|e| e.to_string())
    }

    fn data(values: i32, size: i32) -> PageHeader {
        let page = DataPageHeader::new(values, Encoding::PLAIN, Encoding::RLE, Encoding::RLE, None);
        PageHeader::new(PageType::DATA_PAGE, size, 80, None, page, None, None, None)
    }

    fn dictionary(values: i32) -> PageHeader {
        let page = DictionaryPageHeader::new(values, Encoding::PLAIN, None);
        PageHeader::new(PageType::DICTIONARY_PAGE, 80, 80, None, None, None, page, None)
    }

    fn second(values: i32, missing: i32) -> PageHeader {
        let page = DataPageHeaderV2::new(values, missing, 10, Encoding::PLAIN, 0, 0, None, None);
        PageHeader::new(PageType::DATA_PAGE_V2, 80, 80, None, None, None, None, page)
    }

    #[test]
    fn pages_that_cannot_be_as_long_as_they_say_are_refused() {
        for sound in [data(10, 80), data(10, 1 << 26), dictionary(20), second(10, 10)] {
            assert_eq!(refused(&sound), None, "{sound:?}");
        }
        for damaged in [
            data(-1, 80),
            data(11, 80),
            data(10, -1),
            data(10, i32::MAX),
            dictionary(-1),
            dictionary(81),
            second(10, 11),
            second(10, -1),
            PageHeader { compressed_page_size: -1, ..data(10, 80) },
        ] {
            assert!(refused(&damaged).is_some(), "{damaged:?}");
        }
    }

    #[test]
    fn lists_longer_than_the_metadata_are_refused() {
        // A version, then a list of 2^31 - 1 structures.
        let list = [0x15, 0x02, 0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07];
        assert!(metadata(&list).unwrap_err().to_string().contains("longer than the metadata"));
        assert!(row_group(1 << 27).is_ok());
        let error = unreadable(Path::new("t.parquet"), row_group((1 << 27) + 1).unwrap_err()).to_string();
        assert!(error.contains("has 134217729 rows") && error.contains("smaller row groups"), "{error}");
    }

    /// As fastparquet writes a column of twenty million numbers, of which a few are different, with Zstandard.
    #[test]
    fn pages_may_be_as_small_as_their_compression_makes_them() {
        assert!(most(Compression::Zstd, 14_816) > 160_000_017);
        assert!(most(Compression::Snappy, 1 << 20) > 20 << 20);
        assert!(most(Compression::Snappy, 14_816) < 160_000_017);
    }
}
