//! Which events wrote a row.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use crate::app::job::{Event, Failure, Outlet};
use crate::app::moment::{Applied, FoundBy, Underway, Wrote};
use crate::app::screens::blame::Asked;
use crate::replay::blame::{Answered, BlameOptions, Blamed, blame};
use crate::replay::rebuild::Until;
use crate::replay::step::RowGoal;

use super::past::{applied, shape_of};
use super::{Studio, advised, failure};

/// How often what was found is said, and how soon a cancellation is seen.
const EVERY: Duration = Duration::from_millis(100);
/// Events that may wait to be taken: a replay that is ahead by more waits.
const AHEAD: usize = 256;
/// The most events that are said at once.
const AT_ONCE: usize = 500;

impl Studio {
    /// Finds every event that wrote a row, oldest first.
    pub(super) fn blame(&self, asked: &Asked, out: &dyn Outlet) -> Result<Event, Failure> {
        let link = self.link()?;
        let source = link.store.source(&asked.read_model).map_err(failure)?;
        let row = RowGoal {
            table: asked.table.clone(),
            key: asked.key.clone(),
            column: asked.column.clone(),
        };
        let (tell, told) = sync_channel::<Blamed>(AHEAD);
        let (client, store) = (link.client.clone(), link.store.clone());
        let options = BlameOptions {
            until: asked.until.clone().map(Until::Position),
            // The list is searched for what the records say.
            values: true,
        };
        let task = blame(client, store, asked.read_model.clone(), row, options, tell);
        let progress = task.progress();
        let mut wrote = Wrote::default();
        let mut said = Instant::now();
        loop {
            match told.recv_timeout(EVERY) {
                Ok(blamed) => take(&mut wrote, &blamed, &source),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if out.cancelled() {
                return Err(Failure::new("the search was stopped"));
            }
            if said.elapsed() >= EVERY || wrote.events.len() >= AT_ONCE {
                let progress = progress.borrow();
                wrote.underway = Underway {
                    events: progress.done,
                    share: (progress.total > 0).then(|| progress.done as f64 / progress.total as f64),
                };
                drop(progress);
                out.send(Event::Wrote(std::mem::take(&mut wrote)));
                said = Instant::now();
            }
        }
        let report = task.wait().map_err(advised)?;
        wrote.underway = Underway {
            events: report.counts.total(),
            share: None,
        };
        wrote.over = true;
        wrote.found_by = Some(match report.from {
            Answered::History(_) => FoundBy::History,
            Answered::Replay => FoundBy::Replay,
        });
        Ok(Event::Wrote(wrote))
    }
}

fn take(wrote: &mut Wrote, blamed: &Blamed, source: &str) {
    let step = &blamed.step;
    let table = step
        .effect
        .changes
        .first()
        .and_then(|change| blamed.tables.get(change.table));
    if wrote.shape.is_none() {
        wrote.shape = table.map(shape_of);
    }
    wrote.events.push(alone(applied(step, source)));
}

/// An event with the statements that wrote the row, and the row's table as the only one.
fn alone(mut event: Applied) -> Applied {
    let Applied { ran, changes, .. } = &mut event;
    ran.retain(|ran| changes.iter().any(|change| change.line == ran.line));
    for change in changes {
        change.table = 0;
    }
    event
}
