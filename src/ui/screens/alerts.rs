//! The alerts of a projection, open ones first, and the one under the cursor with its row.

use ratatui::layout::Rect;

use crate::app::lang::{Speaks, say};
use crate::app::layout::Viewport;
use crate::app::model::Model;
use crate::app::screens::alerts::Alerts;
use crate::readmodel::alert::{Alert, Alerts as Found, At};

use super::super::canvas::Canvas;
use super::super::format;
use super::super::list;
use super::super::printable::one_line;
use super::super::table::{Column, cell};
use super::super::text::{self, Lines};
use super::super::theme::Role;
use super::records;

/// From this width on a list has room for whole times.
const ROOMY: u16 = 60;
/// The most characters of a name or row that a list shows.
const SHOWN: usize = 200;
/// The most characters of a name that the detail shows.
const NAME: usize = 4_000;

pub(in crate::ui) fn list(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) -> Viewport {
    let Some(alerts) = &model.alerts else {
        return Viewport::default();
    };
    let counts = alerts
        .remote
        .value
        .as_ref()
        .map_or_else(Vec::new, |found| counts(model, alerts, found));
    let inner = list::border(canvas, rect, model, model.tr("alerts"), alerts.list.filter(), &counts);
    match &alerts.remote.value {
        Some(found) if !alerts.list.shown().is_empty() => {
            let more = (found.open + found.resolved).saturating_sub(found.latest.len() as u64);
            let command = format!("foldlog alerts {} --all --json", alerts.read_model);
            let inner = list::more(canvas, inner, more, &command);
            let inner = match found.forgotten {
                0 => inner,
                n => {
                    let line = say!(
                        model,
                        "{n} that were resolved before are forgotten",
                        n = format::count(n)
                    );
                    list::below(canvas, inner, &line)
                }
            };
            return rows(canvas, inner, model, alerts, found);
        }
        Some(_) if alerts.list.filter().is_empty() => {
            text::middle(canvas, inner, &[("no alert was ever raised", Role::Good)]);
        }
        Some(_) => {
            let line = list::nothing_contains(model, alerts.list.filter());
            list::filtered_away(canvas, inner, &line, "esc clears the filter");
        }
        None => match &alerts.remote.error {
            Some(failure) => text::failed(canvas, inner, &cannot_be_read(model), failure),
            None => {
                let what = model.tr("alerts");
                text::middle(canvas, inner, &[(&say!(model, "reading {what} …", what), Role::Muted)]);
            }
        },
    }
    Viewport::default()
}

fn cannot_be_read(model: &Model) -> String {
    say!(model, "{what} cannot be read", what = model.tr("alerts"))
}

/// How many there are, and how many of them are listed where that is not all; the first that there is room for is shown.
fn counts(model: &Model, alerts: &Alerts, found: &Found) -> Vec<String> {
    let (shown, all) = (alerts.list.shown().len() as u64, found.open + found.resolved);
    if shown < all {
        let some = format::some_of(model, shown, all);
        return vec![
            say!(model, "{some}, {n} open", some, n = format::count(found.open)),
            some,
        ];
    }
    let open = say!(model, "{n} open", n = format::count(found.open));
    let resolved = format::count(found.resolved);
    vec![say!(model, "{open}, {resolved} resolved", open, resolved), open]
}

fn rows(canvas: &mut Canvas<'_>, inner: Rect, model: &Model, alerts: &Alerts, found: &Found) -> Viewport {
    let zone = model.zone();
    let roomy = inner.width >= ROOMY;
    let columns = [
        Column::fit(model.tr("state"), 10),
        Column::fit(model.tr("since"), 23),
        Column::fit(model.tr("alert"), 24),
        Column::fill_from(model.tr("row"), 12).drop(2),
    ];
    list::rows(canvas, inner, model, &alerts.list, &columns, |at| {
        let alert = &found.latest[alerts.list.shown()[at]];
        let since = match alert.raised.timestamp {
            Some(at) if roomy => format::time_to_second(at, &zone),
            Some(at) => format::day(at, &zone),
            None => model.tr("none").to_owned(),
        };
        let (state, role) = state(alert);
        vec![
            cell(model.tr(state), role),
            cell(since, Role::Time),
            cell(one_line(alert.name.as_bytes(), SHOWN), Role::Plain),
            cell(one_line(alert.row.as_bytes(), SHOWN), Role::Muted),
        ]
    })
}

/// A mark and a word, so that it takes no colour to tell them apart.
fn state(alert: &Alert) -> (&'static str, Role) {
    match alert.resolved {
        None => ("▲ open", Role::Bad),
        Some(_) => ("resolved", Role::Good),
    }
}

pub(in crate::ui) fn detail(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) -> Viewport {
    list::detail(canvas, rect, model, "alert", "", |canvas, columns| {
        Some(lines(canvas, model, model.alerts.as_ref()?.selected()?, columns))
    })
}

fn lines<'a>(canvas: &Canvas<'_>, model: &Model, alert: &'a Alert, columns: u16) -> Lines<'a> {
    let mut lines = Lines::new(canvas, 8);
    lines.owned(one_line(alert.name.as_bytes(), NAME), Role::Strong);
    lines.blank();
    let (word, role) = state(alert);
    lines.field("state", model.tr(word), role);
    event(&mut lines, model, "since", &alert.raised);
    if let Some(at) = &alert.resolved {
        event(&mut lines, model, "resolved", at);
    }
    records::value(&mut lines, canvas, Some(alert.row.as_bytes()), columns);
    lines
}

/// When something became so, and at which record.
fn event(lines: &mut Lines<'_>, model: &Model, what: &'static str, at: &At) {
    match at.timestamp {
        Some(time) => lines.field(what, format::time(time, &model.zone()), Role::Time),
        None => lines.field(what, model.tr("none"), Role::Null),
    }
    let place = format!("{}[{}] {}", at.topic, at.partition, format::offset(at.offset));
    lines.field("at", place, Role::Number);
}
