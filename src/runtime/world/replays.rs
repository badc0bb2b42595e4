//! Rebuilds and follows, watched until they end or are cancelled.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::app::job::{Event, Failure, Outlet};
use crate::app::lang::{Speaks, say};
use crate::readmodel::store::State;
use crate::replay::follow::{FollowOptions, Wait, follow};
use crate::replay::rebuild::{RebuildOptions, rebuild};
use crate::replay::task::Task;
use crate::ui::format::{count, counted};

use super::{Studio, advised, failure, previews, projections};

/// How often a replay's progress is said at most, and how soon a cancellation is seen.
const EVERY: Duration = Duration::from_millis(100);

impl Studio {
    pub(super) fn rebuild(
        &self,
        file: &str,
        skip_poison: bool,
        replace: bool,
        out: &dyn Outlet,
    ) -> Result<Event, Failure> {
        let link = self.link()?;
        let projection = projections::load(file, &self.demos.catalog)?;
        if let (Ok(Some(_)), false) = (link.store.find(&projection.name), replace) {
            let built = link.store.info(&projection.name).map_err(failure)?;
            previews::refuse_takeover(&built, &projection, "rebuild again, and say that it is wanted", out)?;
        }
        let options = RebuildOptions {
            skip_poison,
            ..RebuildOptions::default()
        };
        let task = rebuild(link.client.clone(), link.store.clone(), projection, options);
        let report = self.watch(task, out)?;
        out.send(Event::Built(Box::new(report.info.clone())));
        let counts = report.info.counts;
        let mut line = say!(
            out,
            "rebuilt {name}: {records} in {seconds} s, {applied} applied",
            name = report.info.name,
            records = counted(&out, report.records, "record"),
            seconds = format!("{:.1}", report.took.as_secs_f64()),
            applied = count(counts.applied)
        );
        // What is as it should be needs no saying; what is not is said.
        if counts.ignored > 0 {
            line.push_str(&say!(out, ", {n} ignored", n = count(counts.ignored)));
        }
        if counts.skipped > 0 {
            line.push_str(&say!(out, ", {n} skipped as poison", n = count(counts.skipped)));
        }
        Ok(Event::Done(line))
    }

    pub(super) fn follow(&self, file: &str, out: &dyn Outlet) -> Result<Event, Failure> {
        let link = self.link()?;
        let projection = projections::load(file, &self.demos.catalog)?;
        let sinks = link.feeding.of(&projection.name);
        let (path, demos) = (file.to_owned(), self.demos.catalog.clone());
        let reload = Arc::new(move || projections::load(&path, &demos).ok());
        let task = follow(
            link.client.clone(),
            link.store.clone(),
            projection,
            FollowOptions {
                wait: Some(Wait { reload }),
                webhook: link.webhook.clone(),
                sinks,
                ..FollowOptions::default()
            },
        );
        let info = self.watch(task, out)?;
        if let State::Paused { reason } = info.state {
            let line = say!(out, "paused at a poison record: {reason}", reason);
            let advice = out.tr(
                "d opens the record. Mend the file and rebuild with r, or rebuild with S, which lists such records and goes on.",
            );
            return Err(Failure::new(format!("{line}\n\n{advice}")));
        }
        Ok(Event::Done(say!(out, "{name} is no longer followed", name = info.name)))
    }

    /// Hands on a task's progress until it is over; cancels it when nobody wants it any more.
    pub(super) fn watch<T: Send + 'static>(&self, task: Task<T>, out: &dyn Outlet) -> Result<T, Failure> {
        let mut progress = task.progress();
        loop {
            let changed = self.handle.block_on(async { timeout(EVERY, progress.changed()).await });
            if out.cancelled() {
                task.cancel();
                break;
            }
            match changed {
                // The sender is gone: the task is over.
                Ok(Err(_)) => break,
                Ok(Ok(())) => {
                    let newest = progress.borrow_and_update().clone();
                    out.send(Event::Progress(newest));
                    // Faster than this no eye follows, and the screen has other things to do.
                    self.handle.block_on(async { tokio::time::sleep(EVERY / 2).await });
                }
                Err(_) => {}
            }
        }
        task.wait().map_err(advised)
    }
}
