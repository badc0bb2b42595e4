//! The report as a page.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use crate::chart::svg::{STYLE, escape, svg};

use super::super::chart::{Shown, left_out};
use super::super::run::StepState;
use super::super::text::Language;
use super::{Report, Step, flow, lesson, line, mark};

/// The page's own look: light and dark as the reader's system is, and fit to be printed.
const PAGE: &str = "\
:root{--paper:#fdfdfc;--text:#1c1e21;--soft:#6a7077;--line:#dcdfe3;--good:#1a7f37;--bad:#c0392b;color-scheme:light dark}
@media(prefers-color-scheme:dark){:root{--paper:#16181b;--text:#e6e7e9;--soft:#9aa1a9;--line:#33383e;--good:#4cc26a;--bad:#ff7b6b}
.s0{--c:#6ea0ff!important}.s1{--c:#f07fbc!important}.s2{--c:#4fd0d0!important}.s3{--c:#8fd36a!important}}
body{background:var(--paper);color:var(--text);font:16px/1.55 system-ui,sans-serif;max-width:54rem;margin:2rem auto;padding:0 1rem}
h1{margin-bottom:.2rem}h2{margin-top:2.4rem;border-bottom:1px solid var(--line);padding-bottom:.2rem}
.soft,small{color:var(--soft)}.good{color:var(--good)}.bad{color:var(--bad)}
pre,code{font-family:ui-monospace,monospace;font-size:.9em}pre{overflow-x:auto;border-left:3px solid var(--line);padding:.4rem .8rem}
table{border-collapse:collapse}td,th{border-bottom:1px solid var(--line);padding:.2rem .7rem .2rem 0;text-align:left}
ul.run{list-style:none;padding-left:1rem}ul.run li{margin:.15rem 0}figure{margin:1.6rem 0}figcaption{font-weight:600;margin-bottom:.4rem}
a{color:inherit}.flows{overflow-x:auto}svg.flow{min-width:34rem}
svg .way{fill:none;stroke:var(--soft);stroke-width:1.2;stroke-opacity:.7}svg .head{fill:var(--soft)}svg .part{fill:var(--paper);stroke:var(--soft)}svg .k1{stroke-width:2.5}svg .k3,.k4{stroke-dasharray:5 2}
";

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let language = match report.language {
        Language::English => "en",
        Language::Chinese => "zh-Hans",
    };
    let title = escape(&report.title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"{language}\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{PAGE}{STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n"
    );
    let (class, sign) = if report.passed { ("good", "✓") } else { ("bad", "✗") };
    // Writing to a string cannot fail, here and below.
    let _ = write!(
        out,
        "<p class=\"soft\">{}</p>\n<p><strong class=\"{class}\">{sign} {}</strong></p>\n<p>{}</p>\n",
        escape(&report.place()),
        escape(&report.verdict()),
        escape(&report.summary)
    );
    let drawn = flow::draw(&report.scene, report.language);
    if !drawn.is_empty() {
        let _ = write!(
            out,
            "<h2>{}</h2>\n<div class=\"flows\">{drawn}</div>\n",
            report.say("The flow", "数据流")
        );
    }
    let _ = writeln!(out, "<h2>{}</h2>", report.say("The run", "运行过程"));
    report.steps.iter().for_each(|each| step(&mut out, each));
    if !report.charts.is_empty() {
        let _ = writeln!(out, "<h2>{}</h2>", report.say("Charts", "图表"));
        report.charts.iter().for_each(|shown| figure(&mut out, report, shown));
    }
    let _ = write!(
        out,
        "<h2>{}</h2>\n<article>\n{}</article>\n</body></html>\n",
        report.say("The lesson", "课文"),
        lesson::render(&report.lesson)
    );
    out
}

fn class(state: StepState) -> &'static str {
    match state {
        StepState::Passed => "good",
        StepState::Failed => "bad",
        StepState::Running | StepState::Waiting => "soft",
    }
}

fn step(out: &mut String, step: &Step) {
    let view = &step.view;
    let note = if step.lines.is_empty() {
        line(&view.note)
    } else {
        String::new()
    };
    let _ = writeln!(
        out,
        "<h3><span class=\"{}\">{}</span> {} <small>{}</small></h3>",
        class(view.state),
        mark(view),
        escape(&view.title),
        escape(&note)
    );
    if !step.text.is_empty() {
        let _ = writeln!(out, "<p>{}</p>", escape(&step.text));
    }
    if step.lines.is_empty() {
        return;
    }
    out.push_str("<ul class=\"run\">\n");
    for view in &step.lines {
        let class = if view.action && view.state == StepState::Passed {
            "soft"
        } else {
            class(view.state)
        };
        let _ = writeln!(
            out,
            "<li><span class=\"{class}\">{}</span> {} <small>{}</small></li>",
            mark(view),
            escape(&view.title),
            escape(&line(&view.note))
        );
    }
    out.push_str("</ul>\n");
}

fn figure(out: &mut String, report: &Report, shown: &Shown) {
    let (mut unit, mut notes) = (String::new(), Vec::new());
    let drawn = match &shown.chart {
        Ok(chart) if chart.is_empty() => format!("<p class=\"soft\">{}</p>", report.say("nothing to show", "没有数据")),
        Ok(chart) => {
            unit = chart.unit.clone();
            notes = left_out(chart.left, report.language);
            svg(chart, &TimeZone::UTC)
        }
        Err(error) => format!("<p class=\"bad\">{}</p>", escape(&line(&error.to_string()))),
    };
    let unit = if unit.is_empty() {
        unit
    } else {
        format!(" <small>({})</small>", escape(&unit))
    };
    let _ = write!(
        out,
        "<figure><figcaption>{}{unit}</figcaption>\n{drawn}\n",
        escape(&line(&shown.title))
    );
    for note in notes {
        let _ = writeln!(out, "<p class=\"soft\">{}</p>", escape(&note));
    }
    out.push_str("</figure>\n");
}
