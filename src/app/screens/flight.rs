//! Records on their way along the edges of a scene: one is seen to set out for each that was counted, up to as many as the eye
//! can tell apart, and each is gone when it arrives. So nothing moves where nothing flows.

use crate::demo::snapshot::Snapshot;
use crate::record::Timestamp;

/// How long one is on its way.
const TRAVEL_MS: i64 = 700;
/// How often the scene is drawn while one is.
const FRAME_MS: i64 = 70;
/// How many set out at most between two looks at an edge, which lie a fifth of a second apart.
const MOST: u64 = 2;
/// How far apart they set out.
const APART_MS: i64 = 100;

/// A record on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Flight {
    edge: usize,
    /// How long after it was first drawn it sets out.
    late_ms: i64,
    /// When it was first drawn; nobody knew the time when it was counted.
    drawn: Option<Timestamp>,
}

impl Flight {
    /// How far it is, from 0 to 1, where it is on its way.
    fn share(&self, now: Timestamp) -> Option<f64> {
        let since = now.0 - self.drawn?.0 - self.late_ms;
        (0..TRAVEL_MS).contains(&since).then(|| since as f64 / TRAVEL_MS as f64)
    }

    fn is_over(&self, now: Timestamp) -> bool {
        self.drawn
            .is_some_and(|drawn| now.0 - drawn.0 - self.late_ms >= TRAVEL_MS)
    }
}

/// Every record on its way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flights(Vec<Flight>);

impl Flights {
    /// Lets records set out for what was counted between two looks.
    pub(super) fn begin(&mut self, before: &Snapshot, now: &Snapshot) {
        // Those that nobody has seen set out are over: the scene is not in view.
        self.0.retain(|flight| flight.drawn.is_some());
        let counts = before.edges.iter().zip(&now.edges);
        for (edge, (before, now)) in counts.enumerate() {
            let new = now.records.saturating_sub(before.records).min(MOST);
            let late = |nth: u64| i64::try_from(nth).unwrap_or(0) * APART_MS;
            self.0.extend((0..new).map(|nth| Flight {
                edge,
                late_ms: late(nth),
                drawn: None,
            }));
        }
    }

    /// Takes note of the time.
    pub(in super::super) fn tick(&mut self, now: Timestamp) {
        self.0.retain(|flight| !flight.is_over(now));
        for flight in &mut self.0 {
            flight.drawn.get_or_insert(now);
        }
    }

    /// When it wants to be told the time next; not at all while nothing is on its way.
    pub(in super::super) fn wake(&self, now: Timestamp) -> Option<Timestamp> {
        let first = self.0.iter().map(|flight| flight.drawn).min()?;
        Some(first.map_or(Timestamp(0), |_| Timestamp(now.0 + FRAME_MS)))
    }

    /// How far each record on an edge is, from 0 to 1.
    pub fn on(&self, edge: usize, now: Timestamp) -> impl Iterator<Item = f64> {
        let of = self.0.iter().filter(move |flight| flight.edge == edge);
        of.filter_map(move |flight| flight.share(now))
    }

    /// Whether nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::snapshot::EdgeView;

    fn snapshot(records: &[u64]) -> Snapshot {
        let edge = |records: &u64| EdgeView {
            records: *records,
            ..EdgeView::default()
        };
        Snapshot {
            edges: records.iter().map(edge).collect(),
            ..Snapshot::default()
        }
    }

    fn at(flights: &Flights, edge: usize, now: i64) -> Vec<f64> {
        flights.on(edge, Timestamp(now)).collect()
    }

    #[test]
    fn one_sets_out_for_each_record_and_is_gone_when_it_arrives() {
        let mut flights = Flights::default();
        flights.begin(&snapshot(&[4, 9]), &snapshot(&[5, 9]));
        assert_eq!(
            flights.wake(Timestamp(0)),
            Some(Timestamp(0)),
            "at once, to know when it set out"
        );
        flights.tick(Timestamp(1_000));
        assert_eq!(at(&flights, 0, 1_000), [0.0]);
        assert_eq!(at(&flights, 0, 1_000 + TRAVEL_MS / 2), [0.5]);
        assert!(at(&flights, 1, 1_000).is_empty());
        assert_eq!(flights.wake(Timestamp(1_000)), Some(Timestamp(1_000 + FRAME_MS)));
        flights.tick(Timestamp(1_000 + TRAVEL_MS));
        assert!(flights.is_empty());
        assert_eq!(flights.wake(Timestamp(9_000)), None);
    }

    #[test]
    fn a_flood_is_as_many_as_can_be_told_apart_and_no_count_that_falls_sets_one_out() {
        let mut flights = Flights::default();
        flights.begin(&snapshot(&[0, 500]), &snapshot(&[100_000, 0]));
        flights.tick(Timestamp(0));
        let seen = at(&flights, 0, 3 * APART_MS);
        assert_eq!(seen.len(), MOST as usize);
        assert!(seen.windows(2).all(|two| two[0] > two[1]));
        assert!(at(&flights, 1, APART_MS).is_empty());
    }

    #[test]
    fn what_nobody_sees_set_out_does_not_gather() {
        let mut flights = Flights::default();
        for round in 0..100 {
            flights.begin(&snapshot(&[round]), &snapshot(&[round + 1]));
        }
        flights.tick(Timestamp(0));
        assert_eq!(at(&flights, 0, 0).len(), 1);
    }
}
