//! One view for each screen.

pub(super) mod demos;
pub(super) mod groups;
pub(super) mod projections;
pub(super) mod readmodel;
pub(super) mod records;
pub(super) mod topics;
pub(super) mod welcome;

use ratatui::layout::Rect;

use crate::app::job::Failure;
use crate::app::list::List;
use crate::app::model::{Model, Pane};

use super::canvas::Canvas;
use super::format;
use super::text;
use super::theme::Role;

/// Whether a pane has the focus.
fn focused(model: &Model, pane: Pane) -> bool {
    model.pane == pane && model.overlay.is_none()
}

/// The note on a list's border: how many of how many, and the filter.
fn listed(list: &List) -> String {
    let (shown, total) = (list.shown().len() as u64, list.total() as u64);
    if total == 0 {
        String::new()
    } else if list.filter().is_empty() {
        format::count(shown)
    } else {
        format!(
            "/{}  {} of {}",
            list.filter(),
            format::count(shown),
            format::count(total)
        )
    }
}

/// The states of a list that shows nothing: still connecting, failed, loading, filtered away. False if it has something to
/// show, or nothing for a reason of its own.
fn nothing(canvas: &mut Canvas<'_>, rect: Rect, model: &Model, what: &str, list: &List, state: State<'_>) -> bool {
    if let Some(failure) = &model.cluster.error {
        text::failed(canvas, rect, "the cluster does not answer", failure);
    } else if model.cluster.value.is_none() && what != "demos" {
        text::middle(canvas, rect, &[("connecting …", Role::Muted)]);
    } else if let (Some(failure), false) = (state.error, state.known) {
        text::failed(canvas, rect, &format!("{what} cannot be read"), failure);
    } else if !state.known {
        text::middle(canvas, rect, &[(&format!("reading {what} …"), Role::Muted)]);
    } else if list.shown().is_empty() && !list.filter().is_empty() {
        let line = format!("nothing contains “{}”", list.filter());
        text::middle(
            canvas,
            rect,
            &[(&line, Role::Plain), ("esc clears the filter", Role::Muted)],
        );
    } else {
        return false;
    }
    true
}

/// What is known of what a list shows.
struct State<'a> {
    known: bool,
    error: Option<&'a Failure>,
}

impl<'a> State<'a> {
    fn of<T>(remote: &'a crate::app::remote::Remote<T>) -> Self {
        Self {
            known: remote.value.is_some(),
            error: remote.error.as_ref(),
        }
    }
}
