//! The search of a topic's records: a filter that is meant reads on by itself.

use foldlog::app::job::{Event, Job, Needle, Page, PageFrom, PageRequest};
use foldlog::app::message::{Effect, Message};
use foldlog::broker::topics::Watermarks;
use foldlog::ui::sample::order;

use super::fake::Fake;
use super::harness::Studio;
use super::journeys::{CTRL_U, Place, assert_put_back};

const ESC: &str = "\x1b";

fn searched(s: &Studio) -> Option<PageRequest> {
    s.asked.iter().rev().find_map(|(_, job)| match job {
        Job::Page(request) => Some(request.clone()),
        _ => None,
    })
}

fn opened(hold: fn(&Job) -> bool) -> Studio {
    let mut s = Studio::new((80, 24), Fake::default()).started();
    // The pages that a cursor near an end asks for are of no interest here.
    s.hold = |job| matches!(job, Job::Page(request) if !matches!(request.from, PageFrom::Place(_)));
    s.keys("j<enter>");
    s.hold = hold;
    s
}

fn held(job: &Job) -> bool {
    matches!(job, Job::Page(request) if request.needle.is_some())
}

fn piece(offsets: std::ops::Range<i64>, start: i64, end: i64) -> Page {
    Page {
        records: offsets.map(|n| order((n % 3) as i32, n)).collect(),
        start: (0..3).map(|p| (p, start)).collect(),
        end: (0..3).map(|p| (p, end)).collect(),
        watermarks: (0..3)
            .map(|partition| Watermarks {
                partition,
                low: 0,
                high: 25_000,
            })
            .collect(),
    }
}

#[test]
fn a_filter_that_is_meant_is_searched_for_says_how_far_it_is_and_can_be_stopped() {
    let mut s = opened(held);
    s.keys("/o-0000012<enter>");
    let request = searched(&s).unwrap();
    assert_eq!(request.needle, Some(Needle::Text("o-0000012".into())));
    assert!(matches!(request.from, PageFrom::Before(_)), "{request:?}");
    let id = s.last(held);
    s.send(Message::Said(id, Event::Found(piece(0..0, 12_500, 25_000))));
    insta::assert_snapshot!("searching", s.text());
    assert!(s.text().contains("searching order-events 50%"), "{}", s.text());
    s.send(Message::Said(id, Event::Found(piece(120..123, 100, 12_500))));
    assert_eq!(s.model.records.as_ref().unwrap().list.shown().len(), 3);
    assert!(s.text().contains("3 found in 99%"), "{}", s.text());
    s.keys("x");
    assert!(s.effects.contains(&Effect::Cancel(id)));
    assert!(s.text().contains("3 found in 99%"), "{}", s.text());
    // Whoever goes on past what was found searches on where it was stopped.
    s.keys("G");
    let request = searched(&s).unwrap();
    assert_eq!(request.from, PageFrom::Before((0..3).map(|p| (p, 100)).collect()));
    assert_eq!(request.needle, Some(Needle::Text("o-0000012".into())));
    // Without the filter the log stands around what was found.
    s.hold = |job| matches!(job, Job::Page(_));
    s.keys("<esc>");
    let request = searched(&s).unwrap();
    assert!(matches!(request.from, PageFrom::UpTo(_, 120)), "{request:?}");
    assert_eq!(request.needle, None);
}

#[test]
fn a_search_that_finds_nothing_says_where_it_looked() {
    let mut s = opened(|_| false);
    s.keys("/nowhere<enter>");
    insta::assert_snapshot!("searched_in_vain", s.text());
    assert!(s.text().contains("is nowhere in this topic"), "{}", s.text());
    // What was typed can be mended.
    s.keys("/<c-u>o-0002497<enter>");
    assert!(s.text().contains("10 found"), "{}", s.text());
}

#[test]
fn a_condition_in_sql_is_searched_for_and_mended_where_it_is_none() {
    let mut s = opened(|_| false);
    s.keys("/where amount<enter>");
    assert!(s.text().contains("no such column: amount"), "{}", s.text());
    assert!(s.text().contains("/where amount"), "{}", s.text());
    s.keys("<c-u>where 1<enter>");
    assert!(s.model.overlay.is_none(), "{}", s.text());
    let request = searched(&s).unwrap();
    assert_eq!(request.needle, Some(Needle::Where("1".into())));
    assert!(s.text().contains("40 found"), "{}", s.text());
    // What arrives is held against it, too.
    s.keys("f");
    let tails = |(_, job): &(_, Job)| {
        matches!(
            job,
            Job::Tail {
                needle: Some(Needle::Where(_)),
                ..
            }
        )
    };
    assert!(s.asked.iter().any(tails));
}

#[test]
fn a_record_far_back_is_found_in_a_topic_that_no_window_holds() {
    let place = Place::new();
    let mut t = place.studio(100, 30);
    t.wait_for("run the first demo");
    place.produce_all("far", (0..4_000).map(|n| format!("{{\"n\":{n},\"id\":\"id-{n}-\"}}")));
    t.wait_for("far").keys("\r").wait_for("\"id-3999-\"");
    t.keys("/id-17-\r").wait_for("1 found").wait_for("\"id-17-\"");
    t.keys(ESC).wait_for("{\"n\":16,");
    t.keys("/where :n = 3 OR :n = 3500\r")
        .wait_for("2 found")
        .wait_for("{\"n\":3500,");
    t.keys("/")
        .keys(CTRL_U)
        .keys("where n = 3\r")
        .wait_for("no such column: n");
    t.keys(CTRL_U).keys("id-5-\r").wait_for("1 found").wait_for("\"id-5-\"");
    t.keys("q");
    assert_put_back(&mut t, "0");
}
