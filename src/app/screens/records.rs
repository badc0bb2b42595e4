//! The records of one topic: a bounded window that grows at either end, and a live tail.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::demo::text::Language;
use crate::record::Record;

use super::super::job::{Failure, Job, Needle, Page, PageFrom, PageRequest};
use super::super::lang::say;
use super::super::list::List;
use super::super::message::Effect;
use super::super::model::{Level, Model};
use super::super::place::Place;
use super::super::remote::Remote;
use super::super::window::Window;
use super::search::{self, Search, matches};
use super::tail::{self, Tail};

/// About how many records a page has.
pub const PAGE: usize = 500;
/// How near the cursor comes to the end of the window before the next page is asked for.
const NEAR: usize = 100;

/// A page that was asked for. What it changes besides the window is changed when it is there: a place that is refused
/// leaves everything as it was.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) from: PageFrom,
    partitions: Option<BTreeSet<i32>>,
    newest_first: bool,
    /// Whether the cursor goes to the last row.
    to_last: bool,
    /// Whether it comes in place of what is in view.
    pub(super) fresh: bool,
    /// What is searched for.
    pub(super) needle: Option<Needle>,
}

/// The records screen.
#[derive(Debug, Clone)]
pub struct Records {
    /// The topic.
    pub topic: String,
    /// The records in view.
    pub window: Window,
    /// The cursor and filter; item `i` is the `i`th in the order shown.
    pub list: List,
    /// Whether the newest record stands first.
    pub newest_first: bool,
    /// The partitions shown; `None` for all.
    pub partitions: Option<BTreeSet<i32>>,
    /// The page that is being read, and why the last one failed. The value says that one was read.
    pub page: Remote<()>,
    /// The live tail, while there is one.
    pub tail: Option<Tail>,
    /// Whether a tail begins once the page that is being read is there.
    pub tail_wanted: bool,
    /// What the window holds the records of, where it is not all.
    pub search: Option<Search>,
    pub(super) asked: Option<Asked>,
}

impl Records {
    /// The records of a topic, nothing read yet.
    pub fn new(topic: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            window: Window::default(),
            list: List::default(),
            newest_first: true,
            partitions: None,
            page: Remote::default(),
            tail: None,
            tail_wanted: false,
            search: None,
            asked: None,
        }
    }

    /// Item `i` in the order shown.
    pub fn item(&self, i: usize) -> Option<&Arc<Record>> {
        let all = &self.window.records;
        let at = if self.newest_first {
            all.len().checked_sub(i + 1)?
        } else {
            i
        };
        all.get(at)
    }

    /// The record under the cursor.
    pub fn selected(&self) -> Option<&Arc<Record>> {
        self.item(self.list.selected()?)
    }

    /// Recomputes what is shown after the window changed. The cursor stays on its record, or on the newest one where that
    /// is where it was while records arrive. Returns by how many rows the cursor's record moved.
    fn refresh(&mut self, on: Option<(i32, i64)>, stick: bool) -> isize {
        let before = self.list.cursor();
        let (window, newest_first) = (&self.window.records, self.newest_first);
        let len = window.len();
        let nth = |i: usize| if newest_first { len - 1 - i } else { i };
        // What a condition chooses is known only of records that were searched.
        let text = match Needle::of(self.list.filter()) {
            Some(Needle::Text(text)) => text,
            _ => String::new(),
        };
        self.list
            .refresh(len, |i, _| text.is_empty() || matches(&window[nth(i)].view(), &text));
        if stick {
            let last = self.list.shown().len().saturating_sub(1);
            self.list.set_cursor(if newest_first { 0 } else { last });
        } else if let Some((partition, offset)) = on
            && let Some(at) = window
                .iter()
                .position(|r| r.partition == partition && r.offset == offset)
        {
            self.list.select(nth(at));
        }
        self.list.cursor() as isize - before as isize
    }

    /// Applies the filter again.
    pub fn refilter(&mut self) {
        let on = self.selected().map(|r| (r.partition, r.offset));
        self.refresh(on, false);
    }

    pub(super) fn change(&mut self, stick: bool, by: impl FnOnce(&mut Window)) -> isize {
        let on = self.selected().map(|r| (r.partition, r.offset));
        by(&mut self.window);
        self.refresh(on, stick)
    }

    /// Puts the cursor on a record, or on the next that the log holds of its partition. False if the filter hid it, which is
    /// then cleared: who asks for one record wants to see it.
    fn put_on(&mut self, partition: i32, offset: i64) -> bool {
        let all = &self.window.records;
        let Some(on) = all.iter().find(|r| r.partition == partition && r.offset >= offset) else {
            return true;
        };
        let on = (on.partition, on.offset);
        self.refresh(Some(on), false);
        if self.selected().is_some_and(|r| (r.partition, r.offset) == on) {
            return true;
        }
        self.list.set_filter("");
        self.refresh(Some(on), false);
        false
    }

    /// A page that goes on from what is in view.
    pub(super) fn more(&self, from: PageFrom) -> Asked {
        Asked {
            from,
            partitions: self.partitions.clone(),
            newest_first: self.newest_first,
            to_last: false,
            fresh: false,
            needle: self.search.as_ref().map(|search| search.needle.clone()),
        }
    }

    /// Where it goes on, where an end of the window that is not an end of the log is so few rows away. What is in view goes on
    /// downwards first.
    pub(super) fn next(&self, near: usize) -> Option<PageFrom> {
        let last = self.list.shown().len().saturating_sub(1);
        let (to_top, to_bottom) = (self.list.cursor(), last - self.list.cursor().min(last));
        let (newer, older) = if self.newest_first {
            (to_top, to_bottom)
        } else {
            (to_bottom, to_top)
        };
        let window = &self.window;
        let older = (older < near && !window.at_begin()).then(|| PageFrom::Before(window.start.clone()));
        let newer =
            (newer < near && !window.at_end() && self.tail.is_none()).then(|| PageFrom::After(window.end.clone()));
        if self.newest_first {
            older.or(newer)
        } else {
            newer.or(older)
        }
    }

    pub(super) fn at_newest(&self) -> bool {
        let last = self.list.shown().len().saturating_sub(1);
        self.list.cursor() == if self.newest_first { 0 } else { last }
    }
}

/// Reads partition numbers such as `0,2,5-7`; nothing is every partition.
pub fn parse_partitions(
    text: &str,
    known: &BTreeSet<i32>,
    language: Language,
) -> Result<Option<BTreeSet<i32>>, String> {
    let mut chosen = BTreeSet::new();
    for part in text.split([',', ' ']).filter(|p| !p.is_empty()) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (Ok(from), Ok(to)) = (from.trim().parse::<i32>(), to.trim().parse::<i32>()) else {
            return Err(say!(language, "`{part}` is no partition: write 0,2 or 5-7", part));
        };
        let named: BTreeSet<i32> = known.range(from..).take_while(|p| **p <= to).copied().collect();
        if named.is_empty() {
            let last = known.last().copied().unwrap_or(0);
            return Err(say!(
                language,
                "there is no partition {part}: the topic has 0 to {last}",
                part,
                last
            ));
        }
        chosen.extend(named);
    }
    Ok((!chosen.is_empty()).then_some(chosen))
}

/// Opens the records of a topic.
pub fn open(model: &mut Model, topic: &str, place: Place, fx: &mut Vec<Effect>) {
    close(model, fx);
    model.records = Some(Records::new(topic));
    go(model, place, fx);
}

/// Leaves the records: what is being read is cancelled, and the memory given back.
pub fn close(model: &mut Model, fx: &mut Vec<Effect>) {
    if let Some(records) = model.records.take() {
        fx.extend(records.page.task.map(Effect::Cancel));
        fx.extend(records.tail.map(|t| Effect::Cancel(t.task)));
    }
}

/// Reads afresh from a place.
pub fn go(model: &mut Model, place: Place, fx: &mut Vec<Effect>) {
    let Some(records) = &model.records else { return };
    let partitions = records.partitions.clone();
    read_afresh(model, place, partitions, fx);
}

/// Reads afresh from the newest or oldest record of some partitions, as the order has it.
pub fn choose(model: &mut Model, partitions: Option<BTreeSet<i32>>, fx: &mut Vec<Effect>) {
    let Some(records) = &model.records else { return };
    let place = if records.newest_first { Place::End } else { Place::Begin };
    read_afresh(model, place, partitions, fx);
}

fn read_afresh(model: &mut Model, place: Place, partitions: Option<BTreeSet<i32>>, fx: &mut Vec<Effect>) {
    let asked = Asked {
        from: PageFrom::Place(place),
        partitions,
        newest_first: place == Place::End,
        to_last: false,
        fresh: true,
        needle: None,
    };
    ask(model, asked, fx);
}

/// Goes to the very first or last record of the log in the order shown; false where the window reaches it already.
pub fn jump(model: &mut Model, last: bool, fx: &mut Vec<Effect>) -> bool {
    let Some(records) = &model.records else {
        return false;
    };
    let oldest = last == records.newest_first;
    let there = if oldest {
        records.window.at_begin()
    } else {
        records.window.at_end()
    };
    if there || records.tail.is_some() || records.page.task.is_some() || !records.list.filter().is_empty() {
        return false;
    }
    let asked = Asked {
        to_last: last,
        fresh: true,
        ..records.more(PageFrom::Place(if oldest { Place::Begin } else { Place::End }))
    };
    ask(model, asked, fx);
    true
}

/// Goes to the place that was asked for last, or asks for more where the window ends.
pub fn again(model: &mut Model, fx: &mut Vec<Effect>) {
    let Some(records) = &model.records else { return };
    match &records.asked {
        Some(asked) if records.page.error.is_some() => ask(model, asked.clone(), fx),
        _ if records.tail.is_none() && records.page.value.is_some() && records.page.task.is_none() => {
            let asked = records.more(PageFrom::After(records.window.end.clone()));
            ask(model, asked, fx);
        }
        _ => {}
    }
}

/// Asks for a page in place of the one that is being read, if any.
pub(super) fn ask(model: &mut Model, asked: Asked, fx: &mut Vec<Effect>) {
    let Some(records) = &mut model.records else { return };
    fx.extend(records.page.task.take().map(Effect::Cancel));
    let job = Job::Page(PageRequest {
        topic: records.topic.clone(),
        partitions: asked.partitions.clone(),
        from: asked.from.clone(),
        limit: if asked.needle.is_some() { search::HITS } else { PAGE },
        needle: asked.needle.clone(),
    });
    let task = model.start(job, fx);
    if let Some(records) = &mut model.records {
        records.page.task = Some(task);
        records.page.error = None;
        records.asked = Some(asked);
    }
}

/// Asks for the next page when the cursor comes near an end of the window that is not an end of the log.
pub fn moved(model: &mut Model, fx: &mut Vec<Effect>) {
    let Some(records) = &model.records else { return };
    if records.page.value.is_none() || records.page.task.is_some() || records.page.error.is_some() {
        return;
    }
    let near = match (&records.search, records.list.filter()) {
        (None, "") => NEAR,
        // A search has looked at all that is in view, so that only who stands at its end wants more.
        (Some(search), filter) if Needle::of(filter).as_ref() == Some(&search.needle) => 1,
        // What is typed is looked for in what is there; Enter then searches.
        _ => return,
    };
    let from = records.next(near);
    if let Some(asked) = from.map(|from| records.more(from)) {
        ask(model, asked, fx);
    }
}

/// Takes a page, or the last piece of one.
pub fn page(model: &mut Model, page: Page, fx: &mut Vec<Effect>) {
    let Some(records) = &mut model.records else { return };
    records.page.answer(());
    let Some(asked) = records.asked.take() else { return };
    match (&asked.needle, asked.fresh) {
        (Some(needle), _) => {
            let needle = needle.clone();
            search::piece(model, page, &asked.from, asked.fresh.then_some(needle), fx);
            search::go_on(model, fx);
        }
        (None, true) => show_place(model, page, &asked, fx),
        (None, false) => grow(model, page, &asked.from),
    }
}

/// Adds a page at an end of the window.
pub(super) fn grow(model: &mut Model, page: Page, from: &PageFrom) {
    let Some(records) = &mut model.records else { return };
    let shift = match from {
        PageFrom::Before(_) => records.change(false, |w| w.prepend(page)),
        _ => records.change(false, |w| w.append(page)),
    };
    model.layout.list.first = model.layout.list.first.saturating_add_signed(shift);
}

/// Shows a place in place of what was in view.
fn show_place(model: &mut Model, page: Page, asked: &Asked, fx: &mut Vec<Effect>) {
    let Some(records) = &mut model.records else { return };
    fx.extend(records.tail.take().map(|t| Effect::Cancel(t.task)));
    records.newest_first = asked.newest_first;
    records.partitions.clone_from(&asked.partitions);
    records.search = None;
    records.change(true, |w| *w = Window::of(page));
    let row = if asked.to_last { usize::MAX } else { 0 };
    records.list.set_cursor(row);
    let hidden = match asked.from {
        PageFrom::Place(Place::At(partition, offset)) | PageFrom::UpTo(partition, offset) => {
            !records.put_on(partition, offset)
        }
        _ => false,
    };
    let tail_wanted = std::mem::take(&mut records.tail_wanted);
    model.layout.list.first = row;
    model.detail = 0;
    if hidden {
        model.tell(Level::Hint, "the filter hid that record: it is cleared");
    }
    if tail_wanted {
        tail::begin(model, fx);
    } else {
        search::filtered(model, fx);
    }
}

/// Takes a failure. What is in view stays: a place that does not exist is no reason to show nothing. Says whether it did.
pub fn failed(records: &mut Records, failure: Failure) -> bool {
    records.tail_wanted = false;
    let elsewhere = records.asked.as_ref().is_some_and(|asked| asked.fresh);
    let stays = elsewhere && records.page.value.is_some();
    if stays {
        records.page.task = None;
        records.asked = None;
    } else {
        records.page.fail(failure);
    }
    stays
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_read_as_people_type_them() {
        let known: BTreeSet<i32> = (0..8).collect();
        assert_eq!(parse_partitions("", &known, Language::English), Ok(None));
        assert_eq!(
            parse_partitions("0, 2,5-6", &known, Language::English),
            Ok(Some(BTreeSet::from([0, 2, 5, 6])))
        );
        assert!(
            parse_partitions("9", &known, Language::English)
                .unwrap_err()
                .contains("0 to 7")
        );
        assert!(
            parse_partitions("x", &known, Language::English)
                .unwrap_err()
                .contains("`x`")
        );
    }
}
