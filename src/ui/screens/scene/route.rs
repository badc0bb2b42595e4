//! The lines between the parts of a flow, on a plane of cells: to the right out of one, along a channel between two columns, and
//! to the right into the other.

use crate::app::layout::Area;
use crate::demo::graph::Graph;

use super::place::Places;

/// How large things are drawn.
#[derive(Debug, Clone)]
pub(super) struct Sizes {
    /// The columns that each part takes.
    pub(super) widths: Vec<u16>,
    /// The rows that a part takes.
    pub(super) height: u16,
    /// The row of a part at which lines come in and go out.
    pub(super) anchor: u16,
    /// How far the rows of parts lie apart.
    pub(super) pitch: u16,
    /// The columns between two columns of parts.
    pub(super) gap: u16,
    /// The columns between a part and the line out of it.
    pub(super) air: u16,
}

/// Everything in its place.
#[derive(Debug, Clone, Default)]
pub(super) struct Sketch {
    /// How large the plane is.
    pub(super) width: u16,
    pub(super) height: u16,
    /// Where each part stands.
    pub(super) nodes: Vec<Area>,
    /// The way of each edge.
    pub(super) ways: Vec<Way>,
}

/// The way of an edge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Way {
    /// Its cells from beginning to end; none where a part stands under the other.
    pub(super) cells: Vec<(u16, u16)>,
    /// Where there is room for its figures, on a piece of the way that no other edge shares.
    pub(super) label: Option<Area>,
}

/// The channel that an edge takes between two columns: all out of one part share one, or all into one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Channel {
    Out(usize),
    In(usize),
    Own(usize),
}

/// Lays everything out.
pub(super) fn sketch(graph: &Graph, places: &Places, sizes: &Sizes) -> Sketch {
    let mut sketch = Sketch::default();
    let lefts = lefts(graph, places, sizes);
    for at in 0..graph.parts.len() {
        let row = (places.rows[at] * f64::from(sizes.pitch)).round() as u16;
        let below = u16::from(places.under[at].is_some());
        let area = Area {
            x: lefts.get(places.column[at]).copied().unwrap_or(0) + 2 * below,
            y: row + below,
            width: sizes.widths[at],
            height: if below > 0 { 1 } else { sizes.height },
        };
        sketch.width = sketch.width.max(area.x + area.width);
        sketch.height = sketch.height.max(area.y + area.height);
        sketch.nodes.push(area);
    }
    let channels = channels(graph, places, sizes, &sketch);
    for edge in 0..graph.edges.len() {
        let way = way(graph, places, sizes, &mut sketch, &lefts, &channels, edge);
        sketch.ways.push(way);
    }
    sketch
}

/// Where each column begins; what leads back to the first needs room before it.
fn lefts(graph: &Graph, places: &Places, sizes: &Sizes) -> Vec<u16> {
    let back = graph
        .edges
        .iter()
        .any(|edge| places.column[edge.to] == 0 && !is_folded(places, edge.from, edge.to));
    let mut left = if back { 3 } else { 0 };
    let mut lefts = Vec::new();
    for c in 0..places.columns.len() {
        lefts.push(left);
        left += column_width(places, sizes, c) + sizes.gap;
    }
    lefts
}

fn column_width(places: &Places, sizes: &Sizes, column: usize) -> u16 {
    let of = |at: &usize| places.column[*at] == column;
    let wide = (0..places.column.len()).filter(of).map(|at| {
        let below = u16::from(places.under[at].is_some());
        sizes.widths[at] + 2 * below
    });
    wide.max().unwrap_or(0)
}

/// The channels between each column and the next, those of what goes out on the left.
fn channels(graph: &Graph, places: &Places, sizes: &Sizes, sketch: &Sketch) -> Vec<Vec<Channel>> {
    let mut all = vec![Vec::new(); places.columns.len()];
    for edge in 0..graph.edges.len() {
        for (gap, channel) in taken(graph, places, sizes, sketch, edge) {
            all[gap].push(channel);
        }
    }
    for gap in &mut all {
        gap.sort_unstable();
        gap.dedup();
    }
    all
}

/// Which channels an edge takes, each with the column before it.
fn taken(graph: &Graph, places: &Places, sizes: &Sizes, sketch: &Sketch, number: usize) -> Vec<(usize, Channel)> {
    let edge = graph.edges[number];
    if is_folded(places, edge.from, edge.to) {
        return Vec::new();
    }
    let (from, to) = (places.column[edge.from], places.column[edge.to]);
    if to == from + 1 {
        let straight = line(sketch, sizes, edge.from) == line(sketch, sizes, edge.to);
        let alone = out_of(graph, places, edge.from) == 1 && into(graph, edge.to) == 1;
        if straight && alone {
            return Vec::new();
        }
        let by_target = out_of(graph, places, edge.from) == 1 && into(graph, edge.to) > 1;
        let channel = if by_target {
            Channel::In(edge.to)
        } else {
            Channel::Out(edge.from)
        };
        return vec![(from, channel)];
    }
    let mut taken = vec![(from, Channel::Out(edge.from))];
    if to > 0 {
        taken.push((to - 1, Channel::Own(number)));
    }
    taken
}

fn is_folded(places: &Places, from: usize, to: usize) -> bool {
    places.under[to] == Some(from)
}

/// How many edges leave a part for others that do not stand under it.
fn out_of(graph: &Graph, places: &Places, at: usize) -> usize {
    let out = graph
        .edges
        .iter()
        .filter(|edge| edge.from == at && !is_folded(places, at, edge.to));
    out.count()
}

fn into(graph: &Graph, at: usize) -> usize {
    graph.edges.iter().filter(|edge| edge.to == at).count()
}

/// The row at which lines come to a part and leave it.
fn line(sketch: &Sketch, sizes: &Sizes, at: usize) -> u16 {
    let area = sketch.nodes[at];
    area.y + sizes.anchor.min(area.height.saturating_sub(1))
}

/// The cell column of a channel: what goes out keeps to the left of the gap, what comes in to its right.
fn bus(places: &Places, sizes: &Sizes, lefts: &[u16], channels: &[Vec<Channel>], gap: usize, channel: Channel) -> u16 {
    let begin = lefts[gap] + column_width(places, sizes, gap) + sizes.air;
    let end = lefts.get(gap + 1).copied().unwrap_or(begin + sizes.gap);
    let nth = |mine: &dyn Fn(&Channel) -> bool| {
        let like = channels[gap].iter().filter(|other| mine(other));
        like.take_while(|other| **other != channel).count() as u16
    };
    let last = end.saturating_sub(3);
    match channel {
        Channel::Out(_) => (begin + 1 + nth(&|other| matches!(other, Channel::Out(_)))).min(last),
        _ => last
            .saturating_sub(nth(&|other| !matches!(other, Channel::Out(_))))
            .max(begin + 1),
    }
}

fn way(
    graph: &Graph,
    places: &Places,
    sizes: &Sizes,
    sketch: &mut Sketch,
    lefts: &[u16],
    channels: &[Vec<Channel>],
    number: usize,
) -> Way {
    let edge = graph.edges[number];
    if is_folded(places, edge.from, edge.to) {
        return Way::default();
    }
    let (source, target) = (sketch.nodes[edge.from], sketch.nodes[edge.to]);
    let (begin, end) = (source.x + source.width + sizes.air, target.x.saturating_sub(1));
    let (out, back) = (line(sketch, sizes, edge.from), line(sketch, sizes, edge.to));
    let alone_out = out_of(graph, places, edge.from) == 1;
    let alone_in = into(graph, edge.to) == 1;
    let column = |gap, channel| bus(places, sizes, lefts, channels, gap, channel);
    let mut points = vec![(begin, out)];
    let taken = taken(graph, places, sizes, sketch, number);
    let label = match taken[..] {
        [] => Some((begin, end, out)),
        [(gap, channel)] if places.column[edge.to] == gap + 1 => {
            let x = column(gap, channel);
            points.extend([(x, out), (x, back)]);
            match channel {
                Channel::In(_) => Some((begin, x, out)),
                _ if alone_in => Some((x + 1, end, back)),
                _ if alone_out => Some((begin, x, out)),
                _ => None,
            }
        }
        _ => {
            let lane = lane(places, sketch, edge.from, edge.to, back);
            for (nth, (gap, channel)) in taken.iter().enumerate() {
                let x = column(*gap, *channel);
                points.extend([(x, if nth == 0 { out } else { lane }), (x, lane)]);
            }
            if places.column[edge.to] == 0 {
                points.push((0, lane));
            }
            let last = points.last().map_or(begin, |point| point.0);
            points.push((last, back));
            alone_in.then_some((last + 1, end, back))
        }
    };
    points.push((end, back));
    Way {
        cells: cells(&points),
        label: label.and_then(|(from, to, y)| {
            // One cell of the line is seen on either side, and the arrow's head.
            let room = to.checked_sub(from + 2)?;
            (room > 0).then_some(Area {
                x: from + 1,
                y,
                width: room,
                height: 1,
            })
        }),
    }
}

/// A row along which a line passes the columns between two parts: the nearest in which nothing stands.
fn lane(places: &Places, sketch: &mut Sketch, from: usize, to: usize, near: u16) -> u16 {
    let (a, b) = (places.column[from], places.column[to]);
    let between = if b > a { a + 1..b } else { b..a + 1 };
    let others = (0..sketch.nodes.len()).filter(|at| between.contains(&places.column[*at]));
    let stands: Vec<Area> = others.map(|at| sketch.nodes[at]).collect();
    let used: Vec<(u16, u16)> = sketch
        .ways
        .iter()
        .flat_map(|way| way.cells.windows(2))
        .filter_map(|two| {
            let level = two[0].1 == two[1].1;
            level.then_some(two[0])
        })
        .collect();
    let xs = stands.iter().map(|area| area.x..area.x + area.width);
    let xs: Vec<_> = xs.collect();
    let free = |y: u16| {
        let blocked = stands.iter().any(|area| (area.y..area.y + area.height).contains(&y));
        let crowded = used
            .iter()
            .any(|(x, line)| *line == y && xs.iter().any(|range| range.contains(x)));
        !blocked && !crowded
    };
    let mut distances = 0..=sketch.height;
    let found = distances.find_map(|by| {
        let (below, above) = (near + by, near.checked_sub(by));
        above.filter(|y| free(*y)).or_else(|| free(below).then_some(below))
    });
    let lane = found.unwrap_or(sketch.height);
    sketch.height = sketch.height.max(lane + 1);
    lane
}

/// Every cell of a way through these corners.
fn cells(points: &[(u16, u16)]) -> Vec<(u16, u16)> {
    let mut out: Vec<(u16, u16)> = points.first().copied().into_iter().collect();
    for to in points.iter().skip(1) {
        while let Some(at) = out.last().copied().filter(|at| at != to) {
            let step = |from: u16, to: u16| match from.cmp(&to) {
                std::cmp::Ordering::Less => from + 1,
                std::cmp::Ordering::Equal => from,
                std::cmp::Ordering::Greater => from - 1,
            };
            out.push(if at.0 == to.0 {
                (at.0, step(at.1, to.1))
            } else {
                (step(at.0, to.0), at.1)
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::place::place;
    use super::super::place::tests::{fan, graph};
    use super::*;

    fn sizes(count: usize) -> Sizes {
        Sizes {
            widths: vec![4; count],
            height: 1,
            anchor: 0,
            pitch: 2,
            gap: 12,
            air: 1,
        }
    }

    fn drawn(graph: &Graph, folded: bool) -> Sketch {
        sketch(graph, &place(graph, folded), &sizes(graph.parts.len()))
    }

    #[test]
    fn a_fan_leaves_by_one_channel_and_each_arm_has_room_for_its_figures() {
        let graph = fan(3);
        let sketch = drawn(&graph, true);
        let straight = &sketch.ways[0];
        assert_eq!((straight.cells[0], *straight.cells.last().unwrap()), ((5, 2), (15, 2)));
        let turns: Vec<u16> = sketch.ways[1..4].iter().map(|way| way.cells[1].0).collect();
        assert!(turns.windows(2).all(|two| two[0] == two[1]), "{turns:?}");
        let rows: Vec<u16> = sketch.ways[1..4].iter().map(|way| way.label.unwrap().y).collect();
        assert_eq!(rows, [0, 2, 4]);
        assert!(sketch.ways[4..].iter().all(|way| way.cells.is_empty()));
        assert_eq!(
            sketch.nodes[5],
            Area {
                x: 34,
                y: 1,
                width: 4,
                height: 1
            }
        );
    }

    #[test]
    fn many_into_one_have_their_figures_where_they_come_from() {
        let graph = graph(&["s0", "s1", "t0"], &[(0, 2), (1, 2)]);
        let sketch = drawn(&graph, false);
        let rows: Vec<u16> = sketch.ways.iter().map(|way| way.label.unwrap().y).collect();
        assert_eq!(rows, [0, 2]);
        let ends: Vec<_> = sketch.ways.iter().map(|way| *way.cells.last().unwrap()).collect();
        assert_eq!(ends[0], ends[1]);
    }

    #[test]
    fn an_edge_that_passes_a_column_passes_between_what_stands_there() {
        // The topic is read by the second processor, too.
        let graph = graph(&["t0", "p0", "t1", "p1"], &[(0, 1), (1, 2), (2, 3), (0, 3)]);
        let sketch = drawn(&graph, false);
        for way in &sketch.ways {
            for (x, y) in &way.cells {
                assert!(
                    sketch.nodes.iter().all(|node| !node.holds(*x, *y)),
                    "{x},{y} in {:?}",
                    sketch.nodes
                );
            }
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(128))]
        /// Whatever the flow: a way is one line without holes from its part to the other, and its figures stand on it.
        #[test]
        fn every_way_leads_from_its_part_to_the_other(
            edges in proptest::collection::vec((0usize..9, 0usize..9), 0..20), folded: bool, gap in 6u16..20
        ) {
            let edges: Vec<(usize, usize)> = edges.into_iter().filter(|(a, b)| a != b).collect();
            let graph = graph(&["s0", "s1", "t0", "t1", "p0", "p1", "p2", "m0", "m1"], &edges);
            let places = place(&graph, folded);
            let sizes = Sizes { gap, ..sizes(9) };
            let sketch = sketch(&graph, &places, &sizes);
            for (edge, way) in graph.edges.iter().zip(&sketch.ways) {
                if is_folded(&places, edge.from, edge.to) {
                    continue;
                }
                let (from, to) = (sketch.nodes[edge.from], sketch.nodes[edge.to]);
                proptest::prop_assert_eq!(way.cells[0], (from.x + from.width + 1, from.y));
                proptest::prop_assert_eq!(*way.cells.last().unwrap(), (to.x.saturating_sub(1), to.y));
                for two in way.cells.windows(2) {
                    let steps = two[0].0.abs_diff(two[1].0) + two[0].1.abs_diff(two[1].1);
                    proptest::prop_assert_eq!(steps, 1);
                }
                if let Some(label) = way.label {
                    for x in label.x..label.x + label.width {
                        proptest::prop_assert!(way.cells.contains(&(x, label.y)));
                    }
                }
            }
        }
    }
}
