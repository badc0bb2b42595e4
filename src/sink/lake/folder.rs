//! A topic's folder in a lake: what it says of itself, and the files in it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::decode::envelope;
use crate::record::{RecordRef, Timestamp};

use super::super::address::{Format, LakeAddress};
use super::super::error::SinkError;
use super::{LakeTopic, parquet};

/// What a topic's folder says of itself. Those who read a lake leave out what begins with `_`.
const STATE: &str = "_foldlog.json";
const LOCK: &str = "_foldlog.lock";
/// What a file is called that is not in place yet.
const MAKING: &str = ".making-";
/// Where records without a time are, by the name that those who read such folders know.
const NO_DATE: &str = "__HIVE_DEFAULT_PARTITION__";

/// How far a topic is in its files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) cluster: String,
    pub(super) topic_id: Option<String>,
    #[serde(default)]
    pub(super) format: Format,
    pub(super) records: u64,
    pub(super) next: BTreeMap<i32, i64>,
}

impl State {
    /// Whether a file that begins with the record at this place is counted: files are put in place first, and counted together.
    pub(super) fn counts(&self, (partition, offset): (i32, i64)) -> bool {
        self.next.get(&partition).is_some_and(|next| offset < *next)
    }
}

/// A topic's folder, which one process writes.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    state: State,
    _lock: File,
}

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Part {
    making: PathBuf,
    target: PathBuf,
    out: Out,
    records: u64,
}

/// What a file is written with.
#[derive(Debug)]
enum Out {
    Ndjson { out: BufWriter<File>, line: Vec<u8> },
    Parquet(Box<parquet::Writer>),
}

impl Folder {
    pub(super) fn open(address: &LakeAddress, cluster: &str, topic: &LakeTopic) -> Result<Self, SinkError> {
        let path = address.dir.join(&topic.name);
        fs::create_dir_all(&path).map_err(|error| SinkError::io("cannot make", &path, error))?;
        let lock = lock(&path.join(LOCK))?;
        let read = read_state(&path)?;
        if let Some(state) = &read {
            let other_topic = matches!((&state.topic_id, &topic.id), (Some(then), Some(now)) if then != now);
            if state.cluster != cluster || other_topic {
                let help = "write to another folder, or move this one away";
                return Err(SinkError::NotOurs {
                    store: format!("the lake {}", address.dir.display()),
                    what: format!(
                        "the records of another topic `{}`, of another cluster or created earlier",
                        topic.name
                    ),
                    help: help.to_owned(),
                });
            }
            if state.format != address.format {
                return Err(SinkError::Format {
                    store: format!("the lake {}", address.dir.display()),
                    topic: topic.name.clone(),
                    there: state.format.suffix(),
                    wanted: address.format.suffix(),
                });
            }
        }
        let folder = Self {
            state: read.unwrap_or_else(|| State {
                cluster: cluster.to_owned(),
                topic_id: topic.id.clone(),
                format: address.format,
                ..State::default()
            }),
            path,
            _lock: lock,
        };
        folder.clean()?;
        Ok(folder)
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// Takes away what was not put in place, or was and is not counted.
    fn clean(&self) -> Result<(), SinkError> {
        for date in dates(&self.path)? {
            for entry in list(&date)? {
                let Some(name) = entry.file_name().and_then(|name| name.to_str()) else {
                    continue;
                };
                let uncounted = parse_name(name).is_some_and(|place| !self.state.counts(place));
                if uncounted || name.starts_with(MAKING) {
                    fs::remove_file(&entry).map_err(|error| SinkError::io("cannot delete", &entry, error))?;
                }
            }
        }
        Ok(())
    }

    /// Begins a file.
    pub(super) fn part(&self, partition: i32, offset: i64, date: &str) -> Result<Part, SinkError> {
        let folder = self.path.join(format!("dt={date}"));
        fs::create_dir_all(&folder).map_err(|error| SinkError::io("cannot make", &folder, error))?;
        let name = format!("part-{partition:05}-{offset:020}.{}", self.state.format.suffix());
        let making = folder.join(format!("{MAKING}{name}"));
        let made = File::create(&making).and_then(|file| match self.state.format {
            Format::Ndjson => Ok(Out::Ndjson {
                out: BufWriter::new(file),
                line: Vec::new(),
            }),
            Format::Parquet => parquet::Writer::new(file).map(|writer| Out::Parquet(Box::new(writer))),
        });
        Ok(Part {
            out: made.map_err(|error| SinkError::io("cannot make", &making, error))?,
            making,
            target: folder.join(name),
            records: 0,
        })
    }

    /// Says how far the files are, which are all in place.
    pub(super) fn commit(&mut self, next: BTreeMap<i32, i64>, records: u64) -> Result<(), SinkError> {
        let state = State {
            records: self.state.records + records,
            next,
            ..self.state.clone()
        };
        let target = self.path.join(STATE);
        let making = self.path.join(format!("{MAKING}{STATE}"));
        let failed = |error| SinkError::io("cannot write", &target, error);
        let text = serde_json::to_string(&state).map_err(|error| failed(io::Error::other(error)))?;
        let mut file = File::create(&making).map_err(failed)?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(failed)?;
        fs::rename(&making, &target).map_err(failed)?;
        sync(&self.path)?;
        self.state = state;
        Ok(())
    }
}

impl Part {
    /// Takes a record. Returns how many bytes that was.
    pub(super) fn write(&mut self, record: &RecordRef<'_>) -> Result<u64, SinkError> {
        self.records += 1;
        match &mut self.out {
            Out::Ndjson { out, line } => {
                line.clear();
                envelope::write(line, record);
                line.push(b'\n');
                out.write_all(line)
                    .map_err(|error| SinkError::io("cannot write", &self.making, error))?;
                Ok(line.len() as u64)
            }
            Out::Parquet(out) => Ok(out.write(record)),
        }
    }

    /// Writes what is kept in memory.
    pub(super) fn flush(&mut self) -> Result<(), SinkError> {
        let flushed = match &mut self.out {
            Out::Ndjson { out, .. } => out.flush(),
            Out::Parquet(out) => out.flush(),
        };
        flushed.map_err(|error| SinkError::io("cannot write", &self.making, error))
    }

    /// Makes it durable and puts it in place. Returns how many records it has.
    pub(super) fn place(self) -> Result<u64, SinkError> {
        let failed = |error| SinkError::io("cannot write", &self.target, error);
        let file = match self.out {
            Out::Ndjson { out, .. } => out.into_inner().map_err(|error| failed(error.into_error()))?,
            Out::Parquet(out) => out.finish().map_err(failed)?,
        };
        file.sync_all().map_err(failed)?;
        fs::rename(&self.making, &self.target).map_err(failed)?;
        if let Some(folder) = self.target.parent() {
            sync(folder)?;
        }
        Ok(self.records)
    }
}

/// The date of a record, in UTC.
pub(super) fn date(time: Option<Timestamp>) -> String {
    let time = time.and_then(|time| jiff::Timestamp::from_millisecond(time.0).ok());
    time.map_or_else(|| NO_DATE.to_owned(), |time| time.strftime("%Y-%m-%d").to_string())
}

/// How many records a topic has in a lake, counted in its files. Half a file is never there, and one that is in place and that the
/// lake does not count yet is left out, as in [`super::read`].
pub fn count(dir: &Path, topic: &str) -> Result<u64, SinkError> {
    let path = dir.join(topic);
    let Some(state) = read_state(&path)? else {
        return Ok(0);
    };
    let mut records = 0;
    for file in counted(&path, &state)? {
        let found = match is_parquet(&file) {
            true => parquet::count(&file),
            false => fs::read(&file).map(|bytes| bytes.iter().filter(|byte| **byte == b'\n').count() as u64),
        };
        records += found.map_err(|error| SinkError::io("cannot read", &file, error))?;
    }
    Ok(records)
}

/// The files of a topic that its state counts.
pub(super) fn counted(path: &Path, state: &State) -> Result<Vec<PathBuf>, SinkError> {
    let mut files = Vec::new();
    for date in dates(path)? {
        files.extend(list(&date)?.into_iter().filter(|file| {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            parse_name(name).is_some_and(|place| state.counts(place))
        }));
    }
    Ok(files)
}

pub(super) fn is_parquet(file: &Path) -> bool {
    let suffix = Format::Parquet.suffix();
    file.extension().is_some_and(|known| known == suffix)
}

/// Takes a topic's files away if they are those of the topic with this id; whether they were.
pub fn forget(dir: &Path, topic: &str, id: &str) -> Result<bool, SinkError> {
    let path = dir.join(topic);
    let ours = path.exists() && read_state(&path)?.is_some_and(|state| state.topic_id.as_deref() == Some(id));
    if ours {
        fs::remove_dir_all(&path).map_err(|error| SinkError::io("cannot delete", &path, error))?;
    }
    Ok(ours)
}

/// Partition and first offset of a file.
fn parse_name(name: &str) -> Option<(i32, i64)> {
    let (rest, suffix) = name.strip_prefix("part-")?.rsplit_once('.')?;
    [Format::Ndjson, Format::Parquet]
        .iter()
        .find(|format| format.suffix() == suffix)?;
    let (partition, offset) = rest.split_once('-')?;
    Some((partition.parse().ok()?, offset.parse().ok()?))
}

pub(super) fn read_state(path: &Path) -> Result<Option<State>, SinkError> {
    let file = path.join(STATE);
    let failed = |error| SinkError::io("cannot read", &file, error);
    match fs::read_to_string(&file) {
        Ok(text) => serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Keeps others from writing here.
fn lock(path: &Path) -> Result<File, SinkError> {
    let failed = |error| SinkError::io("cannot write", path, error);
    let file = File::options().create(true).append(true).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(failed(io::Error::new(
            io::ErrorKind::WouldBlock,
            "another process or another projection writes this topic here",
        ))),
        Err(fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn dates(path: &Path) -> Result<Vec<PathBuf>, SinkError> {
    let is_date = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("dt="))
    };
    Ok(list(path)?.into_iter().filter(is_date).collect())
}

fn list(path: &Path) -> Result<Vec<PathBuf>, SinkError> {
    let failed = |error| SinkError::io("cannot read", path, error);
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        found.push(entry.map_err(failed)?.path());
    }
    found.sort();
    Ok(found)
}

fn sync(path: &Path) -> Result<(), SinkError> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| SinkError::io("cannot make durable", path, error))
}
