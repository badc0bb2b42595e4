//! The alerts of a projection: how many are open, which, since when, and the way to the record that raised each.

use foldlog::app::job::{Job, PageFrom};
use foldlog::app::message::Message;
use foldlog::app::model::{Level, Screen};
use foldlog::app::moment::Go;
use foldlog::app::place::Place;
use foldlog::readmodel::alert::Alerts;
use foldlog::record::Timestamp;
use foldlog::replay::progress::{Phase, Progress};
use foldlog::ui::sample::NOW;

use super::common::eventually;
use super::common::webhook::Server;
use super::fake::{Fake, progress, refused};
use super::harness::Studio;
use super::journeys::{self, assert_put_back};

/// The first projection has one alert that is open, the second some of which none is.
fn watched() -> Fake {
    let mut world = Fake::default();
    if let Ok(rows) = &mut world.projections {
        rows[0].alerts = Some(1);
        rows[1].alerts = Some(0);
    }
    world
}

fn opened(size: (u16, u16), world: Fake) -> Studio {
    let mut s = Studio::new(size, world).started();
    s.keys("2A");
    assert_eq!(s.model.screen, Screen::Alerts);
    s
}

#[test]
fn the_projections_say_how_many_are_open_and_lead_to_them() {
    let mut s = Studio::new((80, 24), watched()).started();
    s.keys("2");
    for said in ["ready ▲ 1", "▲ 1 open: A lists them", "A alerts"] {
        assert!(s.text().contains(said), "{said}: {}", s.text());
    }
    s.keys("j");
    assert!(s.text().contains("0 open"), "{}", s.text());
    s.keys("2jA");
    assert!(s.text().contains("it has no alerts"), "{}", s.text());
    assert_eq!(s.model.screen, Screen::Projections);
    let mut s = Studio::new((80, 24), Fake::default()).started();
    s.keys("2");
    assert!(!s.text().contains("alerts"), "none has any: {}", s.text());
}

#[test]
fn an_alert_leads_to_the_record_that_raised_it_and_to_its_moment() {
    let mut s = opened((120, 30), watched());
    for said in [
        "▲ open",
        "resolved",
        "1 open, 1 resolved",
        "account-events[0] 3",
        "\"acc-0002\"",
    ] {
        assert!(s.text().contains(said), "{said}: {}", s.text());
    }
    s.keys("j");
    for said in ["account-events[0] 1", "account-events[0] 2"] {
        assert!(s.text().contains(said), "{said}: {}", s.text());
    }
    s.keys("<enter>");
    assert_eq!(s.model.screen, Screen::Records);
    let mut places = s.asked.iter().filter_map(|(_, job)| match job {
        Job::Page(request) => Some(&request.from),
        _ => None,
    });
    assert!(places.any(|from| *from == PageFrom::Place(Place::At(0, 1))));
    s.keys("<esc>T");
    assert_eq!(s.model.screen, Screen::Time);
    let walked = s.asked.iter().rev().find_map(|(_, job)| match job {
        Job::Walk {
            stood,
            go: Go::Event(event),
        } => Some((stood.read_model.clone(), event.offset)),
        _ => None,
    });
    assert_eq!(walked, Some(("account_balance".to_owned(), 1)));
    s.keys("<esc>");
    assert_eq!(s.model.screen, Screen::Alerts);
    s.keys("<esc>");
    assert_eq!(s.model.screen, Screen::Projections);
}

#[test]
fn the_cursor_stays_on_its_alert_while_others_come() {
    let mut s = opened((120, 30), watched());
    s.keys("j");
    let on = s.model.alerts.as_ref().unwrap().selected().cloned();
    if let Ok(found) = &mut s.world.alerts {
        let mut newer = found.latest[0].clone();
        newer.raised.offset = 9;
        found.latest.insert(0, newer);
        found.open += 1;
    }
    s.send(Message::Tick(Timestamp(NOW.0 + 10_000)));
    assert!(s.text().contains("2 open, 1 resolved"), "{}", s.text());
    assert_eq!(s.model.alerts.as_ref().unwrap().selected().cloned(), on);
    s.keys("/acc-0002<enter>");
    assert!(s.text().contains("2 of 3"), "{}", s.text());
    s.keys("<esc>/nothing like it<enter>");
    assert!(s.text().contains("nothing contains"), "{}", s.text());
}

#[test]
fn a_list_that_is_not_whole_says_so() {
    let mut world = watched();
    if let Ok(found) = &mut world.alerts {
        found.resolved = 12_345;
    }
    let s = opened((120, 30), world);
    assert!(s.text().contains("2 of 12,346, 1 open"), "{}", s.text());
}

#[test]
fn a_follow_says_when_an_alert_is_raised_or_resolved() {
    let mut world = watched();
    let line = "the alert `overdrawn` is raised at account-events[0] offset 3: {\"id\":\"a\"}";
    world.progress = vec![Progress {
        phase: Phase::Live,
        notices: std::sync::Arc::new(vec![line.to_owned()].into()),
        ..progress()
    }];
    let mut s = Studio::new((120, 30), world).started();
    s.keys("2f");
    assert!(s.text().contains("the alert `overdrawn` is raised"), "{}", s.text());
    let last = s.model.messages.back().unwrap();
    assert_eq!(last.level, Level::Warning);
    assert!(last.line.starts_with("account_balance: the alert"), "{}", last.line);
}

const SIZES: [(u16, u16); 2] = [(80, 24), (200, 50)];

#[test]
fn screens() {
    for size in SIZES {
        let shot = |name: &str, s: &Studio| insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), s.text());
        let mut s = Studio::new(size, watched()).started();
        s.keys("2");
        shot("projections", &s);
        let mut s = opened(size, watched());
        shot("list", &s);
        s.keys("j");
        shot("resolved", &s);
        s.keys("?");
        shot("keys", &s);
        let mut world = watched();
        world.alerts = Ok(Alerts::default());
        shot("empty", &opened(size, world));
        let mut world = watched();
        world.alerts = Err(refused());
        shot("failed", &opened(size, world));
        let mut s = Studio::new(size, watched()).started();
        s.hold = |job| matches!(job, Job::Alerts(..));
        s.keys("2A");
        shot("loading", &s);
    }
}

#[test]
fn alerts_of_a_followed_projection_come_and_lead_to_their_moment() {
    const FILE: &str = "-- projection: seen\n-- topic: account-events\n-- type: $.type\n\nCREATE TABLE seen (\n  type TEXT PRIMARY KEY,\n  n INTEGER NOT NULL\n) STRICT;\n\n-- on: *\nINSERT INTO seen VALUES (:type, 1) ON CONFLICT (type) DO UPDATE SET n = n + 1;\n\n-- alert: strange\nSELECT type, n FROM seen WHERE type = 'Strange' AND type = :type;\n";
    let place = journeys::Place::new();
    std::fs::write(place.work().join("seen.sql"), FILE).unwrap();
    let mut t = place.studio(140, 40);
    t.wait_for("run the first demo").keys("r").wait_for("checks hold");
    t.keys("2").wait_for("seen").keys("/seen\r").wait_for("not built");
    t.keys("r").wait_for("rebuilt seen").wait_for("0 open");
    t.keys("f").wait_for("● live");
    place.produce(b"{\"type\":\"Strange\"}");
    t.wait_for("the alert `strange` is raised").wait_for("▲ 1 open");
    t.keys("A")
        .wait_for("› alerts")
        .wait_for("▲ open")
        .wait_for("\"Strange\"");
    t.keys("\r").wait_for("oldest first").wait_for("Strange");
    t.keys("\x1b")
        .wait_for("› alerts")
        .keys("T")
        .wait_for("› time")
        .wait_for("Strange");
    t.keys("q");
    assert_put_back(&mut t, "0");
}

/// What a follow of the studio raises is posted, also by a record that somebody decided about while it was paused.
#[test]
fn alerts_of_a_follow_are_posted_to_the_webhook_of_the_configuration() {
    const FILE: &str = "-- projection: seen\n-- topic: account-events\n-- type: $.type\n\nCREATE TABLE seen (\n  type TEXT PRIMARY KEY,\n  n INTEGER NOT NULL\n) STRICT;\n\n-- on: *\nINSERT INTO seen VALUES (:type, 1) ON CONFLICT (type) DO UPDATE SET n = n + 1;\n\n-- alert: strange\nSELECT type, n FROM seen WHERE type LIKE 'Strange%' AND type = :type;\n";
    let place = journeys::Place::new();
    let server = Server::start(&[]);
    let config = place.config().join("foldlog");
    std::fs::create_dir_all(&config).unwrap();
    let text = format!("[webhook]\nurl = 'http://{}/hook'\n", server.address);
    std::fs::write(config.join("config.toml"), text).unwrap();
    std::fs::write(place.work().join("seen.sql"), FILE).unwrap();
    let mut t = place.studio(120, 50);
    t.wait_for("run the first demo").keys("r").wait_for("checks hold");
    t.keys("2").wait_for("seen").keys("/seen\r").wait_for("not built");
    t.keys("r").wait_for("rebuilt seen").wait_for("0 open");
    t.keys("f").wait_for("● live");
    let told = |count: usize| {
        eventually("the webhook to be told", || {
            let requests = server.requests();
            let keys = requests
                .iter()
                .map(|(_, body)| body["key"].as_str().unwrap().to_owned());
            (requests.len() >= count).then(|| keys.collect::<Vec<_>>())
        })
    };
    place.produce(b"{\"type\":\"Strange\"}");
    assert_eq!(told(1), ["Strange"]);
    place.produce(b"not json");
    t.wait_for("◼ paused")
        .wait_for("Dead letters")
        .keys("d")
        .wait_for("› dead letters")
        .wait_for("not json");
    t.keys("e")
        .wait_for("apply it as")
        .keys("\x15{\"type\":\"Stranger\"}\r");
    assert_eq!(told(2), ["Strange", "Stranger"]);
    let (head, body) = &server.requests()[0];
    assert!(head[0].starts_with("post /hook "), "{head:?}");
    assert_eq!(
        (&body["projection"], &body["state"]),
        (&"seen".into(), &"raised".into())
    );
    t.keys("q");
    assert_put_back(&mut t, "0");
}
