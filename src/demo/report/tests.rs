#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::super::catalog::Catalog;
use super::super::graph::Graph;
use super::super::run::plan;
use super::super::snapshot::{EdgeView, PartView};
use super::*;
use crate::chart::{Chart, Kind};
use crate::readmodel::query::{Cell, Rows};

const EVIL: &str = "</title></svg><script>alert('1')</script> [x](javascript:1) ``` | # *";

/// A run of which every text that could come from a record is hostile.
fn report(language: Language) -> Report {
    let demo = Catalog::load(&[]).unwrap().get("messaging").unwrap().clone();
    let mut steps = plan(&demo, language);
    for (at, step) in steps.iter_mut().enumerate() {
        step.state = if at == 9 { StepState::Failed } else { StepState::Passed };
        step.note = format!("{EVIL}\n{EVIL}");
    }
    let outcome = Outcome {
        steps,
        by_hand: Vec::new(),
        passed: false,
        took: Duration::from_millis(4_321),
    };
    let graph = Graph::of(&demo);
    let scene = Snapshot {
        parts: vec![PartView::default(); graph.parts.len()],
        edges: vec![
            EdgeView {
                records: 1_234,
                ..EdgeView::default()
            };
            graph.edges.len()
        ],
        graph: std::sync::Arc::new(graph),
        ..Snapshot::default()
    };
    let rows = Rows {
        columns: vec![String::new(); 2],
        rows: vec![
            vec![Cell::Text(EVIL.into()), Cell::Integer(5)],
            vec![Cell::Text("```".into()), Cell::Integer(3)],
        ],
        truncated: true,
    };
    let shown = |chart| Shown {
        title: EVIL.into(),
        kind: Kind::Bar,
        store: "payment".into(),
        chart,
    };
    Report {
        id: demo.id.clone(),
        language,
        cluster: EVIL.into(),
        at: Timestamp(1_795_271_647_000),
        title: EVIL.into(),
        summary: EVIL.into(),
        lesson: format!(
            "# One\n\ntext <script>alert(2)</script>\n\n<script>alert(3)</script>\n\n[a](javascript:alert(4)) ![p](http://x/y.png)\n\n    # no heading\n\n{EVIL}\n"
        ),
        took: outcome.took,
        passed: outcome.passed,
        held: 8,
        checks: 9,
        steps: super::steps(&demo, &outcome, language),
        scene,
        charts: vec![
            shown(Chart::of(Kind::Bar, EVIL, EVIL, &rows).map_err(|_| ReadModelError::Cancelled)),
            shown(
                Chart::of(
                    Kind::Bar,
                    EVIL,
                    "",
                    &Rows {
                        rows: Vec::new(),
                        ..rows
                    },
                )
                .map_err(|_| ReadModelError::Cancelled),
            ),
            shown(Err(ReadModelError::Cancelled)),
        ],
    }
}

#[test]
fn no_text_becomes_markup_of_the_page_and_nothing_is_fetched() {
    for language in [Language::English, Language::Chinese] {
        let page = report(language).html();
        let lower = page.to_lowercase();
        for never in [
            "<script",
            "javascript:",
            "<img",
            "<iframe",
            "onerror",
            "src=",
            "@import",
            "url(",
        ] {
            // What is shown as text is not what a browser obeys.
            let text = lower.replace("[x](javascript:1)", "");
            assert!(!text.contains(never), "{never}: {page}");
        }
        assert!(page.contains("default-src 'none'"), "a browser fetches nothing");
        for (open, close) in [
            ("<svg", "</svg>"),
            ("<h3", "</h3>"),
            ("<ul", "</ul>"),
            ("<figure", "</figure>"),
            ("<title", "</title>"),
        ] {
            assert_eq!(page.matches(open).count(), page.matches(close).count(), "{open}");
        }
        assert!(page.contains("&lt;script&gt;"), "it is shown");
        assert!(page.contains("prefers-color-scheme:dark"));
    }
}

#[test]
fn a_report_says_what_the_run_did() {
    let english = report(Language::English);
    let page = english.html();
    for said in [
        "8 of 9 checks hold, 4.3 s",
        "Break it: payment stops",
        "stop payment",
        "1,234",
        "2026-11-21",
        "the first 10,000 rows only",
        "nothing to show",
        "<h2>One</h2>",
        "Order service",
    ] {
        assert!(page.contains(said), "{said}");
    }
    let page = report(Language::Chinese).html();
    for said in [
        "9 项检查中 8 项成立",
        "弄坏它：支付系统停机",
        "没有数据",
        "lang=\"zh-Hans\"",
        "订单服务",
    ] {
        assert!(page.contains(said), "{said}");
    }
    let text = english.markdown();
    for said in [
        "8 of 9 checks hold",
        "### ✓ Break it: payment stops",
        "- · stop payment",
        "\n## One\n",
        "the first 10,000 rows only",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

#[test]
fn no_text_becomes_markup_of_the_markdown() {
    let text = report(Language::English).markdown();
    let (before, lesson) = text.split_once("## The lesson").unwrap();
    // A label of three backticks does not end the chart that it stands in.
    assert!(
        before.contains("\n````text\n") && before.contains("\n````\n"),
        "{before}"
    );
    // As whoever reads Markdown would render it, who obeys the HTML that stands in it.
    let mut page = String::new();
    pulldown_cmark::html::push_html(&mut page, pulldown_cmark::Parser::new(before));
    assert!(
        !page.contains("<script") && !page.contains("<a ") && !page.contains("<h1># "),
        "{page}"
    );
    assert!(lesson.contains("    # no heading"), "code stays as it is");
}

#[test]
fn steps_have_what_the_lesson_says_of_them() {
    let report = report(Language::English);
    let step = report
        .steps
        .iter()
        .find(|step| step.view.title.starts_with("Break it"))
        .unwrap();
    assert!(step.text.starts_with("Payment is down"), "{}", step.text);
    assert!(step.lines.iter().any(|line| line.check) && step.lines.iter().any(|line| line.action));
    assert!(report.steps[0].text.is_empty());
}

#[test]
fn what_was_done_by_hand_stands_below_its_step() {
    let demo = Catalog::load(&[]).unwrap().get("messaging").unwrap().clone();
    let steps_of = |by_hand| Outcome {
        steps: plan(&demo, Language::English),
        by_hand,
        passed: true,
        took: Duration::ZERO,
    };
    let without = steps(&demo, &steps_of(Vec::new()), Language::English);
    let done = ByHand {
        line: 2,
        title: crate::demo::text::Text {
            en: Some("stop payment".into()),
            zh: None,
        },
        state: StepState::Passed,
        note: "stopped".into(),
    };
    let with = steps(&demo, &steps_of(vec![done]), Language::English);
    let count = |steps: &[Step]| steps.iter().map(|step| 1 + step.lines.len()).sum::<usize>();
    assert_eq!(count(&with), count(&without) + 1);
    let mut lines = with.iter().flat_map(|step| &step.lines);
    let line = lines.find(|line| line.title == "by hand: stop payment").unwrap();
    assert_eq!((mark(line), line.note.as_str()), ("·", "stopped"));
}
