//! What a Parquet file says of its own lengths and depth, compared before anything is read by them.
//!
//! Polars takes a file's word for how many values a page holds, how long a list is and how deep columns lie in columns. A length for
//! which there is no memory, or a depth for which there is no stack, ends the process: no panic, nothing to catch.

use super::{AGAIN, Unreadable};
use polars_parquet::parquet::compression::Compression;
use polars_parquet::read::ColumnChunkMetadata;
use polars_parquet_format::thrift::protocol::{TCompactInputProtocol, TInputProtocol, TType};
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
/// Columns within columns, such as lists and structures in a list, at most, and structures within structures of the metadata. Of a
/// column that is read there are one or two.
const DEEPEST: usize = 64;

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
        _ if depth(&children(bytes)) > DEEPEST => Err(Box::new(Refused {
            what: format!("more than {DEEPEST} columns lie in one another"),
            help: "write the columns that are needed to a file of their own",
        })),
        _ => Ok(()),
    }
}

/// How deep the elements of a schema lie in one another, each of which is followed by so many of its own.
fn depth(children: &[i32]) -> usize {
    let (mut to_come, mut deepest) = (Vec::new(), 0);
    for &own in children {
        if let Some(left) = to_come.last_mut() {
            *left -= 1;
        }
        if own > 0 {
            to_come.push(own);
            deepest = deepest.max(to_come.len());
        }
        while to_come.last() == Some(&0) {
            to_come.pop();
        }
    }
    deepest
}

type Protocol<'b> = TCompactInputProtocol<&'b [u8]>;

/// How many children each element of the schema has, up to where the metadata cannot be read.
fn children(bytes: &[u8]) -> Vec<i32> {
    const SCHEMA: i16 = 2;
    let mut protocol = TCompactInputProtocol::new(bytes, bytes.len().saturating_mul(COUNTED));
    let mut found = Vec::new();
    let read = fields(&mut protocol, DEEPEST, &mut |protocol, number, kind| {
        if (number, kind) != (SCHEMA, TType::List) {
            return Ok(false);
        }
        let list = protocol.read_list_begin()?;
        (0..list.size).try_for_each(|_| children_of(protocol).map(|own| found.push(own)))?;
        Ok(true)
    });
    drop(read); // whoever cannot read it says so
    found
}

/// How many children the next element of a schema has.
fn children_of(protocol: &mut Protocol<'_>) -> Result<i32, Thrift> {
    const CHILDREN: i16 = 5;
    let mut own = 0;
    fields(protocol, DEEPEST, &mut |protocol, number, kind| {
        let is_own = (number, kind) == (CHILDREN, TType::I32);
        own = if is_own { protocol.read_i32()? } else { own };
        Ok(is_own)
    })?;
    Ok(own)
}

/// Reads the fields of a structure, of some number and type each, or says that it does not.
type Field<'f> = &'f mut dyn FnMut(&mut Protocol<'_>, i16, TType) -> Result<bool, Thrift>;

/// Goes through the fields of a structure and passes over those that `read` does not.
fn fields(protocol: &mut Protocol<'_>, depth: usize, read: Field<'_>) -> Result<(), Thrift> {
    protocol.read_struct_begin()?;
    loop {
        let field = protocol.read_field_begin()?;
        if field.field_type == TType::Stop {
            return protocol.read_struct_end();
        }
        if !read(protocol, field.id.unwrap_or_default(), field.field_type)? {
            pass(protocol, field.field_type, depth)?;
        }
        protocol.read_field_end()?;
    }
}

/// Passes over a value, in which others may lie so deep. Texts need not be UTF-8: those of statistics are not.
fn pass(protocol: &mut Protocol<'_>, kind: TType, depth: usize) -> Result<(), Thrift> {
    match (kind, depth.checked_sub(1)) {
        (TType::String | TType::Utf8, _) => protocol.read_bytes().map(drop),
        (TType::Struct, Some(depth)) => fields(protocol, depth, &mut |_, _, _| Ok(false)),
        (TType::List | TType::Set, Some(depth)) => {
            let list = protocol.read_list_begin()?;
            (0..list.size).try_for_each(|_| pass(protocol, list.element_type, depth))
        }
        (other, _) => protocol.skip_till_depth(other, i8::try_from(depth).unwrap_or(0)),
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
    use polars_parquet_format::{DataPageHeader, DataPageHeaderV2, DictionaryPageHeader, Encoding, SchemaElement};
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

    /// The metadata of a file whose schema has these elements, each with so many children.
    fn described(children: &[i32]) -> Vec<u8> {
        let element = |&own: &i32| {
            let name = "x".to_owned();
            SchemaElement::new(None, None, None, name, Some(own).filter(|&n| n > 0), None, None, None, None, None)
        };
        let schema = children.iter().map(element).collect();
        let metadata = FileMetaData::new(1, schema, 0, Vec::new(), None, None, None, None, None);
        let mut bytes = Vec::new();
        metadata.write_to_out_protocol(&mut TCompactOutputProtocol::new(&mut bytes)).unwrap();
        bytes
    }

    #[test]
    fn columns_that_lie_too_deep_in_one_another_are_refused() {
        // A root with a number, a structure of two, and a list of lists.
        let plain = [3, 0, 2, 0, 0, 1, 1, 1, 1, 0];
        assert_eq!((children(&described(&plain)), depth(&plain)), (plain.to_vec(), 5));
        assert!(metadata(&described(&plain)).is_ok());
        let deep = |levels: usize| [vec![1; levels], vec![0]].concat();
        assert!(metadata(&described(&deep(DEEPEST))).is_ok());
        for levels in [DEEPEST + 1, 200_000] {
            let bytes = described(&deep(levels));
            // Also where this reader stops behind the schema.
            for bytes in [&bytes[..], &bytes[..bytes.len() - 1]] {
                let error = metadata(bytes).unwrap_err().to_string();
                assert!(error.contains("more than 64 columns lie in one another"), "{error}");
            }
        }
        assert_eq!(depth(&[-1, 0, 2]), 1);
    }

    /// As fastparquet writes a column of twenty million numbers, of which a few are different, with Zstandard.
    #[test]
    fn pages_may_be_as_small_as_their_compression_makes_them() {
        assert!(most(Compression::Zstd, 14_816) > 160_000_017);
        assert!(most(Compression::Snappy, 1 << 20) > 20 << 20);
        assert!(most(Compression::Snappy, 14_816) < 160_000_017);
    }
}
