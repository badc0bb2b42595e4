//! What somebody who watches a demo can do to it: the faults that fit its parts, and the ways back. They are the actions that
//! a lesson's steps have, so that whatever is tried by hand is what a lesson would do.

use super::catalog::{Demo, Processor};
use super::graph::{Graph, Kind};
use super::script::{Action, Broker, Delay, Duplicate, Members, Poison, Produce, Reorder, Slow, half};
use super::snapshot::{PartState, PartView};
use super::text::Text;

/// How many records a slow processor may apply a second: slow enough that one sees the lag grow.
const SLOW: u64 = 5;
/// How many records a fault is about.
const RECORDS: usize = 10;
/// How many events are written before those that are late.
const LATE: usize = 20;
/// How many members a group is offered; more would not be told apart in a scene.
const MEMBERS: usize = 3;

/// Something that is done to a run by hand.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    pub(super) action: Action,
    /// The part that it is about, as its place in the demo's graph; `None` for the whole demo.
    pub part: Option<usize>,
}

impl Fault {
    /// What it does, in a few words.
    pub fn title(&self) -> Text {
        self.action.title()
    }

    /// What to expect of it.
    pub fn expect(&self) -> Text {
        let (en, zh) = match &self.action {
            Action::Stop(_) => (
                "it commits and leaves its group; its lag grows",
                "它提交位移、离开消费者组；滞后开始增长",
            ),
            Action::Kill(_) => (
                "it commits nothing more; its group misses it when its session is over",
                "它不再提交；会话超时之后，组里才发现它不见了",
            ),
            Action::Slow(_) => ("it applies 5 records a second at most", "它每秒最多处理 5 条记录"),
            Action::Start(_) => ("it goes on where its group stands", "从消费者组的位移处继续"),
            Action::Skip(_) => (
                "it lists the poison record and goes on past it",
                "把毒丸记下来，跳过它继续",
            ),
            Action::Fast(_) => ("as fast as it can again", "恢复全速"),
            Action::Members(_) => ("its partitions are shared out anew", "分区重新分配"),
            Action::Hold(_) => (
                "it commits rows, and what it would publish waits",
                "行照样提交，要发布的都等着",
            ),
            Action::Release(_) => ("what waits is published, each once", "等着的都发布出去，每条一次"),
            Action::FillDisk(_) => (
                "its next commit finds no room: it ends, and its log keeps what comes",
                "下一次提交没有空间：它会结束，后来的记录留在日志里",
            ),
            Action::FreeDisk(_) => (
                "it goes on from its last commit and catches up",
                "从上一次提交处继续，追上日志",
            ),
            Action::Cut(_) => ("the other cluster cannot be reached", "另一个集群连不上了"),
            Action::Join(_) => ("it goes on with what the other cluster lacks", "把另一个集群缺的补上"),
            Action::Rotate(_) => (
                "its file gets another name, and is read to its end all the same",
                "文件改了名，照样读到末尾",
            ),
            Action::Load(_) => (
                "what its files have and nobody has loaded yet is written to its topic",
                "把文件里还没装载过的记录写入主题",
            ),
            Action::Rebuild(_) => ("the log is folded into it once more", "把日志重新折叠一遍"),
            Action::Poison(_) => (
                "a record that no handler can apply: whoever reads it stops before it",
                "一条谁也处理不了的记录：读到它的都会停在它前面",
            ),
            Action::Duplicate(_) => (
                "its last records come a second time, as after a lost acknowledgement",
                "最后几条记录又来一遍，就像确认丢了之后的重发",
            ),
            Action::Produce(_) => ("the next events, now", "立刻写入接下来的事件"),
            Action::Delay(_) => (
                "the next events come after 20 later ones",
                "接下来的事件比后面 20 个还晚到",
            ),
            Action::Reorder(_) => ("the next events come the other way round", "接下来的事件倒着来"),
            Action::Lose(_) => (
                "nobody can write or read until it is back",
                "恢复之前谁也写不了、读不了",
            ),
            Action::BringBack(_) => ("clients find it again by themselves", "客户端会自己重新连上"),
            _ => ("", ""),
        };
        Text::both(en, zh)
    }

    /// Whether it mends what another broke.
    pub fn is_way_back(&self) -> bool {
        matches!(
            self.action,
            Action::Start(_) | Action::Fast(_) | Action::Skip(_) | Action::BringBack(_) | Action::FreeDisk(_)
        )
    }

    /// Whether it takes the broker away or brings it back, which only the process that runs it can do.
    pub fn is_of_the_broker(&self) -> bool {
        matches!(self.action, Action::Lose(_) | Action::BringBack(_))
    }

    /// Whether it means anything now: what is stopped cannot be stopped again. `part` is the part that it is about.
    pub fn fits(&self, part: Option<&PartView>, broker_lost: bool) -> bool {
        let state = part.map(|part| part.state);
        let runs = matches!(state, Some(PartState::Running | PartState::Slow));
        match &self.action {
            Action::Stop(_) | Action::Kill(_) | Action::Hold(_) | Action::Release(_) => runs,
            Action::Slow(_) | Action::FillDisk(_) => state == Some(PartState::Running),
            Action::FreeDisk(_) => state == Some(PartState::Full),
            Action::Fast(_) => state == Some(PartState::Slow),
            Action::Skip(_) => state == Some(PartState::Poisoned),
            Action::Start(_) => state.is_some() && !runs,
            Action::Members(members) => runs && part.is_some_and(|part| part.shares.len() != members.count),
            Action::Lose(_) => !broker_lost,
            Action::BringBack(_) => broker_lost,
            // Whoever writes needs somebody who takes it.
            _ => !broker_lost,
        }
    }

    /// Writes the next event, whatever the clock says.
    pub(super) fn one_record() -> Self {
        Self {
            action: write(1),
            part: None,
        }
    }
}

/// Every fault of a demo with its way back; none where nothing of it runs live.
pub fn faults(demo: &Demo) -> Vec<Fault> {
    if !demo.is_live() {
        return Vec::new();
    }
    let graph = Graph::of(demo);
    let mut all = Vec::new();
    let mut add = |kind: Option<(Kind, &str)>, action: Action| {
        let part = kind.and_then(|(kind, name)| graph.find(kind, name));
        all.push(Fault { action, part });
    };
    for processor in &demo.processors {
        for action in of_processor(demo, processor) {
            add(Some((Kind::Processor, &processor.name)), action);
        }
        let read_model = &processor.projection.name;
        let part = || processor.name.clone();
        for action in [
            Action::Rebuild(read_model.clone()),
            Action::FillDisk(part()),
            Action::FreeDisk(part()),
        ] {
            add(Some((Kind::Store, read_model)), action);
        }
    }
    for mirror in &demo.mirrors {
        let name = || mirror.name.clone();
        let all = [
            Action::Stop(name()),
            Action::Kill(name()),
            Action::Start(name()),
            Action::Cut(name()),
            Action::Join(name()),
        ];
        for action in all {
            add(Some((Kind::Processor, &mirror.name)), action);
        }
    }
    for agent in &demo.agents {
        let name = || agent.name.clone();
        let all = [
            Action::Stop(name()),
            Action::Kill(name()),
            Action::Start(name()),
            Action::Rotate(name()),
        ];
        for action in all {
            add(Some((Kind::Processor, &agent.name)), action);
        }
    }
    for projection in &demo.projections {
        let read_model = &projection.name;
        add(Some((Kind::Store, read_model)), Action::Rebuild(read_model.clone()));
    }
    for sink in demo.sinks.iter().filter(|sink| sink.loads_into.is_some()) {
        add(Some((Kind::Sink, &sink.name)), Action::Load(sink.name.clone()));
    }
    for topic in &demo.topics {
        let topic = topic.name.clone();
        let poison = Poison {
            topic: topic.clone(),
            key: None,
            value: half(),
        };
        let twice = Duplicate {
            topic: topic.clone(),
            records: RECORDS,
        };
        add(Some((Kind::Topic, &topic)), Action::Poison(poison));
        add(Some((Kind::Topic, &topic)), Action::Duplicate(twice));
    }
    let late = Delay {
        records: RECORDS,
        by: LATE,
    };
    let turned = Reorder { records: RECORDS };
    for action in [write(RECORDS), Action::Delay(late), Action::Reorder(turned)] {
        add(None, action);
    }
    add(None, Action::Lose(Broker::Broker));
    add(None, Action::BringBack(Broker::Broker));
    all
}

fn of_processor(demo: &Demo, processor: &Processor) -> Vec<Action> {
    let part = || processor.name.clone();
    let slow = Slow {
        part: part(),
        rate: SLOW,
    };
    let mut actions = vec![
        Action::Stop(part()),
        Action::Kill(part()),
        Action::Slow(slow),
        Action::Start(part()),
        Action::Skip(part()),
        Action::Fast(part()),
    ];
    if !processor.projection.emits.is_empty() {
        actions.extend([Action::Hold(part()), Action::Release(part())]);
    }
    let read = |name: &String| demo.topics.iter().find(|topic| topic.name == *name);
    let partitions = processor.projection.topics.iter().filter_map(read);
    let most = partitions.map(|topic| topic.partitions.unwrap_or(1)).max().unwrap_or(1);
    // More members than partitions would have nothing to do.
    for count in 1..=MEMBERS.min(usize::try_from(most).unwrap_or(1)) {
        let members = Members { part: part(), count };
        actions.push(Action::Members(members));
    }
    actions
}

fn write(records: usize) -> Action {
    Action::Produce(Produce {
        records: Some(records),
        ..Produce::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::catalog::Catalog;
    use crate::demo::text::Language;

    fn words(faults: &[Fault], part: Option<usize>) -> Vec<String> {
        let of = faults.iter().filter(|fault| fault.part == part);
        of.map(|fault| fault.title().get(Language::English).to_owned())
            .collect()
    }

    #[test]
    fn every_part_has_its_faults_and_each_fault_its_way_back() {
        let catalog = Catalog::load(&[]).unwrap();
        let demo = catalog.get("messaging").unwrap();
        let (all, graph) = (faults(demo), Graph::of(demo));
        let payment = words(&all, graph.find(Kind::Processor, "payment"));
        for word in [
            "stop payment",
            "kill payment",
            "start payment",
            "give payment 3 members",
        ] {
            assert!(payment.iter().any(|known| known == word), "{word}: {payment:?}");
        }
        let topic = words(&all, graph.find(Kind::Topic, "order-events"));
        assert_eq!(topic, ["poison order-events", "write 10 records of order-events twice"]);
        assert_eq!(
            words(&all, graph.find(Kind::Store, "payment")),
            [
                "rebuild payment",
                "fill the disk of payment's store",
                "make room on the disk of payment's store"
            ]
        );
        assert!(words(&all, None).contains(&"stop the broker".to_owned()));
        assert!(faults(catalog.get("event-sourcing").unwrap()).is_empty());
        let demo = catalog.get("log-analytics").unwrap();
        let (all, graph) = (faults(demo), Graph::of(demo));
        assert_eq!(
            words(&all, graph.find(Kind::Processor, "web-agent")),
            [
                "stop web-agent",
                "kill web-agent",
                "start web-agent",
                "rotate the log of web-agent"
            ]
        );
    }

    #[test]
    fn what_is_stopped_is_not_stopped_again_and_what_runs_is_not_started() {
        let catalog = Catalog::load(&[]).unwrap();
        let all = faults(catalog.get("messaging").unwrap());
        let fits = |wanted: &str, state: PartState, lost: bool| {
            let view = PartView {
                state,
                shares: vec![4],
                ..PartView::default()
            };
            let found = all.iter().find(|fault| fault.title().get(Language::English) == wanted);
            found.unwrap().fits(Some(&view), lost)
        };
        for (word, states) in [
            ("stop payment", vec![PartState::Running, PartState::Slow]),
            ("kill payment", vec![PartState::Running, PartState::Slow]),
            ("slow payment down", vec![PartState::Running]),
            ("let payment be fast again", vec![PartState::Slow]),
            ("let payment go on past poison", vec![PartState::Poisoned]),
            ("give payment 2 members", vec![PartState::Running, PartState::Slow]),
            ("give payment 1 member", vec![]),
            ("fill the disk of payment's store", vec![PartState::Running]),
            ("make room on the disk of payment's store", vec![PartState::Full]),
        ] {
            use PartState::{Failed, Full, Killed, Poisoned, Running, Slow, Stopped};
            for state in [Running, Stopped, Killed, Poisoned, Slow, Failed, Full] {
                assert_eq!(
                    fits(word, state, false),
                    states.contains(&state),
                    "{word} while {state:?}"
                );
            }
        }
        assert!(fits("start payment", PartState::Killed, true) && !fits("start payment", PartState::Slow, false));
        assert!(
            fits("stop the broker", PartState::Running, false) && !fits("stop the broker", PartState::Running, true)
        );
        assert!(fits("start the broker again", PartState::Running, true));
        assert!(!fits("poison order-events", PartState::Running, true));
    }
}
