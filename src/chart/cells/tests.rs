use super::*;
use crate::readmodel::query::{Cell, Rows};

fn chart(kind: Kind, rows: Vec<Vec<Cell>>) -> Chart {
    let columns = rows.first().map_or(kind.needs(), Vec::len);
    let rows = Rows {
        columns: vec![String::new(); columns],
        rows,
        truncated: false,
    };
    Chart::of(kind, "title", "ms", &rows).unwrap()
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

fn int(n: i64) -> Cell {
    Cell::Integer(n)
}

/// One of each kind, with what is hard to draw: Chinese names, nothing there, less than nothing, more than there should be.
fn samples() -> Vec<(&'static str, Chart)> {
    let hour = 1_714_982_400_000;
    let wave = |n: i64, by: f64| Cell::Real((500.0 + 400.0 * (n as f64 / by).sin()).round());
    let lines = (0..40).flat_map(|n| {
        let at = int(hour + n * 900_000);
        [
            vec![at.clone(), wave(n, 4.0), text("支付系统")],
            vec![at, wave(n + 7, 6.0), text("logistics")],
        ]
    });
    let heat = (0..6).flat_map(|row| {
        (8..20).map(move |hour| {
            let value = if (row + hour) % 7 == 0 {
                Cell::Null
            } else {
                int(row * hour * 3)
            };
            vec![
                text(["周一", "周二", "周三", "周四", "周五", "周六"][row as usize]),
                text(&format!("{hour:02}")),
                value,
            ]
        })
    });
    vec![
        (
            "gauge",
            chart(
                Kind::Gauge,
                vec![
                    vec![int(300), int(450), text("已支付 paid")],
                    vec![int(120), int(100), text("over")],
                    vec![int(7), Cell::Null, text("no limit")],
                ],
            ),
        ),
        ("line", chart(Kind::Line, lines.collect())),
        (
            "histogram",
            chart(Kind::Histogram, (0..300).map(|n| vec![int(n * n % 500)]).collect()),
        ),
        (
            "bar",
            chart(
                Kind::Bar,
                vec![
                    vec![text("键盘与鼠标"), int(1250)],
                    vec![text("lamp"), int(-400)],
                    vec![text("nothing"), int(0)],
                    vec![text("monitor"), int(733)],
                ],
            ),
        ),
        (
            "top",
            chart(
                Kind::Top,
                (0..60)
                    .map(|n| vec![text(&format!("user-{n:03}")), int(n * 37 % 101)])
                    .collect(),
            ),
        ),
        ("heat", chart(Kind::Heat, heat.collect())),
    ]
}

#[test]
fn every_kind_at_two_sizes() {
    for (name, chart) in samples() {
        for (width, height) in [(44, 18), (120, 40)] {
            let drawn = Plot::of(&chart, width, height, &TimeZone::UTC).rows().join("\n");
            insta::assert_snapshot!(format!("{name}_{width}x{height}"), drawn);
        }
    }
}

#[test]
fn nothing_is_drawn_beyond_the_plot_however_small_it_is() {
    for (name, chart) in samples() {
        for width in 0..60 {
            for height in 0..12 {
                let plot = Plot::of(&chart, width, height, &TimeZone::UTC);
                for piece in plot.pieces() {
                    let inside = piece.y < height && piece.x + super::width(&piece.text) <= width;
                    assert!(inside, "{name} {width}x{height}: {piece:?}");
                }
                let rows = plot.rows();
                assert!(
                    rows.iter().all(|row| super::width(row) <= width),
                    "{name} {width}x{height}"
                );
            }
        }
    }
}

#[test]
fn every_series_is_named_however_narrow_its_chart_is() {
    let names = ["order-service", "payment-service", "inventory-service"];
    let points = (0..9).flat_map(|n| names.map(|name| vec![int(n), int(n), text(name)]));
    let chart = chart(Kind::Line, points.collect());
    for (width, said) in [
        (
            90,
            ["● order-service 8", "▲ payment-service 8", "■ inventory-service 8"],
        ),
        (
            48,
            ["● order-service 8", "▲ payment-service 8", "■ inventory-service 8"],
        ),
        (16, ["● order-service", "▲ payment-servi…", "■ inventory-ser…"]),
    ] {
        let drawn = Plot::of(&chart, width, 16, &TimeZone::UTC).rows().join("\n");
        assert!(said.iter().all(|name| drawn.contains(name)), "{width}:\n{drawn}");
    }
}

#[test]
fn extreme_numbers_are_drawn() {
    let huge = [f64::MAX, f64::MIN, 0.0, f64::MIN_POSITIVE, 1e-300];
    for kind in [Kind::Bar, Kind::Top] {
        let rows = huge.iter().map(|n| vec![text("x"), Cell::Real(*n)]);
        assert!(
            !Plot::of(&chart(kind, rows.collect()), 60, 10, &TimeZone::UTC)
                .pieces()
                .is_empty()
        );
    }
    let points = huge.iter().map(|n| vec![Cell::Real(*n), Cell::Real(*n)]);
    assert!(
        !Plot::of(&chart(Kind::Line, points.collect()), 60, 10, &TimeZone::UTC)
            .pieces()
            .is_empty()
    );
    let values = huge.iter().map(|n| vec![Cell::Real(*n)]);
    assert!(
        !Plot::of(&chart(Kind::Histogram, values.collect()), 60, 10, &TimeZone::UTC)
            .pieces()
            .is_empty()
    );
    let cells = huge.iter().map(|n| vec![text("x"), Cell::Real(*n), Cell::Real(*n)]);
    assert!(
        !Plot::of(&chart(Kind::Heat, cells.collect()), 60, 10, &TimeZone::UTC)
            .pieces()
            .is_empty()
    );
    let one = chart(Kind::Line, vec![vec![int(5), int(5)]]);
    assert!(Plot::of(&one, 40, 10, &TimeZone::UTC).rows().join("").contains('●'));
}

#[test]
fn a_label_is_cut_by_columns_and_not_by_characters() {
    assert_eq!(fit("文字文字", 8), "文字文字");
    assert_eq!(fit("文字文字", 7), "文字文…");
    assert_eq!(fit("文字文字", 6), "文字…");
    assert_eq!(fit("plain", 4), "pla…");
}

#[test]
fn shades_go_from_little_to_much() {
    let levels: Vec<u8> = [0.0, 24.0, 25.0, 60.0, 99.0, 100.0]
        .map(|value| level(value, 0.0, 100.0))
        .to_vec();
    assert_eq!(levels, [1, 1, 2, 3, 4, 4]);
    assert_eq!(level(5.0, 5.0, 5.0), 2);
}
