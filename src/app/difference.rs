//! Two read models that are held against each other, as the studio shows it: who asked, what was found, and what it is known to
//! come from.

use std::sync::Arc;

use crate::readmodel::compare::{RowDifference, Tally};
use crate::record::Timestamp;

use super::model::Level;
use super::moment::EventAt;

/// The most rows that are shown; all are counted.
pub const MOST: usize = 1_000;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Is the read model what its log says?
    Verify(String),
    /// What would the projection's file make of the log, as it is saved now?
    Preview(String),
    /// What would the read model be, were the log another in one thing?
    WhatIf(Thought),
}

impl Question {
    /// The read model that it is about.
    pub fn read_model(&self) -> &str {
        match self {
            Self::Verify(name) | Self::Preview(name) => name,
            Self::WhatIf(thought) => &thought.read_model,
        }
    }

    /// What the header calls it.
    pub fn title(&self) -> &'static str {
        match self {
            Self::Verify(_) => "verify",
            Self::Preview(_) => "preview",
            Self::WhatIf(_) => "what if",
        }
    }

    /// What the two sides are called, the first as the columns are headed.
    pub fn sides(&self) -> (&'static str, &'static str) {
        match self {
            Self::Verify(_) => ("read model", "its log"),
            Self::Preview(_) => ("in use", "preview"),
            Self::WhatIf(_) => ("as it is", "as it would be"),
        }
    }
}

/// A read model of a log that is changed in thought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thought {
    /// The read model.
    pub read_model: String,
    /// What is changed.
    pub change: Change,
}

/// A change of the log that is thought up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An event was never there.
    Without(EventAt),
    /// No event that this SQL condition chooses was.
    WithoutWhere(String),
    /// An event said something else.
    Instead(EventAt, String),
    /// Another one of its key came right after it, and said this.
    Besides(EventAt, Option<Vec<u8>>, String),
    /// It came elsewhere.
    Moved(EventAt, Spot),
}

impl Change {
    /// The event that it is about.
    pub fn event(&self) -> Option<&EventAt> {
        match self {
            Self::Without(event) | Self::Instead(event, _) | Self::Besides(event, ..) | Self::Moved(event, _) => {
                Some(event)
            }
            Self::WithoutWhere(_) => None,
        }
    }
}

/// Where an event comes in thought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    /// Right before the event at this offset of a partition of this topic.
    Before(String, i32, i64),
    /// Right after it.
    After(String, i32, i64),
    /// Where a replay would take an event of this time.
    Time(Timestamp),
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// How the rows compare in all.
    pub tally: Tally,
    /// The first of the rows that differ.
    pub rows: Vec<RowDifference>,
    /// What else is to be said: the answer first, then what it comes from.
    pub facts: Vec<Fact>,
    /// The first event after which the two part, where that is known.
    pub event: Option<Arc<Event>>,
}

/// An event, and its type where it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Where it stands.
    pub at: EventAt,
    /// Its type.
    pub kind: Option<String>,
}

/// A sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// How much it matters.
    pub level: Level,
    /// What it says.
    pub text: String,
}
