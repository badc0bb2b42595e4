//! Which projections there are: the `.sql` files of the working directory that say so, and those that read models were
//! built from.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use miette::{GraphicalReportHandler, GraphicalTheme};

use crate::app::job::{Failure, ProjectionRow};
use crate::app::lang::{Speaks, say};
use crate::broker::client::Client;
use crate::broker::topics::Watermarks;
use crate::demo::catalog::Catalog;
use crate::demo::text::Language;
use crate::projection::error::ProjectionError;
use crate::projection::{Projection, parse};
use crate::readmodel::store::{ReadModelInfo, State};
use crate::record::TopicPartition;
use crate::replay::takeover::takeover;

use super::super::Link;
use super::failure;
use super::past::statement;

/// A file larger than this is no projection that somebody wrote.
const LARGEST: u64 = 1 << 20;
/// The dead letters of a projection that are listed at first; how many there are is said beside them.
const DEAD_LETTERS: usize = 200;
/// Prose in a report is not wrapped here: only the screen knows how wide it is.
const WIDE: usize = 1_000;
/// What a projection's file says in its head; other `.sql` files are none of ours.
const HEADER: &str = "-- projection:";

/// Reads and parses a projection file, or takes it from the demo that brings it.
pub(super) fn load(file: &str, demos: &Catalog) -> Result<Projection, Failure> {
    if let Some((_, projection)) = demos.projection(file) {
        return Ok(projection.clone());
    }
    let source = fs::read_to_string(file).map_err(|error| Failure::new(format!("{file}: {error}")))?;
    let mut projection = parse::parse(&source, file).map_err(|error| Failure::new(report(&error)))?;
    let folder = Path::new(file).parent().unwrap_or(Path::new("."));
    let read = |schema: &str| fs::read_to_string(folder.join(schema)).map_err(|error| error.to_string());
    projection
        .read_schemas(read)
        .map_err(|error| Failure::new(report(&error)))?;
    Ok(projection)
}

/// An error of a projection file with the line under it and the way to mend it.
fn report(error: &ProjectionError) -> String {
    let mut text = String::new();
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(WIDE);
    match handler.render_report(&mut text, error) {
        Ok(()) => text,
        Err(_) => error.to_string(),
    }
}

/// Every projection, by name: the files of this directory, what read models remember, and what demos bring; the last only
/// on a cluster that has all of the demo's topics. `listed` says how many dead letters are wanted of which.
pub(super) fn list(
    link: &Link,
    demos: &Catalog,
    listed: &BTreeMap<String, usize>,
    language: Language,
) -> Result<Vec<ProjectionRow>, Failure> {
    let mut built: BTreeMap<String, ReadModelInfo> = link
        .store
        .list()
        .map_err(failure)?
        .into_iter()
        .map(|info| (info.name.clone(), info))
        .collect();
    let mut rows = Vec::new();
    // A read model is that of the file that it was built from, whatever else has its name.
    let own: Vec<PathBuf> = built.values().filter_map(|info| whole(&info.file)).collect();
    let mut files = files(Path::new("."));
    files.sort_by_key(|file| !whole(file).is_some_and(|file| own.contains(&file)));
    for file in files {
        let mut row = row(&file, language.tr("this directory"), &mut built, demos);
        let first = rows
            .iter()
            .find(|known: &&ProjectionRow| known.name == row.name && row.broken.is_none());
        if let Some((file, first)) = first.and_then(|first| Some((first.file.clone()?, first))) {
            // Whoever builds this one takes the read model over.
            row.other = first.built.is_some().then(|| file.clone());
            row.origin = say!(language, "this directory, where {file} has this name too", file);
        }
        rows.push(row);
    }
    for (_, mut info) in std::mem::take(&mut built) {
        if matches!(info.state, State::Unreadable { .. }) {
            // It cannot say what it was built from, and a demo may have a projection of its name.
            let all = demos.demos().iter().flat_map(|demo| &demo.projections);
            if let Some(projection) = all.into_iter().find(|p| p.name == info.name) {
                info.file.clone_from(&projection.file);
            }
        }
        let demo = demos
            .projection(&info.file)
            .map(|(demo, _)| say!(language, "the demo {id}", id = demo.id));
        let here = Path::new(&info.file)
            .is_file()
            .then(|| language.tr("where it was built from").to_owned());
        let mut one = BTreeMap::from([(info.name.clone(), info.clone())]);
        let found = demo.or(here).map(|origin| row(&info.file, &origin, &mut one, demos));
        // A file that is another projection's by now says nothing about this read model, which is still there.
        let renamed = found
            .as_ref()
            .is_some_and(|row| row.broken.is_none() && row.built.is_none());
        rows.push(match found.filter(|_| !renamed) {
            Some(row) => row,
            None => ProjectionRow {
                name: info.name.clone(),
                origin: match info.file.as_str() {
                    "" => language.tr("a file that it cannot say").to_owned(),
                    file if renamed => {
                        say!(language, "built from {file}, which has another projection by now", file)
                    }
                    file => say!(language, "built from {file}, which is not here", file),
                },
                topics: info.topics.clone(),
                built: Some(info),
                ..ProjectionRow::default()
            },
        });
    }
    let mut ends = Ends::new(&link.client)?;
    for demo in demos.demos() {
        // One of its topics may be somebody's own; all of them are the demo's.
        let here = demo.topics.iter().all(|topic| ends.names.contains(&topic.name));
        for projection in &demo.projections {
            if here && !rows.iter().any(|r: &ProjectionRow| r.name == projection.name) {
                let origin = say!(language, "the demo {id}", id = demo.id);
                rows.push(row(&projection.file, &origin, &mut BTreeMap::new(), demos));
            }
        }
    }
    for row in &mut rows {
        row.missing_topics = row
            .topics
            .iter()
            .filter(|t| !ends.names.contains(*t))
            .cloned()
            .collect();
        if row.unreadable().is_some() {
            row.changed = false;
        } else if let Some(info) = &row.built {
            row.lag = ends.lag(info);
            let letters = link
                .store
                .latest_dead_letters(&row.name, listed.get(&row.name).copied().unwrap_or(DEAD_LETTERS))
                .map_err(failure)?;
            row.letters = letters.total;
            row.left_out = letters.skipped;
            row.dead_letters = letters.latest;
            row.alerts = link.store.open_alerts(&row.name).map_err(failure)?;
            row.previous = link.store.has_previous(&row.name).map_err(failure)?;
            if !row.dead_letters.is_empty() {
                row.decisions = link.store.decisions(&row.name).map_err(failure)?;
                let source = link.store.source(&row.name).map_err(failure)?;
                let lines = row.dead_letters.iter().filter_map(|letter| letter.line);
                row.statements = lines.map(|line| (line, statement(&source, line))).collect();
            }
        }
    }
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(rows)
}

/// A file's whole path, where there is such a file.
fn whole(file: &str) -> Option<PathBuf> {
    fs::canonicalize(file).ok()
}

/// The `.sql` files of a directory, by name.
fn files(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut files: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(|e| e.path().extension().is_some_and(|x| x == "sql"))
        .filter(|e| e.metadata().is_ok_and(|m| m.is_file() && m.len() <= LARGEST))
        .filter_map(|e| e.file_name().into_string().ok())
        .filter(|name| fs::read_to_string(directory.join(name)).is_ok_and(|text| text.contains(HEADER)))
        .collect();
    files.sort();
    files
}

/// What a file is: a projection, with its read model if there is one, or broken.
fn row(file: &str, origin: &str, built: &mut BTreeMap<String, ReadModelInfo>, demos: &Catalog) -> ProjectionRow {
    let base = ProjectionRow {
        file: Some(file.to_owned()),
        origin: origin.to_owned(),
        ..ProjectionRow::default()
    };
    match load(file, demos) {
        Ok(projection) => {
            let info = built.remove(&projection.name);
            ProjectionRow {
                hash: Some(projection.hash.clone()),
                changed: info.as_ref().is_some_and(|i| i.hash != projection.hash),
                other: info
                    .as_ref()
                    .and_then(|info| takeover(info, &projection))
                    .filter(|taken| taken.there)
                    .map(|taken| taken.from),
                name: projection.name,
                topics: projection.topics,
                built: info,
                ..base
            }
        }
        Err(failure) => ProjectionRow {
            name: file.to_owned(),
            broken: Some(failure.full),
            ..base
        },
    }
}

/// Where the topics end, each asked for once.
struct Ends<'a> {
    client: &'a Client,
    names: BTreeSet<String>,
    /// Per topic how far it reaches; `None` where it could not be told.
    known: BTreeMap<String, Option<Vec<Watermarks>>>,
}

impl<'a> Ends<'a> {
    fn new(client: &'a Client) -> Result<Self, Failure> {
        let names = client.topics().map_err(failure)?.into_iter().map(|t| t.name).collect();
        Ok(Self {
            client,
            names,
            known: BTreeMap::new(),
        })
    }

    fn of(&mut self, topic: &str) -> Option<&[Watermarks]> {
        if !self.known.contains_key(topic) {
            let marks = self
                .client
                .topic(topic)
                .and_then(|info| self.client.watermarks(&info))
                .ok();
            self.known.insert(topic.to_owned(), marks);
        }
        self.known.get(topic)?.as_deref()
    }

    /// Offsets between a read model's position and the end of its topics.
    fn lag(&mut self, info: &ReadModelInfo) -> Option<u64> {
        let mut lag = 0;
        for topic in &info.topics {
            for m in self.of(topic)? {
                let next = info.position.next(&TopicPartition::new(topic.as_str(), m.partition));
                lag += (m.high - next.unwrap_or(m.low).max(m.low)).max(0) as u64;
            }
        }
        Some(lag)
    }
}
