use super::*;
use crate::readmodel::query::{Cell, Rows};

fn chart(kind: Kind, rows: Vec<Vec<Cell>>) -> Chart {
    let rows = Rows {
        columns: vec![String::new(); rows[0].len()],
        rows,
        truncated: false,
    };
    Chart::of(kind, "title", "", &rows).unwrap()
}

/// One of each kind, all of whose labels would be markup.
fn hostile() -> Vec<Chart> {
    let evil = || Cell::Text("</text><script>alert(\"1\")</script>&'".to_owned());
    let int = |n: i64| Cell::Integer(n);
    vec![
        chart(Kind::Gauge, vec![vec![int(5), int(3), evil()]]),
        chart(
            Kind::Line,
            vec![vec![int(1), int(3), evil()], vec![int(2), int(5), evil()]],
        ),
        chart(Kind::Histogram, vec![vec![int(5)], vec![int(500)]]),
        chart(Kind::Bar, vec![vec![evil(), int(5)], vec![evil(), int(-5)]]),
        chart(Kind::Top, (0..100).map(|n| vec![evil(), int(n)]).collect()),
        chart(Kind::Heat, vec![vec![evil(), evil(), int(5)]]),
    ]
}

#[test]
fn every_kind_is_one_svg_and_no_label_is_markup() {
    for chart in hostile() {
        let drawn = svg(&chart, &TimeZone::UTC);
        assert!(
            drawn.starts_with("<svg class=\"chart\"") && drawn.ends_with("</svg>"),
            "{drawn}"
        );
        assert!(
            !drawn.contains("<script") && !drawn.contains("NaN") && !drawn.contains("inf"),
            "{drawn}"
        );
        assert_eq!(drawn.matches("<svg").count(), drawn.matches("</svg>").count());
        assert_eq!(drawn.matches("<text").count(), drawn.matches("</text>").count());
        // Whatever is in quotes stays there.
        assert_eq!(drawn.matches('"').count() % 2, 0);
    }
}

#[test]
fn what_means_something_is_escaped() {
    assert_eq!(escape("<a href=\"x\">&'"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
}
