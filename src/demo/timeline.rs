//! What is still to be written, in which order: the services' events as one line, and the faults that change it. It knows no
//! clock and no broker, so a run writes the same records, byte for byte, whatever its speed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use crate::record::Timestamp;

use super::catalog::{Demo, Source};
use super::error::DemoError;
use super::events::Event;
use super::script::Produce;

/// An event with who writes it and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) service: String,
    /// The agent whose log it is a line of.
    pub(super) agent: Option<String>,
    pub(super) partition: i32,
    pub(super) event: Event,
}

/// Everything that is written, behind the present and before it.
#[derive(Debug, Clone, Default)]
pub(super) struct Timeline {
    upcoming: VecDeque<Due>,
    written: Vec<Due>,
    /// The newest time of what was written.
    newest: Option<Timestamp>,
}

impl Timeline {
    /// The events of all services, merged by the time of each service's next: a service's own order holds, late events
    /// included.
    pub(super) fn of(demo: &Demo) -> Result<Self, DemoError> {
        let partitions: BTreeMap<&str, i32> = demo
            .topics
            .iter()
            .map(|topic| (topic.name.as_str(), topic.partitions.unwrap_or(1)))
            .collect();
        let mut sources: Vec<(&Source, std::iter::Peekable<std::vec::IntoIter<Event>>)> = demo
            .sources()?
            .into_iter()
            .map(|(source, events)| (source, events.into_iter().peekable()))
            .collect();
        let mut nth: BTreeMap<String, usize> = BTreeMap::new();
        let mut upcoming = VecDeque::new();
        loop {
            let times = sources.iter_mut().enumerate();
            let heads = times.filter_map(|(at, (_, events))| Some((Reverse(events.peek()?.timestamp), Reverse(at))));
            let Some((_, Reverse(at))) = heads.max() else {
                break;
            };
            let (source, events) = &mut sources[at];
            let Some(event) = events.next() else { break };
            let number = nth.entry(event.topic.clone()).or_default();
            let count = partitions.get(event.topic.as_str()).copied().unwrap_or(1);
            upcoming.push_back(Due {
                service: source.service.clone(),
                agent: source.agent.clone(),
                partition: event.partition(count, *number),
                event,
            });
            *number += 1;
        }
        Ok(Self {
            upcoming,
            written: Vec::new(),
            newest: None,
        })
    }

    /// How many events are still to be written.
    pub(super) fn left(&self) -> usize {
        self.upcoming.len()
    }

    /// How many of them an action writes.
    pub(super) fn count(&self, produce: &Produce) -> usize {
        let wanted = self.upcoming.iter().filter(|due| is_of(due, produce));
        let wanted = wanted.take_while(|due| is_before(due, produce)).count();
        produce.records.map_or(wanted, |records| wanted.min(records))
    }

    /// The next event that the action wants, which counts as written from now on; how many it wants is [`Timeline::count`].
    pub(super) fn next(&mut self, produce: &Produce) -> Option<Due> {
        let at = self.upcoming.iter().position(|due| is_of(due, produce))?;
        let due = self.upcoming.remove(at)?;
        self.newest = self.newest.max(Some(due.event.timestamp));
        self.written.push(due.clone());
        Some(due)
    }

    /// The next `records` come after the `by` that follow them: late, with the times at which they happened.
    pub(super) fn delay(&mut self, records: usize, by: usize) {
        let records = records.min(self.upcoming.len());
        let late: Vec<Due> = self.upcoming.drain(..records).collect();
        let at = by.min(self.upcoming.len());
        for (behind, due) in late.into_iter().enumerate() {
            self.upcoming.insert(at + behind, due);
        }
    }

    /// The next `records` come the other way round.
    pub(super) fn reorder(&mut self, records: usize) {
        let records = records.min(self.upcoming.len());
        self.upcoming.make_contiguous()[..records].reverse();
    }

    /// The last `records` that were written to a topic, to be written once more, oldest first.
    pub(super) fn last(&self, topic: &str, records: usize) -> Vec<Due> {
        let of = |due: &&Due| due.event.topic == topic;
        let mut last: Vec<Due> = self.written.iter().rev().filter(of).take(records).cloned().collect();
        last.reverse();
        last
    }

    /// The time of the newest event that was written, or of the first that will be.
    pub(super) fn now(&self) -> Option<Timestamp> {
        self.newest.or_else(|| Some(self.upcoming.front()?.event.timestamp))
    }
}

fn is_of(due: &Due, produce: &Produce) -> bool {
    produce.service.as_ref().is_none_or(|service| due.service == *service)
}

fn is_before(due: &Due, produce: &Produce) -> bool {
    produce.until.is_none_or(|until| due.event.timestamp < until.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::demo::catalog::Catalog;

    fn timeline() -> Timeline {
        let catalog = Catalog::load(&[]).unwrap();
        Timeline::of(catalog.get("messaging").unwrap()).unwrap()
    }

    fn all(timeline: &mut Timeline, produce: &Produce) -> Vec<Due> {
        let count = timeline.count(produce);
        (0..count).map(|_| timeline.next(produce).unwrap()).collect()
    }

    fn records(records: usize) -> Produce {
        Produce {
            records: Some(records),
            ..Produce::default()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        /// However it is cut, the same events come to the same partitions in the same order.
        #[test]
        fn the_same_records_come_however_they_are_cut(cuts in prop::collection::vec(1usize..400, 1..10)) {
            let whole = all(&mut timeline(), &Produce::default());
            let mut cut = timeline();
            let mut pieces = Vec::new();
            for count in cuts {
                pieces.extend(all(&mut cut, &records(count)));
            }
            pieces.extend(all(&mut cut, &Produce::default()));
            prop_assert_eq!(pieces, whole);
        }

        /// A fault changes the order and nothing else.
        #[test]
        fn a_fault_loses_and_adds_nothing(first in 0usize..300, late in 0usize..50, by in 0usize..50, turned in 0usize..50) {
            let key = |due: &Due| (due.event.topic.clone(), due.event.timestamp, due.event.value.clone(), due.partition);
            let mut whole: Vec<_> = all(&mut timeline(), &Produce::default()).iter().map(key).collect();
            let mut faulty = timeline();
            let mut came = all(&mut faulty, &records(first));
            faulty.delay(late, by);
            faulty.reorder(turned);
            came.extend(all(&mut faulty, &Produce::default()));
            let mut came: Vec<_> = came.iter().map(key).collect();
            came.sort();
            whole.sort();
            prop_assert_eq!(came, whole);
        }
    }

    #[test]
    fn late_events_come_late_and_last_ones_again() {
        let whole = all(&mut timeline(), &Produce::default());
        let mut late = timeline();
        late.delay(2, 3);
        let came = all(&mut late, &records(5));
        let order = [2, 3, 4, 0, 1].map(|at: usize| whole[at].clone());
        assert_eq!(came, order);
        assert_eq!(late.last(&came[4].event.topic, 2), &came[3..]);
        assert_eq!(late.now(), Some(whole[4].event.timestamp));

        let mut turned = timeline();
        turned.reorder(3);
        assert_eq!(
            all(&mut turned, &records(3)),
            [2, 1, 0].map(|at: usize| whole[at].clone())
        );
    }

    #[test]
    fn events_before_a_moment_are_those_before_it() {
        let mut timeline = timeline();
        let whole = all(&mut timeline.clone(), &Produce::default());
        let until = super::super::script::Moment(whole[10].event.timestamp);
        let came = all(
            &mut timeline,
            &Produce {
                until: Some(until),
                ..Produce::default()
            },
        );
        assert_eq!(came, whole[..10]);
    }
}
