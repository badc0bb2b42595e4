//! The time machine: its keys and screens against a fake past, and a journey through a real one.

use foldlog::app::job::{Failure, Job};
use foldlog::app::message::{Effect, Message, Mouse};
use foldlog::app::model::{Pane, Screen};
use foldlog::app::moment::{Go, Timeline, Underway};
use foldlog::readmodel::remembered::Remembered;
use foldlog::record::Timestamp;
use foldlog::replay::step::{Goal, RowGoal};
use foldlog::ui::sample::NOW;
use foldlog::ui::theme::Theme;

use super::fake::{Fake, refused};
use super::harness::Studio;
use super::journeys::{Place, assert_put_back};
use super::language;

const ESC: &str = "\x1b";

fn studio() -> Studio {
    let mut studio = Studio::new((80, 24), Fake::default()).started();
    studio.keys("2T");
    studio
}

fn here(s: &Studio) -> u64 {
    let time = s.model.time.as_ref().unwrap();
    time.moment.value.as_ref().unwrap().counts.total()
}

fn ways(s: &Studio) -> Vec<Go> {
    let ways = s.asked.iter().filter_map(|(_, job)| match job {
        Job::Walk { go, .. } => Some(go.clone()),
        _ => None,
    });
    ways.collect()
}

fn walk(job: &Job) -> bool {
    matches!(job, Job::Walk { .. })
}

#[test]
fn it_opens_at_the_end_for_the_read_model_under_the_cursor_and_esc_leads_back() {
    for (keys, back) in [("2T", Screen::Projections), ("3T", Screen::ReadModel)] {
        let mut s = Studio::new((80, 24), Fake::default()).started();
        s.keys(keys);
        assert_eq!(s.model.screen, Screen::Time);
        assert_eq!(s.model.time.as_ref().unwrap().read_model, "account_balance");
        assert_eq!(here(&s), 4);
        s.keys("<esc>");
        assert_eq!(s.model.screen, back);
        assert!(s.model.time.is_none());
        assert_eq!(s.asked.iter().filter(|(_, job)| *job == Job::LeavePast).count(), 1);
    }
    // What was never built has no past.
    let mut s = Studio::new((80, 24), Fake::default()).started();
    s.keys("2jjT");
    assert_eq!(s.model.screen, Screen::Projections);
    assert!(s.text().contains("no read model under the cursor"), "{}", s.text());
}

#[test]
fn while_it_opens_one_can_leave_and_ask_for_keys() {
    let mut s = Studio::new((80, 24), Fake::default()).started();
    s.hold = walk;
    s.keys("2T.");
    assert!(s.text().contains("no moment in view yet"), "{}", s.text());
    s.keys("?");
    assert!(s.text().contains("play the log on from here"), "{}", s.text());
    s.keys("<esc><esc>");
    assert_eq!(s.model.screen, Screen::Projections);
    let id = s.last(walk);
    assert!(s.effects.contains(&Effect::Cancel(id)));
    // The step that could not be taken was none.
    assert_eq!(ways(&s), [Go::End]);
}

#[test]
fn each_key_goes_its_way() {
    let mut s = studio();
    s.keys(",");
    assert_eq!(here(&s), 3);
    s.keys("<left>");
    assert_eq!(here(&s), 2);
    s.keys(".");
    assert_eq!(here(&s), 3);
    s.keys("l");
    assert_eq!(here(&s), 4);
    s.keys("N");
    assert_eq!(here(&s), 2, "the event of the same key before");
    s.keys("e");
    assert_eq!(here(&s), 4, "the next of the same type");
    s.keys("N");
    assert_eq!(here(&s), 2);
    s.keys("e");
    s.keys("e");
    assert_eq!(here(&s), 4);
    assert!(s.text().contains("there is none up to the end"), "{}", s.text());
    s.keys("g");
    assert_eq!(here(&s), 0);
    assert!(s.text().contains("before the first event"), "{}", s.text());
    s.keys("G");
    assert_eq!(here(&s), 4);
    s.keys("g]}[{");
    let counts: Vec<Go> = [10, 100].map(|n| Go::Forward(Goal::Count(n))).into();
    assert_eq!(ways(&s)[ways(&s).len() - 4..][..2], counts);
    let counts: Vec<Go> = [10, 100].map(|n| Go::Back(Goal::Count(n))).into();
    assert_eq!(ways(&s)[ways(&s).len() - 2..], counts);
}

#[test]
fn the_row_under_the_cursor_leads_to_what_wrote_it() {
    let mut s = studio();
    let row = |id: &str| {
        Some(Goal::Row(RowGoal::row(
            "account",
            &[foldlog::readmodel::query::Cell::Text(id.into())],
        )))
    };
    let last = |s: &Studio| match ways(s).pop() {
        Some(Go::Forward(goal) | Go::Back(goal)) => Some(goal),
        _ => None,
    };
    s.keys(",,<tab>jW");
    assert_eq!(last(&s), row("acc-0001"), "of the second change");
    s.keys("G<tab>");
    assert_eq!(s.model.pane, Pane::Third);
    s.keys("gjjw");
    assert_eq!(last(&s), row("acc-0002"), "of the third row");
    s.keys("gG<esc>").keys("w");
    assert!(s.text().contains("no row under the cursor"), "{}", s.text());
}

#[test]
fn the_row_that_changed_comes_into_view_on_whatever_page_it_is() {
    let mut s = studio();
    s.keys(",,<tab>jj");
    // Of three changes the third is of the third row.
    assert_eq!(s.model.time.as_ref().unwrap().row, 2);
    if let Ok(past) = &mut s.world.past {
        let change = &mut past[1].event.as_mut().unwrap().changes[0];
        change.after.as_mut().unwrap()[0] = foldlog::readmodel::query::Cell::Text("it's-9999".into());
    }
    s.keys(",");
    let asked: Vec<&str> = s
        .asked
        .iter()
        .filter_map(|(_, job)| match job {
            Job::PastRows { sql, .. } => Some(sql.as_str()),
            _ => None,
        })
        .collect();
    let [.., here, rank, page] = asked.as_slice() else {
        panic!("{asked:?}")
    };
    assert_eq!(*here, "SELECT * FROM account ORDER BY id LIMIT 200 OFFSET 0");
    assert_eq!(*rank, "SELECT count(*) FROM account WHERE (id) < ('it''s-9999')");
    assert_eq!(*page, "SELECT * FROM account ORDER BY id LIMIT 200 OFFSET 200");
}

#[test]
fn places_are_typed_as_among_records_and_a_bare_number_counts_events() {
    let mut s = studio();
    s.keys("t1<enter>");
    assert_eq!(here(&s), 1);
    s.keys("t3<enter>");
    assert_eq!(here(&s), 3);
    s.keys("t0:1<enter>");
    assert_eq!(here(&s), 2);
    s.keys("t-1<enter>");
    assert_eq!(here(&s), 3);
    s.keys("tbegin<enter>");
    assert_eq!(here(&s), 0);
    s.keys("tend<enter>");
    assert_eq!(here(&s), 4);
    for typed in ["torders:0:1<enter>", "torders[0]:1<enter>"] {
        s.keys(typed);
        assert_eq!(ways(&s).pop(), Some(Go::Offset(Some("orders".to_owned()), 0, 1)));
    }
    s.keys("t10m ago<enter>");
    assert_eq!(ways(&s).pop(), Some(Go::Time(Timestamp(NOW.0 - 600_000))));
    s.keys("tyesterday<enter>");
    assert!(s.text().contains("no place"), "{}", s.text());
}

#[test]
fn a_held_key_does_not_pile_up_and_a_long_way_is_stopped_where_it_began() {
    let mut s = studio();
    s.hold = walk;
    let before = ways(&s).len();
    s.keys(",,,,");
    assert_eq!(ways(&s).len(), before + 1);
    s.keys("G");
    assert!(s.text().contains("x stops that"), "{}", s.text());
    let id = s.last(walk);
    let underway = Underway {
        events: 12_345,
        share: None,
    };
    s.send(Message::Said(id, foldlog::app::job::Event::Underway(underway)));
    assert!(s.text().contains("12,345 events passed"), "{}", s.text());
    s.keys("x");
    assert!(s.effects.contains(&Effect::Cancel(id)));
    assert_eq!(here(&s), 4);
    assert!(s.text().contains("it stands where it stood"), "{}", s.text());
    // What the stopped way still says is nobody's.
    s.end(id, Err(refused()));
    assert!(!s.text().contains("nothing answers"), "{}", s.text());
    s.hold = |_| false;
    s.keys(",");
    assert_eq!(here(&s), 3);
}

#[test]
fn a_way_that_fails_is_said_and_leaves_the_moment_in_view() {
    let mut s = studio();
    let past = s.world.past.clone();
    s.world.past = Err(Failure::new("account-events[0] has no offset 99\n\nit holds 0 to 3"));
    s.keys("t0:99<enter>");
    assert_eq!(here(&s), 4);
    assert!(s.text().contains("has no offset 99"), "{}", s.text());
    // What was typed is there to be mended.
    s.world.past = past;
    s.keys("<c-u>0:1<enter>");
    assert!(s.model.overlay.is_none(), "{}", s.text());
    s.keys("G,");
    assert_eq!(here(&s), 3);
}

#[test]
fn the_event_is_opened_among_the_records_and_esc_leads_back_to_the_moment() {
    let mut s = studio();
    s.keys(",<enter>");
    assert_eq!(s.model.screen, Screen::Records);
    let asked = s.asked.iter().rev().find_map(|(_, job)| match job {
        Job::Page(request) => Some(request.clone()),
        _ => None,
    });
    assert_eq!(asked.unwrap().topic, "account-events");
    s.keys("<esc>");
    assert_eq!(s.model.screen, Screen::Time);
    assert_eq!(here(&s), 3);
    // Whoever goes elsewhere leaves it for good.
    s.keys("<enter>1");
    assert!(s.model.time.is_none());
    assert_eq!(s.asked.last().map(|(_, job)| job.clone()), Some(Job::Topics));
    assert!(s.asked.iter().any(|(_, job)| *job == Job::LeavePast));
}

/// Sends ticks at the times that the studio asks for, and says at which event it stood when.
fn played(s: &mut Studio, most: usize) -> Vec<(i64, u64)> {
    let mut now = NOW.0;
    let mut seen = Vec::new();
    for _ in 0..most {
        let Some(wake) = s.model.wake() else { break };
        now = now.max(wake.0);
        s.send(Message::Tick(Timestamp(now)));
        if seen.last().map(|(_, at)| *at) != Some(here(s)) {
            seen.push((now - NOW.0, here(s)));
        }
    }
    seen
}

#[test]
fn it_plays_at_the_pace_of_the_log_and_stops_at_its_end() {
    let mut s = studio();
    s.keys("gp");
    assert_eq!(played(&mut s, 20), [(0, 0), (0, 1), (400, 2), (800, 3), (1_200, 4)]);
    assert!(s.model.time.as_ref().unwrap().play.is_none());
    s.keys("gPp");
    assert_eq!(played(&mut s, 20), [(0, 0), (0, 1), (40, 2), (80, 3), (120, 4)]);
}

#[test]
fn a_long_gap_is_played_as_a_second_and_the_same_key_stops() {
    let mut s = studio();
    if let Ok(past) = &mut s.world.past {
        for (n, moment) in past.iter_mut().enumerate() {
            let hour = Some(Timestamp(n as i64 * 3_600_000));
            moment.latest = hour;
            if let Some(event) = &mut moment.event {
                event.record.timestamp = hour;
            }
        }
    }
    s.keys("gp");
    assert_eq!(played(&mut s, 5), [(0, 0), (0, 1), (1_000, 2)]);
    s.keys("p");
    assert!(s.model.wake().is_none());
    // The world stood one further already: so does the screen.
    assert_eq!(here(&s), 3);
    s.keys(",");
    assert_eq!(here(&s), 2);
}

fn goes_to(way: Option<Go>) -> Option<String> {
    match way? {
        Go::Forward(Goal::Condition(sql)) | Go::Back(Goal::Condition(sql)) | Go::First(Goal::Condition(sql)) => {
            Some(sql)
        }
        _ => None,
    }
}

#[test]
fn a_condition_is_typed_run_to_and_remembered() {
    let mut s = studio();
    s.keys("r");
    assert!(s.text().contains("c writes or chooses one"), "{}", s.text());
    s.keys("gc");
    assert!(s.text().contains("run to a condition"), "{}", s.text());
    // Pasted, since the keys of this test are written in angle brackets.
    s.send(Message::Paste("balance < 0".into()));
    s.keys("<enter>");
    assert_eq!(here(&s), 2);
    let sql = "SELECT EXISTS (SELECT 1 FROM (SELECT 1) LEFT JOIN account WHERE balance < 0)";
    assert_eq!(goes_to(ways(&s).pop()).as_deref(), Some(sql));
    assert!(s.text().contains("r: balance < 0"), "{}", s.text());
    s.keys("r");
    assert_eq!(here(&s), 2);
    assert!(s.text().contains("there is none up to the end"), "{}", s.text());
    s.keys("GR");
    assert_eq!(here(&s), 2, "back to where it held");
    s.keys("GF");
    assert_eq!(here(&s), 2, "the first of the log");
    assert!(matches!(ways(&s).pop(), Some(Go::First(_))));
    // The same by bisection, for whoever knows that it lasts.
    s.keys("Gf");
    assert_eq!(here(&s), 2);
    assert_eq!(ways(&s).pop(), Some(Go::FirstLasting(sql.to_owned())));
    // It is offered again, on another visit too, and what is typed is not run twice over.
    s.keys("<esc>2Tgc<enter>");
    assert_eq!(here(&s), 2);
    assert_eq!(s.model.conditions.len(), 1);
    // It is kept for the next session as well.
    let kept = |s: &Studio| {
        let jobs = s.asked.iter().rev().find_map(|(_, job)| match job {
            Job::Remember(name, all) => {
                Some((name.clone(), all.iter().map(|one| one.text.clone()).collect::<Vec<_>>()))
            }
            _ => None,
        });
        jobs.unwrap()
    };
    assert_eq!(kept(&s), ("account_balance".to_owned(), vec!["balance < 0".to_owned()]));
    s.keys("cselect 0<enter>");
    assert_eq!(goes_to(ways(&s).pop()).as_deref(), Some("select 0"));
    assert_eq!(here(&s), 2, "where it never holds it stands where it stood");
    s.keys("F");
    assert!(s.text().contains("no event of the log makes it true"), "{}", s.text());
    s.keys("f");
    assert!(
        s.text().contains("nowhere does it come to hold for good"),
        "{}",
        s.text()
    );
}

#[test]
fn invariants_are_offered_as_conditions() {
    let mut s = studio();
    s.keys("gcoverdrawn");
    assert!(s.text().contains("broken: no account is overdrawn"), "{}", s.text());
    s.keys("<down><enter>");
    assert_eq!(here(&s), 2);
    let sql = "SELECT EXISTS (SELECT id FROM account WHERE balance < 0)";
    assert_eq!(goes_to(ways(&s).pop()).as_deref(), Some(sql));
    assert!(s.model.conditions.is_empty(), "the projection remembers it");
    s.keys("c<esc>");
    assert!(s.model.overlay.is_none());
}

fn timeline() -> Timeline {
    Timeline {
        begin: Timestamp(NOW.0 - 60_000),
        end: Timestamp(NOW.0 - 58_800),
        events: vec![1, 0, 1, 2],
    }
}

#[test]
fn the_slider_is_dragged_to_a_time() {
    let world = Fake {
        timeline: Some(timeline()),
        ..Fake::default()
    };
    let mut s = Studio::new((80, 24), world).started();
    s.keys("2T");
    let area = s.model.layout.slider;
    assert!(area.width > 20);
    let before = ways(&s).len();
    s.send(Message::Mouse(Mouse::Click, area.x + 3, area.y));
    s.send(Message::Mouse(Mouse::Drag, area.x + area.width / 2, area.y + 5));
    assert_eq!(ways(&s).len(), before, "not before it is let go of");
    s.send(Message::Mouse(Mouse::Release, area.x + area.width / 2, area.y + 5));
    let Some(Go::Time(at)) = ways(&s).pop() else {
        panic!("{:?}", ways(&s).pop())
    };
    assert!((at.0 - (NOW.0 - 59_400)).abs() < 30, "{at:?}");
    // Its two ends are those of the log.
    for (x, way) in [(0, Go::Begin), (area.x + area.width + 9, Go::End)] {
        s.send(Message::Mouse(Mouse::Click, area.x + 5, area.y));
        s.send(Message::Mouse(Mouse::Drag, x, area.y));
        s.send(Message::Mouse(Mouse::Release, x, area.y));
        assert_eq!(ways(&s).pop(), Some(way));
    }
    // What began elsewhere is no drag of the slider.
    let before = ways(&s).len();
    s.send(Message::Mouse(Mouse::Drag, area.x + 5, area.y));
    s.send(Message::Mouse(Mouse::Release, area.x + 5, area.y));
    assert_eq!(ways(&s).len(), before);
}

#[test]
fn coarse_moves_go_by_a_twentieth_of_the_log() {
    let mut s = studio();
    s.model.time.as_mut().unwrap().total = 4;
    s.keys("<");
    assert_eq!(here(&s), 3);
    s.keys(">>");
    assert_eq!(ways(&s).pop(), Some(Go::End));
    assert_eq!(here(&s), 4);
    // Of a long log the time is gone to at which there were about so many.
    let time = s.model.time.as_mut().unwrap();
    time.total = 1_000_000;
    time.timeline.value = Some(Timeline {
        begin: Timestamp(0),
        end: Timestamp(NOW.0),
        events: vec![0, 1_000_000],
    });
    s.keys(">");
    let Some(Go::Forward(Goal::Count(by))) = ways(&s).pop() else {
        panic!("the time is not ahead")
    };
    assert_eq!(by, 50_000);
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
    shots("time_poison", "2T", |_| false, Fake::default);
    shots("time_changes", "2T,,<tab>j", |_| false, Fake::default);
    shots("time_rows", "2T,,,<tab><tab>", |_| false, Fake::default);
    shots("time_begin", "2Tg", |_| false, Fake::default);
    shots("time_conditions", "2Tgcbalance", |_| false, Fake::default);
    shots("time_conditions_empty", "2Tc", |_| false, Fake::default);
    let slider = || Fake {
        timeline: Some(timeline()),
        ..Fake::default()
    };
    shots("time_slider", "2T,", |_| false, slider);
    shots("time_keys", "2T?", |_| false, Fake::default);
    shots("time_loading", "2T", walk, Fake::default);
    shots(
        "time_failed",
        "2T",
        |_| false,
        || Fake {
            past: Err(refused()),
            ..Fake::default()
        },
    );
}

#[test]
fn what_changed_stands_out_without_colour_too() {
    let mut s = Studio::new((80, 24), Fake::default());
    s.theme = Theme::MONO;
    let mut s = s.started();
    s.keys("2T,,");
    let buffer = s.buffer();
    let cells = (0..buffer.area.height).flat_map(|y| (0..buffer.area.width).map(move |x| (x, y)));
    let marked: String = cells
        .map(|at| &buffer[at])
        .filter(|cell| cell.modifier.contains(ratatui::style::Modifier::UNDERLINED))
        .map(|cell| cell.symbol())
        .collect();
    // The new balance among the changes, and in the row.
    assert_eq!(marked.matches("-7").count(), 2, "{marked}");
    assert!(s.text().contains("~ account acc-0000"), "{}", s.text());
    assert!(s.text().contains("- account acc-0002"), "{}", s.text());
}

#[test]
fn a_balance_goes_back_in_time() {
    let place = Place::new();
    let mut t = place.studio(120, 40);
    t.wait_for("run the first demo").keys("r").wait_for("checks hold");
    t.keys("2").wait_for("account_balance").wait_for("applied");
    t.keys("T").wait_for("5,004 of 5,004").wait_for("at this moment");
    // Refused also where no event is left to ask it after.
    t.keys("cSELEC\r")
        .wait_for("no such column: SELEC")
        .keys(ESC)
        .wait_gone("run to a condition");
    t.keys(",").wait_for("5,003 of 5,004");
    t.keys(",").wait_for("5,002 of 5,004");
    t.keys(",").wait_for("5,001 of 5,004");
    t.keys(".").wait_for("5,002 of 5,004").wait_for("what it changed");
    t.wait_for("balance").wait_for(" → ");
    t.keys("N").wait_gone("5,002 of 5,004").wait_for(" of 5,004");
    t.keys("n").wait_for("5,002 of 5,004");
    t.keys("w")
        .wait_for("there is none up to the end of the log")
        .wait_for("5,002 of 5,004");
    t.keys("cbalance > 9000\r")
        .wait_for("5,003 of 5,004")
        .wait_for("r: balance > 9000");
    t.keys("F").wait_for("940 of 5,004");
    t.keys("c:amount > 900 AND @partition = 2\r")
        .wait_gone("940 of 5,004")
        .wait_for("[2]");
    t.keys("cblance > 1\r").wait_for("no such column: blance");
    // It is there to be mended, and is not what the next run goes to.
    t.keys(ESC).wait_gone("run to a condition").wait_for("r: :amount > 900");
    t.keys("g").wait_for("before the first event");
    // Accounts are never deleted, so that this one lasts, and both searches end at the same event.
    t.keys("cSELECT count(*) > 99 FROM account\r").wait_for("200 of 5,004");
    t.keys("G").wait_for("5,004 of 5,004");
    t.keys("f").wait_for("200 of 5,004");
    t.keys("g").wait_for("before the first event");
    t.keys("PPp").wait_for("playing 100x").wait_for("40 of 5,004");
    t.keys("p").wait_gone("playing").wait_for("plays 100x");
    t.keys("G").wait_for("5,004 of 5,004");
    t.keys("t0:100").keys("\r").wait_for("[0] 100");
    t.keys("\r").wait_for("oldest first").wait_for("offset    100");
    t.keys(ESC).wait_for("[0] 100");
    t.keys(ESC).wait_for("r rebuild").keys("q");
    assert_put_back(&mut t, "0");
}

#[test]
fn of_two_topics_a_place_says_which_is_meant() {
    const FILE: &str = "-- projection: seen\n-- topic: account-events\n-- topic: others\n-- type: $.type\n\nCREATE TABLE seen (type TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT;\n\n-- on: *\nINSERT INTO seen VALUES (:type, 1) ON CONFLICT (type) DO UPDATE SET n = n + 1;\n";
    let place = Place::new();
    std::fs::write(place.work().join("seen.sql"), FILE).unwrap();
    let mut t = place.studio(140, 40);
    t.wait_for("run the first demo").keys("r").wait_for("checks hold");
    place.produce_to("others", b"{\"type\":\"Strange\"}");
    t.keys("2").wait_for("seen").keys("/seen\r").wait_for("not built");
    t.keys("r").wait_for("rebuilt seen").wait_for("ready");
    t.keys("T").wait_for("5,005 of 5,005").wait_for("at this moment");
    t.keys("t0:1\r").wait_for("several topics have a partition 0");
    t.keys("\x15nowhere:0:0\r").wait_for("does not read the topic nowhere");
    t.keys("\x15others:7:0\r").wait_for("others has no partition 7");
    t.keys("\x15account-events:0:100\r").wait_for("account-events[0] 100");
    t.keys("tothers:0:0\r").wait_for("others[0] 0").wait_for("Strange");
    t.keys("q");
    assert_put_back(&mut t, "0");
}

#[test]
fn conditions_of_an_earlier_session_are_offered_for_their_read_model() {
    let mut s = Studio::new((80, 24), Fake::default()).started();
    if let Ok(past) = &mut s.world.past {
        for moment in past {
            moment.remembered = vec![Remembered {
                text: "balance < 0".into(),
                sql: "SELECT EXISTS (SELECT 1 FROM account WHERE balance < 0)".into(),
            }];
        }
    }
    s.keys("2Tgc");
    assert!(s.text().contains("run to before"), "{}", s.text());
    s.keys("<enter>");
    assert_eq!(here(&s), 2);
    s.keys("cselect 0<enter>");
    assert_eq!(s.model.conditions.len(), 2, "what comes later does not lose them");
}
