//! Every screen in every state, at the smallest usual terminal and at a large one.

use foldlog::app::job::{Failure, Job};
use foldlog::app::message::Message;
use foldlog::broker::profile::Access;
use foldlog::readmodel::invariant::Broken;
use foldlog::readmodel::query::Rows;
use foldlog::readmodel::store::State;
use foldlog::record::Timestamp;
use foldlog::ui::sample::NOW;
use foldlog::ui::theme::Theme;

use super::fake::{Fake, refused};
use super::harness::Studio;
use super::language;

const SIZES: [(u16, u16); 2] = [(80, 24), (200, 50)];

/// Takes a snapshot at each size of a studio in the world, after the keys.
fn shots(name: &str, world: fn() -> Fake, hold: fn(&Job) -> bool, keys: &str) {
    for size in SIZES {
        let mut studio = Studio::new(size, world());
        studio.hold = hold;
        let mut studio = studio.started();
        studio.keys(keys);
        insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), studio.text());
        language::checked(size, world(), hold, keys);
    }
}

fn full() -> Fake {
    Fake::default()
}

fn nothing_held(_: &Job) -> bool {
    false
}

#[test]
fn topics_while_connecting() {
    shots("topics_connecting", full, |job| *job == Job::Connect, "");
}

#[test]
fn topics_while_loading() {
    shots("topics_loading", full, |job| *job == Job::Topics, "");
}

#[test]
fn topics_of_a_cluster_that_does_not_answer() {
    let world = || Fake {
        cluster: Err(refused()),
        ..Fake::default()
    };
    shots("topics_failed", world, nothing_held, "");
    shots("messages", world, nothing_held, "!");
}

#[test]
fn topics_of_an_empty_embedded_broker_are_a_welcome() {
    let world = || Fake {
        topics: Ok(Vec::new()),
        ..Fake::default()
    };
    shots("welcome", world, nothing_held, "");
    shots("welcome_keys", world, nothing_held, "?");
}

#[test]
fn topics_of_an_empty_cluster() {
    let world = || {
        let mut world = Fake {
            topics: Ok(Vec::new()),
            ..Fake::default()
        };
        if let Ok(cluster) = &mut world.cluster {
            cluster.embedded = false;
            cluster.name = "staging".into();
        }
        world
    };
    shots("topics_empty", world, nothing_held, "");
}

#[test]
fn topics_of_a_full_cluster() {
    shots("topics_full", full, nothing_held, "j");
    shots("topics_internal", full, nothing_held, "i");
    shots("topics_filter", full, nothing_held, "/order");
    shots("topics_filtered_away", full, nothing_held, "/nothing<enter>");
    shots("topics_delete", full, nothing_held, "jDorder");
}

#[test]
fn topics_that_grow() {
    let mut studio = Studio::new((80, 24), Fake::default()).started();
    if let Ok(topics) = &mut studio.world.topics {
        topics[2].watermarks[0].high += 8_000;
    }
    studio.hold = |job| *job == Job::Topics;
    studio.send(Message::Tick(Timestamp(NOW.0 + 2_000)));
    let id = studio.last(|job| *job == Job::Topics);
    let rows = studio.world.topics.clone().unwrap();
    studio.end(id, Ok(foldlog::app::job::Event::Topics(rows, Timestamp(NOW.0 + 2_000))));
    insta::assert_snapshot!("topics_growing", studio.text());
}

#[test]
fn a_production_cluster_is_shown_as_such() {
    let world = || {
        let mut world = Fake::default();
        if let Ok(cluster) = &mut world.cluster {
            cluster.access = Access::Production;
            cluster.name = "payments".into();
            cluster.embedded = false;
        }
        world
    };
    shots("production_demo", world, nothing_held, "4rpay");
}

#[test]
fn records_while_loading() {
    shots("records_loading", full, |job| matches!(job, Job::Page(_)), "j<enter>");
}

#[test]
fn records_of_an_empty_topic() {
    let world = || Fake {
        records: Ok(Vec::new()),
        ..Fake::default()
    };
    shots("records_empty", world, nothing_held, "j<enter>");
}

#[test]
fn records_that_cannot_be_read() {
    let world = || Fake {
        records: Err(refused()),
        ..Fake::default()
    };
    shots("records_failed", world, nothing_held, "j<enter>");
}

#[test]
fn records_of_a_full_topic() {
    shots("records_full", full, nothing_held, "j<enter>");
    shots("records_detail", full, nothing_held, "j<enter>jj<enter>");
    shots("records_zoomed", full, nothing_held, "j<enter><enter>z");
    shots("records_filtered", full, nothing_held, "j<enter>/o-0002497<enter>");
    let long = r#"j<enter>/"type":"OrderPlaced","orderId":"o-0002497<enter>"#;
    shots("records_filtered_long", full, nothing_held, long);
    shots("records_some_partitions", full, nothing_held, "j<enter>p0-1,2<enter>");
    shots("records_filtered_live", full, nothing_held, "j<enter>f/o-000249<enter>");
    shots("records_filtered_away", full, nothing_held, "j<enter>/nothing<enter>");
    shots("records_place_refused", full, nothing_held, "j<enter>tyesterday<enter>");
    shots("records_live", full, nothing_held, "j<enter>f");
    shots("records_keys", full, nothing_held, "j<enter>?");
}

#[test]
fn projections_in_every_state() {
    let empty = || Fake {
        projections: Ok(Vec::new()),
        ..Fake::default()
    };
    let failed = || Fake {
        projections: Err(refused()),
        ..Fake::default()
    };
    shots("projections_loading", full, |job| *job == Job::Projections, "2");
    shots("projections_empty", empty, nothing_held, "2");
    shots("projections_failed", failed, nothing_held, "2");
    shots("projections_full", full, nothing_held, "2");
    shots("projections_dead_letters", full, nothing_held, "2j");
    shots("projections_broken", full, nothing_held, "2jj");
    let invariants = || Fake {
        projections: full().projections.map(|mut all| {
            for built in all.iter_mut().filter_map(|p| p.built.as_mut()) {
                built.broken = vec![Broken {
                    name: "no account is overdrawn".into(),
                    line: 20,
                    topic: "account-events".into(),
                    partition: 1,
                    offset: 17,
                    timestamp: Some(NOW),
                    event: Some("Withdrawn".into()),
                    key: Some(b"acc-7\x1b".to_vec()),
                    rows: vec![r#"["acc-7", -5]"#.into()],
                    more: true,
                    error: None,
                }];
            }
            all
        }),
        ..full()
    };
    shots("projections_invariants", invariants, nothing_held, "2");
    let unreadable = || Fake {
        projections: full().projections.map(|mut all| {
            for built in all.iter_mut().filter_map(|p| p.built.as_mut()) {
                let reason = "cannot read it\n  file is not a database".into();
                built.state = State::Unreadable { reason };
            }
            all[1].file = None;
            all
        }),
        ..full()
    };
    shots("projections_unreadable", unreadable, nothing_held, "2<enter>");
    shots("projections_unreadable_without_a_file", unreadable, nothing_held, "2j");
    shots("projections_rebuilding", full, nothing_held, "2r");
    shots("projections_cancelling", full, nothing_held, "2rx");
    shots("projections_quit", full, nothing_held, "2rq");
}

#[test]
fn a_rebuild_that_failed_says_why_where_it_was_started() {
    let mut studio = Studio::new((80, 24), Fake::default()).started();
    studio.keys("2r");
    let id = studio.last(|job| matches!(job, Job::Rebuild { .. }));
    studio.end(id, Err(refused()));
    studio.keys("jk");
    insta::assert_snapshot!("projections_rebuild_failed", studio.text());
}

#[test]
fn read_models_in_every_state() {
    let empty = || Fake {
        tables: Ok(Vec::new()),
        ..Fake::default()
    };
    let failed = || Fake {
        tables: Err(refused()),
        ..Fake::default()
    };
    let wrong = || Fake {
        rows: Err(Failure::new(
            "no such column: balnce\n\nthe columns of account_balance.account are id, balance",
        )),
        ..Fake::default()
    };
    let no_rows = || Fake {
        rows: Ok(Rows {
            columns: vec!["id".into()],
            ..Rows::default()
        }),
        ..Fake::default()
    };
    shots("readmodel_loading", full, |job| *job == Job::Tables, "3");
    shots("readmodel_asking", full, |job| matches!(job, Job::Query { .. }), "3");
    shots("readmodel_empty", empty, nothing_held, "3");
    shots("readmodel_failed", failed, nothing_held, "3");
    shots("readmodel_wrong", wrong, nothing_held, "3");
    shots("readmodel_no_rows", no_rows, nothing_held, "3");
    shots("readmodel_full", full, nothing_held, "3<tab>jj");
    shots("readmodel_row", full, nothing_held, "3<tab>jj<enter>");
    shots(
        "readmodel_typing",
        full,
        nothing_held,
        "3s<c-u>SELECT count(*) FROM account_balance.account",
    );
}

#[test]
fn a_long_query_is_seen_whole_and_so_is_its_cursor() {
    const BEGIN: &str = "SELECT owner, count(*) AS accounts, sum(balance) AS total FROM account_balance.account WHERE ";
    let long = format!("{BEGIN}{} id < 'acc-0400'", "balance > 100 AND ".repeat(20));
    let keys = format!("3s<c-u>{long}");
    for (list, at) in [("", "full"), ("z", "zoomed")] {
        for size in SIZES {
            let mut studio = Studio::new(size, full()).started();
            studio.keys("3").keys(list).keys(&keys[1..]);
            insta::assert_snapshot!(format!("readmodel_long_{at}_{}x{}", size.0, size.1), studio.text());
            let (x, y) = studio.cursor();
            let text = studio.text();
            let line: Vec<char> = text.lines().nth(usize::from(y)).unwrap().chars().collect();
            let before: String = line[..usize::from(x)].iter().collect();
            assert!(before.ends_with("'acc-0400'"), "{before}");
            studio.keys("<c-a>");
            assert!(studio.text().contains("SQL SELECT owner"), "{}", studio.text());
        }
    }
}

#[test]
fn demos_and_groups() {
    let empty = || Fake {
        groups: Ok(Vec::new()),
        ..Fake::default()
    };
    let failed = || Fake {
        groups: Err(refused()),
        ..Fake::default()
    };
    let dead = || Fake {
        cluster: Err(refused()),
        ..Fake::default()
    };
    shots("demos_without_a_cluster", dead, nothing_held, "4");
    shots("demos_loading", full, |job| *job == Job::Demos, "4");
    shots("demos_full", full, nothing_held, "4");
    shots("demos_running", full, nothing_held, "4r");
    shots("groups_loading", full, |job| *job == Job::Groups, "5");
    shots("groups_empty", empty, nothing_held, "5");
    shots("groups_failed", failed, nothing_held, "5");
    shots("groups_full", full, nothing_held, "5");
}

#[test]
fn the_palette() {
    shots("palette", full, nothing_held, ":rm");
    shots("palette_topic", full, nothing_held, ":topic ord");
    shots("palette_nothing", full, nothing_held, ":zzzz");
}

#[test]
fn a_terminal_that_is_too_small() {
    let studio = Studio::new((40, 10), Fake::default()).started();
    insta::assert_snapshot!("too_small", studio.text());
}

#[test]
fn without_colour_nothing_is_lost() {
    let mut studio = Studio::new((80, 24), Fake::default());
    studio.theme = Theme::MONO;
    let mut studio = studio.started();
    studio.keys("j<enter>");
    let plain = |cell: &ratatui::buffer::Cell| {
        cell.fg == ratatui::style::Color::Reset && cell.bg == ratatui::style::Color::Reset
    };
    assert!(studio.buffer().content.iter().all(plain));
    // The cursor's row and the pane with the focus differ by more than colour.
    insta::assert_snapshot!("mono", studio.text());
    let reversed = |y: u16| {
        studio.buffer()[(10, y)]
            .modifier
            .contains(ratatui::style::Modifier::REVERSED)
    };
    assert!(reversed(3) && !reversed(4));
}

#[test]
fn colours_are_the_terminals_own_sixteen_and_never_black_or_white() {
    use ratatui::style::Color;
    for keys in ["", "j<enter>", "2j", "3", "4r", "5", "?", ":"] {
        let mut studio = Studio::new((200, 50), Fake::default()).started();
        studio.keys(keys);
        for cell in &studio.buffer().content {
            let ok = |c: Color| {
                matches!(
                    c,
                    Color::Reset
                        | Color::Red
                        | Color::Green
                        | Color::Yellow
                        | Color::Blue
                        | Color::Magenta
                        | Color::Cyan
                        | Color::DarkGray
                )
            };
            assert!(ok(cell.fg) && cell.bg == Color::Reset, "{keys}: {cell:?}");
        }
    }
}
