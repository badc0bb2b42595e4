//! The projections, and what is known of the one under the cursor.

use ratatui::layout::Rect;

use crate::app::job::ProjectionRow;
use crate::app::lang::{Speaks, say};
use crate::app::layout::Viewport;
use crate::app::model::Model;
use crate::app::screens::projections::work;
use crate::app::work::{Kind, Work};
use crate::readmodel::feed::SinkInfo;
use crate::readmodel::outbox::Emitted;
use crate::readmodel::store::{LetterState, State as Built};
use crate::replay::progress::Phase;

use super::super::canvas::Canvas;
use super::super::format;
use super::super::list::{self, Listing};
use super::super::table::{Column, cell};
use super::super::text::Lines;
use super::super::theme::Role;
use super::letters;

pub(in crate::ui) fn list(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) -> Viewport {
    let listing = Listing {
        title: "projections",
        what: "projections",
        list: &model.projections.list,
        remote: &model.projections.remote,
        columns: &[
            Column::fill(model.tr("name")),
            Column::fit(model.tr("state"), 20),
            Column::fit(model.tr("records"), 14).right().drop(2),
            Column::fit(model.tr("lag"), 14).right(),
            Column::fit(model.tr("rate"), 8).right().drop(1),
        ],
        empty: &[
            ("there are no projections here", Role::Plain),
            ("", Role::Plain),
            (
                "A projection is a .sql file in the directory that the studio was started in.",
                Role::Plain,
            ),
            ("", Role::Plain),
            ("4 shows demos that bring some", Role::Muted),
        ],
    };
    listing.draw(canvas, rect, model, |projection| {
        let work = work(model, &projection.name);
        let (state, role) = match (state(model, projection, work), projection.alerts) {
            ((state, _), Some(some)) if some > 0 => (format!("{state} {}", open(some).0), Role::Bad),
            (state, _) => state,
        };
        let counts = work
            .filter(|w| !w.follows() && w.progress.total > 0)
            .map(|w| w.progress.counts)
            .or(projection.built.as_ref().map(|b| b.counts))
            .filter(|_| projection.unreadable().is_none());
        let lag = projection.lag;
        vec![
            cell(projection.name.as_str(), Role::Plain),
            cell(state, role),
            cell(counts.map_or(String::new(), |c| format::count(seen(&c))), Role::Number),
            cell(
                lag.map_or(String::new(), format::count),
                if lag > Some(0) { Role::Warning } else { Role::Number },
            ),
            cell(
                work.map_or(String::new(), |w| format::rate(w.progress.rate)),
                Role::Number,
            ),
        ]
    })
}

/// How many alerts are open, with a mark, so that it takes no colour to see that some are.
fn open(alerts: u64) -> (String, Role) {
    match alerts {
        0 => ("0".to_owned(), Role::Number),
        some => (format!("▲ {}", format::count(some)), Role::Bad),
    }
}

pub(in crate::ui) fn detail(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) -> Viewport {
    list::detail(canvas, rect, model, "projection", "", |canvas, columns| {
        Some(lines(canvas, model, model.projections.selected()?, columns))
    })
}

fn seen(counts: &crate::readmodel::store::Counts) -> u64 {
    counts.applied + counts.ignored + counts.skipped + counts.poisoned
}

/// How a projection stands, in a word or two.
fn state(model: &Model, projection: &ProjectionRow, work: Option<&Work>) -> (String, Role) {
    if let Some(work) = work {
        let share = work
            .share()
            .map_or(String::new(), |s| format!(" {:.0}%", (s * 100.0).floor()));
        let (word, share, role) = match (work.kind, work.progress.phase) {
            _ if work.cancelling => ("stopping", "", Role::Warning),
            (_, Phase::Paused) => ("◼ paused", "", Role::Bad),
            (_, Phase::Live) => ("● live", "", Role::Good),
            (_, Phase::Finishing) => ("finishing", "", Role::Good),
            (Kind::Rebuild, _) => ("rebuilding", share.as_str(), Role::Good),
            (Kind::Preview, _) => ("preview", share.as_str(), Role::Good),
            (Kind::Accept, _) => ("accepting", share.as_str(), Role::Good),
            _ => ("starting", "", Role::Good),
        };
        return (format!("{}{share}", model.tr(word)), role);
    }
    let (word, role) = match &projection.built {
        _ if projection.broken.is_some() => ("✗ broken file", Role::Bad),
        None => ("not built", Role::Muted),
        Some(_) if projection.unreadable().is_some() => ("✗ unreadable", Role::Bad),
        Some(built) if matches!(built.state, Built::Paused { .. }) => ("◼ paused", Role::Bad),
        Some(_) if model.previews.built.contains_key(&projection.name) => ("preview ready", Role::Warning),
        Some(_) if projection.changed => ("file changed", Role::Warning),
        Some(_) => ("ready", Role::Good),
    };
    (model.tr(word).to_owned(), role)
}

fn lines<'a>(canvas: &Canvas<'_>, model: &'a Model, projection: &'a ProjectionRow, columns: u16) -> Lines<'a> {
    let mut lines = Lines::new(canvas, 9);
    let work = work(model, &projection.name);
    lines.text(&projection.name, Role::Strong);
    lines.blank();
    let (word, role) = state(model, projection, work);
    lines.field("state", word, role);
    if let Some(file) = &projection.file {
        lines.field("file", file.clone(), Role::Plain);
    }
    if !projection.origin.is_empty() {
        lines.field("from", projection.origin.clone(), Role::Muted);
    }
    if !projection.topics.is_empty() {
        lines.field("topics", projection.topics.join(", "), Role::Plain);
    }
    for topic in &projection.missing_topics {
        lines.field(
            "",
            say!(model, "the cluster has no topic `{topic}`", topic),
            Role::Warning,
        );
    }
    if let Some(report) = &projection.broken {
        lines.heading("What is wrong with the file (z shows it wide)");
        lines.report(report, columns);
        return lines;
    }
    if let Some(work) = work {
        progress(&mut lines, model, work);
    }
    if let Some((kind, failure)) = model.projections.failed.get(&projection.name) {
        lines.heading(match kind {
            Kind::Follow => "Following ended",
            Kind::Preview => "The preview cannot be built",
            Kind::Decide => "Nothing was decided",
            Kind::Accept => "The preview was not put in use",
            Kind::Drop => "The preview was not dropped",
            Kind::BringBack => "The build before was not brought back",
            _ => "The last rebuild failed",
        });
        for line in failure.full.lines() {
            lines.text(line, Role::Bad);
        }
    }
    preview(&mut lines, model, projection);
    match &projection.built {
        Some(_) => built(&mut lines, model, projection),
        None if work.is_none() => {
            lines.blank();
            lines.text(
                model.tr("No read model was built yet: r folds the whole log."),
                Role::Muted,
            );
        }
        None => {}
    }
    dead_letters(&mut lines, model, projection);
    lines
}

fn progress(lines: &mut Lines<'_>, model: &Model, work: &Work) {
    let p = &work.progress;
    lines.heading(match work.kind {
        Kind::Follow => "Following",
        Kind::Preview => "Building a preview",
        Kind::Decide => "Folding anew with what was decided",
        Kind::Accept => "Putting the preview in use",
        _ => "Rebuilding",
    });
    if let Some(share) = work.share() {
        lines.field(
            "",
            format!("{} {:.0}%", format::gauge(share, 16), (share * 100.0).floor()),
            Role::Good,
        );
    }
    // What a follow has done stands below, with the read model that it keeps.
    let done = format::some_of(model, p.done, p.total);
    if !work.follows() {
        lines.field("done", done, Role::Number);
    }
    lines.field("rate", format::rate(p.rate), Role::Number);
    if let Some(eta) = p.eta {
        lines.field("left", format::duration(eta), Role::Time);
    }
    if !work.follows() {
        counts(lines, &p.counts);
    }
    for notice in p.notices.iter() {
        let first = notice.lines().next().unwrap_or_default();
        lines.owned(first.to_owned(), Role::Warning);
    }
}

fn counts(lines: &mut Lines<'_>, counts: &crate::readmodel::store::Counts) {
    lines.field("applied", format::count(counts.applied), Role::Number);
    lines.field("ignored", format::count(counts.ignored), Role::Number);
    let bad = |n: u64| if n > 0 { Role::Bad } else { Role::Number };
    lines.field("skipped", format::count(counts.skipped), bad(counts.skipped));
    lines.field("poisoned", format::count(counts.poisoned), bad(counts.poisoned));
}

fn built<'a>(lines: &mut Lines<'a>, model: &Model, projection: &'a ProjectionRow) {
    let Some(info) = &projection.built else { return };
    lines.heading("Read model");
    if let Some(reason) = projection.unreadable() {
        for line in reason.lines() {
            lines.text(line.trim_start(), Role::Bad);
        }
        let way = match projection.file {
            Some(_) => "r rebuilds it from the log",
            None => "`foldlog rebuild FILE.sql` builds it anew from the log",
        };
        return lines.text(model.tr(way), Role::Muted);
    }
    lines.field(
        "updated",
        format::time_to_second(info.updated_at, &model.zone()),
        Role::Time,
    );
    if let Some(lag) = projection.lag {
        let role = if lag > 0 { Role::Warning } else { Role::Good };
        lines.field("behind", format::counted(model, lag, "record"), role);
    }
    counts(lines, &info.counts);
    if let Some(alerts) = projection.alerts {
        let (count, role) = open(alerts);
        lines.field("alerts", say!(model, "{count} open: A lists them", count), role);
    }
    if projection.changed {
        lines.text(
            model.tr("the file has changed since: p previews, r rebuilds"),
            Role::Warning,
        );
    }
    if let Built::Paused { reason } = &info.state {
        paused(lines, model, projection, reason);
    }
    if info.decisions > 0 {
        lines.field(
            "decided",
            format::counted(model, info.decisions, "record"),
            Role::Number,
        );
    }
    if let Some(emitted) = &info.emitted {
        emits(lines, model, emitted);
    }
    if !info.sinks.is_empty() {
        feeds(lines, model, &info.sinks);
    }
    if !info.broken.is_empty() {
        lines.heading("Invariants that do not hold");
        for broken in &info.broken {
            lines.owned(broken.to_string(), Role::Bad);
        }
    }
    if !info.position.is_empty() {
        lines.heading("Position");
        let rows: Vec<_> = info
            .position
            .iter()
            .map(|(partition, next)| {
                vec![
                    (partition.to_string(), Role::Plain),
                    (format::offset(next), Role::Number),
                ]
            })
            .collect();
        lines.grid(&["partition", "next offset"], &rows, u16::MAX, &[]);
    }
}

/// What it publishes, what waits for that, and why.
fn emits<'a>(lines: &mut Lines<'a>, model: &Model, emitted: &'a Emitted) {
    lines.heading("Emits");
    lines.field("published", format::count(emitted.published), Role::Number);
    let role = if emitted.waiting > 0 {
        Role::Warning
    } else {
        Role::Number
    };
    lines.field("waiting", format::count(emitted.waiting), role);
    if let Some(trouble) = &emitted.trouble {
        lines.text(trouble, Role::Bad);
    } else if emitted.waiting > 0 {
        lines.text(model.tr("f publishes them as it follows"), Role::Muted);
    }
    if emitted.refused > 0 {
        lines.field("refused", format::count(emitted.refused), Role::Bad);
        lines.text(emitted.reason.as_deref().unwrap_or_default(), Role::Bad);
    }
}

/// The stores that it feeds, and what they lack.
fn feeds<'a>(lines: &mut Lines<'a>, model: &Model, sinks: &'a [SinkInfo]) {
    lines.heading("Feeds");
    for sink in sinks {
        lines.text(&sink.name, Role::Plain);
        lines.field("rows given", format::count(sink.rows), Role::Number);
        let role = if sink.waiting > 0 { Role::Warning } else { Role::Number };
        lines.field("to feed", format::count(sink.waiting), role);
        if sink.refused > 0 {
            lines.field("refused", format::count(sink.refused), Role::Bad);
            lines.text(sink.reason.as_deref().unwrap_or_default(), Role::Bad);
        }
        match (&sink.trouble, sink.whole) {
            (Some(trouble), _) => lines.text(trouble, Role::Bad),
            (None, false) => lines.text(model.tr("not all rows yet"), Role::Warning),
            (None, true) => {}
        }
    }
}

/// The record that it stands before, the statement that failed, and why.
fn paused<'a>(lines: &mut Lines<'a>, model: &Model, projection: &'a ProjectionRow, reason: &'a str) {
    lines.heading("Paused");
    let before = projection
        .dead_letters
        .iter()
        .find(|letter| letter.state == LetterState::Paused);
    if let Some(letter) = before.or(projection.dead_letters.first()) {
        let record = &letter.record;
        let place = format!("{}[{}]", record.topic, record.partition);
        lines.spans(vec![
            (say!(model, "before {place} ", place), Role::Plain),
            (format::offset(record.offset), Role::Number),
        ]);
        letters::statement(lines, model, projection, letter.line);
    }
    lines.text(reason, Role::Bad);
    lines.text(
        model.tr("d decides: retry, skip, edit · S rebuilds and lists such records"),
        Role::Muted,
    );
}

/// What the file as it is saved now would make of the read model.
fn preview(lines: &mut Lines<'_>, model: &Model, projection: &ProjectionRow) {
    let Some(preview) = model.previews.built.get(&projection.name) else {
        return;
    };
    lines.heading("Preview of the file as it is saved");
    let tally = &preview.tally;
    let rows = format::counted(model, tally.rows(), "row");
    let role = if tally.is_equal() { Role::Good } else { Role::Warning };
    lines.field(
        "differ",
        format!("{rows}: + {}, - {}, ~ {}", tally.added, tally.removed, tally.changed),
        role,
    );
    if let Some(event) = &preview.event {
        let at = &event.at;
        let text = format!("{}[{}] {}", at.topic, at.partition, format::offset(at.offset));
        lines.field("since", text, Role::Number);
    }
    lines.text(model.tr("p shows the rows · a accepts it · X drops it"), Role::Muted);
}

fn dead_letters<'a>(lines: &mut Lines<'a>, model: &Model, projection: &'a ProjectionRow) {
    if projection.dead_letters.is_empty() {
        return;
    }
    lines.heading("Dead letters");
    for letter in &projection.dead_letters {
        let at = letter
            .line
            .map_or(String::new(), |line| format!("  {}", say!(model, "line {line}", line)));
        let record = &letter.record;
        lines.spans(vec![
            (
                format!(
                    "{}[{}] {}",
                    record.topic,
                    record.partition,
                    format::offset(record.offset)
                ),
                Role::Number,
            ),
            (at, Role::Muted),
        ]);
        lines.text(&letter.reason, Role::Bad);
    }
}
