//! What happens to the studio, and what the studio wants done.

use crate::record::Timestamp;

use super::job::{Cue, Event, Failure, Job, TaskId};
use super::key::Key;
use super::layout::Layout;

/// What a mouse did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mouse {
    /// Pressed the left button.
    Click,
    /// Moved with the left button held.
    Drag,
    /// Let go of the left button.
    Release,
    /// Turned the wheel away.
    WheelUp,
    /// Turned the wheel near.
    WheelDown,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Message {
    /// The studio begins.
    Start,
    /// A key was pressed.
    Key(Key),
    /// Text was pasted.
    Paste(String),
    /// The mouse did something at this column and row.
    Mouse(Mouse, u16, u16),
    /// The editor was left, with this text, or could not be opened.
    Edited(Result<String, String>),
    /// The terminal has this many columns and rows.
    Resize(u16, u16),
    /// It is this time; comes about once a second.
    Tick(Timestamp),
    /// The last frame was laid out like this. Changes nothing that is drawn.
    Laid(Box<Layout>),
    /// A job says something.
    Said(TaskId, Event),
    /// A job is over.
    Ended(TaskId, Result<Event, Failure>),
}

/// Something to do in the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Start a job.
    Start(TaskId, Job),
    /// Tell a running job what to do; it may already be over.
    Tell(TaskId, Cue),
    /// Cancel a job; it may already be over.
    Cancel(TaskId),
    /// Put text on the clipboard of the terminal's user.
    Copy(String),
    /// Open the user's editor on a text; what comes of it is told.
    Edit(String),
    /// End the studio.
    Quit,
    /// Break on purpose, so that a test sees what becomes of the terminal.
    #[cfg(debug_assertions)]
    Panic,
}
