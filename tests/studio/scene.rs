//! A demo's scene: its flow and lesson, the keys of its clock, what is broken by hand, and the ways out and back.

use std::sync::Arc;

use foldlog::app::job::{Cue, Event, Job, Staged, TaskId};
use foldlog::app::message::{Effect, Message};
use foldlog::app::model::{Level, Screen};
use foldlog::app::overlay::Overlay;
use foldlog::demo::catalog::Catalog;
use foldlog::demo::graph::{Graph, Kind};
use foldlog::demo::player::{Speed, Stands};
use foldlog::demo::run::{ByHand, StepState};
use foldlog::demo::snapshot::PartState;
use foldlog::demo::text::{Language, Text};
use foldlog::record::Timestamp;
use foldlog::ui::sample::NOW;

use super::common::terminal::Terminal;
use super::fake::{Fake, messaging_scene, staged};
use super::harness::Studio;
use super::journeys::{ENTER, Place, assert_put_back};

const SIZES: [(u16, u16); 2] = [(80, 24), (200, 50)];
/// From the first screen to the scene of the second demo.
const OPEN: &str = "4j<enter>";

fn studio(size: (u16, u16)) -> Studio {
    let mut studio = Studio::new(size, Fake::default()).started();
    studio.keys(OPEN);
    studio
}

/// The job of the demo that runs.
fn job(studio: &Studio) -> TaskId {
    studio.last(|job| matches!(job, Job::RunDemo { .. }))
}

fn say(studio: &mut Studio, change: impl FnOnce(&mut Staged)) {
    let mut now = staged("messaging", true, Speed::Times(100));
    change(&mut now);
    let id = job(studio);
    studio.send(Message::Said(id, Event::Staged(Box::new(now))));
}

/// What the demo was told, oldest first.
fn told(studio: &Studio) -> Vec<Cue> {
    let cues = studio.effects.iter().filter_map(|effect| match effect {
        Effect::Tell(_, cue) => Some(*cue),
        _ => None,
    });
    cues.collect()
}

fn by_hand(state: StepState, en: &str, note: &str) -> ByHand {
    ByHand {
        line: 7,
        title: Text {
            en: Some(en.into()),
            zh: Some("停止 payment".into()),
        },
        state,
        note: note.into(),
    }
}

/// After the first step: payment was stopped by hand, and 40 orders wait for it.
fn broken(now: &mut Staged) {
    now.scene = messaging_scene(240, 40);
    for line in 2..8 {
        now.steps[line].state = StepState::Passed;
    }
    now.steps[3].note = "200 records written".into();
    now.steps[4].note = "caught up".into();
    now.steps[5].note = "200".into();
    now.steps[7].state = StepState::Failed;
    now.steps[7].note = "-3, expected 0".into();
    now.by_hand = vec![by_hand(StepState::Passed, "stop payment", "payment stopped")];
}

#[test]
fn a_scene_at_every_moment() {
    let shot = |name: &str, keys: &str, change: &dyn Fn(&mut Studio)| {
        for size in SIZES {
            let mut studio = studio(size);
            studio.keys(keys);
            change(&mut studio);
            insta::assert_snapshot!(format!("scene_{name}_{}x{}", size.0, size.1), studio.text());
        }
    };
    shot("at_rest", "", &|_| {});
    shot("waits_for_a_step", "n", &|_| {});
    shot("runs_through", "r", &|_| {});
    shot("broken", "nll", &|studio| say(studio, broken));
    shot("faults", "nll", &|studio| {
        say(studio, broken);
        studio.keys("kb");
    });
    shot("poisoned_without_broker", "nlll", &|studio| {
        say(studio, |now| {
            now.scene = messaging_scene(240, 40);
            let payment = now
                .scene
                .graph
                .parts
                .iter()
                .position(|part| part.name == "payment")
                .unwrap();
            now.scene.parts[payment].state = PartState::Poisoned;
            now.scene.parts[payment].reason = "order-events[0] offset 7: the value is no JSON".into();
            now.scene.broker_lost = true;
        });
    });
    shot("over", "n", &|studio| {
        say(studio, |now| {
            now.scene = messaging_scene(450, 0);
            now.clock.stands = Stands::Over;
            now.steps.iter_mut().for_each(|step| step.state = StepState::Passed);
        });
    });
    shot("in_chinese", "nll", &|studio| {
        studio.model.language = Language::Chinese;
        say(studio, broken);
    });
    shot("keys", "?", &|_| {});
}

/// A flow with more columns than the screen has room for says how many parts lie outside, and on which side.
#[test]
fn what_of_a_wide_flow_is_out_of_view_is_said() {
    let wide = |size| {
        let mut s = studio(size);
        let catalog = Catalog::load(&[]).unwrap();
        let rows = s.model.demos.remote.value.as_mut().unwrap();
        rows[1].graph = Arc::new(Graph::of(catalog.get("cqrs").unwrap()));
        // Drawn anew, where it stands.
        s.keys("h");
        s
    };
    let mut narrow = wide((80, 24));
    let text = narrow.text();
    assert!(text.contains(" more ▸") && !text.contains("◂"), "{text}");
    narrow.keys("llllllll");
    let text = narrow.text();
    assert!(text.contains("◂ ") && !text.contains(" more ▸"), "{text}");
    let text = wide((200, 50)).text();
    assert!(!text.contains(" more ▸") && !text.contains("◂"), "{text}");
}

#[test]
fn the_keys_of_the_clock_tell_the_run_what_to_do() {
    let mut s = studio((80, 24));
    s.keys("p");
    assert!(s.text().contains("nothing runs: n begins the lesson"), "{}", s.text());
    s.keys("n");
    let begun = s.asked.iter().rev().find_map(|(_, job)| match job {
        Job::RunDemo { id, by_step, .. } => Some((id.clone(), *by_step)),
        _ => None,
    });
    assert_eq!(begun, Some(("messaging".into(), true)));
    assert_eq!(told(&s), [Cue::NextStep]);
    s.keys("n.pP");
    let since = [Cue::NextStep, Cue::OneRecord, Cue::Pause, Cue::Speed(Speed::Fastest)];
    assert_eq!(told(&s)[1..], since);
    say(&mut s, |now| {
        now.clock.playing = false;
        now.clock.speed = Speed::Fastest;
    });
    s.keys(" Pa");
    let since = [Cue::Play, Cue::Speed(Speed::Times(1)), Cue::ByStep(false)];
    assert_eq!(told(&s)[5..], since);
    // While a step is under way there is no next one to ask for.
    say(&mut s, |now| now.clock.stands = Stands::Acting);
    s.keys("n");
    assert!(s.text().contains("the step is still under way"), "{}", s.text());
    assert_eq!(told(&s).len(), 8);
}

#[test]
fn a_demo_that_is_begun_again_ends_first() {
    let mut s = studio((80, 24));
    s.keys("n");
    let first = job(&s);
    s.keys("r");
    assert!(s.effects.contains(&Effect::Cancel(first)));
    assert_eq!(job(&s), first, "its topics are not two runs' at once");
    s.end(first, Err(foldlog::app::job::Failure::new("cancelled")));
    assert_ne!(job(&s), first);
    assert!(
        matches!(s.asked.last(), Some((_, Job::RunDemo { by_step: false, .. }))),
        "{:?}",
        s.asked.last()
    );
    s.keys("x");
    let second = job(&s);
    assert!(s.effects.contains(&Effect::Cancel(second)));
    s.end(second, Ok(Event::Done(String::new())));
    assert!(s.text().contains("stopped; what it wrote stays"), "{}", s.text());
}

#[test]
fn what_is_broken_by_hand_is_chosen_by_name_and_told_to_the_run() {
    let mut s = studio((80, 24));
    s.keys("b");
    assert!(s.text().contains("nothing runs"), "{}", s.text());
    s.keys("nbstop pay<enter>");
    let Some(Cue::Fault(at)) = told(&s).last().copied() else {
        panic!("{:?}", told(&s));
    };
    let demo = foldlog::app::screens::scene::demo(&s.model).unwrap();
    assert_eq!(demo.faults[at].title().get(Language::English), "stop payment");
    // What is stopped can be started and not be stopped again; what is beside the cursor is found by its name.
    say(&mut s, broken);
    let entries = |s: &Studio| match &s.model.overlay {
        Some(Overlay::Palette(palette)) => palette.entries.iter().map(|entry| entry.name.clone()).collect(),
        other => panic!("{other:?}"),
    };
    s.keys("bstop pay");
    let found: Vec<String> = entries(&s);
    assert!(!found.contains(&"stop payment".to_owned()), "{found:?}");
    s.keys("<esc>b");
    let found: Vec<String> = entries(&s);
    assert!(found.contains(&"start payment".to_owned()), "{found:?}");
    s.keys("<esc>");
    assert_eq!(s.model.screen, Screen::Scene);
}

#[test]
fn the_broker_is_only_taken_away_by_whoever_runs_it() {
    for (embedded, why) in [
        (true, "another Foldlog on this data directory runs the broker"),
        (false, "not Foldlog's own"),
    ] {
        let mut world = Fake::default();
        if let Ok(cluster) = &mut world.cluster {
            cluster.embedded = embedded;
            cluster.attached = embedded;
        }
        let mut s = Studio::new((120, 40), world).started();
        s.keys(OPEN).keys("n");
        if !embedded {
            s.keys("<enter>");
        }
        let before = told(&s).len();
        s.keys("bstop the broker");
        assert!(s.text().contains(why), "{}", s.text());
        s.keys("<enter>");
        assert_eq!(told(&s).len(), before);
        assert!(s.model.messages.iter().all(|note| note.level != Level::Error));
    }
}

#[test]
fn a_cluster_that_is_not_foldlogs_own_is_asked_for_before_anything_is_made_there() {
    let mut world = Fake::default();
    if let Ok(cluster) = &mut world.cluster {
        cluster.embedded = false;
        cluster.name = "staging".into();
    }
    let mut s = Studio::new((120, 40), world).started();
    s.keys(OPEN).keys("n");
    let runs = |s: &Studio| {
        s.asked
            .iter()
            .filter(|(_, job)| matches!(job, Job::RunDemo { .. }))
            .count()
    };
    assert_eq!(runs(&s), 0);
    assert!(s.text().contains("foldlog-demo-messaging-order-events"), "{}", s.text());
    s.keys("<esc>");
    assert_eq!(runs(&s), 0);
    s.keys("r<enter>");
    assert_eq!(runs(&s), 1);
}

#[test]
fn a_lost_broker_is_said_and_asked_for_nothing_until_it_is_back() {
    let mut s = studio((100, 30));
    s.keys("n");
    say(&mut s, |now| now.scene.broker_lost = true);
    let header = |s: &Studio| s.text().lines().next().unwrap().to_owned();
    assert!(header(&s).contains("✗ broker lost"), "{}", header(&s));
    assert!(s.text().contains("the broker is lost"), "{}", s.text());
    let asked = |s: &Studio| s.asked.iter().filter(|(_, job)| *job == Job::Topics).count();
    let before = asked(&s);
    s.send(Message::Tick(Timestamp(NOW.0 + 60_000)));
    assert_eq!(asked(&s), before);
    say(&mut s, |_| {});
    assert_eq!(asked(&s), before + 1);
    assert!(header(&s).contains("lab ●"), "{}", header(&s));
}

#[test]
fn enter_opens_what_a_part_holds_and_esc_comes_back_to_it() {
    for (way, screen) in [
        ("l", Screen::Records),
        ("ll", Screen::Groups),
        ("lll", Screen::ReadModel),
    ] {
        let mut s = studio((200, 50));
        s.keys("n").keys(way);
        let cursor = foldlog::app::screens::scene::scene(&s.model).unwrap().cursor;
        s.keys("<enter>");
        assert_eq!(s.model.screen, screen, "{way}");
        s.keys("<esc>");
        while s.model.screen != Screen::Scene && s.model.screen != Screen::Demos {
            s.keys("<esc>");
        }
        assert_eq!(s.model.screen, Screen::Scene, "{way}");
        assert_eq!(foldlog::app::screens::scene::scene(&s.model).unwrap().cursor, cursor);
    }
}

#[test]
fn records_move_while_they_flow_and_a_scene_at_rest_asks_for_no_frame() {
    let mut s = studio((200, 50));
    s.keys("n");
    assert_eq!(s.model.wake(), None);
    say(&mut s, |now| now.scene = messaging_scene(1, 0));
    assert!(s.model.wake().is_some());
    let still = s.text();
    let mut seen = Vec::new();
    for frame in 0..10 {
        s.send(Message::Tick(Timestamp(NOW.0 + frame * 80)));
        seen.push(s.text());
    }
    assert!(seen.windows(2).any(|two| two[0] != two[1]));
    s.send(Message::Tick(Timestamp(NOW.0 + 2_000)));
    assert_eq!(s.model.wake(), None);
    let body = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(body(&s.text()), body(&still), "what has arrived is gone");
    // On another screen nobody sees them.
    say(&mut s, |now| now.scene = messaging_scene(5, 0));
    s.keys("1");
    assert_eq!(s.model.wake(), None);
}

#[test]
fn the_end_of_the_lesson_is_told_once() {
    let mut s = studio((80, 24));
    s.keys("n");
    for _ in 0..2 {
        say(&mut s, |now| {
            now.clock.stands = Stands::Over;
            now.steps.iter_mut().for_each(|step| step.state = StepState::Passed);
        });
    }
    let told = s
        .model
        .messages
        .iter()
        .filter(|note| note.line.contains("messaging: 11 of 11 checks hold"));
    assert_eq!(told.count(), 1);
}

/// Opens the scene of a demo.
fn open(t: &mut Terminal, demo: &str) {
    t.wait_for("run the first demo").keys("4").wait_for(demo);
    t.keys("/")
        .keys(demo)
        .keys(ENTER)
        .wait_for(&format!("/{demo}"))
        .keys(ENTER)
        .wait_for("at rest");
}

#[test]
fn messaging_step_by_step_with_payment_broken_by_hand_and_brought_back() {
    let place = Place::new();
    let mut t = place.studio(140, 45);
    open(&mut t, "messaging");
    t.keys("n").wait_for("3 of 11 checks").wait_for("n: next step");
    t.keys("b")
        .wait_for("break it")
        .keys("stop payment")
        .wait_for("it commits and leaves");
    t.keys(ENTER).wait_for("» stop payment").wait_for("■ Payment");
    t.keys(".")
        .wait_for("lag 1")
        .keys(".")
        .wait_for("lag 2")
        .keys(".")
        .wait_for("lag 3");
    t.keys("b")
        .wait_for("break it")
        .keys("start payment")
        .wait_for("goes on where");
    t.keys(ENTER)
        .wait_for("» start payment")
        .wait_gone("lag 3")
        .wait_for("● Payment");
    // The broker is this studio's own, and comes back when it is asked to.
    t.keys("b")
        .wait_for("break it")
        .keys("stop the broker")
        .wait_for("nobody can write");
    t.keys(ENTER).wait_for("broker lost");
    t.keys("b")
        .wait_for("break it")
        .keys("start the broker")
        .wait_for("find it again");
    t.keys(ENTER).wait_gone("broker lost");
    t.keys(".").wait_until("every order to be read again", |screen| {
        screen.contents().matches(" 204 ").count() >= 6
    });
    // In and back: the scene is as it was left.
    t.keys("l")
        .wait_for("≡ order-events")
        .keys(ENTER)
        .wait_for("newest first");
    t.keys("\x1b").wait_for("messaging › scene").wait_for("» start payment");
    t.keys("q");
    assert_put_back(&mut t, "0");
}

#[test]
fn the_list_of_demos_stands_on_the_one_that_the_studio_was_opened_for() {
    let mut studio = Studio::new((80, 24), Fake::default());
    studio.model.demos.first = Some("messaging".into());
    let mut studio = studio.started();
    assert_eq!(studio.model.screen, Screen::Scene);
    studio.keys("<esc>");
    assert_eq!(studio.model.screen, Screen::Demos);
    assert_eq!(studio.model.demos.selected().unwrap().id, "messaging");
}

#[test]
fn a_read_model_leads_to_the_charts_that_a_demo_has_of_it() {
    let mut studio = studio((120, 40));
    let row = studio.model.demos.selected().unwrap().clone();
    let payment = row.graph.find(Kind::Store, "payment").unwrap();
    let service = row.graph.find(Kind::Service, "order-service").unwrap();
    assert!(row.charted.iter().any(|store| store == "payment"));
    let looked_at = |studio: &Studio| {
        let charts = studio.model.charts.as_ref().unwrap();
        (charts.demo.clone(), charts.store.clone())
    };
    for (cursor, store) in [(payment, Some("payment")), (service, None)] {
        studio.model.demos.scenes.get_mut("messaging").unwrap().cursor = cursor;
        studio.keys("c");
        assert_eq!(looked_at(&studio), ("messaging".to_owned(), store.map(str::to_owned)));
        studio.keys("<esc>");
    }
    studio.keys("3C");
    assert!(
        studio.text().contains("no demo has charts of this read model"),
        "{}",
        studio.text()
    );
    let name = studio.model.readmodel.selected().unwrap().read_model.clone();
    studio.model.demos.remote.value.as_mut().unwrap()[0].charted = vec![name.clone()];
    studio.keys("C");
    assert_eq!(looked_at(&studio), ("event-sourcing".to_owned(), Some(name)));
}
