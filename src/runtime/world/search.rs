//! The search of a topic: which records it finds, and how it tells what it has found so far.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use crate::app::job::{Event, Failure, Needle, Outlet, Page};
use crate::app::screens::search::matches;
use crate::broker::topics::Watermarks;
use crate::decode::fields::FieldPath;
use crate::readmodel::error::ReadModelError;
use crate::readmodel::filter::RecordFilter;
use crate::record::RecordRef;

use super::advised;
use super::records::Offsets;

/// How many records are searched at once from the newest back: little enough that the first are there soon, and enough that
/// beginning to read, which takes about as long as 10,000 of them, does not matter.
const PIECE: usize = 20_000;
/// How often it is told how far a search is: a few times faster than a search that finds nothing is looked at.
const SAY: Duration = Duration::from_millis(100);

/// Lets through what is searched for.
pub(super) enum Sieve {
    Text(String),
    Where(Box<Condition>),
}

/// A condition, and what came of asking it.
pub(super) struct Condition {
    filter: RecordFilter,
    /// Whether it could be asked of a record.
    asked: Cell<bool>,
    /// Why it could not be, the first time.
    failed: RefCell<Option<ReadModelError>>,
}

impl Sieve {
    /// A sieve; fails where a condition is none.
    pub(super) fn new(needle: &Needle) -> Result<Self, Failure> {
        Ok(match needle {
            Needle::Text(text) => Self::Text(text.clone()),
            Needle::Where(condition) => {
                let kind = FieldPath(vec!["type".into()]);
                Self::Where(Box::new(Condition {
                    filter: RecordFilter::new(condition, &kind).map_err(advised)?,
                    asked: Cell::new(false),
                    failed: RefCell::new(None),
                }))
            }
        })
    }

    /// Whether a record is one. One that a condition cannot be asked of, as where JSON is asked for and it is none, is not.
    pub(super) fn lets(&self, record: &RecordRef<'_>) -> bool {
        match self {
            Self::Text(text) => matches(record, text),
            Self::Where(condition) => match condition.filter.chooses(record) {
                Ok(chosen) => {
                    condition.asked.set(true);
                    chosen
                }
                Err(error) => {
                    condition.failed.borrow_mut().get_or_insert(error);
                    false
                }
            },
        }
    }

    /// An error where a condition could be asked of none of the records that it met: then it is at fault, and not they.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match self {
            Self::Where(condition) if !condition.asked.get() => {
                condition.failed.take().map_or(Ok(()), |error| Err(advised(error)))
            }
            _ => Ok(()),
        }
    }
}

/// Tells what was found, now and then.
pub(super) struct Teller<'a> {
    marks: &'a [Watermarks],
    out: &'a dyn Outlet,
    said: Instant,
}

impl<'a> Teller<'a> {
    pub(super) fn new(marks: &'a [Watermarks], out: &'a dyn Outlet) -> Self {
        Self {
            marks,
            out,
            said: Instant::now(),
        }
    }

    /// Hands over what a page that grows at its end has, if it is time or has to be `now`; what comes later begins there.
    pub(super) fn tell(&mut self, page: &mut Page, now: bool) {
        if now || self.said.elapsed() >= SAY {
            self.said = Instant::now();
            let next = Page {
                start: page.end.clone(),
                end: page.end.clone(),
                ..Page::default()
            };
            let mut piece = std::mem::replace(page, next);
            piece.watermarks = self.marks.to_vec();
            self.out.send(Event::Found(piece));
        }
    }
}

/// Searches from the newest record before `ends` back, piece by piece as `read` reads them, until there are `limit`.
pub(super) fn back(
    marks: &[Watermarks],
    ends: Offsets,
    limit: usize,
    sieve: &Sieve,
    out: &dyn Outlet,
    read: impl Fn(Offsets, usize) -> Result<Page, Failure>,
) -> Result<Page, Failure> {
    let mut page = Page {
        start: ends.clone(),
        end: ends,
        ..Page::default()
    };
    let mut left = limit;
    while !out.cancelled() && left > 0 {
        let begins = |m: &Watermarks| page.start.get(&m.partition).is_none_or(|at| *at <= m.low);
        if marks.iter().all(begins) {
            break;
        }
        let next = Page {
            start: page.start.clone(),
            end: page.start.clone(),
            ..Page::default()
        };
        let mut told = std::mem::replace(&mut page, next);
        told.watermarks = marks.to_vec();
        if !out.send(Event::Found(told)) {
            break;
        }
        page = newest_of(read(page.end.clone(), PIECE)?, left, sieve);
        left -= page.records.len();
    }
    Ok(page)
}

/// The newest records of a page that a sieve lets through, so many at most. The page then begins behind the newest of those
/// that it lets through and that were too many.
fn newest_of(mut page: Page, most: usize, sieve: &Sieve) -> Page {
    page.records.retain(|record| sieve.lets(&record.view()));
    let over = page.records.len().saturating_sub(most);
    for record in page.records.drain(..over) {
        page.start.insert(record.partition, record.offset + 1);
    }
    page
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::app::job::Cue;
    use crate::demo::text::Language;
    use crate::record::{Record, Timestamp};

    /// Hears everything.
    struct Heard(Mutex<Vec<Page>>);

    impl Outlet for Heard {
        fn send(&self, event: Event) -> bool {
            if let Event::Found(page) = event {
                self.0.lock().unwrap().push(page);
            }
            true
        }

        fn cancelled(&self) -> bool {
            false
        }

        fn language(&self) -> Language {
            Language::English
        }

        fn cue(&self, _: Duration) -> Option<Cue> {
            None
        }
    }

    fn record(partition: i32, offset: i64) -> Record {
        Record {
            topic: "t".into(),
            partition,
            offset,
            timestamp: Some(Timestamp(offset)),
            key: None,
            value: Some(format!("{{\"n\": {offset}}}").into_bytes()),
            headers: Vec::new(),
        }
    }

    /// Of two partitions, the records from `ends` back, five at a time.
    fn read(ends: Offsets) -> Page {
        let start: Offsets = ends.iter().map(|(p, end)| (*p, (end - 5).max(0))).collect();
        let mut records: Vec<Record> = Vec::new();
        for (partition, end) in &ends {
            records.extend((start[partition]..*end).map(|offset| record(*partition, offset)));
        }
        records.sort_by_key(|r| (r.timestamp, r.partition));
        Page {
            records,
            start,
            end: ends,
            watermarks: Vec::new(),
        }
    }

    fn search(needle: &Needle, limit: usize) -> (Vec<(i32, i64)>, Offsets) {
        let mark = |partition| Watermarks {
            partition,
            low: 0,
            high: 30,
        };
        let marks = [mark(0), mark(1)];
        let heard = Heard(Mutex::default());
        let sieve = Sieve::new(needle).unwrap();
        let sizes = RefCell::new(Vec::new());
        let ends = Offsets::from([(0, 30), (1, 30)]);
        let last = back(&marks, ends.clone(), limit, &sieve, &heard, |ends, size| {
            sizes.borrow_mut().push(size);
            Ok(read(ends))
        })
        .unwrap();
        assert!(sizes.borrow().iter().all(|size| *size == PIECE));
        let mut pieces = heard.0.into_inner().unwrap();
        assert!(
            pieces[0].records.is_empty(),
            "that it searches is told before anything is read"
        );
        pieces.push(last);
        // Each piece ends where the one before begins, so that nothing lies between them.
        let mut at = ends;
        let mut found = Vec::new();
        for piece in pieces {
            assert_eq!(piece.end, at);
            at = piece.start;
            found.extend(piece.records.iter().rev().map(|r| (r.partition, r.offset)));
        }
        (found, at)
    }

    #[test]
    fn what_is_far_back_is_found_and_the_rest_is_looked_at() {
        let needle = Needle::Where(":n = 3".into());
        let (found, start) = search(&needle, 10);
        assert_eq!(found, [(1, 3), (0, 3)]);
        assert_eq!(start, Offsets::from([(0, 0), (1, 0)]));
    }

    #[test]
    fn a_search_ends_when_enough_was_found_and_says_how_far_it_looked() {
        let (found, start) = search(&Needle::Text("\"n\": 2".into()), 3);
        assert_eq!(found, [(1, 29), (0, 29), (1, 28)]);
        // The next of partition 0 is its record 28, which was too many; of partition 1 that is 27.
        assert_eq!(start, Offsets::from([(0, 29), (1, 28)]));
    }

    #[test]
    fn a_condition_that_is_none_is_refused_and_one_that_does_not_fit_a_record_lets_it_be() {
        let refused = Sieve::new(&Needle::Where("amount > 1".into())).err().unwrap();
        assert!(refused.summary.contains("amount"), "{refused:?}");
        let sieve = Sieve::new(&Needle::Where("value ->> 'n' > 1".into())).unwrap();
        assert!(sieve.lets(&record(0, 2).view()));
        let text = Record {
            value: Some(b"no json".to_vec()),
            ..record(0, 2)
        };
        assert!(!sieve.lets(&text.view()));
        assert!(sieve.check().is_ok(), "one record could be asked");
        let wrong = Sieve::new(&Needle::Where("json_extract(value, 'n') = 1".into())).unwrap();
        assert!(!wrong.lets(&record(0, 2).view()));
        assert!(wrong.check().err().unwrap().full.contains("bad JSON path"));
    }
}
