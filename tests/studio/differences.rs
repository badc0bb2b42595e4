//! What differs between two read models: verify, and what if.

use foldlog::app::difference::{Change, Fact, Question, Spot, Thought};
use foldlog::app::job::{Event, Failure, Job};
use foldlog::app::message::{Effect, Message};
use foldlog::app::model::{Level, Screen};
use foldlog::app::moment::{EventAt, Underway};
use foldlog::app::overlay::Overlay;
use foldlog::readmodel::compare::Tally;
use foldlog::record::Timestamp;
use foldlog::ui::sample::NOW;
use foldlog::ui::theme::Theme;

use super::fake::{Fake, refused};
use super::harness::Studio;
use super::journeys::{self, ENTER, assert_put_back};
use super::language;

const ESC: &str = "\x1b";

fn started() -> Studio {
    Studio::new((80, 24), Fake::default()).started()
}

fn asks(job: &Job) -> bool {
    matches!(job, Job::Differences(_))
}

fn question(s: &Studio) -> Question {
    let asked = s.asked.iter().rev().find_map(|(_, job)| match job {
        Job::Differences(question) => Some(question.clone()),
        _ => None,
    });
    asked.unwrap()
}

#[test]
fn a_read_model_is_verified_from_both_screens_that_show_it() {
    for (keys, back) in [("2v", Screen::Projections), ("3v", Screen::ReadModel)] {
        let mut s = started();
        s.keys(keys);
        assert_eq!(s.model.screen, Screen::Differences);
        assert_eq!(question(&s), Question::Verify("account_balance".into()));
        s.keys("<esc>");
        assert_eq!(s.model.screen, back);
        assert!(s.model.differences.is_none());
    }
    let mut s = started();
    s.keys("2jjv");
    assert_eq!(s.model.screen, Screen::Projections);
    assert!(s.text().contains("no read model under the cursor"), "{}", s.text());
}

#[test]
fn the_event_with_which_they_part_is_a_key_away_and_so_is_who_wrote_the_row() {
    let mut s = started();
    s.keys("2v<enter>");
    assert_eq!(s.model.screen, Screen::Records);
    s.keys("<esc>T");
    assert_eq!(s.model.screen, Screen::Time);
    let moment = s.model.time.as_ref().unwrap().moment.value.as_ref().unwrap();
    assert_eq!(moment.counts.total(), 2);
    s.keys("<esc>B");
    assert_eq!(s.model.screen, Screen::Blame);
    let row = s.model.blame.as_ref().unwrap().row.clone();
    assert_eq!(
        (row.key[0].as_str(), row.column.as_deref()),
        ("acc-0000", Some("balance"))
    );
    s.keys("<esc>");
    assert_eq!(s.model.screen, Screen::Differences);
    s.keys("/acc-0002<enter>");
    assert_eq!(s.model.differences.as_ref().unwrap().list.shown(), [2]);
}

#[test]
fn a_search_says_how_far_it_is_and_x_and_leaving_stop_it() {
    for keys in ["x", "<esc>", "1"] {
        let mut s = started();
        s.hold = asks;
        s.keys("2v");
        let id = s.last(asks);
        let underway = Underway {
            events: 868,
            share: Some(0.62),
        };
        s.send(Message::Said(id, Event::Underway(underway)));
        assert!(s.text().contains("62%"), "{}", s.text());
        s.keys(keys);
        assert!(s.effects.contains(&Effect::Cancel(id)), "{keys}");
        // What the stopped search still says is nobody's.
        s.end(id, Err(refused()));
        assert!(!s.text().contains("nothing answers"), "{}", s.text());
    }
}

#[test]
fn an_event_is_thought_away_or_edited_from_wherever_it_is_seen() {
    let event = |offset| EventAt {
        topic: "account-events".into(),
        partition: 0,
        offset,
        time: Some(Timestamp(NOW.0 - 60_000 + offset * 400)),
    };
    let thought = |change| {
        Question::WhatIf(Thought {
            read_model: "account_balance".into(),
            change,
        })
    };
    let mut s = started();
    s.keys("2T,,-");
    assert_eq!(s.model.screen, Screen::Differences);
    assert_eq!(question(&s), thought(Change::Without(event(1))));
    s.keys("<esc>B-");
    assert_eq!(question(&s), thought(Change::Without(event(1))));
    // The prompt begins with what the event says.
    s.keys("<esc>=");
    assert!(s.text().contains("had it said"), "{}", s.text());
    s.keys("<c-u>{}}<enter>");
    assert!(s.text().contains("this is no JSON"), "{}", s.text());
    s.keys("<bs><enter>");
    assert_eq!(question(&s), thought(Change::Instead(event(1), "{}".into())));

    // Another one after it, of its key.
    s.keys("<esc>+");
    assert!(s.text().contains("had then come"), "{}", s.text());
    s.keys("<c-u>{}<enter>");
    let key = Some(b"acc-0000".to_vec());
    assert_eq!(question(&s), thought(Change::Besides(event(1), key, "{}".into())));

    // It, elsewhere.
    for (typed, spot) in [
        ("before 0:0", Spot::Before("account-events".into(), 0, 0)),
        ("after orders:2:7", Spot::After("orders".into(), 2, 7)),
        ("10m ago", Spot::Time(Timestamp(NOW.0 - 600_000))),
    ] {
        s.keys("<esc>m").keys(typed).keys("<enter>");
        assert_eq!(question(&s), thought(Change::Moved(event(1), spot)), "{typed}");
    }
    s.keys("<esc>");
    for typed in ["before 12", "beside 0:1", "12", ""] {
        s.keys("m").keys(typed).keys("<enter>");
        let Some(Overlay::Prompt(prompt)) = &s.model.overlay else {
            panic!("{typed}: {}", s.text())
        };
        let error = prompt.error.clone().unwrap();
        assert!(error.contains("is no place for an event"), "{typed}: {error}");
        s.keys("<esc>");
    }
}

#[test]
fn all_events_that_a_condition_chooses_are_thought_away() {
    let mut s = started();
    s.keys("2T,,_");
    // It begins with the events like this one.
    assert!(s.text().contains("without all where type = '"), "{}", s.text());
    s.keys(" AND :amount = 100<enter>");
    let Question::WhatIf(thought) = question(&s) else {
        panic!("{:?}", question(&s))
    };
    let Change::WithoutWhere(condition) = thought.change else {
        panic!("{:?}", thought.change)
    };
    assert!(
        condition.starts_with("type = '") && condition.ends_with("' AND :amount = 100"),
        "{condition}"
    );
    s.keys("<esc>_<c-u> <enter>");
    assert!(s.text().contains("type a condition"), "{}", s.text());
    // Among records nobody has said where a type stands: they are alike by key.
    let mut s = started();
    if let Ok(rows) = &mut s.world.projections {
        rows[0].topics = vec!["order-events".into()];
    }
    s.keys("2<c-r>1jj<enter>_");
    assert!(s.text().contains("without all where key = '"), "{}", s.text());
}

#[test]
fn a_record_is_thought_away_for_the_read_model_that_folds_its_topic() {
    let mut s = started();
    if let Ok(rows) = &mut s.world.projections {
        rows[0].topics = vec!["order-events".into()];
    }
    s.keys("2<c-r>1jj<enter>-");
    let Question::WhatIf(thought) = question(&s) else {
        panic!("{:?}", question(&s))
    };
    assert_eq!(thought.read_model, "account_balance");
    assert_eq!(thought.change.event().unwrap().topic, "order-events");
    s.keys("<esc>");
    assert_eq!(s.model.screen, Screen::Records);
    if let Ok(rows) = &mut s.world.projections {
        rows[0].topics.clear();
        rows.truncate(1);
    }
    s.keys("2<c-r>1<enter>-");
    assert!(
        s.text().contains("no read model that was built folds this topic"),
        "{}",
        s.text()
    );
}

#[test]
fn an_editor_is_opened_on_what_the_event_says_and_enter_says_that_it_is_meant() {
    let mut s = started();
    s.keys("2T,,=");
    s.keys("<c-o>");
    let text = s.effects.iter().find_map(|effect| match effect {
        Effect::Edit(text) => Some(text.clone()),
        _ => None,
    });
    assert!(text.unwrap().contains("\"amount\":100"));
    s.send(Message::Edited(Err("neither $VISUAL nor $EDITOR is set".into())));
    assert!(s.text().contains("neither $VISUAL"), "{}", s.text());
    s.send(Message::Edited(Ok("{\n  \"type\": \"Renamed\"\n}\n".into())));
    assert!(!s.asked.iter().any(|(_, job)| asks(job)), "not before Enter");
    s.keys("<enter>");
    let Question::WhatIf(thought) = question(&s) else {
        panic!("{:?}", question(&s))
    };
    let Change::Instead(_, said) = thought.change else {
        panic!("{:?}", thought.change)
    };
    assert_eq!(said, "{ \"type\": \"Renamed\" }");
    // Where a line is no value, no editor is opened.
    s.effects.clear();
    s.keys("<esc>t<c-o>");
    assert!(!s.effects.iter().any(|effect| matches!(effect, Effect::Edit(_))));
}

const SIZES: [(u16, u16); 2] = [(80, 24), (200, 50)];

fn shots(name: &str, keys: &str, hold: fn(&Job) -> bool, world: fn() -> Fake) {
    for size in SIZES {
        let mut studio = Studio::new(size, world());
        studio.hold = hold;
        let mut studio = studio.started();
        studio.keys(keys);
        insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), studio.text());
        language::checked(size, world(), hold, keys);
    }
}

#[test]
fn screens() {
    shots("differences_verify", "2v", |_| false, Fake::default);
    shots("differences_what_if", "2T,,-", |_| false, Fake::default);
    shots("differences_edit", "2T,,=", |_| false, Fake::default);
    shots("differences_keys", "2v?", |_| false, Fake::default);
    shots("differences_loading", "2v", asks, Fake::default);
    let equal = || {
        let mut world = Fake::default();
        if let Ok(found) = &mut world.found {
            found.rows.clear();
            found.event = None;
            found.tally = Tally {
                same: 1_200,
                ..Tally::default()
            };
            found.facts = vec![Fact {
                level: Level::Done,
                text: "account_balance is what its log says, after 1,400 records".into(),
            }];
        }
        world
    };
    shots("differences_none", "2v", |_| false, equal);
    let failed = || Fake {
        found: Err(Failure::new(
            "`account_balance` was built from another file\n\nrebuild it first",
        )),
        ..Fake::default()
    };
    shots("differences_failed", "2v", |_| false, failed);
}

#[test]
fn what_differs_stands_out_without_colour_too() {
    let mut s = Studio::new((120, 30), Fake::default());
    s.theme = Theme::MONO;
    let mut s = s.started();
    s.keys("2v");
    let buffer = s.buffer();
    let cells = (0..buffer.area.height).flat_map(|y| (60..buffer.area.width).map(move |x| (x, y)));
    let marked: String = cells
        .map(|at| &buffer[at])
        .filter(|cell| cell.modifier.contains(ratatui::style::Modifier::UNDERLINED))
        .map(|cell| cell.symbol())
        .collect();
    assert!(marked.contains("93"), "{marked}");
    assert!(s.text().contains("~ balance -7 → 93"), "{}", s.text());
}

#[test]
fn a_row_that_somebody_changed_by_hand_is_found_and_an_event_is_thought_away() {
    let place = journeys::Place::new();
    let mut t = place.studio(140, 40);
    t.wait_for("run the first demo").keys("r").wait_for("checks hold");
    t.keys("2").wait_for("account_balance").wait_for("applied");
    t.keys("v").wait_for("account_balance is what its log says");
    t.keys(ESC).wait_for("r rebuild");
    t.keys("T")
        .wait_for("5,004 of 5,004")
        .keys("F")
        .wait_for("no condition yet");
    t.keys("t1\r").wait_for("1 of 5,004").wait_for("AccountOpened");
    t.keys("-")
        .wait_for("› what if")
        .wait_for("the event below is left out");
    t.keys("T").wait_for("1 of 5,004").wait_for("at this moment");
    t.keys(ESC).wait_for("› what if").keys(ESC).wait_for("› time");
    t.keys("n").wait_gone(" 1 of 5,004").wait_for("Deposited");
    t.keys("=")
        .wait_for("had it said")
        .keys("\x15")
        .keys("{\"type\":\"Nothing\"}")
        .keys(ENTER);
    t.wait_for("no handler is for it").wait_for("balance").wait_for(" → ");
    t.keys("q");
    assert_put_back(&mut t, "0");
    let connection = rusqlite::Connection::open(place.build_in_use("account_balance")).unwrap();
    let changed = connection
        .execute("UPDATE account SET balance = -1 WHERE id = 'account-007'", [])
        .unwrap();
    drop(connection);
    assert_eq!(changed, 1);
    let mut t = place.studio(140, 40);
    t.wait_for("account-events")
        .keys("2")
        .wait_for("account_balance")
        .wait_for("applied");
    t.keys("v")
        .wait_for("1 row is not what the log says")
        .wait_for("account-007")
        .wait_for("balance -1 → ");
    t.keys("B")
        .wait_for("› blame")
        .wait_for("newest first")
        .wait_for("account account-007 · balance");
    t.keys("q");
    assert_put_back(&mut t, "0");
}
