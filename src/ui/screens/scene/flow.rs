//! The flow: parts as boxes where there is room and as lines where there is not, the ways between them with their figures, and
//! records on them while they flow.

use ratatui::layout::Rect;
use unicode_segmentation::UnicodeSegmentation;

use crate::app::job::DemoRow;
use crate::app::lang::{Speaks, say};
use crate::app::layout::{Area, Layout, Viewport};
use crate::app::model::{Model, Pane};
use crate::app::screens::scene::Scene;
use crate::demo::graph::{Graph, Kind};
use crate::demo::player::{Speed, Stands};
use crate::demo::snapshot::{EdgeView, PartView};
use crate::demo::text::Language;

use super::super::super::canvas::{Canvas, area_of, width};
use super::super::super::format;
use super::super::super::list::focused;
use super::super::super::theme::Role;
use super::look::{self, Frame};
use super::place::place;
use super::route::{Sizes, Sketch, sketch};
use super::strip;

/// How wide the box of a part is at least and at most.
const BOX: [u16; 2] = [16, 26];
/// How parts are drawn as lines, from much room to little: the most and the least columns of a name, those for what a store holds that
/// stands under its processor, and how far columns of parts lie apart at least. Of each, the longest names that leave so much.
const LINES: [[u16; 4]; 7] = [
    [26, 26, 7, 12],
    [26, 26, 7, 8],
    [22, 22, 0, 12],
    [22, 14, 7, 8],
    [22, 12, 7, 6],
    [22, 12, 0, 6],
    [14, 9, 0, 4],
];
/// How far columns of boxes lie apart at least, and any at most.
const GAP: [u16; 2] = [11, 28];

/// A flow with how its parts are drawn.
struct Drawing {
    sketch: Sketch,
    boxes: bool,
    /// The columns for what a store holds that stands under another part.
    holds: u16,
    /// Which parts stand under another.
    under: Vec<bool>,
}

/// The rows that a flow takes where parts are lines, its border and what is said of one part included.
pub(super) fn height(graph: &Graph, columns: u16) -> u16 {
    let room = Rect::new(0, 0, columns.saturating_sub(2), 1);
    as_lines(graph, room).sketch.height + 2 + strip::ROWS
}

/// Draws it; tells the layout where the parts stand.
pub(super) fn draw(
    canvas: &mut Canvas<'_>,
    rect: Rect,
    model: &Model,
    demo: &DemoRow,
    scene: &Scene,
    layout: &mut Layout,
) {
    let inner = Rect {
        x: rect.x + 1,
        y: rect.y + 1,
        width: rect.width.saturating_sub(2),
        height: rect.height.saturating_sub(1 + strip::ROWS),
    };
    let drawing = fit(&demo.graph, inner);
    let view = in_view(&drawing.sketch, inner, scene.cursor);
    let hidden = hidden(&drawing.sketch, view);
    top(canvas, rect, model, demo, scene, hidden);
    let mut plane = Plane { canvas, view };
    ways(&mut plane, &drawing, demo, scene);
    let figures = labels(&mut plane, &drawing, demo, scene);
    records(&mut plane, &drawing, model, scene, &figures);
    for at in 0..demo.graph.parts.len() {
        part(&mut plane, &drawing, model, demo, scene, at);
        layout.nodes.set(at, drawing.sketch.nodes[at]);
    }
    ends(&mut plane, &drawing.sketch, hidden);
    layout.list = Viewport {
        area: area_of(view.rect),
        first: usize::from(view.y),
        column: usize::from(view.x),
        ..Viewport::default()
    };
    let below = Rect {
        y: rect.bottom().saturating_sub(strip::ROWS),
        height: strip::ROWS,
        ..rect
    };
    strip::draw(canvas, below, model, demo, scene);
}

/// The line above the flow: whose it is, what of it is not in view, and how its clock stands.
fn top(canvas: &mut Canvas<'_>, rect: Rect, model: &Model, demo: &DemoRow, scene: &Scene, hidden: [usize; 2]) {
    let is_focused = focused(model, Pane::List);
    let border = if is_focused { Role::Focus } else { Role::Muted };
    let rule = if is_focused && !canvas.theme.has_color() {
        "━"
    } else {
        "─"
    };
    canvas.text(
        rect.x,
        rect.y,
        &rule.repeat(usize::from(rect.width)),
        border,
        rect.width,
    );
    let title = format!(" {} ", demo.title);
    let role = if is_focused { Role::Strong } else { Role::Plain };
    let mut taken = canvas.text(rect.x + 1, rect.y, &title, role, rect.width / 2);
    let [left, right] = hidden;
    let more = [
        (left > 0).then(|| say!(model, "◂ {n} more", n = left)),
        (right > 0).then(|| say!(model, "{n} more ▸", n = right)),
    ];
    for text in more.into_iter().flatten() {
        taken += 1 + canvas.text(
            rect.x + 2 + taken,
            rect.y,
            &format!(" {text} "),
            Role::Key,
            rect.width / 4,
        );
    }
    let mut end = rect.right().saturating_sub(1);
    for (text, role) in clock(scene, model).into_iter().rev() {
        let text = format!(" {text} ");
        if end < rect.x + taken + 2 + width(&text) {
            break;
        }
        end -= canvas.right(end, rect.y, &text, role, rect.width);
    }
}

/// How the clock stands, the most important last.
fn clock(scene: &Scene, model: &Model) -> Vec<(String, Role)> {
    let Some(stands) = scene.stands() else {
        let text = if scene.staged.is_some() {
            "it is over"
        } else {
            "at rest"
        };
        return vec![(model.tr(text).to_owned(), Role::Muted)];
    };
    let mut parts = Vec::new();
    if let Some(now) = scene.snapshot() {
        if let Some(at) = now.now {
            parts.push((format::time_to_second(at, &model.zone()), Role::Time));
        }
        let written: u64 = (now.graph.parts.iter().zip(&now.parts))
            .filter(|(part, _)| part.kind == Kind::Service)
            .map(|(_, view)| view.given)
            .sum();
        if now.upcoming > 0 {
            let (some, all) = (format::count(written), format::count(written + now.upcoming as u64));
            parts.push((say!(model, "{some} of {all}", some, all), Role::Number));
        }
        if now.broker_lost {
            parts.push((model.tr("✗ the broker is lost").to_owned(), Role::Bad));
            return parts;
        }
    }
    let clock = scene.staged.as_ref().map(|staged| staged.clock).unwrap_or_default();
    let (text, role) = match (stands, clock.playing, clock.speed) {
        (Stands::BeforeStep, true, _) => (model.tr("‖ n: next step").to_owned(), Role::Strong),
        (Stands::Over, ..) => (model.tr("✓ the lesson is over").to_owned(), Role::Good),
        (_, false, _) => (model.tr("‖ paused").to_owned(), Role::Warning),
        (_, true, Speed::Times(times)) => (format!("▶ {times}×"), Role::Good),
        (_, true, Speed::Fastest) => (model.tr("▶ fastest").to_owned(), Role::Good),
    };
    parts.push((text, role));
    parts
}

/// Boxes where they fit, lines where they do not.
fn fit(graph: &Graph, room: Rect) -> Drawing {
    let places = place(graph, false);
    let columns = places.columns.len() as u16;
    let widths: Vec<u16> = (graph.parts.iter())
        .map(|part| (titles_width(part) + 6).clamp(BOX[0], BOX[1]))
        .collect();
    let wide: u16 = (places.columns.iter())
        .map(|column| column.iter().map(|at| widths[*at]).max().unwrap_or(0))
        .sum();
    let gaps = columns.saturating_sub(1).max(1);
    let gap = room.width.saturating_sub(wide) / gaps;
    let rows = places.height().ceil() as u16;
    for pitch in [6, 5, 4] {
        if gap < GAP[0] || rows.saturating_sub(1) * pitch + 4 > room.height {
            continue;
        }
        let sizes = Sizes {
            widths: widths.clone(),
            height: 4,
            anchor: 1,
            pitch,
            gap: gap.min(GAP[1]),
            air: 0,
        };
        let sketch = sketch(graph, &places, &sizes);
        if sketch.height <= room.height && sketch.width <= room.width {
            return Drawing {
                sketch,
                boxes: true,
                holds: 0,
                under: vec![false; graph.parts.len()],
            };
        }
    }
    as_lines(graph, room)
}

/// Each part on one line, what a processor alone writes under it.
fn as_lines(graph: &Graph, room: Rect) -> Drawing {
    let places = place(graph, true);
    let widest = |[most, holds, _]: [u16; 3]| -> Vec<u16> {
        let parts = graph.parts.iter().zip(&places.under);
        let holds = |under: &Option<usize>| if under.is_some() { holds } else { 0 };
        parts
            .map(|(part, under)| titles_width(part).min(most) + 2 + holds(under))
            .collect()
    };
    let gap_of = |widths: &[u16]| {
        let of = |column: usize| {
            let parts = (0..widths.len()).filter(|at| places.column[*at] == column);
            parts
                .map(|at| widths[at] + 2 * u16::from(places.under[at].is_some()))
                .max()
                .unwrap_or(0)
        };
        let wide: u16 = (0..places.columns.len()).map(of).sum();
        room.width.saturating_sub(wide) / (places.columns.len() as u16).saturating_sub(1).max(1)
    };
    let sizes = LINES.iter().flat_map(|[most, shortest, holds, least]| {
        let names = (*shortest..=*most).rev();
        names.map(|name| [name, *holds, *least])
    });
    let fits = |size: &[u16; 3]| gap_of(&widest(*size)) >= size[2];
    let [most, holds, least] = sizes.clone().find(fits).or_else(|| sizes.last()).unwrap_or_default();
    let widths = widest([most, holds, least]);
    let gap = gap_of(&widths).clamp(least, GAP[1]);
    let rows = places.height().ceil() as u16;
    let sizes = Sizes {
        widths,
        height: 1,
        anchor: 0,
        pitch: (room.height / rows.max(1)).clamp(2, 4),
        gap,
        air: 1,
    };
    Drawing {
        sketch: sketch(graph, &places, &sizes),
        boxes: false,
        holds,
        under: places.under.iter().map(Option::is_some).collect(),
    }
}

/// The columns of a part's name in whichever language it is longer, so that nothing moves when that is switched.
fn titles_width(part: &crate::demo::graph::Part) -> u16 {
    let of = |language| width(part.title.get(language));
    of(Language::English).max(of(Language::Chinese))
}

/// The piece of the plane that is in view.
#[derive(Debug, Clone, Copy)]
struct View {
    rect: Rect,
    x: u16,
    y: u16,
}

/// The piece of the plane in which the cursor is; in the middle where all of it fits.
fn in_view(sketch: &Sketch, rect: Rect, cursor: usize) -> View {
    let node = sketch.nodes.get(cursor).copied().unwrap_or_default();
    let scroll = |size: u16, room: u16, at: u16, long: u16| match size.checked_sub(room) {
        None => 0,
        Some(most) => (at + long / 2).saturating_sub(room / 2).min(most),
    };
    let x = scroll(sketch.width, rect.width, node.x, node.width);
    let y = scroll(sketch.height, rect.height, node.y, node.height);
    let (wide, high) = (sketch.width.min(rect.width), sketch.height.min(rect.height));
    let rect = Rect {
        x: rect.x + (rect.width - wide) / 2,
        y: rect.y + (rect.height - high) / 3,
        width: wide,
        height: high,
    };
    View { rect, x, y }
}

/// How many parts are not wholly in view, to its left and to its right.
fn hidden(sketch: &Sketch, view: View) -> [usize; 2] {
    let end = view.x + view.rect.width;
    let left = sketch.nodes.iter().filter(|area| area.x < view.x);
    let right = sketch.nodes.iter().filter(|area| area.x + area.width > end);
    [left.count(), right.count()]
}

/// Marks the rows at whose ends the flow goes on out of view.
fn ends(plane: &mut Plane<'_, '_>, sketch: &Sketch, hidden: [usize; 2]) {
    let view = plane.view;
    let (first, last) = (view.x, (view.x + view.rect.width).saturating_sub(1));
    let cells = || sketch.ways.iter().flat_map(|way| &way.cells);
    for (mark, at, beyond) in [("◂", first, hidden[0] > 0), ("▸", last, hidden[1] > 0)] {
        let parts = sketch
            .nodes
            .iter()
            .filter(|area| (area.x..area.x + area.width).contains(&at));
        let rows = parts.map(|area| area.y);
        let rows = rows.chain(cells().filter(|(x, _)| *x == at).map(|(_, y)| *y));
        for y in rows.filter(|_| beyond) {
            plane.text(at, y, mark, Role::Key, 1);
        }
    }
}

/// The plane, drawn as far as it is in view.
struct Plane<'c, 'b> {
    canvas: &'c mut Canvas<'b>,
    view: View,
}

impl Plane<'_, '_> {
    /// Puts a name at a cell of the plane, shortened to `most` columns; where its end tells it from another, that stays.
    fn name(&mut self, x: u16, y: u16, name: &str, others: &[&str], role: Role, most: u16) {
        let shortened = shortened(name, others, usize::from(most));
        self.text(x, y, &shortened, role, most);
    }

    /// Puts text at a cell of the plane, cut at `most` columns and at the edges of the view.
    fn text(&mut self, x: u16, y: u16, text: &str, role: Role, most: u16) {
        let view = self.view;
        let Some(row) = y.checked_sub(view.y).filter(|row| *row < view.rect.height) else {
            return;
        };
        let mut at = x;
        let too_long = width(text) > most;
        for grapheme in text.graphemes(true) {
            let wide = width(grapheme);
            let left = (x + most).saturating_sub(at);
            let grapheme = match () {
                () if left == 0 => return,
                () if too_long && left <= wide => "…",
                () => grapheme,
            };
            let column = at
                .checked_sub(view.x)
                .filter(|column| column + wide.min(left) <= view.rect.width);
            if let Some(column) = column {
                self.canvas
                    .text(view.rect.x + column, view.rect.y + row, grapheme, role, wide.min(left));
            }
            if grapheme == "…" && too_long {
                return;
            }
            at += wide;
        }
    }

    fn paint(&mut self, area: Area, role: Role) {
        let view = self.view;
        let left = area.x.max(view.x);
        let right = (area.x + area.width).min(view.x + view.rect.width);
        let top = area.y.max(view.y);
        let bottom = (area.y + area.height).min(view.y + view.rect.height);
        if left < right && top < bottom {
            let rect = Rect::new(
                left - view.x + view.rect.x,
                top - view.y + view.rect.y,
                right - left,
                bottom - top,
            );
            if role == Role::Cursor {
                self.canvas.bar(rect);
            } else {
                self.canvas.paint(rect, role);
            }
        }
    }
}

/// A name in `most` columns: its beginning, or beginning and end where another begins in the same way.
fn shortened(name: &str, others: &[&str], most: usize) -> String {
    let columns = |text: &str| usize::from(width(text));
    if columns(name) <= most || most < 5 {
        return name.to_owned();
    }
    let first = |text: &str, room: usize| {
        let mut taken = 0;
        let graphemes = text.graphemes(true).take_while(|grapheme| {
            taken += columns(grapheme);
            taken <= room
        });
        graphemes.collect::<String>()
    };
    let begin = first(name, most - 1);
    let alike = |other: &&&str| **other != name && columns(other) > most && first(other, most - 1) == begin;
    if !others.iter().any(|other| alike(&other)) {
        return begin + "…";
    }
    let backwards: String = name.graphemes(true).rev().collect();
    let end = first(&backwards, (most - 1) / 2);
    let end: String = end.graphemes(true).rev().collect();
    first(name, most - 1 - columns(&end)) + "…" + &end
}

/// How an edge is, once the scene is there.
fn edge(scene: &Scene, at: usize) -> Option<EdgeView> {
    scene.snapshot()?.edges.get(at).copied()
}

fn is_broken(demo: &DemoRow, scene: &Scene, edge: usize) -> bool {
    let edge = demo.graph.edges[edge];
    [edge.from, edge.to].into_iter().any(|at| {
        let kind = demo.graph.parts[at].kind;
        look::of(kind, scene.part(at)).broken
    })
}

const UP: u8 = 1;
const DOWN: u8 = 2;
const LEFT: u8 = 4;
const RIGHT: u8 = 8;

/// Draws every line: where two meet they are joined, and those of the part under the cursor stand out.
fn ways(plane: &mut Plane<'_, '_>, drawing: &Drawing, demo: &DemoRow, scene: &Scene) {
    let mut cells: std::collections::BTreeMap<(u16, u16), (u8, bool, Role)> = std::collections::BTreeMap::new();
    for (number, way) in drawing.sketch.ways.iter().enumerate() {
        let edge = demo.graph.edges[number];
        let broken = is_broken(demo, scene, number);
        let chosen = scene.cursor == edge.from || scene.cursor == edge.to;
        let role = if chosen { Role::Plain } else { Role::Muted };
        for (nth, at) in way.cells.iter().enumerate() {
            let before = nth.checked_sub(1).map(|nth| way.cells[nth]);
            let after = way.cells.get(nth + 1).copied();
            let mut mask = [before, after]
                .into_iter()
                .flatten()
                .fold(0, |mask, other| mask | towards(*at, other));
            if before.is_none() {
                mask |= LEFT;
            }
            if after.is_none() {
                mask |= RIGHT;
            }
            let cell = cells.entry(*at).or_insert((0, true, Role::Muted));
            cell.0 |= mask;
            cell.1 &= broken;
            if chosen {
                cell.2 = role;
            }
        }
    }
    for ((x, y), (mask, broken, role)) in cells {
        plane.text(x, y, line(mask, broken), role, 1);
    }
    for (number, way) in drawing.sketch.ways.iter().enumerate() {
        let edge = demo.graph.edges[number];
        let role = if scene.cursor == edge.from || scene.cursor == edge.to {
            Role::Plain
        } else {
            Role::Muted
        };
        if let Some((x, y)) = way.cells.last() {
            plane.text(*x, *y, "▶", role, 1);
        }
    }
}

fn towards(from: (u16, u16), to: (u16, u16)) -> u8 {
    match (to.0.cmp(&from.0), to.1.cmp(&from.1)) {
        (std::cmp::Ordering::Less, _) => LEFT,
        (std::cmp::Ordering::Greater, _) => RIGHT,
        (_, std::cmp::Ordering::Less) => UP,
        _ => DOWN,
    }
}

fn line(mask: u8, broken: bool) -> &'static str {
    const ALL: u8 = UP | DOWN | LEFT | RIGHT;
    const UPRIGHT: u8 = UP | DOWN;
    match mask & ALL {
        UPRIGHT if broken => "┆",
        UPRIGHT | UP | DOWN => "│",
        m if m == UP | RIGHT => "╰",
        m if m == UP | LEFT => "╯",
        m if m == DOWN | RIGHT => "╭",
        m if m == DOWN | LEFT => "╮",
        m if m == UPRIGHT | RIGHT => "├",
        m if m == UPRIGHT | LEFT => "┤",
        m if m == LEFT | RIGHT | DOWN => "┬",
        m if m == LEFT | RIGHT | UP => "┴",
        ALL => "┼",
        _ if broken => "╌",
        _ => "─",
    }
}

/// Draws the figures of the edges: how many records on the line, and under it how fast they come and how many wait. Returns the
/// cells of the lines that they take.
fn labels(plane: &mut Plane<'_, '_>, drawing: &Drawing, demo: &DemoRow, scene: &Scene) -> Vec<(u16, u16)> {
    let mut taken = Vec::new();
    for (number, way) in drawing.sketch.ways.iter().enumerate() {
        let (Some(room), Some(view)) = (way.label, edge(scene, number)) else {
            continue;
        };
        let count = format!(" {} ", format::count(view.records));
        if width(&count) <= room.width {
            let x = room.x + (room.width - width(&count)) / 2;
            plane.text(x, room.y, &count, Role::Number, room.width);
            taken.extend((x..x + width(&count)).map(|x| (x, room.y)));
        }
        let to = demo.graph.edges[number].to;
        let mut below = below(plane.canvas.language, view, scene.part(to), room.width);
        if !drawing.boxes {
            // A box says it itself.
            below = with_word(plane.canvas.language, scene.part(to), below, room.width);
        }
        let wide: u16 = below.iter().map(|(text, _)| width(text)).sum();
        let mut x = room.x + (room.width - wide.min(room.width)) / 2;
        // Where lines stand close together another part may be right under it, or beside that.
        let is_taken = |x: u16| drawing.sketch.nodes.iter().any(|node| node.holds(x, room.y + 1));
        let beside = if drawing.boxes { 0 } else { 2 };
        if (x.saturating_sub(beside)..x + wide + beside).any(is_taken) {
            continue;
        }
        for (text, role) in below {
            plane.text(x, room.y + 1, &text, role, room.width);
            x += width(&text);
        }
    }
    taken
}

/// How fast records come and how many wait, as much of it as fits: what waits comes first.
fn below(language: Language, view: EdgeView, to: Option<&PartView>, room: u16) -> Vec<(String, Role)> {
    let rate = (view.rate > 0.0).then(|| (format::rate(view.rate), Role::Muted));
    let stands = to.is_some_and(|to| look::of(Kind::Processor, Some(to)).broken);
    let role = if stands { Role::Bad } else { Role::Warning };
    let lags = view.lag.filter(|lag| *lag > 0).map_or(Vec::new(), |lag| {
        let whole = say!(language, "lag {n}", n = format::count(lag));
        vec![whole, format!("+{}", format::short(lag as f64))]
    });
    let lag = lags
        .into_iter()
        .find(|text| width(text) <= room)
        .map(|text| (text, role));
    let (Some(lag), Some(rate)) = (&lag, &rate) else {
        return lag
            .or(rate)
            .into_iter()
            .filter(|(text, _)| width(text) <= room)
            .collect();
    };
    if width(&lag.0) + width(&rate.0) + 2 <= room {
        vec![rate.clone(), ("  ".to_owned(), Role::Plain), lag.clone()]
    } else {
        vec![lag.clone()]
    }
}

/// What waits before a part, after the word for a part that does not run, where there is room for it.
fn with_word(
    language: Language,
    to: Option<&PartView>,
    mut below: Vec<(String, Role)>,
    room: u16,
) -> Vec<(String, Role)> {
    let look = look::of(Kind::Processor, to);
    let wide: u16 = below.iter().map(|(text, _)| width(text)).sum();
    let word = language.tr(look.word);
    if to.is_some_and(|to| to.lag.is_some()) && look.broken && width(word) + wide + 2 <= room {
        let gap = if below.is_empty() { "" } else { "  " };
        below.insert(0, (format!("{word}{gap}"), look.role));
    }
    below
}

/// Draws the records on their way.
fn records(plane: &mut Plane<'_, '_>, drawing: &Drawing, model: &Model, scene: &Scene, figures: &[(u16, u16)]) {
    for (number, way) in drawing.sketch.ways.iter().enumerate() {
        // The arrow's head stays.
        let Some(last) = way.cells.len().checked_sub(2) else {
            continue;
        };
        for share in scene.flights.on(number, model.now) {
            let (x, y) = way.cells[((share * last as f64).round() as usize).min(last)];
            // It goes under the figures, which can be read all the while.
            if !figures.contains(&(x, y)) {
                plane.text(x, y, "●", Role::Good, 1);
            }
        }
    }
}

/// Draws a part.
fn part(plane: &mut Plane<'_, '_>, drawing: &Drawing, model: &Model, demo: &DemoRow, scene: &Scene, at: usize) {
    let part = &demo.graph.parts[at];
    let area = drawing.sketch.nodes[at];
    let view = scene.part(at);
    let look = look::of(part.kind, view);
    let title = part.title.get(model.language);
    let chosen = scene.cursor == at;
    if drawing.boxes {
        boxed(plane, area, part.kind, view, look, title, chosen);
    } else {
        let role = if look.broken { Role::Muted } else { Role::Plain };
        plane.text(area.x, area.y, look.mark, look.role, 1);
        let holds = if drawing.under[at] { drawing.holds } else { 0 };
        let others: Vec<&str> = demo
            .graph
            .parts
            .iter()
            .map(|part| part.title.get(model.language))
            .collect();
        let room = area.width.saturating_sub(2 + holds);
        plane.name(area.x + 2, area.y, title, &others, role, room);
        if drawing.under[at] {
            if let Some(view) = view.filter(|_| holds > 0) {
                let count = format::count(view.taken);
                let x = (area.x + area.width).saturating_sub(width(&count).min(holds));
                plane.text(x, area.y, &count, Role::Number, holds);
            }
            plane.text(area.x.saturating_sub(2), area.y, "╰", Role::Muted, 1);
        }
    }
    if chosen {
        let title = Area {
            height: 1,
            x: area.x + if drawing.boxes { 1 } else { 0 },
            width: if drawing.boxes {
                area.width.saturating_sub(2)
            } else {
                area.width
            },
            ..area
        };
        let role = if focused(model, Pane::List) {
            Role::Cursor
        } else {
            Role::CursorAway
        };
        plane.paint(title, role);
    }
}

fn boxed(
    plane: &mut Plane<'_, '_>,
    area: Area,
    kind: Kind,
    view: Option<&PartView>,
    look: look::Look,
    title: &str,
    chosen: bool,
) {
    let Frame {
        corners,
        level,
        upright,
    } = look::frame(kind, look.broken);
    let role = match (look.broken, chosen) {
        (true, _) => look.role,
        (_, true) => Role::Focus,
        _ => Role::Plain,
    };
    let inner = usize::from(area.width.saturating_sub(2));
    let (right, bottom) = (area.x + area.width - 1, area.y + area.height - 1);
    for (y, left, end) in [(area.y, corners[0], corners[1]), (bottom, corners[2], corners[3])] {
        plane.text(
            area.x,
            y,
            &format!("{left}{}{end}", level.repeat(inner)),
            role,
            area.width,
        );
    }
    for y in area.y + 1..bottom {
        plane.text(area.x, y, upright, role, 1);
        plane.text(area.x + 1, y, &" ".repeat(inner), Role::Plain, inner as u16);
        plane.text(right, y, upright, role, 1);
    }
    let strong = if look.broken { Role::Plain } else { Role::Strong };
    plane.text(
        area.x + 2,
        area.y,
        &format!(" {title} "),
        strong,
        area.width.saturating_sub(4),
    );
    let room = area.width.saturating_sub(4);
    plane.text(
        area.x + 2,
        area.y + 1,
        &format!("{} {}", look.mark, plane.canvas.language.tr(look.word)),
        look.role,
        room,
    );
    let Some(view) = view else { return };
    let count = match kind {
        Kind::Service => view.given,
        _ => view.taken,
    };
    let y = area.y + 2;
    plane.text(area.x + 2, y, &format::count(count), Role::Number, room);
    let right_text = |plane: &mut Plane<'_, '_>, y: u16, text: &str, role: Role| {
        let x = (area.x + area.width).saturating_sub(2 + width(text));
        plane.text(x, y, text, role, room);
    };
    if view.rate > 0.0 {
        right_text(plane, y, &format::rate(view.rate), Role::Muted);
    } else if let Some(lag) = view.lag.filter(|lag| *lag > 0) {
        let lag = say!(plane.canvas.language, "lag {n}", n = format::short(lag as f64));
        right_text(plane, y, &lag, Role::Warning);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_end_where_only_that_tells_it_from_another() {
        let names = ["Order service V1", "Order service V2", "Settings console", "Shop"];
        let said = |name: &str, most: usize| shortened(name, &names, most);
        assert_eq!(said("Shop", 9), "Shop");
        assert_eq!(said("Settings console", 9), "Settings…");
        assert_eq!(
            (said("Order service V1", 9), said("Order service V2", 9)),
            ("Orde…e V1".into(), "Orde…e V2".into())
        );
        let wide = ["订单服务第一版", "订单服务第二版"];
        for name in wide {
            assert!(width(&shortened(name, &wide, 9)) <= 9);
        }
        assert_ne!(shortened(wide[0], &wide, 9), shortened(wide[1], &wide, 9));
    }
}
