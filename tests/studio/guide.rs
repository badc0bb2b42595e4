//! The guide: its dialogue by keys, where it ends, and what it says of what was done.

use foldlog::app::job::{Failure, Job};
use foldlog::app::message::{Message, Mouse};
use foldlog::app::model::Screen;

use super::fake::Fake;
use super::harness::Studio;
use super::language;

const SIZES: [(u16, u16); 2] = [(80, 24), (200, 50)];

fn studio() -> Studio {
    let mut studio = Studio::new((100, 30), Fake::default()).started();
    studio.keys("4C");
    assert_eq!(studio.model.screen, Screen::Guide);
    studio
}

#[test]
fn answers_lead_to_a_demo_and_enter_opens_it() {
    let mut s = studio();
    assert!(
        s.text().contains("question 1") && s.text().contains("thousands a second"),
        "{}",
        s.text()
    );
    s.keys("j<enter>");
    assert!(s.text().contains("Must something happen"), "{}", s.text());
    s.keys("j<enter><enter>");
    assert!(s.text().contains("This comes nearest:"), "{}", s.text());
    assert!(s.text().contains("volume medium · timeliness medium"), "{}", s.text());
    s.keys("<enter>");
    assert_eq!(s.model.screen, Screen::Scene);
    assert_eq!(s.model.demos.open.as_deref(), Some("event-sourcing"));
    s.keys("<esc>");
    assert_eq!(s.model.screen, Screen::Guide, "and back to where it was recommended");
}

#[test]
fn esc_goes_one_question_back_with_the_cursor_on_the_answer_that_was_given() {
    let mut s = studio();
    s.keys("j<enter>j<enter><esc>");
    assert!(s.text().contains("question 2"), "{}", s.text());
    assert_eq!(s.model.guiding.list.cursor(), 1);
    s.keys("<esc>");
    assert!(s.text().contains("question 1"), "{}", s.text());
    s.keys("<esc>");
    assert_eq!(s.model.screen, Screen::Demos, "from the first question one leaves");
    s.keys("C");
    assert!(s.text().contains("question 1"), "{}", s.text());
}

#[test]
fn contradictory_answers_are_said_where_they_lead() {
    let mut s = studio();
    // Few records, no hurry, something else: fraud.
    s.keys("j<enter>j<enter>G<enter>jjjjjjjjj<enter>");
    assert!(
        s.text().contains("! You said that it may wait until tonight."),
        "{}",
        s.text()
    );
    s.keys("<enter>");
    assert_eq!(s.model.screen, Screen::Guide);
    assert!(s.text().contains("that demo is not there"), "{}", s.text());
}

#[test]
fn the_learning_path_shows_what_was_done_and_what_comes_next() {
    let mut s = studio();
    let text = s.text();
    assert!(text.contains("✓ Messaging"), "{text}");
    // Of one that failed the guide says so, and that it is still to be done.
    assert_eq!(
        s.model.guiding.remote.value.as_ref().unwrap().next(),
        Some("log-analytics")
    );
    s.keys("<tab>G");
    assert!(s.text().contains("from then on"), "{}", s.text());
}

#[test]
fn what_cannot_be_read_says_so() {
    let mut s = Studio::new((100, 30), Fake::default()).started();
    s.hold = |job| *job == Job::Guide;
    s.keys("4C");
    assert!(s.text().contains("reading …"), "{}", s.text());
    let id = s.last(|job| *job == Job::Guide);
    s.end(id, Err(Failure::new("there is no guide")));
    assert!(s.text().contains("the guide cannot be read"), "{}", s.text());
}

#[test]
fn screens() {
    for (name, keys) in [
        ("guide_question", "4C"),
        ("guide_end", "4Cj<enter>j<enter><enter>"),
        ("guide_contradiction", "4Cj<enter>j<enter>G<enter>jjjjjjjjj<enter>"),
        ("guide_keys", "4C?"),
    ] {
        for size in SIZES {
            let mut studio = Studio::new(size, Fake::default()).started();
            studio.keys(keys);
            insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), studio.text());
            language::checked(size, Fake::default(), |_| false, keys);
        }
    }
}

#[test]
fn a_click_chooses_an_answer() {
    let mut s = studio();
    s.keys("j<enter>");
    let text = s.text();
    let row = text.lines().position(|line| line.contains("until tonight")).unwrap();
    s.send(Message::Mouse(Mouse::Click, 6, row as u16));
    assert_eq!(s.model.guiding.list.cursor(), 1, "{text}");
    s.send(Message::Mouse(Mouse::Click, 6, row as u16 - 1));
    assert_eq!(s.model.guiding.list.cursor(), 0);
    // Below the last there is none.
    s.send(Message::Mouse(Mouse::Click, 6, row as u16 + 5));
    assert_eq!(s.model.guiding.list.cursor(), 0);
}
