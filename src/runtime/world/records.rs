//! Pages of records in either direction, and records as they arrive. What is held is bounded, whatever the topic's size.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::app::job::{Arrivals, Event, Failure, Needle, Outlet, Page, PageFrom, PageRequest};
use crate::app::place::Place;
use crate::broker::client::Client;
use crate::broker::reader::{Order, Poll, Range, ReadPlan};
use crate::broker::topics::{TopicInfo, Watermarks};
use crate::record::{Record, TopicPartition};

use super::search::{self, Sieve};
use super::{failure, places};

/// The most bytes of records that a page holds, unless one record is larger.
const PAGE_BYTES: usize = 16 << 20;
/// How long a reader is waited for before it is asked whether anybody still listens.
const WAIT: Duration = Duration::from_millis(100);
/// How often a tail says what arrived: faster than a frame would show.
const SAY: Duration = Duration::from_millis(50);
/// The most records that a tail hands over at once; more than a screen shows, little enough to copy at any rate.
const HAND_OVER: usize = 500;
/// How many records of each partition a page back begins with at least.
const LEAST: i64 = 32;

/// For each partition an offset.
pub(super) type Offsets = BTreeMap<i32, i64>;

/// Reads a page.
pub(super) fn page(client: &Client, request: &PageRequest, out: &dyn Outlet) -> Result<Page, Failure> {
    let topic = client.topic(&request.topic).map_err(failure)?;
    let mut marks = client.watermarks(&topic).map_err(failure)?;
    if let PageFrom::Place(place) = request.from {
        places::exists(place, &marks, request.partitions.as_ref(), out.language())?;
    }
    if let Some(partitions) = &request.partitions {
        marks.retain(|m| partitions.contains(&m.partition));
    }
    let sieve = request.needle.as_ref().map(Sieve::new).transpose()?;
    let limit = request.limit;
    let mut page = match (&request.from, &sieve) {
        (PageFrom::Place(Place::End), _) => {
            let ends = marks.iter().map(|m| (m.partition, m.high)).collect();
            before(client, &topic, &marks, ends, limit, out)?
        }
        (PageFrom::Place(place), _) => {
            let starts = starts(client, &topic, &marks, *place, out)?;
            after(client, &topic, &marks, starts, limit, None, out)?
        }
        (PageFrom::UpTo(partition, offset), _) => {
            let mut ends = starts(client, &topic, &marks, Place::At(*partition, *offset), out)?;
            ends.insert(*partition, offset + 1);
            before(client, &topic, &marks, ends, limit, out)?
        }
        (PageFrom::Before(ends), None) => before(client, &topic, &marks, ends.clone(), limit, out)?,
        (PageFrom::Before(ends), Some(sieve)) => {
            search::back(&marks, ends.clone(), limit, sieve, out, |ends, limit| {
                before(client, &topic, &marks, ends, limit, out)
            })?
        }
        (PageFrom::After(starts), sieve) => after(client, &topic, &marks, starts.clone(), limit, sieve.as_ref(), out)?,
    };
    sieve.as_ref().map_or(Ok(()), Sieve::check)?;
    page.watermarks = marks;
    Ok(page)
}

/// Where each partition begins for a place.
fn starts(
    client: &Client,
    topic: &TopicInfo,
    marks: &[Watermarks],
    place: Place,
    out: &dyn Outlet,
) -> Result<Offsets, Failure> {
    let each = |of: &dyn Fn(&Watermarks) -> i64| -> Offsets {
        marks
            .iter()
            .map(|m| (m.partition, of(m).clamp(m.low, m.high)))
            .collect()
    };
    Ok(match place {
        Place::Begin => each(&|m| m.low),
        Place::End => each(&|m| m.high),
        Place::Back(n) => each(&|m| m.high.saturating_sub(n)),
        Place::Offset(offset) => each(&|_| offset),
        Place::Time(time) => {
            let found: Offsets = client.offsets_at(topic, time).map_err(failure)?.into_iter().collect();
            let starts = each(&|m| found.get(&m.partition).copied().unwrap_or(m.high));
            let after_all = marks.iter().all(|m| starts.get(&m.partition) == Some(&m.high));
            if after_all && marks.iter().any(|m| m.low < m.high) {
                return Err(Failure::new(
                    "no record is as new as that: `t`, then `end`, goes to the newest",
                ));
            }
            starts
        }
        Place::At(partition, offset) => {
            let Some(mark) = marks.iter().find(|m| m.partition == partition) else {
                return Ok(Offsets::new());
            };
            // The other partitions begin at the time of that record, so that what is beside it is what happened then.
            let one = Offsets::from([(partition, offset)]);
            let first = after(client, topic, std::slice::from_ref(mark), one.clone(), 1, None, out)?;
            let time = first.records.first().and_then(|r| r.timestamp);
            let mut starts = match time {
                Some(time) => starts(client, topic, marks, Place::Time(time), out)?,
                None => each(&|m| m.high),
            };
            starts.extend(one);
            starts
        }
    })
}

/// The records from `starts` on, merged by time; with a sieve only what it lets through, told as it is found.
fn after(
    client: &Client,
    topic: &TopicInfo,
    marks: &[Watermarks],
    starts: Offsets,
    limit: usize,
    sieve: Option<&Sieve>,
    out: &dyn Outlet,
) -> Result<Page, Failure> {
    let name: Arc<str> = topic.name.as_str().into();
    let start = |m: &Watermarks| starts.get(&m.partition).map(|at| (*at).max(m.low));
    let ranges: Vec<Range> = marks
        .iter()
        .filter_map(|m| {
            let start = start(m)?;
            (start < m.high).then(|| Range {
                topic: Arc::clone(&name),
                partition: m.partition,
                start,
                end: Some(m.high),
            })
        })
        .collect();
    let mut page = Page {
        start: marks.iter().filter_map(|m| Some((m.partition, start(m)?))).collect(),
        ..Page::default()
    };
    page.end = page.start.clone();
    if ranges.is_empty() {
        return Ok(page);
    }
    let mut teller = sieve.map(|_| search::Teller::new(marks, out));
    if let Some(teller) = &mut teller {
        teller.tell(&mut page, true);
    }
    let mut found = 0;
    let ends: Offsets = ranges.iter().filter_map(|r| Some((r.partition, r.end?))).collect();
    let mut bytes = 0;
    let plan = ReadPlan {
        ranges,
        order: Order::Merged,
    };
    let mut reader = client.reader(plan).map_err(failure)?;
    while !out.cancelled() {
        match reader.poll(WAIT).map_err(failure)? {
            Poll::Batch(batch) => {
                for record in batch.iter() {
                    let wanted = sieve.is_none_or(|sieve| sieve.lets(&record));
                    if wanted && (found >= limit || (bytes + record.size() > PAGE_BYTES && bytes > 0)) {
                        return Ok(page);
                    }
                    page.end.insert(record.partition, record.offset + 1);
                    if wanted {
                        found += 1;
                        bytes += record.size();
                        page.records.push(record.to_record());
                    }
                }
                if let Some(teller) = &mut teller {
                    teller.tell(&mut page, false);
                }
            }
            Poll::Idle => {}
            Poll::End => {
                page.end.extend(ends);
                return Ok(page);
            }
        }
    }
    Ok(page)
}

/// What was read of one partition for a page back.
#[derive(Default)]
struct Tail {
    /// The newest records before the end, oldest first.
    records: VecDeque<Record>,
    bytes: usize,
    /// The offset from which on `records` is complete.
    start: i64,
    /// The offset at which the page will end.
    end: i64,
    low: i64,
}

/// The records before `ends`, merged by time from the newest back.
fn before(
    client: &Client,
    topic: &TopicInfo,
    marks: &[Watermarks],
    ends: Offsets,
    limit: usize,
    out: &dyn Outlet,
) -> Result<Page, Failure> {
    let mut tails: BTreeMap<i32, Tail> = BTreeMap::new();
    for m in marks {
        if let Some(end) = ends.get(&m.partition) {
            let end = (*end).clamp(m.low, m.high);
            let tail = Tail {
                start: end,
                end,
                low: m.low,
                ..Tail::default()
            };
            tails.insert(m.partition, tail);
        }
    }
    let mut back = LEAST.max((2 * limit / tails.len().max(1)) as i64);
    // A piece of a compacted partition may hold nothing at all; then a longer piece is read, until there is something.
    while !out.cancelled() && tails.values().any(|t| t.records.is_empty() && t.start > t.low) {
        read_back(client, topic, &mut tails, back, out)?;
        back = back.saturating_mul(8);
    }
    Ok(merge_back(tails, limit))
}

/// Reads up to `back` offsets further back in each partition of which nothing is known yet.
fn read_back(
    client: &Client,
    topic: &TopicInfo,
    tails: &mut BTreeMap<i32, Tail>,
    back: i64,
    out: &dyn Outlet,
) -> Result<(), Failure> {
    let name: Arc<str> = topic.name.as_str().into();
    let share = PAGE_BYTES / tails.len().max(1);
    let mut ranges = Vec::new();
    for (partition, tail) in tails
        .iter_mut()
        .filter(|(_, t)| t.records.is_empty() && t.start > t.low)
    {
        let end = tail.start;
        tail.start = tail.low.max(end - back);
        ranges.push(Range {
            topic: Arc::clone(&name),
            partition: *partition,
            start: tail.start,
            end: Some(end),
        });
    }
    let plan = ReadPlan {
        ranges,
        order: Order::Arrival,
    };
    let mut reader = client.reader(plan).map_err(failure)?;
    while !out.cancelled() {
        match reader.poll(WAIT).map_err(failure)? {
            Poll::Batch(batch) => {
                for record in batch.iter() {
                    let Some(tail) = tails.get_mut(&record.partition) else {
                        continue;
                    };
                    tail.bytes += record.size();
                    tail.records.push_back(record.to_record());
                    while tail.bytes > share && tail.records.len() > 1 {
                        if let Some(gone) = tail.records.pop_front() {
                            tail.bytes -= gone.view().size();
                            tail.start = gone.offset + 1;
                        }
                    }
                }
            }
            Poll::Idle => {}
            Poll::End => break,
        }
    }
    Ok(())
}

/// Takes the newest records of all partitions until there are `limit`, or until a partition that goes on has no more.
fn merge_back(mut tails: BTreeMap<i32, Tail>, limit: usize) -> Page {
    let mut page = Page {
        end: tails.iter().map(|(p, t)| (*p, t.end)).collect(),
        ..Page::default()
    };
    let mut newest_first = Vec::new();
    let mut taken = Offsets::new();
    while newest_first.len() < limit {
        if tails.values().any(|t| t.records.is_empty() && t.start > t.low) {
            break;
        }
        let next = tails
            .iter()
            .filter_map(|(p, t)| t.records.back().map(|r| ((r.timestamp, *p, r.offset), *p)))
            .max();
        let Some((_, partition)) = next else { break };
        if let Some(record) = tails.get_mut(&partition).and_then(|t| t.records.pop_back()) {
            taken.insert(partition, record.offset);
            newest_first.push(record);
        }
    }
    for (partition, tail) in &tails {
        let start = match taken.get(partition) {
            _ if tail.records.is_empty() => tail.start,
            Some(oldest) => *oldest,
            None => tail.end,
        };
        page.start.insert(*partition, start);
    }
    newest_first.reverse();
    page.records = newest_first;
    page
}

/// Records as they arrive, until nobody listens; with a sieve those that it lets through. Where more arrive than a screen can
/// show, the newest are handed over and the gap is said.
pub(super) fn tail(
    client: &Client,
    topic: &str,
    from: Offsets,
    needle: Option<&Needle>,
    out: &dyn Outlet,
) -> Result<Event, Failure> {
    let sieve = needle.map(Sieve::new).transpose()?;
    let name: Arc<str> = topic.into();
    let ranges = from
        .iter()
        .map(|(partition, start)| Range {
            topic: Arc::clone(&name),
            partition: *partition,
            start: *start,
            end: None,
        })
        .collect();
    let plan = ReadPlan {
        ranges,
        order: Order::Arrival,
    };
    let mut reader = client.reader(plan).map_err(failure)?;
    let mut newest: VecDeque<Record> = VecDeque::new();
    let mut passed_over = false;
    let mut seen = 0;
    let mut said = Instant::now();
    while !out.cancelled() {
        match reader.poll(SAY).map_err(failure)? {
            Poll::Batch(batch) => {
                let all = batch
                    .iter()
                    .filter(|r| sieve.as_ref().is_none_or(|sieve| sieve.lets(r)));
                for record in all {
                    seen += 1;
                    newest.push_back(record.to_record());
                    if newest.len() > HAND_OVER {
                        newest.pop_front();
                        passed_over = true;
                    }
                }
            }
            Poll::Idle => {}
            Poll::End => return Ok(Event::Done("the topic has no more".into())),
        }
        if newest.is_empty() || said.elapsed() < SAY {
            continue;
        }
        said = Instant::now();
        let end: Offsets = from
            .iter()
            .map(|(p, start)| {
                let partition = TopicPartition::new(Arc::clone(&name), *p);
                (*p, reader.position().next(&partition).unwrap_or(*start))
            })
            .collect();
        let gap = std::mem::take(&mut passed_over).then(|| {
            let mut start = end.clone();
            for record in newest.iter().rev() {
                start.insert(record.partition, record.offset);
            }
            start
        });
        let arrivals = Arrivals {
            records: newest.drain(..).collect(),
            gap,
            end,
            seen,
        };
        if !out.send(Event::Arrivals(arrivals)) {
            break;
        }
    }
    Ok(Event::Done("the tail was stopped".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Timestamp;

    fn record(partition: i32, offset: i64, time: i64) -> Record {
        Record {
            topic: "t".into(),
            partition,
            offset,
            timestamp: Some(Timestamp(time)),
            key: None,
            value: None,
            headers: Vec::new(),
        }
    }

    fn tail(records: &[Record], start: i64, end: i64, low: i64) -> Tail {
        Tail {
            records: records.iter().cloned().collect(),
            bytes: 0,
            start,
            end,
            low,
        }
    }

    #[test]
    fn a_page_back_leaves_no_hole_in_any_partition() {
        let tails = BTreeMap::from([
            (0, tail(&[record(0, 8, 10), record(0, 9, 40)], 8, 10, 0)),
            (1, tail(&[record(1, 0, 20), record(1, 4, 30)], 0, 5, 0)),
        ]);
        let page = merge_back(tails, 100);
        let taken: Vec<_> = page.records.iter().map(|r| (r.partition, r.offset)).collect();
        // Partition 0 goes on before offset 8, so nothing older than that may be taken from partition 1.
        assert_eq!(taken, [(0, 8), (1, 0), (1, 4), (0, 9)]);
        assert_eq!(page.start, Offsets::from([(0, 8), (1, 0)]));
        assert_eq!(page.end, Offsets::from([(0, 10), (1, 5)]));
    }

    #[test]
    fn a_page_back_ends_where_it_is_full() {
        let tails = BTreeMap::from([
            (0, tail(&[record(0, 8, 10), record(0, 9, 40)], 8, 10, 0)),
            (1, tail(&[record(1, 4, 5)], 4, 5, 0)),
        ]);
        let page = merge_back(tails, 1);
        assert_eq!(page.records, [record(0, 9, 40)]);
        assert_eq!(page.start, Offsets::from([(0, 9), (1, 5)]));
    }
}
