//! What keys do, seen from outside: the screen and what is asked of the world.

use foldlog::app::job::{Event, Failure, Job, PageFrom, PageRequest};
use foldlog::app::key::Key;
use foldlog::app::message::{Effect, Message, Mouse};
use foldlog::app::model::{Level, Pane, Screen};
use foldlog::app::place::Place;
use foldlog::readmodel::store::ReadModelInfo;
use foldlog::record::Timestamp;
use foldlog::replay::progress::{Phase, Progress};
use foldlog::ui::sample::{NOW, order};

use super::fake::{Fake, progress, refused};
use super::harness::Studio;

fn studio() -> Studio {
    Studio::new((80, 24), Fake::default()).started()
}

fn page(job: &Job) -> Option<&PageRequest> {
    match job {
        Job::Page(request) => Some(request),
        _ => None,
    }
}

#[test]
fn enter_goes_in_and_esc_goes_back_everywhere() {
    let mut s = studio();
    for keys in ["<enter>", "2<enter>", "3<enter>", "4<enter>", "5<enter>"] {
        s.keys("1").keys(keys);
        for _ in 0..4 {
            s.keys("<esc>");
        }
        assert_eq!(s.model.screen, Screen::Topics, "{keys}");
        assert_eq!(s.model.pane, Pane::List, "{keys}");
    }
}

#[test]
fn no_key_is_a_command_while_something_is_typed() {
    let mut s = studio();
    s.keys("/q?:1");
    assert!(!s.effects.contains(&Effect::Quit));
    assert_eq!(s.model.screen, Screen::Topics);
    assert!(s.text().contains("/q?:1"), "{}", s.text());
    s.keys("<esc>");
    assert_eq!(s.model.topics.list.filter(), "");
    s.keys("<c-c>");
    assert!(s.effects.contains(&Effect::Quit));
}

#[test]
fn a_topic_is_deleted_only_once_its_name_is_typed() {
    let mut s = studio();
    let deletes = |s: &Studio| s.asked.iter().filter(|(_, j)| matches!(j, Job::DeleteTopic(_))).count();
    s.keys("Dyes<enter>");
    assert_eq!(deletes(&s), 0);
    s.keys("<c-u>account-events<enter>");
    assert_eq!(deletes(&s), 1);
    assert!(s.text().contains("topic account-events is deleted"), "{}", s.text());
}

#[test]
fn the_newest_records_come_first_and_older_ones_on_the_way_down() {
    let mut s = studio();
    s.keys("j<enter>");
    let first = s.asked.iter().filter_map(|(_, j)| page(j)).next().unwrap();
    assert_eq!(first.from, PageFrom::Place(Place::End));
    // The fake page is shorter than what the cursor likes to see ahead of it, so the next one was asked for.
    let next = s.asked.iter().filter_map(|(_, j)| page(j)).nth(1).unwrap();
    assert!(matches!(next.from, PageFrom::Before(_)));
    assert_eq!(s.model.records.as_ref().unwrap().selected().unwrap().offset, 24_999);
    s.keys("o");
    let last = s
        .asked
        .iter()
        .filter_map(|(_, j)| page(j))
        .find(|p| p.from == PageFrom::Place(Place::Begin));
    assert!(last.is_some());
}

#[test]
fn a_place_is_typed_and_gone_to() {
    let mut s = studio();
    s.keys("j<enter>t10m ago<enter>");
    let wanted = PageFrom::Place(Place::Time(Timestamp(NOW.0 - 600_000)));
    assert!(s.asked.iter().filter_map(|(_, j)| page(j)).any(|p| p.from == wanted));
    assert!(!s.model.records.as_ref().unwrap().newest_first);
}

#[test]
fn a_place_that_is_nowhere_leaves_everything_as_it_was() {
    let mut s = studio();
    s.keys("j<enter>f");
    let before = s.model.records.clone().unwrap();
    s.world.records = Err(Failure::new("there is no such partition: the topic has 0 to 2"));
    s.keys("jjt3:5<enter>");
    assert!(s.text().contains("the topic has 0 to 2"), "{}", s.text());
    s.keys("<esc>");
    let records = s.model.records.as_ref().unwrap();
    assert_eq!(records.window.records.len(), before.window.records.len());
    assert!(records.newest_first && records.tail.is_some());
    assert_eq!(records.selected().unwrap().offset, 24_999);
    // Going on down reads on as if nothing had been asked.
    s.world.records = Fake::default().records;
    s.keys("fjG");
    assert!(page(&s.asked.last().unwrap().1).is_some());
}

#[test]
fn one_record_is_gone_to_even_past_a_filter_and_among_others_of_its_time() {
    let mut s = studio();
    let at = |partition, offset| {
        let mut record = order(partition, offset);
        record.timestamp = Some(NOW);
        record
    };
    s.world.records = Ok(vec![at(0, 24_960), at(0, 24_961), at(1, 24_970), at(1, 24_971)]);
    s.keys("j<enter>/24961<enter>t1:24970<enter>");
    let records = s.model.records.as_ref().unwrap();
    assert_eq!(records.selected().unwrap().offset, 24_970);
    assert_eq!(records.list.filter(), "");
    assert!(s.text().contains("the filter hid that record"), "{}", s.text());
    s.keys("/2497<enter>t1:24971<enter>");
    let records = s.model.records.as_ref().unwrap();
    assert_eq!(
        (records.selected().unwrap().offset, records.list.filter()),
        (24_971, "2497")
    );
}

#[test]
fn until_a_place_is_there_the_list_stays() {
    let mut s = studio();
    s.keys("j<enter>");
    s.hold = |j| matches!(j, Job::Page(_));
    s.keys("p1<enter>");
    assert!(
        s.text().contains("24,999") && s.text().contains("reading …"),
        "{}",
        s.text()
    );
    assert!(!s.text().contains("partitions 1"), "{}", s.text());
}

#[test]
fn leaving_the_records_cancels_what_reads_them() {
    let mut s = studio();
    s.keys("j<enter>f");
    let tail = s.last(|j| matches!(j, Job::Tail { .. }));
    s.keys("<esc>");
    assert!(s.effects.contains(&Effect::Cancel(tail)));
    assert!(s.model.records.is_none());
}

#[test]
fn a_paused_tail_holds_still_and_loses_nothing() {
    let mut s = studio();
    s.keys("j<enter>f");
    let tail = s.last(|j| matches!(j, Job::Tail { .. }));
    let shown = |s: &Studio| s.model.records.as_ref().unwrap().window.records.len();
    let before = shown(&s);
    s.keys(" ");
    for n in 0..3 {
        s.send(Message::Said(
            tail,
            Event::Arrivals(foldlog::app::job::Arrivals {
                records: vec![order(0, 25_010 + n)],
                gap: None,
                end: [(0, 25_011 + n)].into(),
                seen: 3 + n as u64,
            }),
        ));
    }
    assert_eq!(shown(&s), before);
    assert!(
        s.text().contains("paused ──") && s.text().contains("3 new"),
        "{}",
        s.text()
    );
    s.keys(" ");
    assert_eq!(shown(&s), before + 3);
    assert_eq!(s.model.records.as_ref().unwrap().selected().unwrap().offset, 25_012);
}

#[test]
fn while_records_arrive_the_cursor_stays_on_its_record() {
    let mut s = studio();
    s.keys("j<enter>fjjj");
    let tail = s.last(|j| matches!(j, Job::Tail { .. }));
    let on = |s: &Studio| s.model.records.as_ref().unwrap().selected().unwrap().offset;
    let before = on(&s);
    s.send(Message::Said(
        tail,
        Event::Arrivals(foldlog::app::job::Arrivals {
            records: (0..7).map(|n| order(0, 25_100 + n)).collect(),
            gap: None,
            end: [(0, 25_107)].into(),
            seen: 9,
        }),
    ));
    assert_eq!(on(&s), before);
}

#[test]
fn late_answers_change_nothing() {
    let mut s = studio();
    s.hold = |j| matches!(j, Job::Page(_));
    s.keys("j<enter>");
    let late = s.last(|j| matches!(j, Job::Page(_)));
    s.keys("<esc>k<enter>");
    s.end(late, Err(refused()));
    assert!(s.model.records.as_ref().unwrap().page.error.is_none());
    assert!(s.model.notice.is_none());
}

#[test]
fn a_rebuild_can_be_cancelled_and_says_so() {
    let mut s = studio();
    s.keys("2r");
    let id = s.last(|j| matches!(j, Job::Rebuild { .. }));
    s.keys("x");
    assert!(s.effects.contains(&Effect::Cancel(id)));
    s.end(id, Err(Failure::new("cancelled")));
    assert!(s.text().contains("rebuild account_balance: cancelled"), "{}", s.text());
    assert!(s.model.works.is_empty());
}

#[test]
fn a_failed_rebuild_is_told_and_kept_in_full() {
    let mut s = studio();
    s.keys("2r");
    let id = s.last(|j| matches!(j, Job::Rebuild { .. }));
    s.end(id, Err(refused()));
    assert_eq!(s.model.notice.as_ref().unwrap().level, Level::Error);
    s.keys("j!");
    assert!(s.text().contains("name another one with -b HOST:PORT"), "{}", s.text());
}

#[test]
fn while_it_is_followed_list_and_detail_say_what_the_newest_progress_says() {
    let mut s = Studio::new((200, 50), Fake::default()).started();
    s.world.progress = vec![Progress {
        phase: Phase::Live,
        done: 1_401,
        total: 1_408,
        ..progress()
    }];
    s.keys("2f");
    let follow = s.last(|j| matches!(j, Job::Follow { .. }));
    // At the end of the log there is nothing to do, and yet the progress is the read model's.
    let idle = Progress {
        done: 0,
        total: 0,
        ..s.world.progress[0].clone()
    };
    s.send(Message::Said(follow, Event::Progress(idle)));
    assert!(
        s.text().contains("behind    0 records") && !s.text().contains("0 of 0"),
        "{}",
        s.text()
    );
    s.send(Message::Said(follow, Event::Progress(s.world.progress[0].clone())));
    let says = |s: &Studio, lag: &str, at: &str| {
        let text = s.text();
        assert!(text.contains(&format!("behind    {lag} record")), "{text}");
        assert!(text.contains(&format!("updated   2026-11-21 {at}")), "{text}");
        assert!(text.contains("account-events[0]        1,400"), "{text}");
        let row = text.lines().find(|l| l.contains("● live")).unwrap();
        assert!(row.split('│').nth(1).unwrap().contains(&format!(" {lag} ")), "{row}");
        assert!(row.contains("868") && text.contains("applied   860"), "{text}");
    };
    says(&s, "7", "14:33:06");
    // The look at the store is older than the progress, whenever it comes.
    s.send(Message::Tick(Timestamp(NOW.0 + 4_000)));
    says(&s, "7", "14:33:06");
    let newer = Progress {
        done: 1_407,
        position: Default::default(),
        ..s.world.progress[0].clone()
    };
    s.send(Message::Said(follow, Event::Progress(newer.clone())));
    s.send(Message::Said(
        follow,
        Event::Progress(Progress {
            position: progress().position,
            ..newer
        }),
    ));
    says(&s, "1", "14:34:11");
    // Until the store is asked again, nothing falls back.
    s.hold = |j| *j == Job::Projections;
    s.end(follow, Ok(Event::Done("no longer followed".into())));
    assert!(s.text().contains("behind    1 record "), "{}", s.text());
}

#[test]
fn what_was_just_rebuilt_opens_its_rows_before_the_list_was_read_again() {
    let mut s = studio();
    s.keys("2jjj");
    assert!(s.text().contains("No read model was built yet"), "{}", s.text());
    s.hold = |j| matches!(j, Job::Projections | Job::Rebuild { .. });
    // A look that began before the rebuild ended says how it was before.
    s.send(Message::Tick(Timestamp(NOW.0 + 4_000)));
    let before = s.last(|j| *j == Job::Projections);
    s.keys("r");
    let rebuild = s.last(|j| matches!(j, Job::Rebuild { .. }));
    let info = ReadModelInfo {
        name: "orders_by_city".into(),
        ..Fake::default().projections.unwrap()[0].built.clone().unwrap()
    };
    s.send(Message::Said(rebuild, Event::Built(Box::new(info))));
    s.end(rebuild, Ok(Event::Done("rebuilt orders_by_city".into())));
    let rows = Fake::default().projections.unwrap();
    s.end(before, Ok(Event::Projections(rows)));
    s.keys("<enter>");
    assert_eq!(s.model.screen, Screen::ReadModel, "{}", s.text());
}

#[test]
fn leaving_asks_while_a_rebuild_runs() {
    let mut s = studio();
    s.keys("2rq");
    assert!(!s.effects.contains(&Effect::Quit));
    s.keys("<enter>");
    assert!(s.effects.contains(&Effect::Quit));
}

#[test]
fn a_dead_letter_leads_to_its_record() {
    let mut s = studio();
    s.keys("2jd<enter>");
    assert_eq!(s.model.screen, Screen::Records);
    let asked = s.asked.iter().filter_map(|(_, j)| page(j)).next_back();
    assert!(asked.is_some_and(|p| p.topic == "account-events"));
    let place = PageFrom::Place(Place::At(0, 1_399));
    assert!(s.asked.iter().filter_map(|(_, j)| page(j)).any(|p| p.from == place));
}

#[test]
fn a_projection_leads_to_its_tables_and_pages_are_read_on() {
    let mut s = studio();
    s.keys("2<enter>");
    assert_eq!(s.model.screen, Screen::ReadModel);
    assert_eq!(
        s.model.readmodel.sql,
        "SELECT * FROM account_balance.account ORDER BY id LIMIT 500"
    );
    s.keys("<tab>Gj");
    assert!(s.model.readmodel.sql.ends_with("LIMIT 500 OFFSET 500"));
    s.keys("k");
    assert!(s.model.readmodel.sql.ends_with("LIMIT 500"));
    assert_eq!(s.model.readmodel.row, 499);
}

#[test]
fn an_own_query_is_run_and_remembered() {
    let mut s = studio();
    s.keys("3s<c-u>SELECT 1<enter>");
    assert_eq!(s.model.readmodel.sql, "SELECT 1");
    s.keys("s<c-u>SELECT 2<enter>s<up><up>");
    s.keys("<enter>");
    assert_eq!(s.model.readmodel.sql, "SELECT 1");
}

#[test]
fn a_query_that_runs_on_is_stopped_by_x_and_by_leaving() {
    let mut s = studio();
    s.keys("3");
    s.hold = |j| matches!(j, Job::Query { .. });
    for leave in ["x", "1", "<esc><esc>"] {
        s.keys("3s<c-u>SELECT 1<enter>");
        assert!(s.text().contains("asking SQLite"), "{}", s.text());
        let query = s.last(|j| matches!(j, Job::Query { .. }));
        s.keys(leave);
        assert!(s.effects.contains(&Effect::Cancel(query)), "{leave}");
        s.keys("3");
        assert!(s.text().contains("the query was stopped"), "{leave}: {}", s.text());
        s.end(query, Err(Failure::new("interrupted")));
        assert!(!s.text().contains("interrupted"), "{}", s.text());
    }
    s.hold = |_| false;
    s.keys("s<c-u>SELECT 2<enter>");
    assert!(s.text().contains("acc-0000"), "{}", s.text());
}

#[test]
fn a_failed_query_leaves_no_count_of_another_one() {
    let mut s = studio();
    s.keys("3");
    assert!(s.text().contains("1 to 500 of 1,200"), "{}", s.text());
    s.world.rows = Err(refused());
    s.keys("s<c-u>SELECT 1<enter>");
    assert!(s.text().contains("connection refused"), "{}", s.text());
    assert!(!s.text().contains("500"), "{}", s.text());
    s.world.rows = Fake::default().rows;
    // The query stands in its line, to be mended or sent again as it is.
    s.keys("<enter>");
    assert!(s.text().contains("acc-0000"), "{}", s.text());
}

#[test]
fn the_palette_runs_commands_and_opens_topics() {
    let mut s = studio();
    s.keys(":read mod<enter>");
    assert_eq!(s.model.screen, Screen::ReadModel);
    s.keys(":topic order<enter>");
    assert_eq!(s.model.records.as_ref().unwrap().topic, "order-events");
}

#[test]
fn the_mouse_chooses_and_scrolls() {
    let mut s = studio();
    s.send(Message::Mouse(Mouse::Click, 10, 4));
    assert_eq!(s.model.topics.selected().unwrap().name, "order-events");
    s.send(Message::Mouse(Mouse::Click, 60, 5));
    assert_eq!(s.model.pane, Pane::Detail);
    s.send(Message::Mouse(Mouse::WheelUp, 10, 4));
    assert_eq!(s.model.topics.selected().unwrap().name, "account-events");
}

#[test]
fn what_cannot_be_done_says_why() {
    let mut s = studio();
    s.keys("x");
    assert!(s.text().contains("nothing is running"));
    s.keys("2jjr");
    assert!(s.text().contains("the file must be mended first"));
    assert!(!s.asked.iter().any(|(_, j)| matches!(j, Job::Rebuild { .. })));
}

#[test]
fn a_cluster_that_comes_back_is_found_again() {
    let mut s = Studio::new(
        (80, 24),
        Fake {
            cluster: Err(refused()),
            ..Fake::default()
        },
    )
    .started();
    assert!(s.text().contains("no answer"));
    s.world = Fake::default();
    s.send(Message::Key(Key::ctrl('r')));
    assert!(s.text().contains("order-events"), "{}", s.text());
}

#[test]
fn demos_are_listed_without_a_cluster_and_the_header_names_the_one_that_is_wanted() {
    for hold in [|_: &Job| false, |j: &Job| *j == Job::Connect] {
        let world = Fake {
            cluster: Err(refused()),
            ..Fake::default()
        };
        let mut s = Studio::new((80, 24), world);
        s.model.target = "127.0.0.1:9092".into();
        s.hold = hold;
        let mut s = s.started();
        s.keys("4");
        assert!(s.text().contains("▌ event-sourcing"), "{}", s.text());
        assert!(
            s.text().lines().next().unwrap().contains("127.0.0.1:9092"),
            "{}",
            s.text()
        );
        s.keys("r");
        assert!(s.text().contains("the cluster does not answer yet"), "{}", s.text());
    }
}

#[test]
fn an_outage_is_told_once_and_so_is_its_end() {
    let mut s = studio();
    s.world.topics = Err(refused());
    for n in 1..=5 {
        s.send(Message::Tick(Timestamp(NOW.0 + n * 60_000)));
    }
    let told = |s: &Studio| s.model.messages.iter().filter(|m| m.level == Level::Error).count();
    assert_eq!(told(&s), 1);
    assert!(
        s.text().contains("no answer") && s.text().contains("account-events"),
        "{}",
        s.text()
    );
    s.world.topics = Fake::default().topics;
    s.send(Message::Tick(Timestamp(NOW.0 + 600_000)));
    assert!(s.text().contains("the cluster answers again"), "{}", s.text());
}

#[test]
fn where_one_is_matters_more_than_how_fast_it_grows() {
    let mut s = studio();
    s.send(Message::Tick(Timestamp(NOW.0 + 60_000)));
    assert!(s.text().contains("0/s ▁"), "{}", s.text());
    s.model.cluster.value.as_mut().unwrap().name = "staging.example:9092".into();
    s.keys("jj<enter>");
    let header = s.text().lines().next().unwrap().to_owned();
    assert!(
        header.contains("user-spending-totals › records") && !header.contains("/s"),
        "{header}"
    );
    let mut wide = Studio::new((200, 50), Fake::default()).started();
    wide.send(Message::Tick(Timestamp(NOW.0 + 60_000)));
    let header = |s: &Studio| s.text().lines().next().unwrap().to_owned();
    assert!(header(&wide).contains("1 topics  2 projections  3 read models  4 demos  5 groups"));
    assert!(header(&wide).contains("0/s ▁"));
    // What is not known any more is not shown as if it were.
    wide.world.topics = Err(refused());
    wide.send(Message::Tick(Timestamp(NOW.0 + 120_000)));
    assert!(!header(&wide).contains("/s"), "{}", header(&wide));
}

#[test]
fn a_resize_is_followed() {
    let mut s = studio();
    s.send(Message::Resize(50, 10));
    assert!(s.model.too_small());
    s.send(Message::Resize(80, 24));
    assert!(!s.model.too_small());
}

#[test]
fn the_screens_that_the_header_names_are_clicked() {
    let mut s = Studio::new((160, 40), Fake::default()).started();
    for (name, screen) in [
        ("3 read models", Screen::ReadModel),
        ("5 groups", Screen::Groups),
        ("1 topics", Screen::Topics),
    ] {
        let text = s.text();
        let header = text.lines().next().unwrap();
        let at = header.find(name).unwrap();
        let x = header[..at].chars().count() as u16;
        s.send(Message::Mouse(Mouse::Click, x + 3, 0));
        assert_eq!(s.model.screen, screen);
    }
    // Where it has no room for them, the footer says that they are there.
    let narrow = studio();
    assert!(!narrow.text().contains("3 read models"));
    assert!(narrow.text().contains("1-5 screens"), "{}", narrow.text());
}

#[test]
fn what_a_follow_pauses_before_is_one_key_away_at_once() {
    let mut s = studio();
    s.keys("2f");
    let follow = s.last(|job| matches!(job, Job::Follow { .. }));
    let asked = |s: &Studio| s.asked.iter().filter(|(_, job)| *job == Job::Projections).count();
    let before = asked(&s);
    let paused = Progress {
        phase: Phase::Paused,
        ..progress()
    };
    s.send(Message::Said(follow, Event::Progress(paused.clone())));
    assert_eq!(
        asked(&s),
        before + 1,
        "the dead letters are asked for without waiting for the next look"
    );
    s.send(Message::Said(follow, Event::Progress(paused)));
    assert_eq!(asked(&s), before + 1, "once");
}

#[test]
fn what_is_of_the_list_is_meant_beside_it_too() {
    let mut s = studio();
    s.keys("<tab>/order<enter>");
    assert_eq!(s.model.topics.list.filter(), "order");
    assert_eq!(s.model.pane, Pane::List);
    s.keys("<tab><enter>");
    assert_eq!(s.model.screen, Screen::Records);
    // Where there is nothing of the kind, nothing happens.
    s.keys("1<esc><tab>S");
    assert_eq!((s.model.screen, s.model.pane), (Screen::Topics, Pane::Detail));
}
