//! What may lie over a screen: help, messages, the palette, a prompt, a question.

use std::ops::Range;

use tui_input::{Input, InputRequest};

use super::job::TaskId;
use super::key::{Code, Key};
use super::model::Screen;
use super::palette::Palette;

/// What lies over the screen.
#[derive(Debug, Clone)]
pub enum Overlay {
    /// The keys that work here.
    Help {
        /// The first line in view.
        first: usize,
    },
    /// Every message in full.
    Messages {
        /// The first line in view.
        first: usize,
    },
    /// The command palette.
    Palette(Palette),
    /// A line of text is being typed.
    Prompt(Prompt),
    /// Something asks before it is done.
    Confirm(Confirm),
}

/// What a typed line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptKind {
    /// The filter of the list in view; works while it is typed.
    Filter,
    /// A place in a topic.
    Place,
    /// Partition numbers.
    Partitions,
    /// A query.
    Sql,
    /// The value with which a record is applied.
    Mend,
    /// What an event says instead.
    Instead,
    /// What another event says that comes after it.
    Besides,
    /// Which events are left out.
    Without,
    /// Where an event comes instead.
    Move,
}

impl PromptKind {
    /// What stands before the line.
    pub fn label(self) -> &'static str {
        match self {
            Self::Filter => "/",
            Self::Place => "go to ",
            Self::Partitions => "partitions ",
            Self::Sql => "SQL ",
            Self::Instead => "had it said ",
            Self::Besides => "had then come ",
            Self::Without => "without all where ",
            Self::Move => "had it come ",
            Self::Mend => "apply it as ",
        }
    }

    /// Whether an editor can be opened on it.
    pub fn takes_editor(self) -> bool {
        matches!(self, Self::Mend | Self::Instead | Self::Besides)
    }

    /// What may be typed, shown while the line is empty.
    pub fn example(self) -> &'static str {
        match self {
            Self::Filter => "text to look for",
            Self::Place => "begin, end, -100, 4200, 3:4200, 14:34, 2026-11-21 14:34, 10m ago",
            Self::Partitions => "0,2,5-7; nothing for all",
            Self::Mend | Self::Instead | Self::Besides => "the event's value as JSON; null for a tombstone",
            Self::Without => "type = 'Deposited' AND :amount > 100",
            Self::Move => "before 3:4200, after 3:4200, 2026-11-21 14:34, 10m ago",
            Self::Sql => "SELECT ... FROM read_model.table",
        }
    }
}

/// A line that is being typed.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// What it is for.
    pub kind: PromptKind,
    /// The line.
    pub input: Input,
    /// Why the line was refused.
    pub error: Option<String>,
    /// What was there before, for those who change their mind.
    pub before: String,
}

impl Prompt {
    /// A prompt that begins with `text`.
    pub fn new(kind: PromptKind, text: &str) -> Self {
        Self {
            kind,
            input: Input::new(text.to_owned()),
            error: None,
            before: text.to_owned(),
        }
    }
}

/// What was typed and is being tried: it is opened again, with the reason, if that fails.
#[derive(Debug, Clone)]
pub struct Tried {
    /// The jobs that try it.
    pub jobs: Range<TaskId>,
    /// The screen on which it was typed.
    pub screen: Screen,
    /// The prompt or palette as it was.
    pub overlay: Box<Overlay>,
}

/// What is done once a question is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirmed {
    /// Delete this topic.
    DeleteTopic(String),
    /// Run a demo.
    RunDemo {
        /// Its id.
        id: String,
        /// Whether each step waits to be asked for.
        by_step: bool,
    },
    /// Bring the build before back.
    BringBack(String),
    /// Rebuild from a file, and take over the read model of another.
    Rebuild {
        /// The projection.
        name: String,
        /// The file.
        file: String,
        /// Whether to go on past poison records.
        skip_poison: bool,
    },
    /// Put the preview of a file in use, and take over the read model of another.
    TakeOver {
        /// The projection.
        name: String,
        /// The file.
        file: String,
    },
    /// Leave the studio.
    Quit,
}

/// A question that must be answered before something is done.
#[derive(Debug, Clone)]
pub struct Confirm {
    /// What is about to be done, and what that means.
    pub question: String,
    /// What must be typed; empty where Enter is enough.
    pub expect: String,
    /// What is typed.
    pub input: Input,
    /// What is done then.
    pub then: Confirmed,
}

/// Edits a line as readline does. False where the key means nothing to a line.
pub fn edit(input: &mut Input, key: Key) -> bool {
    let request = match (key.code, key.ctrl, key.alt) {
        (Code::Char(c), false, false) => InputRequest::InsertChar(c),
        (Code::Backspace, false, false) | (Code::Char('h'), true, _) => InputRequest::DeletePrevChar,
        (Code::Backspace, _, _) | (Code::Char('w'), true, _) => InputRequest::DeletePrevWord,
        (Code::Delete, _, _) | (Code::Char('d'), true, _) => InputRequest::DeleteNextChar,
        (Code::Left, false, _) | (Code::Char('b'), true, _) => InputRequest::GoToPrevChar,
        (Code::Right, false, _) | (Code::Char('f'), true, _) => InputRequest::GoToNextChar,
        (Code::Left, true, _) | (Code::Char('b'), _, true) => InputRequest::GoToPrevWord,
        (Code::Right, true, _) | (Code::Char('f'), _, true) => InputRequest::GoToNextWord,
        (Code::Home, _, _) | (Code::Char('a'), true, _) => InputRequest::GoToStart,
        (Code::End, _, _) | (Code::Char('e'), true, _) => InputRequest::GoToEnd,
        (Code::Char('u'), true, _) => InputRequest::DeleteLine,
        (Code::Char('k'), true, _) => InputRequest::DeleteTillEnd,
        _ => return false,
    };
    input.handle(request);
    true
}

/// Adds pasted text to a line; line ends become spaces, since a line is one line.
pub fn paste(input: &mut Input, text: &str) {
    for c in text.chars() {
        let c = if matches!(c, '\n' | '\r' | '\t') { ' ' } else { c };
        if !c.is_control() {
            input.handle(InputRequest::InsertChar(c));
        }
    }
}
