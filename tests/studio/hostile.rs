//! Whatever a record, a row or a name contains, no control character reaches a cell.

use foldlog::app::job::TopicRow;
use foldlog::broker::topics::Watermarks;
use foldlog::readmodel::query::{Cell, Rows};
use foldlog::record::{Header, Record, Timestamp};
use proptest::prelude::*;

use super::fake::Fake;
use super::harness::Studio;

fn hostile(bytes: &[u8]) -> Fake {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let mut fake = Fake::default();
    fake.records = Ok(vec![Record {
        topic: "t".into(),
        partition: 0,
        offset: 7,
        timestamp: Some(Timestamp(i64::from_le_bytes(
            bytes
                .iter()
                .copied()
                .chain([0; 8])
                .take(8)
                .collect::<Vec<_>>()
                .try_into()
                .unwrap(),
        ))),
        key: Some(bytes.to_vec()),
        value: Some(bytes.to_vec()),
        headers: vec![Header {
            key: text.clone(),
            value: Some(bytes.to_vec()),
        }],
    }]);
    fake.topics = Ok(vec![TopicRow {
        name: text.clone(),
        replication: 1,
        internal: false,
        watermarks: vec![Watermarks {
            partition: 0,
            low: 0,
            high: i64::MAX,
        }],
    }]);
    fake.rows = Ok(Rows {
        columns: vec![text.clone()],
        rows: vec![vec![Cell::Text(text.clone())], vec![Cell::Blob(bytes.to_vec())]],
        truncated: false,
    });
    fake.projections = fake.projections.map(|mut all| {
        all[1].dead_letters[0].reason = text.clone();
        all[2].broken = Some(text.clone());
        all
    });
    fake
}

fn assert_harmless(studio: &Studio) {
    for cell in &studio.buffer().content {
        let acts = |c: char| {
            c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        assert!(!cell.symbol().chars().any(acts), "{:?}", cell.symbol());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_control_character_reaches_the_screen(
        bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..120),
            "\\PC*[\\x1b\\x07\\x9b\u{202e}\u{2066}\\n\\r\\t]\\[2J\\]0;x\\x07.{0,20}".prop_map(String::into_bytes),
            "\\{\"[\\x00-\\x1f\u{9b}\u{202e}a-z]{0,20}\": [\\[\\{\"]{0,3}.{0,20}".prop_map(String::into_bytes),
        ],
    ) {
        for size in [(80, 24), (120, 30)] {
            let mut studio = Studio::new(size, hostile(&bytes)).started();
            for keys in ["", "<enter>", "<enter>z", "<esc><esc><esc>2j", "j", "3", "<tab>", "!"] {
                studio.keys(keys);
                assert_harmless(&studio);
            }
        }
    }
}
