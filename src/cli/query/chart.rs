//! `foldlog query --chart`: rows as a drawing, in text without colour.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use jiff::tz::TimeZone;
use miette::miette;

use crate::chart::cells::Plot;
use crate::chart::{Chart, Data, Kind, MAX_ROWS, guess};
use crate::demo::chart::left_out;
use crate::demo::text::Language;
use crate::readmodel::query::Session;

/// Columns where there is no terminal whose width could be taken.
const WIDTH: u16 = 80;
/// Rows of a chart whose height is not that of its parts.
const HEIGHT: u16 = 20;

/// Which chart is wanted; `None` is whichever the columns make.
pub(super) type Wanted = Option<Kind>;

/// Takes the kinds by their names, and `auto`.
pub(super) fn kinds() -> impl TypedValueParser<Value = Wanted> {
    let kinds = Kind::ALL.map(Kind::word);
    PossibleValuesParser::new(kinds.into_iter().chain(["auto"]).map(PossibleValue::new))
        .map(|word| Kind::ALL.into_iter().find(|kind| kind.word() == word))
}

/// Asks, and draws what comes.
pub(super) fn print(session: &Session, sql: &str, wanted: Wanted) -> miette::Result<()> {
    let rows = session.query(sql, MAX_ROWS)?;
    let (kind, rows) = match wanted {
        Some(kind) => (kind, rows),
        None => guess(&rows).ok_or_else(|| {
            miette!(
                help = "a chart needs numbers: count(*), sum(...), a time",
                "no column of this query has numbers"
            )
        })?,
    };
    let chart = Chart::of(kind, "", "", &rows).map_err(|why| {
        miette!(
            help = "choose other columns, or another kind with --chart KIND",
            "{why}"
        )
    })?;
    let (width, height) = room(&chart);
    if chart.is_empty() {
        eprintln!("no rows");
    }
    let plot = Plot::of(&chart, width, height, &TimeZone::UTC).rows().join("\n");
    if !plot.trim().is_empty() {
        println!("{}", plot.trim_end());
    }
    for note in left_out(chart.left, Language::English) {
        eprintln!("{note}");
    }
    Ok(())
}

/// The columns and rows that a chart gets: the terminal's width, and as many rows as it has parts, within reason.
fn room(chart: &Chart) -> (u16, u16) {
    let terminal = terminal_size::terminal_size_of(std::io::stdout());
    let (width, tall) = terminal.map_or((WIDTH, HEIGHT), |(width, height)| (width.0, height.0.saturating_sub(2)));
    let parts = match &chart.data {
        Data::Gauges(dials) => dials.len() * 3,
        Data::Bars(bars) => bars.len(),
        Data::Heat(shape) => shape.rows.len() + 2,
        Data::Lines { .. } | Data::Bins(_) => usize::from(HEIGHT.min(tall.max(8))),
    };
    // In a pipe nothing scrolls away.
    let most = if terminal.is_some() { tall.max(8) } else { 200 };
    (
        width.clamp(20, 200),
        u16::try_from(parts).unwrap_or(most).clamp(4, most),
    )
}
