//! Records as a Parquet file. Keys, values and headers are text where they are UTF-8, and bytes in a column of their own where they are
//! not, so that every engine reads the text as text and nothing is lost.
//!
//! Columns are written one after the other, so that a group of rows is kept in memory until it is written.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::record::{Field, Row};
use parquet::schema::parser::parse_message_type;

use crate::record::{Header, Record, RecordRef, Timestamp};

/// The columns of a file, in the order in which they are written.
const SCHEMA: &str = "
message record {
  required binary topic (STRING);
  required int32 partition;
  required int64 offset;
  optional int64 timestamp (TIMESTAMP(MILLIS, true));
  optional binary key (STRING);
  optional binary key_bytes;
  optional binary value (STRING);
  optional binary value_bytes;
  required group headers (LIST) {
    repeated group list {
      required group element {
        required binary name (STRING);
        optional binary value (STRING);
        optional binary value_bytes;
      }
    }
  }
}";

/// What a row takes beside its texts, for the room that a group takes.
const ROW: u64 = 64;

/// A file that is being written.
pub(super) struct Writer {
    out: SerializedFileWriter<File>,
    rows: Rows,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    pub(super) fn new(file: File) -> io::Result<Self> {
        let schema = parse_message_type(SCHEMA).map_err(of_parquet)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("foldlog ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let out = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties)).map_err(of_parquet)?;
        Ok(Self {
            out,
            rows: Rows::default(),
        })
    }

    /// Takes a record. Returns about how many bytes of memory that needs.
    pub(super) fn write(&mut self, record: &RecordRef<'_>) -> u64 {
        self.rows.push(record)
    }

    /// Writes what was taken as a group of rows.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let rows = std::mem::take(&mut self.rows);
        if rows.offsets.is_empty() {
            return Ok(());
        }
        rows.write(&mut self.out).map_err(of_parquet)
    }

    /// Writes the rest and what says where all is.
    pub(super) fn finish(mut self) -> io::Result<File> {
        self.flush()?;
        self.out.into_inner().map_err(of_parquet)
    }
}

/// How many records a file has.
pub(super) fn count(path: &Path) -> io::Result<u64> {
    let reader = SerializedFileReader::new(File::open(path)?).map_err(of_parquet)?;
    let rows = reader.metadata().file_metadata().num_rows();
    Ok(u64::try_from(rows).unwrap_or(0))
}

/// What the system said, where it was the system.
fn of_parquet(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(cause) => io::Error::other(cause),
        },
        error => io::Error::other(error),
    }
}

/// A group of rows, by column.
#[derive(Default)]
struct Rows {
    topics: Vec<ByteArray>,
    partitions: Vec<i32>,
    offsets: Vec<i64>,
    times: Optional<i64>,
    keys: Texts,
    values: Texts,
    /// Of each header the name; a record without any has an entry without a name.
    names: Optional<ByteArray>,
    header_values: Texts,
    /// Whether an entry of the headers goes on with the record before.
    again: Vec<i16>,
}

/// The values of a column that are there, and for each row how much of its way down is.
struct Optional<T> {
    there: Vec<T>,
    depth: Vec<i16>,
}

impl<T> Default for Optional<T> {
    fn default() -> Self {
        Self {
            there: Vec::new(),
            depth: Vec::new(),
        }
    }
}

impl<T> Optional<T> {
    /// A value at `depth`, or nothing one level above.
    fn push(&mut self, value: Option<T>, depth: i16) {
        self.depth.push(if value.is_some() { depth } else { depth - 1 });
        self.there.extend(value);
    }
}

/// Text, and what is none.
#[derive(Default)]
struct Texts {
    text: Optional<ByteArray>,
    bytes: Optional<ByteArray>,
}

impl Texts {
    fn push(&mut self, value: Option<&[u8]>, depth: i16) {
        let is_text = value.is_some_and(|value| std::str::from_utf8(value).is_ok());
        let owned = value.map(|value| ByteArray::from(value.to_vec()));
        let (text, bytes) = if is_text { (owned, None) } else { (None, owned) };
        self.text.push(text, depth);
        self.bytes.push(bytes, depth);
    }
}

impl Rows {
    fn push(&mut self, record: &RecordRef<'_>) -> u64 {
        // One text for all of them.
        let topic = match self.topics.last() {
            Some(topic) if topic.data() == record.topic.as_bytes() => topic.clone(),
            _ => ByteArray::from(record.topic),
        };
        self.topics.push(topic);
        self.partitions.push(record.partition);
        self.offsets.push(record.offset);
        self.times.push(record.timestamp.map(|time| time.0), 1);
        self.keys.push(record.key, 1);
        self.values.push(record.value, 1);
        let mut bytes = ROW + length(record.key) + length(record.value);
        if record.headers.is_empty() {
            self.again.push(0);
            self.names.push(None, 1);
            // There is no header, which is one level above one without a value.
            self.header_values.push(None, 1);
        }
        for (at, header) in record.headers.iter().enumerate() {
            self.again.push(i16::from(at > 0));
            self.names.push(Some(ByteArray::from(&*header.key)), 1);
            self.header_values.push(header.value.as_deref(), 2);
            bytes += ROW + header.key.len() as u64 + length(header.value.as_deref());
        }
        bytes
    }

    fn write(self, out: &mut SerializedFileWriter<File>) -> Result<(), ParquetError> {
        let mut group = out.next_row_group()?;
        column::<ByteArrayType>(&mut group, &self.topics, None, None)?;
        column::<Int32Type>(&mut group, &self.partitions, None, None)?;
        column::<Int64Type>(&mut group, &self.offsets, None, None)?;
        column::<Int64Type>(&mut group, &self.times.there, Some(&self.times.depth), None)?;
        for texts in [&self.keys, &self.values] {
            for half in [&texts.text, &texts.bytes] {
                column::<ByteArrayType>(&mut group, &half.there, Some(&half.depth), None)?;
            }
        }
        for half in [&self.names, &self.header_values.text, &self.header_values.bytes] {
            column::<ByteArrayType>(&mut group, &half.there, Some(&half.depth), Some(&self.again))?;
        }
        group.close()?;
        Ok(())
    }
}

fn length(bytes: Option<&[u8]>) -> u64 {
    bytes.map_or(0, |bytes| bytes.len() as u64)
}

/// Writes the next column of a group.
fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &[T::T],
    depth: Option<&[i16]>,
    again: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General("the schema has fewer columns".to_owned()));
    };
    column.typed::<T>().write_batch(values, depth, again)?;
    column.close()
}

/// The records of a file.
pub(super) fn read(path: &Path) -> io::Result<Vec<Record>> {
    let reader = SerializedFileReader::new(File::open(path)?).map_err(of_parquet)?;
    let rows = reader.get_row_iter(None).map_err(of_parquet)?;
    rows.map(|row| record(&row.map_err(of_parquet)?)).collect()
}

/// A row as the record that it was written from.
fn record(row: &Row) -> io::Result<Record> {
    let fields: Vec<(&str, &Field)> = row
        .get_column_iter()
        .map(|(name, field)| (name.as_str(), field))
        .collect();
    let field = |name: &str| {
        let found = fields.iter().find(|(known, _)| *known == name);
        found.map_or(&Field::Null, |(_, field)| *field)
    };
    let (Field::Str(topic), Field::Int(partition), Field::Long(offset)) =
        (field("topic"), field("partition"), field("offset"))
    else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a row has no place of a record",
        ));
    };
    Ok(Record {
        topic: topic.as_str().into(),
        partition: *partition,
        offset: *offset,
        timestamp: match field("timestamp") {
            Field::TimestampMillis(time) => Some(Timestamp(*time)),
            _ => None,
        },
        key: either(field("key"), field("key_bytes")),
        value: either(field("value"), field("value_bytes")),
        headers: match field("headers") {
            Field::ListInternal(list) => list.elements().iter().filter_map(header).collect(),
            _ => Vec::new(),
        },
    })
}

fn header(field: &Field) -> Option<Header> {
    let Field::Group(group) = field else { return None };
    let parts: Vec<&Field> = group.get_column_iter().map(|(_, field)| field).collect();
    let [Field::Str(name), text, bytes] = parts[..] else {
        return None;
    };
    Some(Header {
        key: name.as_str().into(),
        value: either(text, bytes),
    })
}

/// What a text and its bytes say together.
fn either(text: &Field, bytes: &Field) -> Option<Vec<u8>> {
    match (text, bytes) {
        (Field::Str(text), _) => Some(text.clone().into_bytes()),
        (_, Field::Bytes(bytes)) => Some(bytes.data().to_vec()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    fn bytes() -> impl Strategy<Value = Option<Vec<u8>>> {
        prop_oneof![
            Just(None),
            "\\PC{0,6}".prop_map(|text| Some(text.into_bytes())),
            prop::collection::vec(any::<u8>(), 0..6).prop_map(Some),
        ]
    }

    prop_compose! {
        fn record()(
            partition in 0..4i32,
            offset in 0..1_000_000i64,
            time in prop::option::of(-1_000_000_000_000..4_000_000_000_000i64),
            key in bytes(),
            value in bytes(),
            headers in prop::collection::vec(("[a-c]{0,2}", bytes()), 0..4),
        ) -> Record {
            let header = |(key, value): (String, Option<Vec<u8>>)| Header { key, value };
            Record {
                topic: "orders".into(),
                partition,
                offset,
                timestamp: time.map(Timestamp),
                key,
                value,
                headers: headers.into_iter().map(header).collect(),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever records hold, and however they are grouped, they are read as they were.
        #[test]
        fn records_are_read_as_they_were(
            records in prop::collection::vec(record(), 0..30), groups in prop::collection::vec(any::<bool>(), 30)
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("records.parquet");
            let mut writer = Writer::new(File::create(&path).unwrap()).unwrap();
            for (record, ends) in records.iter().zip(groups) {
                prop_assert!(writer.write(&record.view()) > 0);
                if ends {
                    writer.flush().unwrap();
                }
            }
            writer.finish().unwrap();
            prop_assert_eq!(&read(&path).unwrap(), &records);
            prop_assert_eq!(count(&path).unwrap(), records.len() as u64);
        }
    }
}
