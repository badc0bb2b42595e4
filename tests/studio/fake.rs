//! A world that answers at once and always the same.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use foldlog::app::difference::{Event as Parting, Fact, Found};
use foldlog::app::job::{
    Arrivals, ClusterView, Cue, DemoRow, Event, Failure, Job, Needle, Outlet, Page, PageFrom, PageRequest,
    ProjectionRow, Staged, TableRow, TopicRow, World,
};
use foldlog::app::model::Level;
use foldlog::app::moment::{
    Applied, EventAt, FoundBy, Go, Moment, Outcome, Ran, RowChange, Shape, Stood, Timeline, Underway, Wrote,
};
use foldlog::app::screens::blame::Asked;
use foldlog::app::screens::charts::ChartRow;
use foldlog::app::screens::guide::{Guidance, Known};
use foldlog::app::screens::letters::Choices;
use foldlog::app::screens::previews::Previewed;
use foldlog::app::screens::search::matches;
use foldlog::broker::groups::{GroupDetail, GroupOffset, GroupSummary, Member};
use foldlog::broker::profile::Access;
use foldlog::broker::topics::{ConfigEntry, Watermarks};
use foldlog::demo::catalog::Catalog;
use foldlog::demo::fault::faults;
use foldlog::demo::graph::{Edge, Graph, Kind};
use foldlog::demo::player::{PlayerView, Speed, Stands};
use foldlog::demo::run::{StepState, StepView, plan, script};
use foldlog::demo::snapshot::{EdgeView, PartState, PartView, Snapshot};
use foldlog::demo::text::{Language, Text};
use foldlog::readmodel::alert::{Alert, Alerts, At};
use foldlog::readmodel::apply::PoisonKind;
use foldlog::readmodel::compare::{RowDifference, Shape as Compared, Tally};
use foldlog::readmodel::query::{Cell, Rows, TableInfo};
use foldlog::readmodel::store::{Counts, DeadLetter, LetterState, ReadModelInfo, State};
use foldlog::record::{Position, Record, Timestamp, TopicPartition};
use foldlog::replay::progress::{Phase, Progress};
use foldlog::replay::step::{Goal, RowGoal, Walked};
use foldlog::ui::sample::{NOW, order};

/// What the fake world holds; a test changes what it is about.
#[derive(Clone)]
pub struct Fake {
    pub cluster: Result<ClusterView, Failure>,
    pub topics: Result<Vec<TopicRow>, Failure>,
    pub records: Result<Vec<Record>, Failure>,
    pub projections: Result<Vec<ProjectionRow>, Failure>,
    pub tables: Result<Vec<TableRow>, Failure>,
    pub rows: Result<Rows, Failure>,
    pub groups: Result<Vec<GroupSummary>, Failure>,
    pub progress: Vec<Progress>,
    pub past: Result<Vec<Moment>, Failure>,
    pub timeline: Option<Timeline>,
    pub found: Result<Found, Failure>,
    pub alerts: Result<Alerts, Failure>,
    pub charts: Result<Vec<ChartRow>, Failure>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            cluster: Ok(ClusterView {
                name: "lab".into(),
                bootstrap: "127.0.0.1:9092".into(),
                access: Access::ReadWrite,
                embedded: true,
                attached: false,
            }),
            topics: Ok(topics()),
            records: Ok((0..40).map(|n| order((n % 3) as i32, 24_960 + n)).collect()),
            projections: Ok(projections()),
            tables: Ok(tables()),
            rows: Ok(rows()),
            groups: Ok(groups()),
            progress: vec![progress()],
            past: Ok(past()),
            timeline: None,
            found: Ok(found()),
            alerts: Ok(alerts()),
            charts: Ok(super::charts::charts()),
        }
    }
}

pub fn refused() -> Failure {
    Failure::new(
        "nothing answers at 127.0.0.1:9092\n  because: connection refused (os error 111)\n\nstart a broker there, or name another one with -b HOST:PORT",
    )
}

fn topics() -> Vec<TopicRow> {
    let topic = |name: &str, internal, highs: &[i64]| TopicRow {
        name: name.into(),
        replication: 1,
        internal,
        watermarks: highs
            .iter()
            .enumerate()
            .map(|(i, high)| Watermarks {
                partition: i as i32,
                low: if i == 0 { 0 } else { 120 },
                high: *high,
            })
            .collect(),
    };
    vec![
        topic("__consumer_offsets", true, &[42]),
        topic("account-events", false, &[1_402]),
        topic("order-events", false, &[1_234_567, 1_198_004, 1_201_330]),
        topic("user-spending-totals", false, &[0]),
    ]
}

fn position() -> Position {
    [(TopicPartition::new("account-events", 0), 1_400)]
        .into_iter()
        .collect()
}

fn info(name: &str, state: State) -> ReadModelInfo {
    ReadModelInfo {
        name: name.into(),
        file: format!("{name}.sql"),
        hash: "5f2c".repeat(16),
        cluster_id: "lab".into(),
        topics: vec!["account-events".into()],
        position: position(),
        counts: Counts {
            applied: 1_380,
            ignored: 19,
            poisoned: 1,
            ..Counts::default()
        },
        poison: vec![(PoisonKind::Handler, 1)],
        decisions: 0,
        broken: Vec::new(),
        emitted: None,
        history: None,
        notified: None,
        sinks: Vec::new(),
        state,
        updated_at: Timestamp(NOW.0 - 61_000),
        latest: Some(Timestamp(NOW.0 - 62_000)),
        latest_of: None,
    }
}

fn projections() -> Vec<ProjectionRow> {
    let poison = DeadLetter {
        record: Record {
            topic: "account-events".into(),
            partition: 0,
            offset: 1_399,
            timestamp: Some(NOW),
            key: Some(b"acc-7".to_vec()),
            value: Some(br#"{"type":"Deposited","amount":"many"}"#.to_vec()),
            headers: Vec::new(),
        },
        kind: PoisonKind::Handler,
        reason: "account.balance: cannot store TEXT value in INTEGER column".into(),
        line: Some(12),
        state: LetterState::Paused,
    };
    let base = |name: &str| ProjectionRow {
        name: name.into(),
        file: Some(format!("{name}.sql")),
        origin: "this directory".into(),
        topics: vec!["account-events".into()],
        ..ProjectionRow::default()
    };
    vec![
        ProjectionRow {
            built: Some(info("account_balance", State::Ready)),
            lag: Some(2),
            ..base("account_balance")
        },
        ProjectionRow {
            built: Some(info(
                "account_daily",
                State::Paused {
                    reason: poison.reason.clone(),
                },
            )),
            lag: Some(1_234),
            letters: 1,
            dead_letters: vec![poison],
            statements: BTreeMap::from([(12, "UPDATE account\n   SET balance = balance + :amount;".into())]),
            ..base("account_daily")
        },
        ProjectionRow {
            broken: Some("  × `random()` gives another value at every replay\n   ╭─[broken.sql:9:12]\n 9 │ VALUES (:id, random());\n   ·              ───┬────\n   ·                 ╰── not deterministic\n   ╰────\n  help: bind a field of the event instead\n".into()),
            topics: Vec::new(),
            ..base("broken")
        },
        ProjectionRow {
            missing_topics: vec!["account-events".into()],
            ..base("orders_by_city")
        },
    ]
}

fn tables() -> Vec<TableRow> {
    let table = |read_model: &str, name: &str, rows| TableRow {
        read_model: read_model.into(),
        table: TableInfo {
            name: name.into(),
            columns: vec![("id".into(), "TEXT".into()), ("balance".into(), "INTEGER".into())],
            primary_key: vec!["id".into()],
            rows: Some(rows),
        },
    };
    let mut view = table("account_daily", "weekly", 0);
    view.table.primary_key.clear();
    view.table.rows = None;
    vec![
        table("account_balance", "account", 1_200),
        table("account_daily", "day", 365),
        table("account_daily", "totals", 1),
        view,
    ]
}

fn rows() -> Rows {
    Rows {
        columns: ["id", "balance", "owner", "note", "blob"].map(Into::into).to_vec(),
        rows: (0..500)
            .map(|n| {
                vec![
                    Cell::Text(format!("acc-{n:04}")),
                    Cell::Integer(1_000 * n - 7),
                    Cell::Text(format!("owner {n}\u{1b}[31m")),
                    if n % 3 == 0 {
                        Cell::Null
                    } else {
                        Cell::Real(0.1 * n as f64)
                    },
                    Cell::Blob(vec![0xde, 0xad, 0xbe, 0xef]),
                ]
            })
            .collect(),
        truncated: false,
    }
}

fn groups() -> Vec<GroupSummary> {
    let group = |id: &str, state: &str, members| GroupSummary {
        id: id.into(),
        state: state.into(),
        protocol: "consumer".into(),
        assignor: String::new(),
        members,
    };
    vec![group("inventory", "Stable", 2), group("payment", "Empty", 0)]
}

fn group(id: &str) -> GroupDetail {
    GroupDetail {
        summary: groups().into_iter().find(|g| g.id == id).unwrap(),
        members: vec![Member {
            id: "inventory-1-4711".into(),
            client_id: "inventory-1".into(),
            host: "/127.0.0.1".into(),
            assignment: vec![("order-events".into(), 0), ("order-events".into(), 1)],
        }],
        offsets: (0..3)
            .map(|p| GroupOffset {
                topic: "order-events".into(),
                partition: p,
                committed: (p < 2).then_some(1_198_000),
                end: Some(1_198_004),
                lag: (p < 2).then_some(4),
            })
            .collect(),
    }
}

pub fn progress() -> Progress {
    Progress {
        phase: Phase::Rebuilding,
        done: 868,
        total: 1_400,
        counts: Counts {
            applied: 860,
            ignored: 8,
            ..Counts::default()
        },
        rate: 412_345.0,
        eta: Some(Duration::from_millis(2_300)),
        position: position(),
        ..Progress::default()
    }
}

/// The demo of the fake: one that is made up for its steps, and one of the real ones for its flow.
/// The guide of this program, among demos of which one was done and one failed.
fn guidance() -> Guidance {
    let known = |id: &str, en: &str, zh: &str, done: Option<bool>| {
        let text = |en: &str, zh: &str| Text {
            en: Some(en.into()),
            zh: Some(zh.into()),
        };
        let summary = text("What it shows.", "它展示的内容。");
        let title = text(en, zh);
        (id.to_owned(), Known { title, summary, done })
    };
    let demos = [
        known("messaging", "Messaging", "消息传递", Some(true)),
        known("log-analytics", "Log analytics", "日志分析", Some(false)),
        known("event-sourcing", "Event sourcing", "事件溯源", None),
    ];
    let catalog = Catalog::load(&[]).unwrap();
    Guidance {
        guide: Arc::new(catalog.guide().unwrap().clone()),
        demos: demos.into_iter().collect(),
    }
}

fn demos() -> Vec<DemoRow> {
    let catalog = Catalog::load(&[]).unwrap();
    let messaging = catalog.get("messaging").unwrap();
    vec![DemoRow {
        id: "event-sourcing".into(),
        title: "Event sourcing: a balance is a fold of its log".into(),
        summary: "Accounts are opened, money goes in and out. No balance is ever written: it is what the events add up to, now and at any moment before.".into(),
        topics: vec!["account-events".into()],
        projections: vec!["account_balance".into()],
        steps: vec!["Write the events of 200 accounts".into(), "Fold them into balances".into()],
        ..DemoRow::default()
    }, DemoRow {
        id: "messaging".into(),
        title: "Messaging".into(),
        summary: "One order, published once; four systems read it, each in its own time.".into(),
        topics: vec!["order-events".into()],
        projections: messaging.read_models().map(|known| known.name.clone()).collect(),
        steps: vec!["Published once, read four times".into(), "Break it: payment stops".into()],
        guide: false,
        live: true,
        graph: Arc::new(Graph::of(messaging)),
        script: Arc::new(script(messaging)),
        faults: Arc::new(faults(messaging)),
        charted: messaging.charts.iter().map(|chart| chart.store.clone()).collect(),
    }]
}

/// How a demo stands that was begun: by step it waits for the first, else it is in the middle of it.
pub fn staged(id: &str, by_step: bool, speed: Speed) -> Staged {
    let clock = PlayerView {
        playing: true,
        speed,
        by_step,
        stands: if by_step { Stands::BeforeStep } else { Stands::Acting },
    };
    if id != "messaging" {
        return Staged {
            steps: steps(),
            clock,
            ..Staged::default()
        };
    }
    let catalog = Catalog::load(&[]).unwrap();
    let messaging = catalog.get(id).unwrap();
    let mut steps = plan(messaging, Language::English);
    for (line, note) in [(0, "order-events"), (1, "inventory, payment, logistics, analytics")] {
        steps[line].state = StepState::Passed;
        steps[line].note = note.into();
    }
    if !by_step {
        steps[2].state = StepState::Running;
        steps[3].state = StepState::Passed;
        steps[3].note = "200 records written".into();
        steps[4].state = StepState::Running;
        steps[4].note = "payment 120 of 200".into();
    }
    Staged {
        steps,
        clock,
        scene: messaging_scene(if by_step { 0 } else { 200 }, 0),
        by_hand: Vec::new(),
    }
}

/// The scene of `messaging` after so many orders, of which payment has missed some.
pub fn messaging_scene(orders: u64, missed: u64) -> Snapshot {
    let catalog = Catalog::load(&[]).unwrap();
    let graph = Graph::of(catalog.get("messaging").unwrap());
    let is_payment = |at: usize| graph.parts[at].name == "payment";
    let taken = |at: usize| if is_payment(at) { orders - missed } else { orders };
    let part = |at: usize| {
        let kind = graph.parts[at].kind;
        PartView {
            state: match kind {
                Kind::Processor if is_payment(at) && missed > 0 => PartState::Stopped,
                Kind::Service if orders >= 450 => PartState::Stopped,
                _ => PartState::Running,
            },
            taken: taken(at),
            given: taken(at),
            lag: (kind == Kind::Processor).then(|| orders - taken(at)),
            shares: if kind == Kind::Processor { vec![4] } else { Vec::new() },
            ..PartView::default()
        }
    };
    let edge = |edge: &Edge| EdgeView {
        records: taken(edge.to),
        rate: 0.0,
        lag: (graph.parts[edge.to].kind == Kind::Processor).then(|| orders - taken(edge.to)),
    };
    Snapshot {
        parts: (0..graph.parts.len()).map(part).collect(),
        edges: graph.edges.iter().map(edge).collect(),
        now: Some(Timestamp(1_714_982_420_512)),
        upcoming: usize::try_from(450 - orders).unwrap(),
        broker_lost: false,
        graph: Arc::new(graph),
    }
}

pub fn steps() -> Vec<StepView> {
    let step = |title: &str, state, note: &str, check| StepView {
        title: title.into(),
        state,
        note: note.into(),
        check,
        ..StepView::default()
    };
    vec![
        step(
            "Write the events of 200 accounts",
            StepState::Passed,
            "1,402 records",
            false,
        ),
        step("the topic holds 1,402 records", StepState::Passed, "", true),
        step("Fold them into balances", StepState::Running, "", false),
        step("acc-1 has 1,000", StepState::Failed, "expected 1000, found 999", true),
    ]
}

/// What a job said.
#[derive(Default)]
pub struct Heard(pub std::sync::Mutex<VecDeque<Event>>, pub Language);

impl Outlet for Heard {
    fn send(&self, event: Event) -> bool {
        self.0.lock().unwrap().push_back(event);
        true
    }

    fn cancelled(&self) -> bool {
        false
    }

    fn language(&self) -> Language {
        self.1
    }

    fn cue(&self, _wait: Duration) -> Option<Cue> {
        None
    }
}

/// One alert that is open, and one that was.
fn alerts() -> Alerts {
    let at = |offset: i64| At {
        topic: "account-events".into(),
        partition: 0,
        offset,
        timestamp: Some(Timestamp(NOW.0 - 60_000 + offset * 400)),
    };
    let alert = |key: &str, raised, resolved: Option<i64>| Alert {
        name: "overdrawn".into(),
        key: format!("{key:?}"),
        row: format!(r#"{{"id":"{key}","balance":-7}}"#),
        raised: at(raised),
        resolved: resolved.map(at),
    };
    Alerts {
        latest: vec![alert("acc-0002", 3, None), alert("acc-0000\u{1b}[31m", 1, Some(2))],
        open: 1,
        resolved: 1,
        forgotten: 0,
    }
}

/// A row of each kind that differs, and since when.
fn found() -> Found {
    let shape = std::sync::Arc::new(Compared {
        table: "account".into(),
        columns: ["id", "balance", "owner"].map(Into::into).to_vec(),
        key: 1,
    });
    let cells = |row: usize, balance| {
        let mut cells = rows().rows[row][..3].to_vec();
        cells[1] = Cell::Integer(balance);
        Some(cells)
    };
    let row = |before, after, changed| RowDifference {
        shape: shape.clone(),
        before,
        after,
        changed,
    };
    let fact = |level, text: &str| Fact {
        level,
        text: text.into(),
    };
    Found {
        tally: Tally {
            added: 1,
            removed: 1,
            changed: 1,
            same: 1_197,
            shapes: 0,
        },
        rows: vec![
            row(cells(0, -7), cells(0, 93), vec![1]),
            row(cells(1, 993), None, Vec::new()),
            row(None, cells(2, 1_993), Vec::new()),
        ],
        facts: vec![
            fact(
                Level::Error,
                "3 rows are not what the log says: - 1, + 1, ~ 1; 1,197 rows alike",
            ),
            fact(
                Level::Hint,
                "before the event below the rows were what the read model still has",
            ),
            fact(
                Level::Warning,
                "another order between the partitions makes exactly this read model",
            ),
        ],
        event: Some(std::sync::Arc::new(Parting {
            at: EventAt {
                topic: "account-events".into(),
                partition: 0,
                offset: 1,
                time: Some(Timestamp(NOW.0 - 59_600)),
            },
            kind: Some("Deposited".into()),
        })),
    }
}

/// Five moments: before the first event, and after each of four.
fn past() -> Vec<Moment> {
    let shape = |name: &str| Shape {
        name: name.into(),
        columns: ["id", "balance", "owner", "note", "blob"].map(Into::into).to_vec(),
        key: vec![0],
    };
    let cells = |row: usize, balance| {
        let mut row = rows().rows[row].clone();
        row[1] = Cell::Integer(balance);
        Some(row)
    };
    let counts = |applied, ignored, skipped| Counts {
        applied,
        ignored,
        skipped,
        ..Counts::default()
    };
    let event = |offset: i64, kind: &str, key: &str, outcome, changes: Vec<RowChange>| Applied {
        record: Record {
            topic: "account-events".into(),
            partition: 0,
            offset,
            timestamp: Some(Timestamp(NOW.0 - 60_000 + offset * 400)),
            key: Some(key.as_bytes().to_vec()),
            value: Some(format!(r#"{{"type":"{kind}","accountId":"{key}","amount":{}}}"#, 100 * offset).into_bytes()),
            headers: Vec::new(),
        },
        event: Some(kind.into()),
        outcome,
        ran: changes
            .iter()
            .map(|change| Ran {
                line: change.line,
                text: "UPDATE account\n   SET balance = balance + :amount\n WHERE id = :accountId;".into(),
            })
            .collect(),
        written: changes.len(),
        changes,
    };
    let change = |line, before, after| RowChange {
        table: 0,
        line,
        before,
        after,
    };
    let events = vec![
        None,
        Some(event(
            0,
            "Opened",
            "acc-0000",
            Outcome::Applied,
            vec![change(12, None, cells(0, 0))],
        )),
        Some(event(
            1,
            "Deposited",
            "acc-0000",
            Outcome::Applied,
            vec![
                change(18, cells(0, 0), cells(0, -7)),
                change(19, cells(1, 500), cells(1, 500)),
                change(20, cells(2, 100), None),
            ],
        )),
        Some(event(2, "Renamed", "acc-0001", Outcome::Ignored, Vec::new())),
        Some(event(
            3,
            "Deposited",
            "acc-0000",
            Outcome::Refused("account.balance: cannot store TEXT value in INTEGER column".into()),
            Vec::new(),
        )),
    ];
    let all = [
        counts(0, 0, 0),
        counts(1, 0, 0),
        counts(2, 0, 0),
        counts(2, 1, 0),
        counts(2, 1, 1),
    ];
    let moments = events
        .into_iter()
        .zip(all)
        .enumerate()
        .map(|(n, (event, counts))| Moment {
            position: [(TopicPartition::new("account-events", 0), n as i64)]
                .into_iter()
                .collect(),
            counts,
            latest: event.as_ref().and_then(|event| event.record.timestamp),
            event,
            tables: vec![shape("account"), shape("totals")],
            walked: None,
            remembered: Vec::new(),
            invariants: vec![(
                "no account is overdrawn".into(),
                "SELECT id FROM account WHERE balance < 0".into(),
            )],
        });
    moments.collect()
}

impl Fake {
    /// Walks among the moments of the past as the log would be walked.
    fn walk(&self, stood: &Stood, go: &Go) -> Result<Event, Failure> {
        let all = self.past.clone()?;
        let last = all.len() - 1;
        let here = stood.position.as_ref().map_or(last, |position| {
            all.iter().position(|moment| moment.position == *position).unwrap()
        });
        let meets = |at: usize, goal: &Goal| {
            let event = all[at].event.as_ref();
            event.is_some_and(|event| match goal {
                Goal::Key(key) => event.record.key.as_ref() == Some(key),
                Goal::Type(kind) => event.event.as_ref() == Some(kind),
                // The fake knows one condition.
                Goal::Condition(sql) => {
                    sql.contains("balance < 0")
                        && event.changes.iter().any(|change| {
                            let balance = change.after.as_ref().map(|row| row[1].clone());
                            matches!(balance, Some(Cell::Integer(n)) if n < 0)
                        })
                }
                Goal::Row(goal) => event.changes.iter().any(|change| {
                    let shape = &all[at].tables[change.table];
                    RowGoal::row(&shape.name, &change.key(shape)) == *goal
                }),
                _ => false,
            })
        };
        let (at, walked) = match go {
            Go::Begin => (0, None),
            Go::End => (last, None),
            Go::BeforeEnd(count) => (last.saturating_sub(*count as usize), None),
            Go::Time(time) => (
                all.iter().rposition(|m| m.latest.is_none_or(|at| at < *time)).unwrap(),
                None,
            ),
            Go::Offset(_, _, offset) => (*offset as usize + 1, None),
            Go::Event(event) => (event.offset as usize + 1, Some(Walked::There)),
            Go::FirstLasting(sql) => return self.walk(stood, &Go::First(Goal::Condition(sql.clone()))),
            Go::First(goal) => match (1..=last).find(|at| meets(*at, goal)) {
                Some(at) => (at, Some(Walked::There)),
                None => (here, Some(Walked::Edge)),
            },
            Go::Forward(Goal::Count(count)) if here + *count as usize <= last => {
                (here + *count as usize, Some(Walked::There))
            }
            Go::Back(Goal::Count(count)) if *count as usize <= here => (here - *count as usize, Some(Walked::There)),
            Go::Forward(goal) => match (here + 1..=last).find(|at| meets(*at, goal)) {
                Some(at) => (at, Some(Walked::There)),
                None if matches!(goal, Goal::Count(_)) => (last, Some(Walked::Edge)),
                None => (here, Some(Walked::Edge)),
            },
            Go::Back(goal) => match (0..here).rev().find(|at| meets(*at, goal)) {
                Some(at) => (at, Some(Walked::There)),
                None if matches!(goal, Goal::Count(_)) => (0, Some(Walked::Edge)),
                None => (here, Some(Walked::Edge)),
            },
        };
        let mut moment = all[at].clone();
        moment.walked = walked;
        Ok(Event::Moment(Box::new(moment)))
    }

    /// The events of the past that wrote a row.
    fn blame(&self, row: &Asked) -> Result<Event, Failure> {
        let all = self.past.clone()?;
        let last = row.until.as_ref().map_or(all.len() - 1, |position| {
            all.iter().position(|moment| moment.position == *position).unwrap()
        });
        let mut wrote = Wrote {
            underway: Underway {
                events: last as u64,
                share: None,
            },
            over: true,
            found_by: Some(FoundBy::Replay),
            ..Wrote::default()
        };
        for moment in &all[..=last] {
            let Some(mut event) = moment.event.clone() else {
                continue;
            };
            event.changes.retain(|change| {
                let shape = &moment.tables[change.table];
                shape.name == row.table && RowGoal::row(&shape.name, &change.key(shape)).key == row.key
            });
            let lines: Vec<usize> = event.changes.iter().map(|change| change.line).collect();
            event.ran.retain(|ran| lines.contains(&ran.line));
            if !event.changes.is_empty() {
                wrote.shape = Some(moment.tables[0].clone());
                wrote.events.push(event);
            }
        }
        Ok(Event::Wrote(wrote))
    }

    fn page(&self, request: &PageRequest) -> Result<Page, Failure> {
        let from = &request.from;
        let all = self.records.clone()?;
        if let Some(Needle::Where(condition)) = &request.needle
            && condition != "1"
        {
            return Err(Failure::new(format!("no such column: {condition}")));
        }
        let offsets = |at: &dyn Fn(i32) -> i64| -> BTreeMap<i32, i64> { (0..3).map(|p| (p, at(p))).collect() };
        let empty = all.is_empty();
        let high = if empty { 0 } else { 25_000 };
        let watermarks = (0..3)
            .map(|partition| Watermarks {
                partition,
                low: 0,
                high,
            })
            .collect();
        let within = |record: &Record| match (from, &request.needle) {
            (PageFrom::Place(_) | PageFrom::UpTo(..), _) => true,
            (PageFrom::Before(ends), Some(needle)) => record.offset < ends[&record.partition] && lets(needle, record),
            (PageFrom::After(starts), Some(needle)) => {
                record.offset >= starts[&record.partition] && lets(needle, record)
            }
            _ => false,
        };
        let records: Vec<Record> = all.into_iter().filter(within).collect();
        let first = records.first().map_or(0, |r| r.offset);
        Ok(Page {
            start: match (from, &request.needle) {
                (PageFrom::After(starts), Some(_)) => starts.clone(),
                (PageFrom::Before(_), Some(_)) => offsets(&|_| 0),
                _ => offsets(&|_| first),
            },
            end: match (from, &request.needle) {
                (PageFrom::Before(ends), Some(_)) => ends.clone(),
                _ => offsets(&|_| high),
            },
            records,
            watermarks,
        })
    }
}

/// Whether a record is one that is searched for; the one condition that it knows chooses all.
fn lets(needle: &Needle, record: &Record) -> bool {
    match needle {
        Needle::Text(text) => matches(&record.view(), text),
        Needle::Where(_) => true,
    }
}

impl World for Fake {
    fn perform(&self, job: Job, out: &dyn Outlet) -> Result<Event, Failure> {
        match job {
            Job::Connect => self.cluster.clone().map(Event::Connected),
            Job::Topics => self.topics.clone().map(|t| Event::Topics(t, NOW)),
            Job::TopicConfig(_) => Ok(Event::TopicConfig(vec![
                entry("cleanup.policy", "delete", true),
                entry("retention.ms", "604800000", false),
            ])),
            Job::DeleteTopic(_) => Ok(Event::Done(String::new())),
            Job::Page(request) => self.page(&request).map(Event::Page),
            Job::Tail { .. } => {
                out.send(Event::Arrivals(Arrivals {
                    records: vec![order(0, 25_000), order(1, 25_001)],
                    gap: None,
                    end: BTreeMap::from([(0, 25_001), (1, 25_002)]),
                    seen: 2,
                }));
                Err(Failure::new("not over"))
            }
            Job::Groups => self.groups.clone().map(Event::Groups),
            Job::Group(id) => Ok(Event::Group(group(&id))),
            Job::Projections | Job::MoreLetters(..) => self.projections.clone().map(Event::Projections),
            Job::Rebuild { .. } | Job::Follow { .. } => {
                for progress in &self.progress {
                    out.send(Event::Progress(progress.clone()));
                }
                Err(Failure::new("not over"))
            }
            Job::Preview { name, .. } => {
                let found = self.found.clone()?;
                out.send(Event::Previewed(Box::new(Previewed {
                    name,
                    hash: "new".into(),
                    tally: found.tally,
                    event: found.event,
                })));
                Ok(Event::Done(
                    "preview of account_balance: 3 rows differ; p shows them".into(),
                ))
            }
            Job::Accept { name, .. } => {
                out.send(Event::Built(Box::new(info(&name, State::Ready))));
                Ok(Event::Done(format!("the preview of {name} is in use")))
            }
            Job::Alerts(..) => self.alerts.clone().map(|found| Event::Alerts(Box::new(found))),
            Job::Decide(deciding) => Ok(Event::Done(match deciding.choices {
                Choices::One(..) => "decided about 1".into(),
                Choices::RetrySkipped => "decided about all".into(),
            })),
            Job::DropPreview(name) => Ok(Event::Done(format!("the preview of {name} is dropped"))),
            Job::BringBack(name) => Ok(Event::Done(format!("the build of {name} before is in use again"))),
            Job::Tables => self.tables.clone().map(Event::Tables),
            Job::Query { .. } => self.rows.clone().map(Event::Rows),
            Job::Walk { stood, go } => self.walk(&stood, &go),
            Job::PastRows { sql, .. } if sql.starts_with("SELECT count(*)") => Ok(Event::Rows(Rows {
                rows: vec![vec![Cell::Integer(230)]],
                ..Rows::default()
            })),
            Job::PastRows { .. } => self.rows.clone().map(Event::Rows),
            Job::LeavePast | Job::Remember(..) => Ok(Event::Done(String::new())),
            Job::Timeline(_) => Ok(Event::Timeline(self.timeline.clone())),
            Job::Differences(_) => self.found.clone().map(|found| Event::Differences(Box::new(found))),
            Job::Blame(row) => self.blame(&row),
            Job::Charts { .. } => self.charts.clone().map(Event::Charts),
            Job::Report(_) => Ok(Event::Done("the report is /tmp/foldlog.html".into())),
            Job::Guide => Ok(Event::Guide(Box::new(guidance()))),
            Job::Demos => Ok(Event::Demos(demos())),
            Job::RunDemo { id, by_step, speed } => {
                out.send(Event::Staged(Box::new(staged(&id, by_step, speed))));
                Err(Failure::new("not over"))
            }
        }
    }
}

fn entry(name: &str, value: &str, is_default: bool) -> ConfigEntry {
    ConfigEntry {
        name: name.into(),
        value: Some(value.into()),
        is_default,
    }
}
