//! How a part looks: by its shape, its mark and its word, and only then by its colour.

use crate::demo::graph::Kind;
use crate::demo::snapshot::{PartState, PartView};

use super::super::super::theme::Role;

/// How a part looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// A mark of one column.
    pub(super) mark: &'static str,
    /// The word for it.
    pub(super) word: &'static str,
    pub(super) role: Role,
    /// Whether what leads to it is broken off.
    pub(super) broken: bool,
}

const fn look(mark: &'static str, word: &'static str, role: Role, broken: bool) -> Look {
    Look {
        mark,
        word,
        role,
        broken,
    }
}

/// How a part looks; `None` before it is there.
pub(super) fn of(kind: Kind, view: Option<&PartView>) -> Look {
    let state = view.map(|view| view.state);
    match (kind, state) {
        (Kind::Service, Some(PartState::Running)) => look("◆", "writes", Role::Good, false),
        (Kind::Service, Some(PartState::Stopped)) => look("◇", "has written all", Role::Muted, false),
        (Kind::Service, None) => look("◇", "service", Role::Muted, false),
        (Kind::Topic, None | Some(PartState::Running)) => look("≡", "topic", Role::Plain, false),
        (Kind::Topic, Some(_)) => look("✗", "broker lost", Role::Bad, true),
        (Kind::Store, None | Some(PartState::Running)) => look("▤", "read model", Role::Plain, false),
        (Kind::Sink, None | Some(PartState::Running)) => look("▥", "store outside", Role::Plain, false),
        (Kind::Sink, Some(PartState::Failed)) => look("✗", "not fed", Role::Bad, true),
        (_, None) => look("○", "processor", Role::Muted, false),
        (_, Some(PartState::Running)) => look("●", "running", Role::Good, false),
        (_, Some(PartState::Slow)) => look("◐", "slow", Role::Warning, false),
        (_, Some(PartState::Stopped)) => look("■", "stopped", Role::Warning, true),
        (_, Some(PartState::Killed)) => look("✗", "killed", Role::Bad, true),
        (_, Some(PartState::Poisoned)) => look("!", "poisoned", Role::Bad, true),
        (_, Some(PartState::Failed)) => look("✗", "failed", Role::Bad, true),
        (_, Some(PartState::Full)) => look("✗", "disk full", Role::Bad, true),
    }
}

/// The lines around a part: each kind has corners of its own, and what is broken has holes.
pub(super) struct Frame {
    pub(super) corners: [&'static str; 4],
    pub(super) level: &'static str,
    pub(super) upright: &'static str,
}

pub(super) fn frame(kind: Kind, broken: bool) -> Frame {
    let (corners, level, upright) = match kind {
        Kind::Service => (["╭", "╮", "╰", "╯"], ["─", "╌"], ["│", "┆"]),
        Kind::Topic => (["╔", "╗", "╚", "╝"], ["═", "╌"], ["║", "┆"]),
        Kind::Processor => (["┌", "┐", "└", "┘"], ["─", "╌"], ["│", "┆"]),
        Kind::Store | Kind::Sink => (["┏", "┓", "┗", "┛"], ["━", "╍"], ["┃", "┇"]),
    };
    Frame {
        corners,
        level: level[usize::from(broken)],
        upright: upright[usize::from(broken)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_of_a_processor_has_a_word_and_what_does_not_run_is_broken_off() {
        use PartState::{Failed, Full, Killed, Poisoned, Running, Slow, Stopped};
        let of = |state| {
            let view = PartView {
                state,
                ..PartView::default()
            };
            of(Kind::Processor, Some(&view))
        };
        let all = [Running, Slow, Stopped, Killed, Poisoned, Failed, Full].map(of);
        for (nth, look) in all.iter().enumerate() {
            // Without colour, too, each is told from the others.
            assert!(
                all[nth + 1..]
                    .iter()
                    .all(|other| (other.mark, other.word) != (look.mark, look.word))
            );
            assert_eq!(look.broken, !["running", "slow"].contains(&look.word));
        }
    }
}
