//! The search of a topic's records: what a filter asks for is read on for in the background, and what is found comes in place of
//! what was in view. Bounded as the window is, and cancelled by whoever looks elsewhere.

use std::collections::BTreeMap;

use crate::record::RecordRef;

use super::super::job::{Needle, Page, PageFrom};
use super::super::message::Effect;
use super::super::model::{Level, Model};
use super::super::place::Place;
use super::super::window::Window;
use super::records::{self, Records};

/// How many records are searched for at once; whoever goes on past the last asks for more.
pub const HITS: usize = 200;

/// A window of what was found.
#[derive(Debug, Clone)]
pub struct Search {
    /// What it was searched for.
    pub needle: Needle,
    /// The bounds of what was in view before: for each partition where it began, and where it ended.
    before: (BTreeMap<i32, i64>, BTreeMap<i32, i64>),
}

impl Needle {
    /// What a filter asks for: `where` and a condition, or a text. None where it is empty.
    pub fn of(filter: &str) -> Option<Self> {
        let condition = filter
            .split_at_checked("where".len())
            .filter(|(word, rest)| word.eq_ignore_ascii_case("where") && rest.starts_with(' '));
        match condition {
            _ if filter.is_empty() => None,
            Some((_, condition)) if !condition.trim().is_empty() => Some(Self::Where(condition.trim().to_owned())),
            _ => Some(Self::Text(filter.to_owned())),
        }
    }
}

/// Whether key, value or a header of a record contains a text, in either case.
pub fn matches(record: &RecordRef<'_>, text: &str) -> bool {
    let needle = text.as_bytes();
    let has = |bytes: Option<&[u8]>| bytes.is_some_and(|bytes| contains(bytes, needle));
    has(record.key)
        || has(record.value)
        || record
            .headers
            .iter()
            .any(|h| contains(h.key.as_bytes(), needle) || has(h.value.as_deref()))
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    let Some(first) = needle.first() else { return true };
    haystack.len() >= needle.len()
        && haystack
            .windows(needle.len())
            .any(|w| w[0].eq_ignore_ascii_case(first) && w.eq_ignore_ascii_case(needle))
}

impl Records {
    /// Whether it is being searched.
    pub fn searching(&self) -> bool {
        self.page.task.is_some() && self.asked.as_ref().is_some_and(|asked| asked.needle.is_some())
    }
}

/// Does what the filter asks for, once it is meant: searches, goes on with a search, or shows the log again where the cursor is.
pub fn filtered(model: &mut Model, fx: &mut Vec<Effect>) {
    let Some(records) = &mut model.records else { return };
    if records.page.value.is_none() {
        return;
    }
    match (Needle::of(records.list.filter()), &records.search) {
        (None, None) => records::moved(model, fx),
        (None, Some(_)) => show_log(model, fx),
        (Some(needle), Some(search)) if search.needle == needle => go_on(model, fx),
        // A live tail goes on, and what arrives is looked through as it comes.
        (Some(Needle::Text(_)), None) if records.tail.is_some() => {}
        // All that there is is in view.
        (Some(Needle::Text(_)), None) if records.window.at_begin() && records.window.at_end() => {}
        (Some(needle), _) => begin(model, needle, fx),
    }
}

/// Searches from where the view begins.
fn begin(model: &mut Model, needle: Needle, fx: &mut Vec<Effect>) {
    let Some(records) = &model.records else { return };
    let (start, end) = records.bounds();
    let from = if records.newest_first {
        PageFrom::Before(end)
    } else {
        PageFrom::After(start)
    };
    let mut asked = records.more(from);
    asked.fresh = true;
    asked.needle = Some(needle);
    records::ask(model, asked, fx);
}

impl Records {
    /// The bounds of what is in view, or was before the search.
    fn bounds(&self) -> (BTreeMap<i32, i64>, BTreeMap<i32, i64>) {
        match &self.search {
            Some(search) => search.before.clone(),
            None => (self.window.start.clone(), self.window.end.clone()),
        }
    }

    /// Has from now on what is found, in a window that holds nothing yet.
    pub(super) fn search_in(&mut self, needle: Needle, window: Window) {
        self.search = Some(Search {
            needle,
            before: self.bounds(),
        });
        self.change(false, |w| *w = window);
    }
}

/// Takes a piece of what is searched for; the first one comes in place of what is in view.
pub(super) fn piece(model: &mut Model, page: Page, from: &PageFrom, first: Option<Needle>, fx: &mut Vec<Effect>) {
    let Some(records) = &mut model.records else { return };
    let Some(needle) = first else {
        return records::grow(model, page, from);
    };
    fx.extend(records.tail.take().map(|t| Effect::Cancel(t.task)));
    records.search_in(needle, Window::of(page));
    let shown = records.list.shown().len();
    if records.list.cursor() >= shown {
        records.list.set_cursor(0);
    }
    model.layout.list.first = 0;
    model.detail = 0;
}

/// Takes a piece of what is searched for, while the search goes on.
pub fn found(model: &mut Model, page: Page, fx: &mut Vec<Effect>) {
    let Some(asked) = model.records.as_mut().and_then(|r| r.asked.as_mut()) else {
        return;
    };
    let first = std::mem::take(&mut asked.fresh).then(|| asked.needle.clone()).flatten();
    let from = asked.from.clone();
    piece(model, page, &from, first, fx);
}

/// Searches on until much was found or the whole topic was looked at, first downwards, then up; from then on it is for the cursor
/// to ask for more.
pub(super) fn go_on(model: &mut Model, fx: &mut Vec<Effect>) {
    let Some(records) = &model.records else { return };
    if records.page.task.is_some() || records.list.shown().len() >= HITS {
        return;
    }
    if let Some(asked) = records.next(usize::MAX).map(|from| records.more(from)) {
        records::ask(model, asked, fx);
    }
}

/// Shows the log again in place of what was found: around the record under the cursor, or as it was before.
fn show_log(model: &mut Model, fx: &mut Vec<Effect>) {
    let Some(records) = &model.records else { return };
    let (start, end) = records.bounds();
    let from = match records.selected().map(|record| (record.partition, record.offset)) {
        Some((partition, offset)) if records.newest_first => PageFrom::UpTo(partition, offset),
        Some((partition, offset)) => PageFrom::Place(Place::At(partition, offset)),
        None if records.newest_first => PageFrom::Before(end),
        None => PageFrom::After(start),
    };
    let mut asked = records.more(from);
    asked.fresh = true;
    asked.needle = None;
    records::ask(model, asked, fx);
}

/// Stops the search; what was found stays. False where none goes on.
pub fn stop(model: &mut Model, fx: &mut Vec<Effect>) -> bool {
    let Some(records) = model.records.as_mut().filter(|r| r.searching()) else {
        return false;
    };
    fx.extend(records.page.task.take().map(Effect::Cancel));
    let asked = records.asked.take();
    if asked.is_some_and(|asked| asked.fresh) {
        // Nothing was found yet, so all is as it was.
        records.list.set_filter("");
        records.refilter();
    }
    model.tell(Level::Done, "stopped; what was found stays");
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::topics::Watermarks;
    use crate::record::Timestamp;

    fn searched(newest_first: bool) -> Model {
        let mut model = Model::new(Timestamp(0), jiff::tz::TimeZone::UTC, (80, 24));
        let mut records = Records::new("t");
        records.page.value = Some(());
        records.newest_first = newest_first;
        records.window.watermarks = [(0, (0, 100))].into();
        records.window.start = [(0, 40)].into();
        records.window.end = [(0, 60)].into();
        records.list.set_filter("nowhere");
        model.records = Some(records);
        model
    }

    fn piece_of(start: i64, end: i64) -> Page {
        Page {
            start: [(0, start)].into(),
            end: [(0, end)].into(),
            watermarks: vec![Watermarks {
                partition: 0,
                low: 0,
                high: 100,
            }],
            ..Page::default()
        }
    }

    fn from(model: &Model) -> Option<PageFrom> {
        Some(model.records.as_ref()?.asked.as_ref()?.from.clone())
    }

    #[test]
    fn what_is_typed_is_not_read_on_for_before_it_is_meant() {
        let mut model = searched(true);
        let mut fx = Vec::new();
        records::moved(&mut model, &mut fx);
        assert!(fx.is_empty());
        filtered(&mut model, &mut fx);
        assert_eq!(fx.len(), 1);
    }

    #[test]
    fn a_search_goes_on_downwards_and_then_up_until_the_whole_log_was_looked_at() {
        for newest_first in [true, false] {
            let mut model = searched(newest_first);
            let mut fx = Vec::new();
            filtered(&mut model, &mut fx);
            let (begin, down, up) = if newest_first {
                (
                    PageFrom::Before([(0, 60)].into()),
                    piece_of(0, 60),
                    PageFrom::After([(0, 60)].into()),
                )
            } else {
                (
                    PageFrom::After([(0, 40)].into()),
                    piece_of(40, 100),
                    PageFrom::Before([(0, 40)].into()),
                )
            };
            assert_eq!(from(&model), Some(begin));
            records::page(&mut model, down, &mut fx);
            assert_eq!(from(&model), Some(up));
            let rest = if newest_first {
                piece_of(60, 100)
            } else {
                piece_of(0, 40)
            };
            records::page(&mut model, rest, &mut fx);
            assert_eq!(from(&model), None, "nothing is left to be looked at");
            assert_eq!(model.records.unwrap().window.covered(), (100, 100));
        }
    }

    #[test]
    fn without_a_filter_the_log_is_there_again() {
        let mut model = searched(true);
        let mut fx = Vec::new();
        filtered(&mut model, &mut fx);
        records::page(&mut model, piece_of(0, 60), &mut fx);
        model.records.as_mut().unwrap().list.set_filter("");
        filtered(&mut model, &mut fx);
        assert_eq!(from(&model), Some(PageFrom::Before([(0, 60)].into())));
        records::page(&mut model, piece_of(40, 60), &mut fx);
        assert!(model.records.unwrap().search.is_none());
    }

    #[test]
    fn a_condition_is_told_from_a_text() {
        let text = |text: &str| Some(Needle::Text(text.to_owned()));
        assert_eq!(Needle::of(""), None);
        assert_eq!(Needle::of("Where"), text("Where"));
        assert_eq!(Needle::of("where "), text("where "));
        assert_eq!(Needle::of("wherever a"), text("wherever a"));
        let condition = Some(Needle::Where(":a > 1".to_owned()));
        assert_eq!(Needle::of("where :a > 1"), condition);
        assert_eq!(Needle::of("WHERE  :a > 1 "), condition);
    }

    #[test]
    fn text_is_found_in_either_case() {
        assert!(contains(b"{\"type\":\"Deposited\"}", b"deposited"));
        assert!(!contains(b"dep", b"deposited"));
        assert!(contains("straße".as_bytes(), "straße".as_bytes()));
    }
}
