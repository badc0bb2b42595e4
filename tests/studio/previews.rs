//! What a file that was saved would make of the log; and the records that could not be applied.

use foldlog::app::difference::Question;
use foldlog::app::job::{Job, PageFrom};
use foldlog::app::message::{Effect, Message};
use foldlog::app::model::Screen;
use foldlog::app::place::Place;
use foldlog::app::screens::letters;
use foldlog::app::screens::letters::Choices;
use foldlog::readmodel::decision::Choice;
use foldlog::readmodel::outbox::Emitted;
use foldlog::readmodel::store::LetterState;
use foldlog::record::Timestamp;
use foldlog::ui::sample::NOW;

use super::fake::{Fake, refused};
use super::harness::Studio;
use super::journeys::{self, assert_put_back};
use super::language;

const ESC: &str = "\x1b";

fn started() -> Studio {
    let mut s = Studio::new((80, 24), Fake::default()).started();
    s.keys("2");
    say(&mut s, "old", false);
    s
}

/// Lets the first file say something, and the studio look.
fn say(s: &mut Studio, hash: &str, changed: bool) {
    if let Ok(rows) = &mut s.world.projections {
        rows[0].hash = Some(hash.into());
        rows[0].changed = changed;
        rows[0].previous = true;
    }
    s.keys("<c-r>");
}

fn previews(s: &Studio) -> usize {
    s.asked
        .iter()
        .filter(|(_, job)| matches!(job, Job::Preview { .. }))
        .count()
}

fn built(job: &Job) -> bool {
    matches!(job, Job::Preview { .. })
}

#[test]
fn saving_a_file_builds_its_preview_and_the_list_says_so() {
    let mut s = started();
    s.keys("<c-r>");
    assert_eq!(previews(&s), 0, "nothing was saved");
    s.keys("p");
    assert!(s.text().contains("save a change first"), "{}", s.text());
    say(&mut s, "new", true);
    assert_eq!(previews(&s), 1);
    assert!(s.text().contains("preview ready"), "{}", s.text());
    s.keys("<c-r>");
    assert_eq!(previews(&s), 1, "once for a save");
    s.keys("p");
    assert_eq!(s.model.screen, Screen::Differences);
    let question = &s.model.differences.as_ref().unwrap().question;
    assert_eq!(*question, Question::Preview("account_balance".into()));
    // A file that says again what was built needs none.
    s.keys("<esc>");
    say(&mut s, "old", false);
    assert!(
        s.asked
            .iter()
            .any(|(_, job)| *job == Job::DropPreview("account_balance".into()))
    );
    assert!(!s.text().contains("preview ready"), "{}", s.text());
}

#[test]
fn the_newest_save_counts_while_a_preview_is_built() {
    let mut s = started();
    s.hold = built;
    say(&mut s, "new", true);
    let first = s.last(built);
    assert!(s.text().contains("preview"), "{}", s.text());
    say(&mut s, "newer", true);
    assert!(s.effects.contains(&Effect::Cancel(first)));
    assert_eq!(previews(&s), 1, "the one before has to end first");
    s.end(first, Err(refused()));
    assert_eq!(previews(&s), 2);
}

#[test]
fn a_preview_is_accepted_or_dropped_from_both_screens() {
    for keys in ["a", "pa"] {
        let mut s = started();
        say(&mut s, "new", true);
        s.keys(keys);
        assert_eq!(s.model.screen, Screen::Projections);
        assert!(
            s.asked.iter().any(|(_, job)| matches!(job, Job::Accept { .. })),
            "{keys}"
        );
        assert!(s.text().contains("is in use"), "{}", s.text());
        assert!(s.model.previews.built.is_empty());
        s.keys("a");
        assert!(s.text().contains("there is no preview"), "{}", s.text());
    }
    for keys in ["X", "pX"] {
        let mut s = started();
        say(&mut s, "new", true);
        s.keys(keys);
        assert_eq!(s.model.screen, Screen::Projections);
        assert!(s.text().contains("is dropped"), "{}", s.text());
        // It is not built again until the file is saved again.
        s.send(Message::Tick(Timestamp(NOW.0 + 10_000)));
        assert_eq!(previews(&s), 1);
    }
}

#[test]
fn a_preview_takes_over_another_files_read_model_only_when_that_is_meant() {
    let taken = |s: &Studio| {
        s.asked.iter().find_map(|(_, job)| match job {
            Job::Accept { name, replace, .. } => Some((name.clone(), *replace)),
            _ => None,
        })
    };
    for keys in ["a", "pa"] {
        let mut s = started();
        if let Ok(rows) = &mut s.world.projections {
            rows[0].other = Some("old/balances.sql".into());
        }
        say(&mut s, "new", true);
        s.keys(keys);
        let text = s.text();
        assert!(text.contains("old/balances.sql"), "{text}");
        assert_eq!(taken(&s), None, "{keys}");
        s.keys("<esc>");
        assert_eq!(taken(&s), None, "{keys}");
        assert_eq!(s.model.previews.built.len(), 1);
        s.keys("a<enter>");
        assert_eq!(taken(&s), Some(("account_balance".to_owned(), true)), "{keys}");
        assert_eq!(s.model.screen, Screen::Projections);
    }
    let mut s = started();
    say(&mut s, "new", true);
    s.keys("a");
    assert_eq!(
        taken(&s),
        Some(("account_balance".to_owned(), false)),
        "nobody else has it"
    );
}

#[test]
fn the_build_before_is_brought_back_only_when_that_was_meant() {
    let brought = |s: &Studio| s.asked.iter().any(|(_, job)| matches!(job, Job::BringBack(_)));
    let mut s = started();
    s.keys("b");
    assert!(s.text().contains("are you sure?"), "{}", s.text());
    s.keys("<esc>");
    assert!(!brought(&s));
    s.keys("b<enter>");
    assert!(brought(&s));
    assert!(s.text().contains("is in use again"), "{}", s.text());
}

#[test]
fn dead_letters_are_listed_with_their_reason_and_lead_to_their_record() {
    let mut s = Studio::new((120, 30), Fake::default()).started();
    s.keys("2jd");
    assert_eq!(s.model.screen, Screen::Letters);
    for said in [
        "1,399",
        "cannot store TEXT",
        "12 UPDATE account",
        "\"amount\": \"many\"",
    ] {
        assert!(s.text().contains(said), "{said}: {}", s.text());
    }
    s.keys("/nothing like it<enter>");
    assert!(s.text().contains("nothing contains"), "{}", s.text());
    s.keys("<esc><enter>");
    assert_eq!(s.model.screen, Screen::Records);
    let mut places = s.asked.iter().filter_map(|(_, job)| match job {
        Job::Page(request) => Some(&request.from),
        _ => None,
    });
    assert!(places.any(|from| *from == PageFrom::Place(Place::At(0, 1_399))));
    s.keys("<esc>");
    assert_eq!(s.model.screen, Screen::Letters);
    s.keys("<esc>");
    assert_eq!(s.model.screen, Screen::Projections);
}

fn decided(s: &Studio) -> Option<(Option<String>, Choice)> {
    s.asked.iter().rev().find_map(|(_, job)| match job {
        Job::Decide(deciding) => match &deciding.choices {
            Choices::One(_, choice) => Some((deciding.file.clone(), choice.clone())),
            Choices::RetrySkipped => None,
        },
        _ => None,
    })
}

#[test]
fn each_key_decides_about_the_record_under_the_cursor() {
    let mut s = Studio::new((120, 30), Fake::default()).started();
    s.keys("2jd");
    let file = Some("account_daily.sql".to_owned());
    for (keys, wanted) in [
        ("r", (file, Choice::Retry)),
        ("s", (None, Choice::Skip { hold_key: false })),
        ("S", (None, Choice::Skip { hold_key: true })),
        ("e<c-u>{}<enter>", (None, Choice::Edit(Some(b"{}".to_vec())))),
        ("e<c-u>null<enter>", (None, Choice::Edit(None))),
    ] {
        s.keys(keys);
        assert_eq!(decided(&s), Some(wanted), "{keys}");
        assert!(s.text().contains("decided about 1"), "{}", s.text());
    }
    let before = s.asked.len();
    s.keys("e<c-u>{<enter>");
    assert!(s.text().contains("this is no JSON"), "{}", s.text());
    s.keys("<esc>R");
    assert!(s.text().contains("none of them was left out"), "{}", s.text());
    assert_eq!(s.asked.len(), before);
    s.hold = |job| matches!(job, Job::Decide(_));
    s.keys("s");
    let before = s.asked.len();
    s.keys("s");
    assert!(s.text().contains("it is being worked on"), "{}", s.text());
    assert_eq!(s.asked.len(), before);
}

/// Three letters of 1,234: the one that it is paused before, then two that were left out.
fn many() -> Fake {
    let mut world = Fake::default();
    if let Ok(rows) = &mut world.projections {
        let row = &mut rows[1];
        for offset in [1_398, 7] {
            let mut letter = row.dead_letters[0].clone();
            letter.record.offset = offset;
            letter.state = LetterState::Skipped;
            row.dead_letters.push(letter);
        }
        (row.letters, row.left_out) = (1_234, 1_233);
    }
    world
}

#[test]
fn letters_that_are_not_all_say_so_and_all_that_were_left_out_are_replayed() {
    let mut s = Studio::new((120, 30), many()).started();
    s.keys("2jd");
    assert!(s.text().contains("newest 3 of 1,234"), "{}", s.text());
    s.keys("/nothing like it<enter>");
    assert!(s.text().contains("none of the newest 3 contains"), "{}", s.text());
    s.keys("<esc>R");
    let all = s.asked.iter().any(|(_, job)| match job {
        Job::Decide(deciding) => deciding.choices == Choices::RetrySkipped && deciding.file.is_some(),
        _ => false,
    });
    assert!(all, "{}", s.text());
}

#[test]
fn the_cursor_stays_on_its_letter_while_others_come() {
    let mut s = Studio::new((120, 30), many()).started();
    s.keys("2jdj");
    let on = |s: &Studio| letters::selected(&s.model).unwrap().record.offset;
    assert_eq!(on(&s), 1_398);
    if let Ok(rows) = &mut s.world.projections {
        let mut letter = rows[1].dead_letters[1].clone();
        letter.record.offset = 1_500;
        rows[1].dead_letters.insert(1, letter);
    }
    s.keys("<c-r>");
    assert_eq!(on(&s), 1_398, "{}", s.text());
}

const SIZES: [(u16, u16); 2] = [(80, 24), (200, 50)];

#[test]
fn screens() {
    for size in SIZES {
        let shot = |name: &str, s: &Studio| insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), s.text());
        let mut s = Studio::new(size, Fake::default()).started();
        s.keys("2jd");
        shot("letters", &s);
        s.keys("?");
        shot("letters_keys", &s);
        let mut s = Studio::new(size, many()).started();
        s.keys("2jd");
        shot("letters_many", &s);
        let mut s = Studio::new(size, Fake::default()).started();
        s.keys("2");
        say(&mut s, "old", false);
        say(&mut s, "new", true);
        shot("preview_ready", &s);
        s.keys("p");
        shot("preview_differences", &s);
        let mut s = Studio::new(size, Fake::default()).started();
        s.hold = built;
        s.keys("2");
        say(&mut s, "old", false);
        say(&mut s, "new", true);
        shot("preview_building", &s);
    }
}

#[test]
fn a_rebuild_takes_over_another_files_read_model_only_when_that_is_meant() {
    let asked = |s: &Studio| {
        let jobs = s.asked.iter().rev();
        jobs.clone().find_map(|(_, job)| match job {
            Job::Rebuild {
                skip_poison, replace, ..
            } => Some((*skip_poison, *replace)),
            _ => None,
        })
    };
    for (key, skips) in [("r", false), ("S", true)] {
        let mut s = started();
        if let Ok(rows) = &mut s.world.projections {
            rows[0].other = Some("mine/accounts.sql".into());
        }
        s.keys("<c-r>").keys(key);
        let text = s.text();
        assert!(text.contains("mine/accounts.sql") && text.contains("Rebuild"), "{text}");
        s.keys("<esc>");
        assert_eq!(asked(&s), None, "{key}");
        s.keys(key).keys("<enter>");
        assert_eq!(asked(&s), Some((skips, true)), "{key}");
        language::checked((80, 24), s.world.clone(), |_| false, &format!("2{key}"));
    }
    let mut s = started();
    s.keys("r");
    assert_eq!(asked(&s), Some((false, false)), "nobody else has it");
}

#[test]
fn a_list_says_how_many_more_there_are_and_what_shows_them() {
    let mut s = Studio::new((80, 24), Fake::default()).started();
    if let Ok(rows) = &mut s.world.projections {
        rows[1].letters = 12_000 + rows[1].dead_letters.len() as u64;
    }
    s.keys("2j<c-r>d");
    for said in ["12,000 more: foldlog", "dead-letters account_daily"] {
        assert!(s.text().contains(said), "{said}: {}", s.text());
    }
    // Whoever comes to the last has more of them read, as long as that is not the last of all.
    s.keys("G");
    assert_eq!(s.asked.last().unwrap().1, Job::MoreLetters("account_daily".into(), 201));
    if let Ok(alerts) = &mut s.world.alerts {
        alerts.resolved += 3_000;
        alerts.forgotten = 77;
    }
    if let Ok(rows) = &mut s.world.projections {
        rows[0].alerts = Some(1);
    }
    s.keys("<esc>k<c-r>A");
    for said in ["3,000 more: foldlog", "77 that were resolved"] {
        assert!(s.text().contains(said), "{said}: {}", s.text());
    }
    s.keys("G");
    assert_eq!(s.asked.last().unwrap().1, Job::Alerts("account_balance".into(), 2_000));
}

#[test]
fn dead_letters_are_read_on_to_the_last() {
    let place = journeys::Place::new();
    let mut t = place.studio(120, 40);
    t.wait_for("run the first demo").keys("r").wait_for("checks hold");
    place.produce_all("account-events", (0..250).map(|n| format!("no json {n}")));
    t.keys("2").wait_for("account_balance").wait_for("applied");
    t.keys("S").wait_for("Dead letters").wait_for("250 skipped");
    t.keys("d").wait_for("50 more: foldlog");
    t.keys("G").wait_gone("50 more: foldlog").wait_for("─ 250 ┐");
    t.keys("q");
    assert_put_back(&mut t, "0");
}

#[test]
fn what_waits_to_be_published_is_said_with_the_reason() {
    let mut s = Studio::new((120, 40), Fake::default()).started();
    if let Ok(rows) = &mut s.world.projections {
        rows[0].built.as_mut().unwrap().emitted = Some(Emitted {
            published: 12_345,
            waiting: 7,
            trouble: Some("overdrafts: not authorized".into()),
            ..Emitted::default()
        });
    }
    s.keys("2<c-r>");
    for said in ["published 12,345", "waiting   7", "overdrafts: not authorized"] {
        assert!(s.text().contains(said), "{said}: {}", s.text());
    }
}

#[test]
fn a_read_model_whose_file_is_another_projections_by_now_is_decided_about_without_it() {
    const FILE: &str = "-- projection: seen\n-- topic: account-events\n-- type: $.type\n\nCREATE TABLE seen (type TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT;\n\n-- on: *\nINSERT INTO seen VALUES (:type, 1) ON CONFLICT (type) DO UPDATE SET n = n + 1;\n";
    let place = journeys::Place::new();
    let file = place.work().join("seen.sql");
    std::fs::write(&file, FILE).unwrap();
    let mut t = place.studio(140, 40);
    t.wait_for("run the first demo").keys("r").wait_for("checks hold");
    t.keys("2").wait_for("seen").keys("/seen\r").wait_for("not built");
    t.keys("r").wait_for("rebuilt seen").wait_for("ready");
    place.produce(b"not json");
    t.keys("f").wait_for("◼ paused");
    std::fs::write(&file, FILE.replace("projection: seen", "projection: seen_too")).unwrap();
    t.wait_for("seen_too").wait_for("which has another");
    t.keys("d").wait_for("› dead letters");
    t.keys("s").wait_for("left out ").keys(ESC).wait_for("● live");
    t.keys("q");
    assert_put_back(&mut t, "0");
}

#[test]
fn a_saved_file_is_previewed_accepted_and_brought_back() {
    const FILE: &str = "-- projection: seen\n-- topic: account-events\n-- type: $.type\n\nCREATE TABLE seen (\n  type TEXT PRIMARY KEY,\n  n INTEGER NOT NULL\n) STRICT;\n\n-- on: *\nINSERT INTO seen VALUES (:type, 1) ON CONFLICT (type) DO UPDATE SET n = n + 1;\n";
    let place = journeys::Place::new();
    let file = place.work().join("seen.sql");
    std::fs::write(&file, FILE).unwrap();
    let mut t = place.studio(140, 40);
    t.wait_for("run the first demo").keys("r").wait_for("checks hold");
    t.keys("2").wait_for("seen").keys("/seen\r").wait_for("not built");
    t.keys("r").wait_for("rebuilt seen").wait_for("ready");
    std::fs::write(&file, FILE.replace("n + 1", "n + 10")).unwrap();
    t.wait_for("preview ready").wait_for("p shows the rows");
    t.keys("p")
        .wait_for("› preview")
        .wait_for("would differ")
        .wait_for(" → ");
    t.keys("a").wait_for("the preview of seen is in use").wait_for("ready");
    t.keys("v")
        .wait_for("seen is what its log says")
        .keys(ESC)
        .wait_for("r rebuild");
    t.keys("b")
        .wait_for("are you sure?")
        .keys("\r")
        .wait_for("is in use again")
        .wait_for("file changed");
    t.keys("q");
    assert_put_back(&mut t, "0");
}
