//! Where the moment stands between the log's beginning and its end; behind it how many events there are when.

use ratatui::layout::Rect;

use crate::app::lang::Speaks;
use crate::app::layout::Area;
use crate::app::model::Model;
use crate::app::moment::{Moment, Timeline};
use crate::app::screens::time::Time;

use super::super::canvas::{Canvas, width};
use super::super::format;
use super::super::theme::Role;

/// The least columns of a slider that says anything.
const LEAST: u16 = 12;
/// How many events there are, from few to many.
const BARS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// Draws it; returns the cells that stand for moments.
pub(super) fn draw(canvas: &mut Canvas<'_>, rect: Rect, model: &Model, time: &Time) -> Area {
    let Some(moment) = &time.moment.value else {
        return Area::default();
    };
    let (here, all) = (moment.counts.total(), time.total.max(moment.counts.total()));
    let count = format::some_of(model, here, all);
    let latest = label(model, time, moment);
    let mut end = rect.right().saturating_sub(1);
    end -= canvas.right(end, rect.y, &latest, Role::Time, width(&latest)) + 2;
    end = end.saturating_sub(canvas.right(end, rect.y, &count, Role::Number, width(&count)) + 1);
    let room = end.saturating_sub(rect.x + 1);
    if room < LEAST {
        return Area::default();
    }
    let track = Area {
        x: rect.x + 2,
        y: rect.y,
        width: room - 2,
        height: 1,
    };
    canvas.text(track.x - 1, rect.y, "▕", Role::Muted, 1);
    canvas.text(track.x + track.width, rect.y, "▏", Role::Muted, 1);
    let thumb = time.drag.unwrap_or_else(|| stands(time, moment, track.width));
    let bars = time.timeline.value.as_ref().map(|timeline| bars(timeline, track.width));
    for cell in 0..track.width {
        let passed = cell < thumb;
        let line = if passed { "━" } else { "─" };
        let (text, role) = match &bars {
            _ if cell == thumb => ("●", Role::Strong),
            Some(bars) => (
                bars[usize::from(cell)].unwrap_or(line),
                if passed { Role::Focus } else { Role::Muted },
            ),
            None => (line, if passed { Role::Focus } else { Role::Muted }),
        };
        canvas.text(track.x + cell, track.y, text, role, 1);
    }
    track
}

/// The time of the moment, or of the one to which the slider is dragged.
fn label(model: &Model, time: &Time, moment: &Moment) -> String {
    let zone = model.zone();
    let mark = if model.utc { "Z" } else { "" };
    let area = model.layout.slider;
    let dragged = time.drag.zip(time.timeline.value.as_ref()).map(|(cell, timeline)| {
        let share = f64::from(cell) / f64::from(area.width.saturating_sub(1).max(1));
        timeline.at(share)
    });
    match dragged.or(moment.latest) {
        Some(at) => format!("{}{mark}", format::time_to_second(at, &zone)),
        None => model.tr("before the first event").to_owned(),
    }
}

/// The cell of the moment. At its two ends it stands only where nothing is before or after.
fn stands(time: &Time, moment: &Moment, cells: u16) -> u16 {
    let (here, all) = (moment.counts.total(), time.total.max(moment.counts.total()));
    let last = cells.saturating_sub(1);
    let share = match (&time.timeline.value, moment.latest) {
        (Some(timeline), Some(latest)) => timeline.share(latest),
        _ => here as f64 / all.max(1) as f64,
    };
    match here {
        0 => 0,
        here if here == all => last,
        _ => ((f64::from(last) * share).round() as u16).clamp(1, last.saturating_sub(1)),
    }
}

/// A bar for each cell, `None` where there is no event.
fn bars(timeline: &Timeline, cells: u16) -> Vec<Option<&'static str>> {
    let parts = timeline.events.len();
    let cells = usize::from(cells);
    let of = |cell: usize| {
        let from = cell * parts / cells;
        let to = ((cell + 1) * parts).div_ceil(cells).min(parts).max(from + 1);
        timeline.events[from..to].iter().sum::<u64>() as f64 / (to - from) as f64
    };
    let rates: Vec<f64> = (0..cells).map(of).collect();
    // The root, so that what is quiet beside a burst is seen, too.
    let most = rates.iter().copied().fold(0.0, f64::max).sqrt().max(1.0);
    let bar = |rate: &f64| (*rate > 0.0).then(|| BARS[((rate.sqrt() / most * 7.0).round() as usize).min(7)]);
    rates.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Timestamp;

    #[test]
    fn every_event_is_behind_some_cell_however_many_there_are() {
        let mut timeline = Timeline {
            begin: Timestamp(0),
            end: Timestamp(64),
            events: vec![0; 64],
        };
        timeline.events[0] = 100;
        timeline.events[40] = 1;
        for cells in [9, 40, 64, 150] {
            let bars = bars(&timeline, cells);
            assert_eq!(bars[0], Some("█"));
            assert!(
                bars[1..].iter().any(|bar| *bar == Some("▂") || *bar == Some("▁")),
                "{cells}: {bars:?}"
            );
            assert!(bars.contains(&None));
        }
    }
}
