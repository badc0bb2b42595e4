//! The charts of a demo: one of each kind, all at once, asked again at a measured pace; rows as a chart; the report of a run.

use foldlog::app::job::{Event, Failure, Job};
use foldlog::app::message::Message;
use foldlog::app::model::Screen;
use foldlog::app::screens::charts::ChartRow;
use foldlog::readmodel::query::{Cell, Rows};
use foldlog::record::Timestamp;
use foldlog::ui::sample::NOW;
use foldlog::ui::theme::Theme;

use super::fake::{Fake, refused};
use super::harness::Studio;
use super::journeys::{self, assert_put_back};

const SIZES: [(u16, u16); 2] = [(80, 24), (200, 50)];

fn opened(size: (u16, u16), world: Fake) -> Studio {
    let mut s = Studio::new(size, world).started();
    s.keys("4c");
    assert_eq!(s.model.screen, Screen::Charts);
    s
}

fn asked(s: &Studio) -> usize {
    s.asked
        .iter()
        .filter(|(_, job)| matches!(job, Job::Charts { .. }))
        .count()
}

#[test]
fn every_kind_of_chart_and_all_at_once() {
    for size in SIZES {
        let shot = |name: &str, s: &Studio| insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), s.text());
        let kinds = ["gauge", "line", "histogram", "bar", "top", "heat", "failed"];
        for (at, kind) in kinds.into_iter().enumerate() {
            // A screen for each: a terminal in memory keeps what stood below the right half of a wide character.
            let mut s = opened(size, Fake::default());
            s.keys(&"j".repeat(at));
            shot(kind, &s);
        }
        let mut s = opened(size, Fake::default());
        s.keys("b");
        shot("board", &s);
        s.keys("<esc>");
        assert!(
            s.model.screen == Screen::Charts && s.text().contains("title"),
            "{}",
            s.text()
        );
        let world = Fake {
            charts: Ok(Vec::new()),
            ..Fake::default()
        };
        shot("none", &opened(size, world));
        let world = Fake {
            charts: Err(refused()),
            ..Fake::default()
        };
        shot("unreadable", &opened(size, world));
    }
}

#[test]
fn nothing_is_lost_without_colour() {
    let mut s = Studio::new((80, 24), Fake::default());
    s.theme = Theme::MONO;
    let mut s = s.started();
    s.keys("4cj");
    let text = s.text();
    for mark in ["● paid", "▲ 发货"] {
        assert!(text.contains(mark), "{mark}: {text}");
    }
    let plain = |cell: &ratatui::buffer::Cell| cell.fg == ratatui::style::Color::Reset;
    assert!(s.buffer().content.iter().all(plain));
    s.keys("jjjj");
    assert!(
        s.text().contains('█') && s.text().contains('░') && s.text().contains("≥"),
        "{}",
        s.text()
    );
}

#[test]
fn charts_are_asked_for_again_after_a_rest_that_grows_with_what_they_take() {
    let mut s = opened((80, 24), Fake::default());
    assert_eq!(asked(&s), 1);
    let tick = |s: &mut Studio, after: i64| {
        s.send(Message::Tick(Timestamp(NOW.0 + after)));
        asked(s)
    };
    assert_eq!(tick(&mut s, 1_000), 1);
    assert_eq!(tick(&mut s, 2_000), 2);
    s.hold = |job| matches!(job, Job::Charts { .. });
    assert_eq!(tick(&mut s, 4_000), 3);
    // It takes five seconds; nothing is asked meanwhile, and then not for twenty.
    assert_eq!(tick(&mut s, 9_000), 3);
    let id = s.last(|job| matches!(job, Job::Charts { .. }));
    let rows = s.world.charts.clone().unwrap();
    s.end(id, Ok(Event::Charts(rows)));
    assert_eq!(tick(&mut s, 28_000), 3);
    assert_eq!(tick(&mut s, 29_000), 4);
    // Who leaves gives up what is asked.
    let id = s.last(|job| matches!(job, Job::Charts { .. }));
    s.keys("<esc>");
    assert_eq!(s.model.screen, Screen::Demos);
    assert!(s.effects.contains(&foldlog::app::message::Effect::Cancel(id)));
    assert_eq!(tick(&mut s, 60_000), 4);
}

#[test]
fn a_chart_leads_to_its_read_model_and_one_that_is_not_built_says_so() {
    let mut s = opened((120, 30), Fake::default());
    s.keys("jj<enter>");
    assert_eq!(s.model.screen, Screen::ReadModel);
    assert!(s.text().contains("account_balance › read models"), "{}", s.text());
    s.keys("<esc>");
    assert_eq!(s.model.screen, Screen::Charts);
    s.keys("G<enter>");
    assert!(s.text().contains("not there yet"), "{}", s.text());
    s.keys("/weekday<enter>");
    assert_eq!(s.model.charts.as_ref().unwrap().list.shown().len(), 1);
}

#[test]
fn a_hostile_title_is_shown_and_not_sent() {
    let mut world = Fake::default();
    if let Ok(rows) = &mut world.charts {
        rows[0].title = "a\u{1b}[2Jb\u{202e}".into();
        rows[0].chart = Err(Failure::new("x\u{1b}]0;y\u{7}"));
    }
    let s = opened((80, 24), world);
    assert!(s.text().chars().all(|c| !c.is_control() || c == '\n'));
    assert!(s.text().contains('␛'), "{}", s.text());
}

#[test]
fn rows_of_a_query_are_drawn_with_a_key() {
    let rows = Rows {
        columns: vec!["state".into(), "orders".into()],
        rows: vec![
            vec![Cell::Text("已支付".into()), Cell::Integer(1_250)],
            vec![Cell::Text("open".into()), Cell::Integer(730)],
        ],
        truncated: false,
    };
    let world = Fake {
        rows: Ok(rows),
        ..Fake::default()
    };
    let mut s = Studio::new((80, 24), world).started();
    s.keys("3<tab>c");
    assert!(
        s.text().contains("已支付 ████") && s.text().contains("1,250"),
        "{}",
        s.text()
    );
    insta::assert_snapshot!("rows_as_chart", s.text());
    s.keys("<esc>");
    assert!(
        !s.text().contains("████") && s.text().contains("orders"),
        "{}",
        s.text()
    );
    s.world.rows = Ok(Rows {
        columns: vec!["name".into()],
        rows: vec![vec![Cell::Text("a".into())]],
        truncated: false,
    });
    s.keys("<c-r>c");
    assert!(s.text().contains("no column of these rows has numbers"), "{}", s.text());
}

#[test]
fn a_report_is_written_of_a_run_that_has_ended() {
    let mut s = Studio::new((80, 24), Fake::default()).started();
    s.keys("4w");
    assert!(s.text().contains("it has not run"), "{}", s.text());
    s.keys("rw");
    assert!(s.text().contains("it is running"), "{}", s.text());
    let id = s.last(|job| matches!(job, Job::RunDemo { .. }));
    s.end(id, Ok(Event::Done("over".into())));
    s.keys("w");
    assert!(s.text().contains("the report is"), "{}", s.text());
    s.hold = |job| matches!(job, Job::Report(_));
    s.keys("w");
    let id = s.last(|job| matches!(job, Job::Report(_)));
    s.end(id, Err(Failure::new("no room")));
    assert!(s.text().contains("report: no room"), "{}", s.text());
}

/// What runs still runs after the last step, and the report of the lesson need not wait for its end.
#[test]
fn a_lesson_that_is_over_is_reported_while_its_parts_run() {
    let place = journeys::Place::new();
    let mut t = place.studio(140, 40);
    t.wait_for("run the first demo")
        .keys("4")
        .wait_for("messaging")
        .keys("/messaging\r")
        .wait_for("/messaging")
        .keys("\r")
        .wait_for("at rest");
    t.keys("rP").wait_for("✓ the lesson is over");
    t.keys("w").wait_for("the report is");
    let written = std::fs::read_dir(place.work()).unwrap();
    let mut names = written.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.any(|name| name.starts_with("messaging-") && name.ends_with(".html")));
    t.keys("q");
    assert_put_back(&mut t, "0");
}

#[test]
fn a_demo_is_run_looked_at_and_reported() {
    let place = journeys::Place::new();
    let mut t = place.studio(140, 40);
    t.wait_for("run the first demo").keys("r").wait_for("checks hold");
    t.keys("c")
        .wait_for("› charts")
        .wait_for("What the bank holds")
        .wait_for("949,960");
    t.keys("b").wait_for("The largest balances").wait_for("≥");
    t.keys("\x1b")
        .wait_for("kind")
        .keys("\r")
        .wait_for("› read models")
        .wait_for("movement");
    t.keys("\x1b").wait_for("› charts").keys("w").wait_for("the report is");
    t.keys("q");
    assert_put_back(&mut t, "0");
    let written = std::fs::read_dir(place.work()).unwrap();
    let report = written
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|e| e == "html"));
    let page = std::fs::read_to_string(report.unwrap()).unwrap();
    assert!(page.contains("<svg") && page.contains("checks hold") && page.ends_with("</html>\n"));
}

/// Rows as the world answers them; for [`Fake`].
pub fn charts() -> Vec<ChartRow> {
    use foldlog::chart::{Chart, Kind};
    let text = |text: &str| Cell::Text(text.to_owned());
    let int = Cell::Integer;
    let row = |title: &str, kind: Kind, unit: &str, rows: Vec<Vec<Cell>>| ChartRow {
        title: title.into(),
        kind,
        store: "account_balance".into(),
        notes: if kind == Kind::Top {
            vec!["rows without a number: 3".into()]
        } else {
            Vec::new()
        },
        chart: Chart::of(
            kind,
            title,
            unit,
            &Rows {
                columns: vec![String::new(); rows[0].len()],
                rows,
                truncated: false,
            },
        )
        .map_err(Failure::new),
    };
    let hour = 1_714_982_400_000;
    let lines = (0..30).flat_map(|n| {
        [
            vec![int(hour + n * 1_200_000), int(300 + n * n % 170), text("paid")],
            vec![int(hour + n * 1_200_000), int(100 + n * 15), text("发货")],
        ]
    });
    let heat = (0..5).flat_map(|day| {
        (8..20).map(move |hour| {
            vec![
                Cell::Text(["周一", "周二", "周三", "周四", "周五"][day as usize].into()),
                Cell::Text(format!("{hour:02}")),
                Cell::Integer(day * hour * 7 % 90),
            ]
        })
    });
    vec![
        row(
            "Paid, of what is shipped 已支付",
            Kind::Gauge,
            "orders",
            vec![vec![int(300), int(450)]],
        ),
        row("Orders over time", Kind::Line, "", lines.collect()),
        row(
            "订单金额分布",
            Kind::Histogram,
            "EUR",
            (0..400).map(|n| vec![int(n * n % 700)]).collect(),
        ),
        row(
            "States",
            Kind::Bar,
            "",
            vec![
                vec![text("已支付"), int(1_250)],
                vec![text("refunded"), int(-90)],
                vec![text("open"), int(730)],
            ],
        ),
        row(
            "Products",
            Kind::Top,
            "pieces",
            (0..40)
                .map(|n| vec![text(&format!("product-{n:02}")), int(n * 37 % 101)])
                .collect(),
        ),
        row("Per weekday and hour", Kind::Heat, "", heat.collect()),
        ChartRow {
            title: "Not built".into(),
            kind: Kind::Bar,
            store: "payment".into(),
            chart: Err(Failure::new(
                "payment is not built yet\n\nr on the demos screen runs the demo",
            )),
            notes: Vec::new(),
        },
    ]
}
