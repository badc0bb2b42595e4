//! Blame: which events wrote a row, and where they lead.

use foldlog::app::job::{Event, Job, PageFrom};
use foldlog::app::message::{Effect, Message, Mouse};
use foldlog::app::model::{Pane, Screen};
use foldlog::app::moment::{EventAt, Go, Underway, Wrote};
use foldlog::app::place::Place;
use foldlog::app::screens::blame::{Asked, KEPT};

use super::fake::{Fake, refused};
use super::harness::Studio;
use super::journeys::{self, assert_put_back};
use super::language;

const ESC: &str = "\x1b";

fn started() -> Studio {
    Studio::new((80, 24), Fake::default()).started()
}

fn blames(job: &Job) -> bool {
    matches!(job, Job::Blame(_))
}

fn asked(s: &Studio) -> Asked {
    let asked = s.asked.iter().rev().find_map(|(_, job)| match job {
        Job::Blame(row) => Some(row.clone()),
        _ => None,
    });
    asked.unwrap()
}

fn offsets(s: &Studio) -> Vec<i64> {
    let blame = s.model.blame.as_ref().unwrap();
    let shown = blame.list.shown().iter();
    shown.map(|i| blame.item(*i).unwrap().record.offset).collect()
}

#[test]
fn the_row_and_the_cell_under_the_cursor_are_asked_for() {
    let mut s = started();
    // From the list of tables it is the row that was last looked at.
    s.keys("3B");
    assert_eq!(s.model.screen, Screen::Blame);
    let first = Asked {
        read_model: "account_balance".into(),
        table: "account".into(),
        key: vec!["acc-0000".into()],
        column: None,
        until: None,
    };
    assert_eq!(asked(&s), first);
    assert!(s.text().contains("found by a replay"), "{}", s.text());
    assert_eq!(offsets(&s), [1, 0], "the newest first");
    assert_eq!(s.model.blame.as_ref().unwrap().cell(), None);
    s.keys("<esc>");
    assert_eq!(s.model.screen, Screen::ReadModel);
    assert!(s.model.blame.is_none());
    // On a key it is the row, on any other value the cell.
    s.keys("<enter>B");
    assert_eq!(s.model.blame.as_ref().unwrap().cell(), None);
    s.keys("<esc>jlB");
    assert_eq!(asked(&s).key, ["acc-0001"]);
    assert_eq!(s.model.blame.as_ref().unwrap().cell(), Some("balance"));
    s.keys("<esc>");
    assert_eq!(s.model.readmodel.row, 1, "the cursor stands where it stood");
}

#[test]
fn on_the_screen_of_the_past_it_ends_with_the_moment_in_view() {
    let mut s = started();
    s.keys("2T,,,<tab>B");
    assert_eq!(offsets(&s), [0]);
    assert!(asked(&s).until.is_some());
    s.keys("<esc>");
    assert_eq!(s.model.screen, Screen::Time);
    s.keys(".<tab>lB");
    assert_eq!(s.model.blame.as_ref().unwrap().cell(), Some("balance"));
    assert_eq!(offsets(&s), [1, 0]);
}

#[test]
fn a_query_of_ones_own_has_no_rows_to_blame_and_says_so() {
    let mut s = started();
    s.keys("3sSELECT 1<enter>B");
    assert_eq!(s.model.screen, Screen::ReadModel);
    assert!(s.text().contains("these rows are a query's"), "{}", s.text());
}

#[test]
fn one_key_leads_to_the_record_and_one_to_its_moment_and_esc_back() {
    let mut s = started();
    s.keys("3Bj<enter>");
    assert_eq!(s.model.screen, Screen::Records);
    let places = s.asked.iter().filter_map(|(_, job)| match job {
        Job::Page(request) => Some(&request.from),
        _ => None,
    });
    assert!(places.clone().any(|from| *from == PageFrom::Place(Place::At(0, 0))));
    s.keys("<esc>");
    assert_eq!(s.model.screen, Screen::Blame);
    assert_eq!(offsets(&s), [1, 0]);
    s.keys("T");
    assert_eq!(s.model.screen, Screen::Time);
    let walked = s.asked.iter().rev().find_map(|(_, job)| match job {
        Job::Walk {
            go: Go::Event(event), ..
        } => Some(event.clone()),
        _ => None,
    });
    let EventAt { topic, offset, .. } = walked.unwrap();
    assert_eq!((topic.as_str(), offset), ("account-events", 0));
    s.keys("<esc>");
    assert_eq!(s.model.screen, Screen::Blame);
    assert!(s.model.time.is_none(), "nobody goes back to it");
    s.keys("<esc><esc>");
    assert_eq!(s.model.screen, Screen::Topics);
}

#[test]
fn the_past_that_one_came_from_is_still_there_behind_it() {
    let mut s = started();
    s.keys("2T,,BjT");
    assert_eq!(s.model.screen, Screen::Time);
    s.keys("<esc>");
    assert_eq!(s.model.screen, Screen::Blame);
    s.keys("<esc>");
    assert_eq!(s.model.screen, Screen::Time);
    let stands = s.model.time.as_ref().unwrap().moment.value.as_ref().unwrap();
    assert_eq!(stands.counts.total(), 1, "at the moment that was gone to");
    s.keys("<esc>");
    assert_eq!(s.model.screen, Screen::Projections);
    assert!(s.model.time.is_none());
}

#[test]
fn a_blame_of_a_blame_leads_back_without_a_dead_end() {
    let mut s = started();
    s.keys("2T,,BTB");
    assert_eq!(s.model.screen, Screen::Blame);
    s.keys("<esc>");
    assert_eq!(s.model.screen, Screen::Time);
    s.keys("<esc>");
    assert_eq!(s.model.screen, Screen::Projections, "the other blame is gone");
}

#[test]
fn cell_or_row_order_and_filter() {
    let mut s = started();
    s.keys("3<enter>lB");
    assert_eq!(offsets(&s), [1, 0]);
    s.keys("o");
    assert_eq!(offsets(&s), [0, 1]);
    s.keys("/depos<enter>");
    assert_eq!(offsets(&s), [1]);
    s.keys("<esc>");
    assert_eq!(offsets(&s), [0, 1]);
    // The owner was set once and never changed.
    s.keys("<esc>");
    assert_eq!(
        (s.model.pane, s.model.readmodel.column),
        (Pane::Detail, 1),
        "where it was left"
    );
    s.keys("lB");
    assert_eq!(s.model.blame.as_ref().unwrap().cell(), Some("owner"));
    assert_eq!(offsets(&s), [0]);
    s.keys("c");
    assert_eq!(offsets(&s), [1, 0]);
}

#[test]
fn what_is_found_comes_in_as_it_is_found_and_x_stops_the_search() {
    let mut s = started();
    s.hold = blames;
    s.keys("3B");
    assert!(s.text().contains("replaying the log"), "{}", s.text());
    let id = s.last(blames);
    let event = |n: i64| {
        let mut event = match &s.world.past {
            Ok(past) => past[1].event.clone().unwrap(),
            Err(_) => panic!("there is a past"),
        };
        event.record.offset = n;
        event
    };
    let some = |from: i64, to: i64| Wrote {
        events: (from..to).map(event).collect(),
        underway: Underway {
            events: 868,
            share: Some(0.62),
        },
        ..Wrote::default()
    };
    let (first, second) = (some(0, 3), some(3, 3 + KEPT as i64));
    s.send(Message::Said(id, Event::Wrote(first)));
    assert_eq!(offsets(&s), [2, 1, 0]);
    assert!(s.text().contains("62%"), "{}", s.text());
    s.keys("j");
    s.send(Message::Said(id, Event::Wrote(second)));
    let blame = s.model.blame.as_ref().unwrap();
    assert_eq!((blame.events.len(), blame.found), (KEPT, KEPT as u64 + 3));
    s.keys("x");
    assert!(s.effects.contains(&Effect::Cancel(id)));
    assert!(s.text().contains("what was found stays"), "{}", s.text());
    assert_eq!(offsets(&s)[0], KEPT as i64 + 2);
    s.keys("x");
    assert!(s.text().contains("nothing is running"), "{}", s.text());
}

#[test]
fn whoever_leaves_stops_the_search() {
    for keys in ["<esc>", "1"] {
        let mut s = started();
        s.hold = blames;
        s.keys("3B");
        let id = s.last(blames);
        s.keys(keys);
        assert!(s.effects.contains(&Effect::Cancel(id)), "{keys}");
        assert!(s.model.blame.is_none());
    }
}

#[test]
fn a_click_on_a_value_puts_the_cursor_on_its_cell() {
    let mut s = Studio::new((120, 30), Fake::default()).started();
    s.keys("3<enter>");
    let text = s.text();
    let line = text.lines().position(|line| line.contains("acc-0002")).unwrap();
    let at = text.lines().nth(line).unwrap().find("owner 2").unwrap();
    // The columns before it are of one cell each.
    let column = text.lines().nth(line).unwrap()[..at].chars().count();
    s.send(Message::Mouse(Mouse::Click, column as u16, line as u16));
    assert_eq!((s.model.readmodel.row, s.model.readmodel.column), (2, 2));
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
    shots("blame_row", "3B", |_| false, Fake::default);
    shots("blame_cell", "3<enter>lB", |_| false, Fake::default);
    shots("blame_keys", "3B?", |_| false, Fake::default);
    shots("blame_loading", "3B", blames, Fake::default);
    let nothing = || Fake {
        past: Fake::default().past.map(|all| all[..1].to_vec()),
        ..Fake::default()
    };
    shots("blame_nothing", "3B", |_| false, nothing);
    let failed = || Fake {
        past: Err(refused()),
        ..Fake::default()
    };
    shots("blame_failed", "3B", |_| false, failed);
}

#[test]
fn a_balance_tells_who_wrote_it() {
    let place = journeys::Place::new();
    let mut t = place.studio(140, 40);
    t.wait_for("run the first demo").keys("r").wait_for("checks hold");
    t.keys("3")
        .wait_for("account_balance.account")
        .keys("\r")
        .wait_for("account-001");
    t.keys("jllB")
        .wait_for("newest first")
        .wait_for(" → ")
        .wait_for("UPDATE account");
    t.keys("G").wait_for("Opened");
    t.keys("T")
        .wait_for("at this moment")
        .wait_for("Opened")
        .wait_for("what it changed");
    t.keys(ESC).wait_for("› blame");
    t.keys("G\r").wait_for("› records").wait_for("Value");
    t.keys(ESC).wait_for("› blame");
    t.keys(ESC).wait_for("SELECT * FROM account_balance").keys("q");
    assert_put_back(&mut t, "0");
}
