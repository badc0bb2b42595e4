//! The records in view: a bounded piece of a topic that can grow at either end, whatever the topic's size. Of a topic that is
//! searched it holds what was found.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::broker::topics::Watermarks;
use crate::record::Record;

use super::job::{Arrivals, Page};

/// The most records that a window holds; enough to scroll for a while, little enough to search at every key.
pub const MAX_RECORDS: usize = 2_000;
/// The most bytes that a window holds, unless a single page is larger.
pub const MAX_BYTES: usize = 32 << 20;

/// Records oldest first, side by side in the log: within each partition nothing between `start` and `end` is left out,
/// except what the log itself does not hold.
#[derive(Debug, Clone, Default)]
pub struct Window {
    /// The records, oldest first.
    pub records: VecDeque<Arc<Record>>,
    /// For each partition the offset at which the window begins.
    pub start: BTreeMap<i32, i64>,
    /// For each partition the offset before which the window ends.
    pub end: BTreeMap<i32, i64>,
    /// How far the partitions reached when last asked.
    pub watermarks: BTreeMap<i32, (i64, i64)>,
    bytes: usize,
}

impl Window {
    /// A window over one page.
    pub fn of(page: Page) -> Self {
        let mut window = Self {
            start: page.start.clone(),
            end: page.end.clone(),
            ..Self::default()
        };
        window.append(page);
        window
    }

    /// Whether the window reaches the oldest record that the log holds.
    pub fn at_begin(&self) -> bool {
        self.watermarks
            .iter()
            .all(|(p, (low, high))| self.start.get(p).is_none_or(|at| at <= low) || low == high)
    }

    /// Whether the window reaches the end of the log as last seen.
    pub fn at_end(&self) -> bool {
        self.watermarks
            .iter()
            .all(|(p, (_, high))| self.end.get(p).is_none_or(|at| at >= high))
    }

    /// A window that holds nothing yet and ends where this one does.
    pub fn from_end(&self) -> Self {
        Self {
            start: self.end.clone(),
            end: self.end.clone(),
            watermarks: self.watermarks.clone(),
            ..Self::default()
        }
    }

    /// How many offsets of the log it covers, and how many there are.
    pub fn covered(&self) -> (u64, u64) {
        let mut covered = (0, 0);
        for (partition, (low, high)) in &self.watermarks {
            let bound = |at: &BTreeMap<i32, i64>| at.get(partition).map_or(*low, |at| *at.clamp(low, high));
            covered.0 += bound(&self.end).saturating_sub(bound(&self.start)).max(0) as u64;
            covered.1 += high.saturating_sub(*low).max(0) as u64;
        }
        covered
    }

    /// Adds a page that ends where the window begins.
    pub fn prepend(&mut self, page: Page) {
        self.know(&page.watermarks);
        for record in page.records.into_iter().rev() {
            self.bytes += record.view().size();
            self.records.push_front(Arc::new(record));
        }
        for (p, at) in page.start {
            self.start.insert(p, at);
        }
        while self.over() {
            let Some(gone) = self.records.pop_back() else { break };
            self.bytes -= gone.view().size();
            self.end.insert(gone.partition, gone.offset);
        }
    }

    /// Adds a page that begins where the window ends.
    pub fn append(&mut self, page: Page) {
        self.know(&page.watermarks);
        for record in page.records {
            self.push(record);
        }
        for (p, at) in page.end {
            self.end.insert(p, at);
        }
        self.trim_old();
    }

    /// Adds records that arrived at the end of the log. Where some were passed over, the window begins anew after them, so
    /// that paging back finds them.
    pub fn arrive(&mut self, arrivals: Arrivals) {
        if let Some(start) = arrivals.gap {
            self.records.clear();
            self.bytes = 0;
            self.start = start;
        }
        for record in arrivals.records {
            self.push(record);
        }
        for (p, at) in arrivals.end {
            self.end.insert(p, at);
            let (_, high) = self.watermarks.entry(p).or_insert((at, at));
            *high = (*high).max(at);
        }
        self.trim_old();
    }

    fn know(&mut self, watermarks: &[Watermarks]) {
        for w in watermarks {
            self.watermarks.insert(w.partition, (w.low, w.high));
        }
    }

    fn push(&mut self, record: Record) {
        self.bytes += record.view().size();
        self.records.push_back(Arc::new(record));
    }

    fn over(&self) -> bool {
        self.records.len() > MAX_RECORDS || (self.bytes > MAX_BYTES && self.records.len() > 1)
    }

    fn trim_old(&mut self) {
        while self.over() {
            let Some(gone) = self.records.pop_front() else { break };
            self.bytes -= gone.view().size();
            self.start.insert(gone.partition, gone.offset + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: i64, size: usize) -> Record {
        Record {
            topic: "t".into(),
            partition: 0,
            offset,
            timestamp: None,
            key: None,
            value: Some(vec![b'x'; size]),
            headers: Vec::new(),
        }
    }

    fn page(offsets: std::ops::Range<i64>, size: usize) -> Page {
        Page {
            start: BTreeMap::from([(0, offsets.start)]),
            end: BTreeMap::from([(0, offsets.end)]),
            records: offsets.map(|o| record(o, size)).collect(),
            watermarks: vec![Watermarks {
                partition: 0,
                low: 0,
                high: 100_000,
            }],
        }
    }

    #[test]
    fn a_window_stays_bounded_and_knows_what_it_holds() {
        let mut window = Window::of(page(50_000..51_000, 10));
        for n in 0..20 {
            window.append(page(51_000 + n * 500..51_500 + n * 500, 10));
            assert!(window.records.len() <= MAX_RECORDS);
        }
        assert_eq!(window.start[&0], window.records[0].offset);
        assert_eq!(window.end[&0], 61_000);
        let first = window.start[&0];
        window.prepend(page(first - 700..first, 10));
        assert_eq!(window.records.len(), MAX_RECORDS);
        assert_eq!(window.start[&0], first - 700);
        assert_eq!(window.end[&0], window.records.back().unwrap().offset + 1);
        assert!(!window.at_begin() && !window.at_end());
    }

    #[test]
    fn a_window_is_bounded_in_bytes() {
        let mut window = Window::default();
        for n in 0..20 {
            window.append(page(n * 10..n * 10 + 10, 1 << 20));
            assert!(window.bytes <= MAX_BYTES);
        }
        assert_eq!(window.records.len(), 32);
    }

    #[test]
    fn records_that_were_passed_over_can_be_paged_back_to() {
        let mut window = Window::of(page(0..10, 10));
        window.arrive(Arrivals {
            records: vec![record(500, 1), record(501, 1)],
            gap: Some(BTreeMap::from([(0, 500)])),
            end: BTreeMap::from([(0, 502)]),
            seen: 492,
        });
        assert_eq!(window.records.len(), 2);
        assert_eq!(window.start[&0], 500);
        assert!(!window.at_begin());
    }
}
