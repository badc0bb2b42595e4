//! Every command once: its name, its keys, where it works, what it does. Help, palette, footer and keymap read this table.

use super::key::{Code, Key};

/// What a command does; `update` gives it meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(
    missing_docs,
    reason = "each is explained by its line in COMMANDS, which is also what the user reads"
)]
pub enum Action {
    Open,
    OpenRow,
    Back,
    NextPane,
    PreviousPane,
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    First,
    Last,
    Filter,
    Place,
    Order,
    Tail,
    Pause,
    Partitions,
    Internal,
    DeleteTopic,
    Rebuild,
    RebuildSkipping,
    Follow,
    DeadLetter,
    Alerts,
    Time,
    Blame,
    OnlyCell,
    Verify,
    Retry,
    Skip,
    SkipKey,
    Mend,
    Replay,
    Preview,
    Accept,
    DropPreview,
    BringBack,
    Without,
    WithoutWhere,
    Instead,
    Besides,
    MoveEvent,
    OpenRecord,
    Forward,
    Backward,
    Forward10,
    Backward10,
    Forward100,
    Backward100,
    NextOfKey,
    PreviousOfKey,
    NextOfType,
    PreviousOfType,
    NextOfRow,
    PreviousOfRow,
    Play,
    Speed,
    Condition,
    RunOn,
    RunBack,
    RunFirst,
    RunLasting,
    Later,
    Earlier,
    NextTable,
    Sql,
    RunDemo,
    Charts,
    StoreCharts,
    Board,
    OpenStore,
    Chart,
    Report,
    RunFirstDemo,
    Choose,
    NextStep,
    ScenePlay,
    SceneSpeed,
    OneRecord,
    Through,
    StartAgain,
    Break,
    Cancel,
    Copy,
    Zoom,
    Clock,
    Language,
    Refresh,
    GoTopics,
    GoProjections,
    GoReadModels,
    GoDemos,
    GoGroups,
    Messages,
    Palette,
    Help,
    Quit,
    QuitNow,
    #[cfg(debug_assertions)]
    DebugPanic,
}

/// Where a command works. What is in view decides which of these hold at once; see [`super::model::Model::contexts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Context {
    /// Everywhere, even while typing.
    Always,
    /// On every screen, unless something is typed or asked.
    Browse,
    /// Where something moves or scrolls.
    Motion,
    /// While a list has the focus.
    List,
    /// The welcome, on the topics screen of an embedded broker that holds nothing yet.
    Welcome,
    /// The topics screen.
    Topics,
    /// The records screen.
    Records,
    /// The projections screen.
    Projections,
    /// The dead letters of a projection.
    Letters,
    /// The alerts of a projection.
    Alerts,
    /// The read-model screen.
    ReadModel,
    /// The rows of the read-model screen, while they have the focus.
    Rows,
    /// The time machine.
    Time,
    /// The events that wrote a row.
    Blame,
    /// What differs between two read models.
    Differences,
    /// The charts of a demo.
    Charts,
    /// The demos screen.
    Demos,
    /// A demo's scene.
    Scene,
    /// The guide.
    Guide,
    /// The groups screen.
    Groups,
    /// An overlay that shows text.
    Overlay,
}

impl Context {
    /// The heading of the context in the help.
    pub fn title(self) -> &'static str {
        match self {
            Self::Always => "Anywhere",
            Self::Browse => "On every screen",
            Self::Motion => "Moving",
            Self::List => "Lists",
            Self::Welcome => "Welcome",
            Self::Topics => "Topics",
            Self::Records => "Records",
            Self::Projections => "Projections",
            Self::Letters => "Dead letters",
            Self::Alerts => "Alerts",
            Self::ReadModel => "Read models",
            Self::Rows => "Rows",
            Self::Time => "Time",
            Self::Blame => "Blame",
            Self::Differences => "Differences",
            Self::Charts => "Charts",
            Self::Demos => "Demos",
            Self::Scene => "Scene",
            Self::Guide => "Guide",
            Self::Groups => "Groups",
            Self::Overlay => "This window",
        }
    }
}

/// A command as the user meets it.
#[derive(Debug)]
pub struct Command {
    /// What it does.
    pub action: Action,
    /// What it is called in the palette.
    pub name: &'static str,
    /// The keys that run it; the first is the one shown.
    pub keys: &'static [Key],
    /// Where it works.
    pub contexts: &'static [Context],
    /// One line of help.
    pub help: &'static str,
    /// What the footer calls it; empty where the footer leaves it out.
    pub hint: &'static str,
}

const fn command(
    action: Action,
    name: &'static str,
    keys: &'static [Key],
    contexts: &'static [Context],
    help: &'static str,
    hint: &'static str,
) -> Command {
    Command {
        action,
        name,
        keys,
        contexts,
        help,
        hint,
    }
}

use Context::{
    Alerts, Always, Blame, Browse, Charts, Demos, Differences, Letters, List, Motion, Overlay, Projections, ReadModel,
    Records, Rows, Scene, Time, Topics, Welcome,
};

/// The table. The order is the order of footer, help and palette.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    command(Action::Tail, "live tail", &[Key::ch('f')], &[Records], "show records as they arrive; again to stop", "live"),
    command(Action::Pause, "pause tail", &[Key::ch(' ')], &[Records], "hold the live tail still; again to go on", "pause"),
    command(Action::Place, "go to place", &[Key::ch('t')], &[Records, Time], "go to begin, end, -N, an offset, P:OFFSET or a time", "place"),
    command(Action::Order, "order", &[Key::ch('o')], &[Records, Blame], "newest first or oldest first", "order"),
    command(Action::Partitions, "partitions", &[Key::ch('p')], &[Records], "show some partitions only", "partitions"),
    command(Action::Rebuild, "rebuild", &[Key::ch('r')], &[Projections], "fold the whole log again beside the old read model, then swap", "rebuild"),
    command(Action::RebuildSkipping, "rebuild, skip poison", &[Key::ch('S')], &[Projections], "rebuild, listing poison records instead of stopping at them", ""),
    command(Action::Follow, "follow", &[Key::ch('f')], &[Projections], "keep the read model up to date as records arrive", "follow"),
    command(Action::DeadLetter, "dead letters", &[Key::ch('d')], &[Projections], "the records that could not be applied, each with the reason", "dead letters"),
    command(Action::Alerts, "alerts", &[Key::ch('A')], &[Projections], "the alerts that are open and those that were, each with the record that raised it", "alerts"),
    command(Action::Forward, "step forward", &[Key::ch('.')], &[Time], "apply the next event; → does the same", "step"),
    command(Action::Backward, "step back", &[Key::ch(',')], &[Time], "undo the last event; ← does the same", "back"),
    command(Action::Play, "play", &[Key::ch('p')], &[Time], "play the log on from here; again to stop", "play"),
    command(Action::Speed, "speed", &[Key::ch('P')], &[Time], "play at the log's own pace, 10 or 100 times faster", ""),
    command(Action::Condition, "condition", &[Key::ch('c')], &[Time], "run to a condition in SQL: write one, or choose an invariant or an earlier one", "condition"),
    command(Action::RunOn, "run on", &[Key::ch('r')], &[Time], "run forward to the condition again", "run on"),
    command(Action::RunBack, "run back", &[Key::ch('R')], &[Time], "run back to the event before at which the condition held", ""),
    command(Action::RunFirst, "first that holds", &[Key::ch('F')], &[Time], "the first event of the whole log after which the condition holds", ""),
    command(Action::RunLasting, "first that lasts", &[Key::ch('f')], &[Time], "the first event after which the condition holds for good: found at once, by bisection over the snapshots", ""),
    command(Action::Later, "coarse forward", &[Key::ch('>')], &[Time], "forward by a twentieth of the log; the slider can be dragged, too", ""),
    command(Action::Earlier, "coarse back", &[Key::ch('<')], &[Time], "back by a twentieth of the log", ""),
    command(Action::NextOfKey, "next of key", &[Key::ch('n')], &[Time], "forward to the next event of the same key", "same key"),
    command(Action::PreviousOfKey, "previous of key", &[Key::ch('N')], &[Time], "back to the event of the same key before", ""),
    command(Action::NextOfType, "next of type", &[Key::ch('e')], &[Time], "forward to the next event of the same type", "same type"),
    command(Action::PreviousOfType, "previous of type", &[Key::ch('E')], &[Time], "back to the event of the same type before", ""),
    command(Action::NextOfRow, "next write", &[Key::ch('w')], &[Time], "forward to the next event that wrote the row under the cursor", "same row"),
    command(Action::PreviousOfRow, "previous write", &[Key::ch('W')], &[Time], "back to the event that wrote the row under the cursor before", ""),
    command(Action::Forward10, "10 forward", &[Key::ch(']')], &[Time], "apply the next 10 events", ""),
    command(Action::Backward10, "10 back", &[Key::ch('[')], &[Time], "undo the last 10 events", ""),
    command(Action::Forward100, "100 forward", &[Key::ch('}')], &[Time], "apply the next 100 events", ""),
    command(Action::Backward100, "100 back", &[Key::ch('{')], &[Time], "undo the last 100 events", ""),
    command(Action::NextTable, "next table", &[Key::ch('b')], &[Time], "show the rows of the next table", "table"),
    command(Action::OpenRecord, "record", &[Key::of(Code::Enter)], &[Letters, Alerts, Time, Blame, Differences], "open the event among the records of its topic", "record"),
    command(Action::Time, "time", &[Key::ch('T')], &[Projections, Alerts, ReadModel, Blame, Differences], "go back in time: the read model at any moment, event by event", "time"),
    command(Action::Blame, "blame", &[Key::ch('B')], &[ReadModel, Time, Differences], "every event that wrote the row under the cursor, or changed the cell", "blame"),
    command(Action::Retry, "retry", &[Key::ch('r')], &[Letters], "apply the record as the log has it, by the file as it is now", "retry"),
    command(Action::Skip, "skip", &[Key::ch('s')], &[Letters], "leave the record out for good", "skip"),
    command(Action::SkipKey, "skip and hold key", &[Key::ch('S')], &[Letters], "leave it out, and hold what comes later of its key until it is decided otherwise", ""),
    command(Action::Mend, "edit", &[Key::ch('e')], &[Letters], "apply it with another value; the log stays as it is", "edit"),
    command(Action::Replay, "replay all", &[Key::ch('R')], &[Letters], "try every record again that was left out", ""),
    command(Action::Preview, "preview", &[Key::ch('p')], &[Projections], "what the changed file would make of the log: built beside the read model, and compared", "preview"),
    command(Action::Accept, "accept preview", &[Key::ch('a')], &[Projections, Differences], "put the preview in use; the build before is kept", "accept"),
    command(Action::DropPreview, "drop preview", &[Key::ch('X')], &[Projections, Differences], "drop the preview; the read model in use stays", "drop"),
    command(Action::BringBack, "bring back", &[Key::ch('b')], &[Projections], "put the build before this one back in use; asks first", ""),
    command(Action::Verify, "verify", &[Key::ch('v')], &[Projections, ReadModel], "replay the log beside the read model, and show each row that is not what the log says", "verify"),
    command(Action::Without, "what if without", &[Key::ch('-')], &[Records, Time, Blame], "what the read model would be, had this event never been", ""),
    command(Action::Instead, "what if instead", &[Key::ch('=')], &[Records, Time, Blame], "what the read model would be, had this event said something else", ""),
    command(Action::WithoutWhere, "what if without all", &[Key::ch('_')], &[Records, Time, Blame], "what it would be without all that a condition chooses", ""),
    command(Action::Besides, "what if besides", &[Key::ch('+')], &[Records, Time, Blame], "what it would be, had another event come after this one", ""),
    command(Action::MoveEvent, "what if elsewhere", &[Key::ch('m')], &[Records, Time, Blame], "what it would be, had this event come elsewhere", ""),
    command(Action::OnlyCell, "cell or row", &[Key::ch('c')], &[Blame], "only what changed the cell, or all that wrote its row", "cell or row"),
    command(Action::Sql, "sql", &[Key::ch('s')], &[ReadModel], "edit the query above the rows; every read model is a schema", "sql"),
    command(Action::RunFirstDemo, "run the first demo", &[Key::ch('r')], &[Welcome], "fill the broker with the first demo", "run the demo"),
    command(Action::Chart, "chart", &[Key::ch('c')], &[ReadModel], "draw the rows as a chart, whichever their columns make; again for the rows", "chart"),
    command(Action::OpenStore, "read model", &[Key::of(Code::Enter)], &[Charts], "open the read model that the chart is of", "read model"),
    command(Action::Board, "all at once", &[Key::ch('b')], &[Charts], "every chart at once; again for one beside the list", "all at once"),
    command(Action::RunDemo, "run demo", &[Key::ch('r')], &[Demos], "open the demo's scene and run it through, with its steps and checks, on this cluster", "run"),
    command(Action::Choose, "choose", &[Key::ch('C')], &[Demos], "find the demo that fits, by a few questions, and what to learn next", "choose"),
    command(Action::NextStep, "next step", &[Key::ch('n')], &[Scene], "do the next step of the lesson; the first begins it", "next step"),
    command(Action::ScenePlay, "play demo", &[Key::ch('p'), Key::ch(' ')], &[Scene], "hold the demo's clock still, so that no event is written; again to go on", "play/pause"),
    command(Action::OneRecord, "one record", &[Key::ch('.')], &[Scene], "write one event and hold the clock still", "one record"),
    command(Action::SceneSpeed, "demo speed", &[Key::ch('P')], &[Scene], "write events as they came, 10 or 100 times faster, or without waiting", "speed"),
    command(Action::Break, "break it", &[Key::ch('b')], &[Scene], "stop, kill, slow, poison: every fault that fits here, and the ways back", "break it"),
    command(Action::Through, "all steps", &[Key::ch('a')], &[Scene], "go through the rest of the lesson without waiting; again to wait before each step", ""),
    command(Action::StartAgain, "start again", &[Key::ch('r')], &[Scene], "run the lesson through from its beginning, with empty topics", "run"),
    command(Action::Charts, "charts", &[Key::ch('c')], &[Demos, Scene], "look at the demo's charts, live", "charts"),
    command(Action::StoreCharts, "charts of a demo", &[Key::ch('C')], &[ReadModel], "look at the charts that a demo has of this read model, live", ""),
    command(Action::Report, "write report", &[Key::ch('w')], &[Demos, Scene, Charts], "write the run that has ended into a file: steps, checks, flow, charts, lesson", "report"),
    command(Action::Cancel, "cancel", &[Key::ch('x')], &[Browse], "stop the running query or work; what was there stays", "cancel"),
    command(Action::Filter, "filter", &[Key::ch('/')], &[List, Letters, Alerts, Blame, Differences, Charts], "show only what contains a text", "filter"),
    command(Action::Open, "open", &[Key::of(Code::Enter)], &[List, Scene], "go in: what the cursor is on", "open"),
    command(Action::OpenRow, "row", &[Key::of(Code::Enter)], &[Rows], "show the row's values whole, one below the other", "row"),
    command(Action::Back, "back", &[Key::of(Code::Esc)], &[Browse, Overlay], "go back: close, clear the filter, leave the screen", ""),
    command(Action::Back, "close", &[Key::ch('q')], &[Overlay], "close this window", ""),
    command(Action::NextPane, "next pane", &[Key::of(Code::Tab)], &[Browse], "move the focus to the next pane", "pane"),
    command(Action::PreviousPane, "previous pane", &[Key::of(Code::BackTab)], &[Browse], "move the focus to the previous pane", ""),
    command(Action::Zoom, "zoom", &[Key::ch('z')], &[Browse], "give the focused pane the whole body; again to undo", ""),
    command(Action::Copy, "copy", &[Key::ch('y')], &[Browse], "copy what the cursor is on to the clipboard (OSC 52)", ""),
    command(Action::Internal, "internal topics", &[Key::ch('i')], &[Topics], "show or hide Kafka's own topics", ""),
    command(Action::DeleteTopic, "delete topic", &[Key::ch('D')], &[Topics], "delete the topic; asks for its name", ""),
    command(Action::GoTopics, "topics", &[Key::ch('1')], &[Browse], "topics and their records", ""),
    command(Action::GoProjections, "projections", &[Key::ch('2')], &[Browse], "projection files: rebuild, follow, dead letters", ""),
    command(Action::GoReadModels, "read models", &[Key::ch('3')], &[Browse], "tables that projections built, and SQL over them", ""),
    command(Action::GoDemos, "demos", &[Key::ch('4')], &[Browse], "use cases that run on this machine", ""),
    command(Action::GoGroups, "groups", &[Key::ch('5')], &[Browse], "consumer groups and their lag", ""),
    command(Action::Clock, "utc or local", &[Key::ch('u')], &[Browse], "show times in UTC or in local time", ""),
    command(Action::Refresh, "refresh", &[Key::ctrl('r')], &[Browse], "ask the cluster again now", ""),
    command(Action::Messages, "messages", &[Key::ch('!')], &[Browse], "every message and error of this session, in full", ""),
    command(Action::Palette, "commands", &[Key::ch(':')], &[Browse], "find a command, a topic or a projection by name", ""),
    command(Action::Up, "up", &[Key::ch('k'), Key::of(Code::Up), Key::ctrl('p')], &[Motion], "one up", ""),
    command(Action::Down, "down", &[Key::ch('j'), Key::of(Code::Down), Key::ctrl('n')], &[Motion], "one down", ""),
    command(Action::Left, "left", &[Key::ch('h'), Key::of(Code::Left)], &[Motion], "to the left", ""),
    command(Action::Right, "right", &[Key::ch('l'), Key::of(Code::Right)], &[Motion], "to the right", ""),
    command(Action::PageUp, "page up", &[Key::of(Code::PageUp), Key::ctrl('b'), Key::ctrl('u')], &[Motion], "one page up", ""),
    command(Action::PageDown, "page down", &[Key::of(Code::PageDown), Key::ctrl('f'), Key::ctrl('d')], &[Motion], "one page down", ""),
    command(Action::First, "first", &[Key::ch('g'), Key::of(Code::Home)], &[Motion], "to the first", ""),
    command(Action::Last, "last", &[Key::ch('G'), Key::of(Code::End)], &[Motion], "to the last", ""),
    command(Action::Help, "keys", &[Key::ch('?')], &[Browse, Overlay], "the keys that work here", "keys"),
    command(Action::Quit, "quit", &[Key::ch('q')], &[Browse], "leave; asks while a rebuild runs", ""),
    command(Action::Language, "language", &[Key::ch('L')], &[Browse], "speak Chinese, or English again", ""),
    command(Action::QuitNow, "quit now", &[Key::ctrl('c')], &[Always], "leave at once; running work is cancelled", ""),
    #[cfg(debug_assertions)]
    command(Action::DebugPanic, "debug panic", &[], &[], "break on purpose, to see that the terminal is put back", ""),
];

/// The command that `key` runs where `contexts` hold.
pub fn resolve(key: Key, contexts: &[Context]) -> Option<&'static Command> {
    COMMANDS
        .iter()
        .find(|c| c.keys.contains(&key) && c.contexts.iter().any(|at| contexts.contains(at)))
}

#[cfg(test)]
mod tests {
    use super::super::model::{Pane, Screen, contexts_of};
    use super::*;

    #[test]
    fn no_key_means_two_things_in_one_place() {
        let mut clashes = Vec::new();
        for screen in Screen::ALL {
            for pane in [Pane::List, Pane::Detail, Pane::Third] {
                let mut contexts = contexts_of(*screen, pane);
                if *screen == Screen::Topics {
                    contexts.push(Context::Welcome);
                }
                let mut seen: Vec<(Key, &str)> = Vec::new();
                for c in COMMANDS
                    .iter()
                    .filter(|c| c.contexts.iter().any(|at| contexts.contains(at)))
                {
                    for key in c.keys {
                        if let Some((_, other)) = seen.iter().find(|(k, _)| k == key) {
                            clashes.push(format!("{screen:?} {pane:?}: {key} is {other} and {}", c.name));
                        }
                        seen.push((*key, c.name));
                    }
                }
            }
        }
        assert!(clashes.is_empty(), "{}", clashes.join("\n"));
    }

    #[test]
    fn every_name_and_help_line_is_there_and_no_name_twice() {
        let mut names: Vec<_> = COMMANDS.iter().map(|c| c.name).collect();
        assert!(COMMANDS.iter().all(|c| !c.name.is_empty() && !c.help.is_empty()));
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn every_command_can_be_reached_from_some_screen() {
        for c in COMMANDS.iter().filter(|c| !c.keys.is_empty()) {
            let reached = Screen::ALL.iter().any(|screen| {
                [Pane::List, Pane::Detail]
                    .iter()
                    .any(|pane| c.contexts.iter().any(|at| contexts_of(*screen, *pane).contains(at)))
            }) || [Context::Welcome, Context::Overlay]
                .iter()
                .any(|at| c.contexts.contains(at));
            assert!(reached, "{} works nowhere", c.name);
        }
    }
}
