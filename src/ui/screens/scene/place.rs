//! Where the parts of a flow stand: in columns from where records come from to where they end, in rows so that what belongs
//! together lies on one line.

use crate::demo::graph::{Graph, Kind};

/// Where each part stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Places {
    /// The parts of each column, from top to bottom.
    pub(super) columns: Vec<Vec<usize>>,
    /// The row of each part, from 0; rows of one column are at least 1 apart.
    pub(super) rows: Vec<f64>,
    /// The column of each part.
    pub(super) column: Vec<usize>,
    /// The part under which it stands instead of having a column, where it does.
    pub(super) under: Vec<Option<usize>>,
}

impl Places {
    /// How many rows there are.
    pub(super) fn height(&self) -> f64 {
        self.rows.iter().copied().fold(0.0, f64::max) + 1.0
    }
}

/// Places the parts; with `folded`, what only one processor writes stands under it, which takes a column less.
pub(super) fn place(graph: &Graph, folded: bool) -> Places {
    let count = graph.parts.len();
    let under: Vec<Option<usize>> = (0..count)
        .map(|at| folded.then(|| only_writer(graph, at)).flatten())
        .collect();
    let forward = forward_edges(graph);
    let mut column = depths(graph, &forward);
    for (at, part) in graph.parts.iter().enumerate() {
        if let Some([wanted, _]) = part.at {
            column[at] = usize::from(wanted);
        }
    }
    let standing: Vec<usize> = (0..count).filter(|at| under[*at].is_none()).collect();
    // Columns in which nothing stands are left out.
    let mut used: Vec<usize> = standing.iter().map(|at| column[*at]).collect();
    used.sort_unstable();
    used.dedup();
    for at in &standing {
        column[*at] = used.binary_search(&column[*at]).unwrap_or(0);
    }
    let mut columns = vec![Vec::new(); used.len()];
    for at in &standing {
        columns[column[*at]].push(*at);
    }
    let mut rows = rows(graph, &mut columns);
    for at in 0..count {
        if let Some(above) = under[at] {
            (rows[at], column[at]) = (rows[above], column[above]);
        }
    }
    Places {
        columns,
        rows,
        column,
        under,
    }
}

/// The processor that alone writes a store which nothing reads.
fn only_writer(graph: &Graph, at: usize) -> Option<usize> {
    let mut writers = graph.edges.iter().filter(|edge| edge.to == at);
    let writer = writers.next()?.from;
    let alone = writers.next().is_none() && graph.edges.iter().all(|edge| edge.from != at);
    let of_processor = graph.parts[writer].kind == Kind::Processor && graph.parts[at].kind == Kind::Store;
    let only = |other: &usize| *other == at || graph.parts[*other].kind != Kind::Store;
    let stores: Vec<usize> = graph
        .edges
        .iter()
        .filter(|edge| edge.from == writer)
        .map(|edge| edge.to)
        .collect();
    (alone && of_processor && stores.iter().all(only)).then_some(writer)
}

/// Which edges go forward: without the others there is no circle.
fn forward_edges(graph: &Graph) -> Vec<bool> {
    let count = graph.parts.len();
    let mut forward = vec![true; graph.edges.len()];
    // 0: not seen, 1: on the way here, 2: done.
    let mut seen = vec![0_u8; count];
    for root in 0..count {
        let mut way = vec![(root, 0)];
        if seen[root] != 0 {
            continue;
        }
        seen[root] = 1;
        while let Some((at, next)) = way.pop() {
            let edge = graph
                .edges
                .iter()
                .enumerate()
                .skip(next)
                .find(|(_, edge)| edge.from == at);
            let Some((number, edge)) = edge else {
                seen[at] = 2;
                continue;
            };
            way.push((at, number + 1));
            match seen[edge.to] {
                0 => {
                    seen[edge.to] = 1;
                    way.push((edge.to, 0));
                }
                1 => forward[number] = false,
                _ => {}
            }
        }
    }
    forward
}

/// How many edges lie before each part, by the longest way; what nothing leads to stands right before what it leads to.
fn depths(graph: &Graph, forward: &[bool]) -> Vec<usize> {
    let mut depth = vec![0_usize; graph.parts.len()];
    let edges = || {
        graph
            .edges
            .iter()
            .zip(forward)
            .filter(|(_, forward)| **forward)
            .map(|(edge, _)| edge)
    };
    for _ in 0..graph.parts.len() {
        for edge in edges() {
            depth[edge.to] = depth[edge.to].max(depth[edge.from] + 1);
        }
    }
    for at in 0..depth.len() {
        if edges().all(|edge| edge.to != at) {
            let next = edges().filter(|edge| edge.from == at).map(|edge| depth[edge.to]).min();
            depth[at] = next.map_or(0, |next| next.saturating_sub(1));
        }
    }
    depth
}

/// A row for each part: the fullest column stands evenly, and the others as near to what they are joined with as they can.
fn rows(graph: &Graph, columns: &mut [Vec<usize>]) -> Vec<f64> {
    let mut rows = vec![f64::NAN; graph.parts.len()];
    let Some(fullest) = (0..columns.len()).max_by_key(|c| (columns[*c].len(), std::cmp::Reverse(*c))) else {
        return Vec::new();
    };
    let middle = columns[fullest].len() as f64 / 2.0;
    let outward = (fullest..columns.len()).chain((0..fullest).rev());
    for c in outward {
        let column = &mut columns[c];
        let half = column.len() as f64 / 2.0;
        let wanted = |(nth, at): (usize, &usize)| {
            if let Some([_, row]) = graph.parts[*at].at {
                return f64::from(row);
            }
            let joined = graph
                .edges
                .iter()
                .filter_map(|edge| match (edge.from == *at, edge.to == *at) {
                    (true, _) => Some(rows[edge.to]),
                    (_, true) => Some(rows[edge.from]),
                    _ => None,
                });
            let known: Vec<f64> = joined.filter(|row| !row.is_nan()).collect();
            match known.len() {
                0 => middle - half + nth as f64,
                count => known.iter().sum::<f64>() / count as f64,
            }
        };
        let mut standing: Vec<(f64, usize)> = column.iter().enumerate().map(|each| (wanted(each), *each.1)).collect();
        standing.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (row, at) in spread(&standing) {
            rows[at] = row;
        }
        *column = standing.into_iter().map(|(_, at)| at).collect();
    }
    let least = rows
        .iter()
        .copied()
        .filter(|row| !row.is_nan())
        .fold(f64::INFINITY, f64::min);
    rows.iter()
        .map(|row| if row.is_nan() { 0.0 } else { row - least })
        .collect()
}

/// Rows at least 1 apart, on the whole as near to those wanted as can be.
fn spread(wanted: &[(f64, usize)]) -> Vec<(f64, usize)> {
    let mut out: Vec<(f64, usize)> = Vec::with_capacity(wanted.len());
    for (row, at) in wanted {
        let free = out.last().map_or(f64::NEG_INFINITY, |(before, _)| before + 1.0);
        out.push((row.max(free), *at));
    }
    let moved: f64 = out.iter().zip(wanted).map(|(is, was)| is.0 - was.0).sum();
    let back = moved / wanted.len().max(1) as f64;
    out.into_iter().map(|(row, at)| (row - back, at)).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use crate::demo::graph::{Edge, Part};
    use crate::demo::text::Text;

    use super::*;

    /// A graph by the names of its parts, whose first letter says the kind, and its edges.
    pub(in super::super) fn graph(parts: &[&str], edges: &[(usize, usize)]) -> Graph {
        let part = |name: &&str| Part {
            name: (*name).to_owned(),
            kind: match name.chars().next() {
                Some('s') => Kind::Service,
                Some('t') => Kind::Topic,
                Some('p') => Kind::Processor,
                _ => Kind::Store,
            },
            id: (*name).to_owned(),
            title: Text {
                en: Some((*name).to_owned()),
                zh: None,
            },
            at: None,
        };
        Graph {
            parts: parts.iter().map(part).collect(),
            edges: edges.iter().map(|(from, to)| Edge { from: *from, to: *to }).collect(),
        }
    }

    /// One service and topic, read by as many processors, each with a store.
    pub(in super::super) fn fan(count: usize) -> Graph {
        let mut names = vec!["s".to_owned(), "t".to_owned()];
        names.extend((0..count).map(|n| format!("p{n}")));
        names.extend((0..count).map(|n| format!("m{n}")));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut edges = vec![(0, 1)];
        edges.extend((0..count).map(|n| (1, 2 + n)));
        edges.extend((0..count).map(|n| (2 + n, 2 + count + n)));
        graph(&names, &edges)
    }

    #[test]
    fn records_flow_to_the_right_and_a_fan_is_even() {
        let places = place(&fan(4), false);
        assert_eq!(places.columns, [vec![0], vec![1], vec![2, 3, 4, 5], vec![6, 7, 8, 9]]);
        assert_eq!(places.rows[2..6], [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(places.rows[6..10], [0.0, 1.0, 2.0, 3.0]);
        assert_eq!((places.rows[0], places.rows[1]), (1.5, 1.5));
    }

    #[test]
    fn folded_a_store_stands_under_its_processor() {
        let places = place(&fan(2), true);
        assert_eq!(places.columns, [vec![0], vec![1], vec![2, 3]]);
        assert_eq!(places.under[4..6], [Some(2), Some(3)]);
        assert_eq!((places.rows[5], places.column[5]), (places.rows[3], 2));
    }

    #[test]
    fn a_circle_ends_and_what_comes_late_stands_before_what_it_leads_to() {
        // A processor that writes the topic it came from, and a service that writes the second topic only.
        let graph = graph(
            &["s0", "t0", "p0", "t1", "p1", "s1"],
            &[(0, 1), (1, 2), (2, 3), (3, 4), (4, 1), (5, 3)],
        );
        let places = place(&graph, false);
        assert_eq!(places.column, [0, 1, 2, 3, 4, 2]);
    }

    #[test]
    fn a_place_that_is_asked_for_is_given() {
        let mut graph = fan(2);
        graph.parts[2].at = Some([3, 1]);
        graph.parts[3].at = Some([3, 0]);
        let places = place(&graph, false);
        assert_eq!(places.column[2], places.column[4]);
        assert!(places.rows[3] < places.rows[2]);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(128))]
        /// Whatever the flow, every part has a place of its own.
        #[test]
        fn no_two_stand_in_one_place(edges in proptest::collection::vec((0usize..9, 0usize..9), 0..20), folded: bool) {
            let edges: Vec<(usize, usize)> = edges.into_iter().filter(|(a, b)| a != b).collect();
            let graph = graph(&["s0", "s1", "t0", "t1", "p0", "p1", "p2", "m0", "m1"], &edges);
            let places = place(&graph, folded);
            let standing: usize = places.columns.iter().map(Vec::len).sum();
            proptest::prop_assert_eq!(standing, places.under.iter().filter(|under| under.is_none()).count());
            for column in &places.columns {
                for two in column.windows(2) {
                    proptest::prop_assert!(places.rows[two[1]] - places.rows[two[0]] >= 0.999);
                }
            }
            proptest::prop_assert!(places.rows.iter().all(|row| *row >= 0.0));
        }
    }
}
