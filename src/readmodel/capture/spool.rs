//! Rows on their way, in a file without a name: it is gone when it is closed, however that comes.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use super::{Op, ReadModelError, RowChange};
use crate::record::Timestamp;

/// Rows that were read, in their order.
pub(super) struct Spool {
    out: BufWriter<File>,
    folder: std::path::PathBuf,
    rows: u64,
    at: Timestamp,
}

impl Spool {
    /// One on the disk of this file, which has room for what is in it.
    pub(super) fn beside(path: &Path) -> Result<Self, ReadModelError> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).to_owned();
        let file = tempfile::tempfile_in(&folder);
        let file = file.map_err(|error| ReadModelError::io("cannot copy rows into", &folder, error))?;
        Ok(Self {
            out: BufWriter::new(file),
            folder,
            rows: 0,
            at: Timestamp(0),
        })
    }

    /// Takes a row that was read.
    pub(super) fn put(&mut self, row: &RowChange) -> Result<(), ReadModelError> {
        let text = row.after.as_deref().unwrap_or_default();
        let mut write = |text: &str| {
            self.out.write_all(&(text.len() as u64).to_le_bytes())?;
            self.out.write_all(text.as_bytes())
        };
        write(&row.table)
            .and_then(|()| write(text))
            .map_err(|error| ReadModelError::io("cannot copy rows into", &self.folder, error))?;
        self.at = row.at;
        self.rows += 1;
        Ok(())
    }

    /// Hands out the rows for as long as `take` wants more.
    pub(super) fn read(self, take: &mut dyn FnMut(RowChange) -> bool) -> Result<(), ReadModelError> {
        let folder = self.folder;
        let failed = |error| ReadModelError::io("cannot read the copied rows in", &folder, error);
        let mut file = self.out.into_inner().map_err(|error| failed(error.into_error()))?;
        file.rewind().map_err(failed)?;
        let mut input = BufReader::new(file);
        for _ in 0..self.rows {
            let row = RowChange {
                number: 0,
                at: self.at,
                table: text(&mut input).map_err(failed)?,
                op: Op::Read,
                before: None,
                after: Some(text(&mut input).map_err(failed)?),
            };
            if !take(row) {
                break;
            }
        }
        Ok(())
    }
}

fn text(input: &mut impl Read) -> std::io::Result<String> {
    let mut len = [0; 8];
    input.read_exact(&mut len)?;
    let mut out = String::new();
    input.take(u64::from_le_bytes(len)).read_to_string(&mut out)?;
    Ok(out)
}
