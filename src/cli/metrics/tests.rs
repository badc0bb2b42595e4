use super::*;
use crate::readmodel::query::{Cell, Rows};
use crate::readmodel::store::Counts;
use crate::record::{Position, TopicPartition};

#[test]
fn metrics_are_served_to_this_machine_only() {
    let port = |text: &str| text.parse::<Address>().map(|address| address.0.to_string());
    assert_eq!(port("9464").unwrap(), "127.0.0.1:9464");
    assert_eq!(port(":9464").unwrap(), "127.0.0.1:9464");
    assert_eq!(port("localhost:1").unwrap(), "127.0.0.1:1");
    assert_eq!(port("[::1]:9464").unwrap(), "[::1]:9464");
    assert!(port("0.0.0.0:9464").unwrap_err().contains("others could read"));
    assert!(port("metrics").unwrap_err().contains("such as 9464"));
    assert!(port("localhost:99999").is_err());
}

#[test]
fn a_replay_says_what_became_of_its_records() {
    let mut position = Position::new();
    position.set(TopicPartition::new("a\"b\\c\nd", 3), 17);
    let progress = Progress {
        phase: Phase::Live,
        done: 10,
        total: 25,
        counts: Counts {
            applied: 7,
            ignored: 2,
            poisoned: 1,
            ..Counts::default()
        },
        rate: 1.5,
        position,
        ..Progress::default()
    };
    let (_sender, receiver) = watch::channel(progress);
    let text = replays(&[("orders".to_owned(), receiver)]);
    for line in [
        "# TYPE foldlog_records_total counter",
        "foldlog_records_total{projection=\"orders\",outcome=\"applied\"} 7",
        "foldlog_records_total{projection=\"orders\",outcome=\"held\"} 0",
        "foldlog_lag_records{projection=\"orders\"} 15",
        "foldlog_records_per_second{projection=\"orders\"} 1.5",
        "foldlog_next_offset{projection=\"orders\",topic=\"a\\\"b\\\\c\\nd\",partition=\"3\"} 17",
        "foldlog_phase{projection=\"orders\",phase=\"live\"} 1",
        "foldlog_phase{projection=\"orders\",phase=\"paused\"} 0",
    ] {
        assert!(text.lines().any(|said| said == line), "{line}\n{text}");
    }
    // Every sample stands below the head of its family, and none is there twice.
    let mut family = "";
    let mut seen = std::collections::BTreeSet::new();
    for line in text.lines() {
        match line.strip_prefix("# TYPE ") {
            Some(head) => family = head.split(' ').next().unwrap(),
            None if line.starts_with('#') => {}
            None => {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert!(name.starts_with(family) && seen.insert(name.to_owned()), "{line}");
                value.parse::<f64>().unwrap();
            }
        }
    }
}

#[test]
fn charts_give_their_numbers_of_now() {
    let rows = Rows {
        columns: vec!["label".into(), "value".into()],
        rows: (0..60)
            .map(|n| vec![Cell::Text(format!("p{}", n % 55)), Cell::Integer(n)])
            .collect(),
        truncated: false,
    };
    let chart = Chart::of(crate::chart::Kind::Bar, "sold", "pieces", &rows).unwrap();
    let text = charts("messaging", &[chart]);
    let sample = "foldlog_demo_chart{demo=\"messaging\",chart=\"sold\",part=\"p7\",unit=\"pieces\"} 7";
    assert!(text.lines().any(|line| line == sample), "{text}");
    assert_eq!(
        text.lines()
            .filter(|line| line.starts_with("foldlog_demo_chart{"))
            .count(),
        50
    );
}
