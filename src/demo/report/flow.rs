//! The flow of a run as SVG: parts in columns from left to right, and how many records went along each edge.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::chart::svg::Drawing;
use crate::decode::printable::{grouped, one_line};

use super::super::graph::{Graph, Kind};
use super::super::snapshot::Snapshot;
use super::super::text::Language;

const WIDE: f64 = 160.0;
const TALL: f64 = 46.0;
const ACROSS: f64 = 240.0;
const DOWN: f64 = 66.0;
/// The most columns of a part's name.
const NAME: usize = 22;
/// How long the head of an arrow is.
const HEAD: f64 = 7.0;

/// Draws it; empty where the run did not come as far as a scene.
pub(super) fn draw(scene: &Snapshot, language: Language) -> String {
    let graph = &scene.graph;
    if graph.parts.is_empty() {
        return String::new();
    }
    let columns = columns(graph);
    let places = places(&columns);
    let mut drawing = Drawing::new();
    for (at, edge) in graph.edges.iter().enumerate() {
        let (from, to) = (places[edge.from], places[edge.to]);
        let (x1, y1) = (from.0 + WIDE, from.1 + TALL / 2.0);
        let (x2, y2) = (to.0, to.1 + TALL / 2.0);
        let middle = (x1 + x2) / 2.0;
        let end = x2 - HEAD;
        drawing.shape(format_args!(
            "path class=\"way\" d=\"M{x1:.0} {y1:.0}C{middle:.0} {y1:.0} {middle:.0} {y2:.0} {end:.0} {y2:.0}\""
        ));
        drawing.shape(format_args!(
            "path class=\"head\" d=\"M{x2:.0} {y2:.0}l-{HEAD} -3.5v7z\""
        ));
        let records = scene.edges.get(at).map_or(0, |edge| edge.records);
        // Near the end that fewer edges share, so that figures do not lie on each other.
        let out = graph.edges.iter().filter(|other| other.from == edge.from).count();
        let into = graph.edges.iter().filter(|other| other.to == edge.to).count();
        let near = match out.cmp(&into) {
            _ if x2 <= x1 => 0.5,
            std::cmp::Ordering::Less => 0.25,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Greater => 0.72,
        };
        let height = y1 + (y2 - y1) * near * near * (3.0 - 2.0 * near);
        drawing.text(
            (x1 + (x2 - x1) * near, height - 3.0),
            "middle",
            "ax fig",
            &grouped(records),
        );
    }
    for (at, part) in graph.parts.iter().enumerate() {
        let (x, y) = places[at];
        let round = match part.kind {
            Kind::Service => 12.0,
            Kind::Topic => 0.0,
            Kind::Processor => 23.0,
            Kind::Store | Kind::Sink => 5.0,
        };
        drawing.shape(format_args!(
            "rect class=\"part k{}\" x=\"{x:.0}\" y=\"{y:.0}\" width=\"{WIDE}\" height=\"{TALL}\" rx=\"{round}\"",
            part.kind as u8
        ));
        let name = short(part.title.get(language));
        drawing.text((x + WIDE / 2.0, y + 19.0), "middle", "", &name);
        drawing.text((x + WIDE / 2.0, y + 36.0), "middle", "ax", below(part.kind, language));
    }
    let reach = |of: fn(&(f64, f64)) -> f64| places.iter().map(of).fold(0.0, f64::max);
    drawing.done(
        "chart flow",
        reach(|at| at.0) + WIDE + 2.0,
        reach(|at| at.1) + TALL + 4.0,
    )
}

/// A name that fits into its part.
fn short(name: &str) -> String {
    let whole = one_line(name.as_bytes(), 4 * NAME).text;
    if whole.width() <= NAME {
        return whole;
    }
    let mut taken = 1;
    let fits = whole.chars().take_while(|c| {
        taken += c.width().unwrap_or(0);
        taken <= NAME
    });
    fits.collect::<String>().trim_end().to_owned() + "…"
}

/// What a part is.
fn below(kind: Kind, language: Language) -> &'static str {
    let (en, zh) = match kind {
        Kind::Service => ("service", "服务"),
        Kind::Topic => ("topic", "主题"),
        Kind::Processor => ("processor", "处理器"),
        Kind::Store => ("store", "存储"),
        Kind::Sink => ("store outside", "外部存储"),
    };
    match language {
        Language::English => en,
        Language::Chinese => zh,
    }
}

/// The column of each part: one more than the furthest that leads to it. A flow that comes back on itself ends somewhere.
fn columns(graph: &Graph) -> Vec<usize> {
    let mut columns = vec![0; graph.parts.len()];
    for _ in 0..graph.parts.len() {
        let before = columns.clone();
        for edge in &graph.edges {
            let wanted = before[edge.from] + 1;
            if wanted < graph.parts.len() {
                columns[edge.to] = columns[edge.to].max(wanted);
            }
        }
        if before == columns {
            break;
        }
    }
    columns
}

fn places(columns: &[usize]) -> Vec<(f64, f64)> {
    let most = columns
        .iter()
        .map(|column| columns.iter().filter(|other| *other == column).count())
        .max();
    let most = most.unwrap_or(1) as f64;
    let mut rows = vec![0usize; columns.len() + 1];
    // Columns that nobody stands in take no room.
    let rank = |column: usize| (0..column).filter(|at| columns.contains(at)).count();
    columns
        .iter()
        .map(|column| {
            let of = columns.iter().filter(|other| *other == column).count() as f64;
            let row = rows[*column] as f64;
            rows[*column] += 1;
            (
                1.0 + rank(*column) as f64 * ACROSS,
                2.0 + (row + (most - of) / 2.0) * DOWN,
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_does_not_fit_says_so() {
        assert_eq!(short("Order service"), "Order service");
        assert_eq!(short("Monitor: windows and two lines"), "Monitor: windows and…");
        let long = short("监控：窗口与两条界线，以及更多的字");
        assert!(long.width() <= NAME && long.ends_with('…'), "{long}");
    }
}
