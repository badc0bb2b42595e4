use super::*;
use crate::readmodel::query::{Cell, Rows};

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

fn rows(columns: usize, rows: Vec<Vec<Cell>>) -> Rows {
    Rows {
        columns: (0..columns).map(|at| format!("c{at}")).collect(),
        rows,
        truncated: false,
    }
}

fn of(kind: Kind, all: Vec<Vec<Cell>>) -> Chart {
    let columns = all.first().map_or(kind.needs(), Vec::len);
    Chart::of(kind, "title", "ms", &rows(columns, all)).unwrap()
}

#[test]
fn columns_are_those_of_the_kind() {
    assert_eq!(Kind::Bar.refusal(2), None);
    assert_eq!(Kind::Line.refusal(3), None);
    let said = Kind::Line.refusal(1).unwrap();
    assert!(
        said.contains("columns x, y [, series]; the query returns 1 column"),
        "{said}"
    );
    assert!(Kind::Gauge.refusal(4).unwrap().contains("value [, max, label]"));
    for kind in Kind::ALL {
        assert!(kind.refusal(0).is_some() && kind.refusal(kind.needs()).is_none());
    }
}

#[test]
fn what_is_no_number_is_left_out_and_counted() {
    let bars = vec![
        vec![text("a"), Cell::Integer(2)],
        vec![text("b"), Cell::Null],
        vec![text("c"), Cell::Real(f64::INFINITY)],
        vec![text("d"), text("3.5")],
        vec![Cell::Null, Cell::Integer(-1)],
    ];
    let chart = of(Kind::Bar, bars.clone());
    let Data::Bars(shown) = &chart.data else {
        panic!("{chart:?}")
    };
    let shown: Vec<(&str, f64)> = shown.iter().map(|bar| (bar.label.as_str(), bar.value)).collect();
    assert_eq!(shown, [("a", 2.0), ("d", 3.5), ("NULL", -1.0)]);
    assert_eq!(chart.left.numberless, 2);
    let Data::Bars(top) = of(Kind::Top, bars).data else {
        panic!()
    };
    assert_eq!(top[0].label, "d");
}

#[test]
fn a_chart_is_bounded_and_says_so() {
    let many = (0..MAX_ROWS as i64 + 5)
        .map(|n| vec![Cell::Integer(n), Cell::Integer(n), text(&format!("s{}", n % 20))])
        .collect();
    let chart = of(Kind::Line, many);
    let Data::Lines { series, time } = &chart.data else {
        panic!()
    };
    assert!(chart.left.rows && !time);
    assert_eq!((series.len(), chart.left.parts), (8, 12));
    assert_eq!(
        series.iter().map(|line| line.points.len()).sum::<usize>(),
        MAX_ROWS * 8 / 20
    );
    let long = of(Kind::Bar, vec![vec![text(&"x".repeat(10_000)), Cell::Integer(1)]]);
    let Data::Bars(bars) = &long.data else { panic!() };
    assert!(bars[0].label.chars().count() < 100 && bars[0].label.ends_with('…'));
    let wide = (0..500).map(|n| vec![Cell::Integer(n), Cell::Integer(n), Cell::Integer(1)]);
    let heat = of(Kind::Heat, wide.collect());
    let Data::Heat(shape) = &heat.data else { panic!() };
    assert_eq!(
        (shape.rows.len(), shape.columns.len(), heat.left.parts),
        (200, 200, 600)
    );
}

#[test]
fn labels_cannot_harm_a_terminal() {
    let chart = Chart::of(
        Kind::Bar,
        "a\u{1b}[2Jb",
        "\u{202e}x",
        &rows(2, vec![vec![text("\u{1b}]0;x\u{7}\nb"), Cell::Integer(1)]]),
    )
    .unwrap();
    let Data::Bars(bars) = &chart.data else { panic!() };
    for said in [&chart.title, &chart.unit, &bars[0].label] {
        assert!(said.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{said:?}");
    }
}

#[test]
fn points_lie_in_the_order_of_x_and_times_are_known() {
    let at = 1_700_000_000_000;
    let chart = of(
        Kind::Line,
        vec![
            vec![Cell::Integer(at + 5), Cell::Integer(2)],
            vec![Cell::Integer(at), Cell::Integer(1)],
        ],
    );
    let Data::Lines { series, time } = &chart.data else {
        panic!()
    };
    assert!(*time && series[0].name.is_empty());
    assert_eq!(series[0].points, [(at as f64, 1.0), (at as f64 + 5.0, 2.0)]);
}

#[test]
fn every_value_lies_in_one_bin_of_a_histogram() {
    for values in [
        vec![0.0],
        vec![7.0, 7.0, 7.0],
        vec![-3.0, 0.0, 3.0],
        (0..1_000).map(f64::from).collect(),
        vec![0.1, 0.2, 0.3, 0.35],
        vec![1e-300, 1e300],
        vec![-1e308, 1e308],
    ] {
        let chart = of(Kind::Histogram, values.iter().map(|v| vec![Cell::Real(*v)]).collect());
        let Data::Bins(bins) = &chart.data else { panic!() };
        assert_eq!(
            bins.iter().map(|bin| bin.count).sum::<u64>(),
            values.len() as u64,
            "{values:?}"
        );
        assert!(bins.len() <= 48, "{values:?}: {}", bins.len());
        assert!(
            bins.windows(2)
                .all(|two| two[0].to == two[1].from || !two[0].to.is_finite()),
            "{bins:?}"
        );
    }
    let Data::Bins(bins) = of(Kind::Histogram, (0..100).map(|n| vec![Cell::Integer(n)]).collect()).data else {
        panic!()
    };
    assert!(bins.iter().all(|bin| bin.count == 20 || bin.count == 10), "{bins:?}");
}

#[test]
fn cells_of_a_heat_map_stand_where_their_names_do() {
    let chart = of(
        Kind::Heat,
        vec![
            vec![text("mon"), text("8"), Cell::Integer(1)],
            vec![text("tue"), text("9"), Cell::Integer(2)],
            vec![text("mon"), text("8"), Cell::Integer(3)],
        ],
    );
    let Data::Heat(shape) = &chart.data else { panic!() };
    assert_eq!(shape.cells, [[Some(4.0), None], [None, Some(2.0)]]);
}

#[test]
fn a_column_that_the_first_row_lacks_stands_where_it_belongs() {
    let cell = |row: &str, column: &str| vec![text(row), text(column), Cell::Integer(1)];
    let columns = |all: Vec<Vec<Cell>>| {
        let Data::Heat(shape) = of(Kind::Heat, all).data else {
            panic!()
        };
        (shape.columns, shape.cells)
    };
    let (names, cells) = columns(vec![cell("a", "8"), cell("a", "10"), cell("b", "8"), cell("b", "9")]);
    assert_eq!(names, ["8", "9", "10"]);
    assert_eq!(cells, [[Some(1.0), None, Some(1.0)], [Some(1.0), Some(1.0), None]]);
    // Days of the week are in no order of their names, but in the query's.
    let (names, _) = columns(vec![
        cell("a", "Mon"),
        cell("a", "Wed"),
        cell("a", "Thu"),
        cell("b", "Tue"),
    ]);
    assert_eq!(names, ["Mon", "Wed", "Thu", "Tue"]);
    // Nothing in a place is no row without a number.
    let empty = of(
        Kind::Heat,
        vec![
            vec![text("a"), text("x"), Cell::Null],
            vec![text("a"), text("y"), text("?")],
        ],
    );
    assert_eq!(empty.left.numberless, 1);
}

#[test]
fn nothing_is_nothing_to_draw() {
    for kind in Kind::ALL {
        let chart = Chart::of(kind, "t", "", &rows(kind.needs(), Vec::new())).unwrap();
        assert!(chart.is_empty(), "{kind:?}");
    }
}

#[test]
fn a_chart_is_guessed_from_the_columns() {
    let int = Cell::Integer;
    let kind =
        |columns: usize, all: Vec<Vec<Cell>>| guess(&rows(columns, all)).map(|(kind, taken)| (kind, taken.columns));
    let names = |at: &[usize]| at.iter().map(|at| format!("c{at}")).collect::<Vec<_>>();
    let case = |all: Vec<Vec<Cell>>, expected: Kind, at: &[usize]| {
        let columns = all[0].len();
        assert_eq!(kind(columns, all), Some((expected, names(at))));
    };
    case(vec![vec![int(1)]], Kind::Gauge, &[0]);
    case(vec![vec![int(1), int(2)]], Kind::Gauge, &[0, 1]);
    case(vec![vec![int(1)], vec![int(2)]], Kind::Histogram, &[0]);
    case(vec![vec![int(1), int(2)], vec![int(2), int(2)]], Kind::Line, &[0, 1]);
    case(
        vec![vec![int(1), int(2), text("a")], vec![int(2), int(2), text("b")]],
        Kind::Line,
        &[0, 1, 2],
    );
    case(
        vec![vec![text("a"), int(2)], vec![text("b"), int(2)]],
        Kind::Bar,
        &[0, 1],
    );
    case(
        (0..30).map(|n| vec![int(n), text(&n.to_string())]).collect(),
        Kind::Top,
        &[1, 0],
    );
    let grid = |n: i64| vec![text(&(n % 3).to_string()), text(&(n / 3).to_string()), int(n)];
    case((0..9).map(grid).collect(), Kind::Heat, &[0, 1, 2]);
    // Three numbers are no grid either, however few rows there are.
    let numbers = |n: i64| vec![int(n), int(n * 7), int(n * 100)];
    case((0..3).map(numbers).collect(), Kind::Line, &[0, 1]);
    // A table of its own: an id and a name are no grid.
    let table = |n: i64| vec![text(&format!("id{n}")), text(&format!("name{n}")), int(n), int(n)];
    case((0..9).map(table).collect(), Kind::Bar, &[0, 2]);
    assert_eq!(kind(1, vec![vec![text("a")]]), None);
    assert_eq!(kind(1, Vec::new()), None);
}

#[test]
fn axes_have_round_marks() {
    use jiff::tz::TimeZone;
    assert_eq!(scale::around(0.0, 97.0, 6), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
    assert_eq!(scale::around(-3.0, 3.0, 4), [-4.0, -2.0, 0.0, 2.0, 4.0]);
    assert_eq!(scale::within(3.0, 17.0, 4), [5.0, 10.0, 15.0]);
    for (low, high) in [(5.0, 5.0), (0.0, f64::MAX), (1e-300, 2e-300), (-1e308, 1e308)] {
        let marks = scale::around(low, high, 5);
        assert!((1..=100).contains(&marks.len()), "{low} {high} {marks:?}");
    }
    let day = 1_709_510_400_000.0;
    let marks: Vec<String> = scale::times(day + 1.0, day + 7_200_000.0, 5, &TimeZone::UTC)
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    assert_eq!(marks, ["00:30", "01:00", "01:30", "02:00"]);
    let zone = TimeZone::fixed(jiff::tz::offset(5));
    let (at, text) = scale::times(day, day + 86_400_000.0 * 3.0, 4, &zone).remove(0);
    assert_eq!((at, text.as_str()), (day + 19.0 * 3_600_000.0, "03-05"));
    assert!(scale::times(0.0, f64::MAX, 5, &TimeZone::UTC).len() <= 100);
}

#[test]
fn numbers_read_well() {
    let short = [
        0.0,
        -0.0,
        0.25,
        7.0,
        12.34,
        1234.0,
        9_999.9,
        412_345.0,
        -2_100_000.0,
        3e12,
    ];
    let said: Vec<String> = short.into_iter().map(scale::short).collect();
    assert_eq!(
        said,
        ["0", "0", "0.25", "7", "12.3", "1234", "10k", "412k", "-2.1M", "3.0e12"]
    );
    let said: Vec<String> = [1234567.0, -1234.5, 0.12345, 0.0, 1e20]
        .into_iter()
        .map(scale::exact)
        .collect();
    assert_eq!(said, ["1,234,567", "-1,234.5", "0.1235", "0", "1e20"]);
}
