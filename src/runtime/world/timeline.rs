//! How the events of a log lie in time, told by its offsets: nothing is read but the first and the last of them.

use crate::app::job::{Event, Failure, Outlet, PageFrom, PageRequest};
use crate::app::moment::Timeline;
use crate::app::place::Place;
use crate::record::Timestamp;

use super::{Studio, failure, records};

/// Parts of the time that are told apart: as many questions to the broker, for each topic.
const PARTS: i64 = 64;

impl Studio {
    /// How the events of a read model's log lie in time.
    pub(super) fn timeline(&self, read_model: &str, out: &dyn Outlet) -> Result<Event, Failure> {
        let link = self.link()?;
        let topics = link.store.info(read_model).map_err(failure)?.topics;
        let ends = [Place::Begin, Place::Back(1)].map(|place| self.times(&topics, place, out));
        let [firsts, lasts] = ends;
        let (Some(begin), Some(end)) = (firsts?.into_iter().min(), lasts?.into_iter().max()) else {
            return Ok(Event::Timeline(None));
        };
        if begin >= end {
            return Ok(Event::Timeline(None));
        }
        let mut timeline = Timeline {
            begin,
            end,
            events: vec![0; PARTS as usize],
        };
        for name in &topics {
            let topic = link.client.topic(name).map_err(failure)?;
            let marks = link.client.watermarks(&topic).map_err(failure)?;
            let mut before: i64 = marks.iter().map(|mark| mark.low).sum();
            for (part, events) in timeline.events.iter_mut().enumerate() {
                if out.cancelled() {
                    return Err(Failure::new("nobody waits for it any more"));
                }
                let share = (part as f64 + 1.0) / PARTS as f64;
                let until = Timestamp(begin.0 + ((end.0 - begin.0) as f64 * share) as i64);
                let reached: i64 = if part + 1 == PARTS as usize {
                    marks.iter().map(|mark| mark.high).sum()
                } else {
                    let found = link.client.offsets_at(&topic, until).map_err(failure)?;
                    let next = |partition| found.iter().find(|(p, _)| *p == partition).map(|(_, next)| *next);
                    marks.iter().map(|mark| next(mark.partition).unwrap_or(mark.high)).sum()
                };
                *events += u64::try_from(reached - before).unwrap_or(0);
                before = before.max(reached);
            }
        }
        Ok(Event::Timeline(Some(timeline)))
    }

    /// The times of the records at a place of each topic.
    fn times(&self, topics: &[String], place: Place, out: &dyn Outlet) -> Result<Vec<Timestamp>, Failure> {
        let link = self.link()?;
        let mut times = Vec::new();
        for topic in topics {
            let request = PageRequest {
                topic: topic.clone(),
                partitions: None,
                from: PageFrom::Place(place),
                // One of each partition, where the place is their ends; the first of all, where it is their beginning.
                limit: if place == Place::Begin { 1 } else { 1_000 },
                needle: None,
            };
            let page = records::page(&link.client, &request, out)?;
            times.extend(page.records.iter().filter_map(|record| record.timestamp));
        }
        Ok(times)
    }
}
