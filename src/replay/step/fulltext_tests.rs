//! A full-text index through rebuilds, snapshots, steps and undo: its rows and its answers are those of a plain replay.

use proptest::prelude::*;

use super::super::memory::{Memory, MemorySource};
use super::super::rebuild::tests::control;
use super::tests::{after, dumped, steps_of};
use super::*;

const SEARCH: &str = "-- projection: search
-- topic: events
-- type: $.type

CREATE VIRTUAL TABLE message USING fts5(body, service UNINDEXED, tokenize = 'porter unicode61', prefix = '2');
CREATE TABLE seen (id INTEGER PRIMARY KEY, times INTEGER NOT NULL) STRICT;

-- on: Said
INSERT OR REPLACE INTO message (rowid, body, service) VALUES (:id, :text, :service);
INSERT INTO seen VALUES (:id, 1) ON CONFLICT (id) DO UPDATE SET times = times + 1;

-- on: Added
INSERT INTO message (body, service) VALUES (:text, :service);

-- on: Edited
UPDATE message SET body = :text WHERE rowid = :id;

-- on: Moved
UPDATE message SET rowid = :to, service = 'moved' WHERE rowid = :id;

-- on: Unsaid
DELETE FROM message WHERE message MATCH :text;

-- on: Counted
INSERT INTO seen SELECT count(*) + 100, min(rowid) FROM message WHERE message MATCH :text
ON CONFLICT (id) DO UPDATE SET times = excluded.times;
";

const WORDS: &[&str] = &[
    "order",
    "orders",
    "paid",
    "payment",
    "failed",
    "timeout",
    "\u{e9}t\u{e9}",
];

/// An event: its kind, the row that it is about, the words that it says.
type Event = (u8, u8, u8, Vec<usize>);

fn events() -> impl Strategy<Value = Vec<Event>> {
    let words = prop::collection::vec(0..WORDS.len(), 0..5);
    prop::collection::vec((0..12u8, 0..6u8, 0..8u8, words), 0..60)
}

fn log_of(events: &[Event]) -> Memory {
    let mut log = Memory::new("events", 2);
    for (time, (kind, id, to, words)) in events.iter().enumerate() {
        let kind = match kind {
            0..=3 => "Said",
            4 | 5 => "Added",
            6 | 7 => "Edited",
            8 => "Moved",
            9 | 10 => "Unsaid",
            _ => "Counted",
        };
        let text: Vec<&str> = words.iter().map(|word| WORDS[*word]).collect();
        let text = text.join(" ");
        let value = format!(r#"{{"type": "{kind}", "id": {id}, "to": {to}, "text": "{text}", "service": "s{to}"}}"#);
        log.push("events", i32::from(*id) % 2, time as i64, Some(&value));
    }
    log
}

/// What an index answers: which rows have each word, in which order of rank.
fn answers(steps: &Steps<MemorySource>) -> Vec<Vec<Vec<Cell>>> {
    let session = steps.scratch.session().unwrap();
    let ask = |word: &&str| {
        let sql =
            format!("SELECT rowid, bm25(message) FROM message WHERE message MATCH '{word}*' ORDER BY rank, rowid");
        session.query(&sql, 1000).unwrap().rows
    };
    WORDS.iter().map(ask).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever way led to a number of events, with snapshots or without: the same rows, and the same answers.
    #[test]
    fn an_index_answers_as_after_a_plain_replay(
        events in events(),
        moves in prop::collection::vec((any::<bool>(), 1..20u64, any::<bool>()), 1..8),
        kept in any::<bool>(),
    ) {
        let log = log_of(&events);
        let folder = tempfile::tempdir().unwrap();
        let mut steps = steps_of(folder.path(), SEARCH, &log, kept);
        let mut control = control();
        let mut states = vec![(dumped(&steps), answers(&steps))];
        while steps.forward(&Goal::Count(1), &mut |_| {}, &control).unwrap() == Walked::There {
            states.push((dumped(&steps), answers(&steps)));
        }
        let last = states.len() - 1;
        prop_assert_eq!(last, events.len());
        let mut at = last;
        for (forward, count, jump) in moves {
            let far = usize::try_from(count).unwrap();
            if jump {
                at = far % (last + 1);
                steps.jump(&after(&log, at), &mut control).unwrap();
            } else if forward {
                steps.forward(&Goal::Count(count), &mut |_| {}, &control).unwrap();
                at = (at + far).min(last);
            } else {
                steps.back(&Goal::Count(count), &mut |_| {}, &mut control).unwrap();
                at = at.saturating_sub(far);
            }
            prop_assert_eq!(&(dumped(&steps), answers(&steps)), &states[at]);
        }
    }
}

/// A row that gets other texts is told as one change, and by its rowid.
#[test]
fn an_update_of_an_indexed_row_is_one_change() {
    let mut log = Memory::new("events", 1);
    for (time, value) in [
        r#"{"type": "Said", "id": 7, "text": "order failed", "service": "shop"}"#,
        r#"{"type": "Edited", "id": 7, "text": "order paid"}"#,
        r#"{"type": "Unsaid", "text": "paid"}"#,
    ]
    .iter()
    .enumerate()
    {
        log.push("events", 0, time as i64, Some(value));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut steps = steps_of(folder.path(), SEARCH, &log, false);
    let tables = steps.tables();
    let mut told = Vec::new();
    let take = &mut |step: &Step| {
        for change in step
            .effect
            .changes
            .iter()
            .filter(|change| tables[change.table].name == "message")
        {
            told.push((
                change.before.as_ref().map(crate::readmodel::changes::Row::cells),
                change.after.as_ref().map(crate::readmodel::changes::Row::cells),
            ));
        }
    };
    steps.forward(&Goal::Count(9), take, &control()).unwrap();
    let row = |text: &str| {
        Some(vec![
            Cell::Integer(7),
            Cell::Text(text.to_owned()),
            Cell::Text("shop".to_owned()),
        ])
    };
    let (failed, paid) = (row("order failed"), row("order paid"));
    assert_eq!(told, [(None, failed.clone()), (failed, paid.clone()), (paid, None)]);
}
