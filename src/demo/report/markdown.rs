//! The report as Markdown: the charts stand in it as text.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use crate::chart::cells::Plot;
use crate::chart::{Chart, Data};

use super::super::chart::{Shown, left_out};
use super::{Report, line, mark};

/// Columns of a chart.
const WIDTH: u16 = 76;

/// The whole text.
pub(super) fn text(report: &Report) -> String {
    let mut out = format!("# {}\n\n{}\n\n", escape(&report.title), escape(&report.place()));
    let sign = if report.passed { "✓" } else { "✗" };
    // Writing to a string cannot fail, here and below.
    let _ = write!(
        out,
        "**{sign} {}**\n\n{}\n\n",
        escape(&report.verdict()),
        escape(&report.summary)
    );
    let _ = write!(out, "## {}\n\n", report.say("The run", "运行过程"));
    for step in &report.steps {
        let _ = write!(out, "### {} {}\n\n", mark(&step.view), escape(&line(&step.view.title)));
        if !step.text.is_empty() {
            let _ = write!(out, "{}\n\n", escape(&line(&step.text)));
        }
        if step.lines.is_empty() && !step.view.note.is_empty() {
            let _ = write!(out, "{}\n\n", escape(&line(&step.view.note)));
        }
        for view in &step.lines {
            let note = escape(&line(&view.note));
            let gap = if note.is_empty() { "" } else { " — " };
            let _ = writeln!(out, "- {} {}{gap}{note}", mark(view), escape(&line(&view.title)));
        }
        if !step.lines.is_empty() {
            out.push('\n');
        }
    }
    if !report.charts.is_empty() {
        let _ = write!(out, "## {}\n\n", report.say("Charts", "图表"));
        report.charts.iter().for_each(|shown| figure(&mut out, report, shown));
    }
    let _ = write!(
        out,
        "## {}\n\n{}",
        report.say("The lesson", "课文"),
        deeper(&report.lesson)
    );
    out
}

fn figure(out: &mut String, report: &Report, shown: &Shown) {
    let _ = write!(out, "### {}", escape(&line(&shown.title)));
    match &shown.chart {
        Ok(chart) if chart.is_empty() => {
            let _ = write!(out, "\n\n{}\n\n", report.say("nothing to show", "没有数据"));
        }
        Ok(chart) => {
            if !chart.unit.is_empty() {
                let _ = write!(out, " ({})", escape(&chart.unit));
            }
            let drawn = Plot::of(chart, WIDTH, height(chart), &TimeZone::UTC).rows().join("\n");
            let fence = fence(&drawn);
            let _ = write!(out, "\n\n{fence}text\n{}\n{fence}\n\n", drawn.trim_end());
            for note in left_out(chart.left, report.language) {
                let _ = write!(out, "{}\n\n", escape(&note));
            }
        }
        Err(error) => {
            let _ = write!(out, "\n\n{}\n\n", escape(&line(&error.to_string())));
        }
    }
}

/// The rows that a chart is worth.
fn height(chart: &Chart) -> u16 {
    let rows = match &chart.data {
        Data::Gauges(dials) => dials.len() * 3,
        Data::Bars(bars) => bars.len(),
        Data::Heat(shape) => shape.rows.len() + 2,
        Data::Lines { .. } | Data::Bins(_) => 16,
    };
    rows.clamp(4, 40) as u16
}

/// Longer than whatever stands between: a record's text cannot end it.
fn fence(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

/// Text that means nothing in Markdown.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '|' | '~' | '>' | '!' => out.extend(['\\', c]),
            '\n' | '\r' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A lesson with its headings one level deeper.
fn deeper(lesson: &str) -> String {
    let mut code = false;
    let line = |line: &str| {
        code ^= line.starts_with("```");
        if line.starts_with('#') && !code {
            format!("#{line}")
        } else {
            line.to_owned()
        }
    };
    lesson.split_inclusive('\n').map(line).collect()
}
