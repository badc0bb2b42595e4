//! Previews: built in the background, held until they are accepted or dropped.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use crate::app::difference::{Event as Parting, Found};
use crate::app::job::{Event, Failure, Outlet};
use crate::app::lang::{Speaks, say};
use crate::app::model::Level;
use crate::app::screens::previews::Previewed;
use crate::projection::Projection;
use crate::readmodel::store::ReadModelInfo;
use crate::replay::preview::{Preview, PreviewOptions, accept, preview};
use crate::replay::takeover::{still, takeover};
use crate::ui::format::{counted, time_to_second};

use super::differences::{fact, hint, parting, rows, told};
use super::{Studio, failure, projections};

/// A preview that was built, and the first event after which it parts from the read model in use.
#[derive(Debug)]
pub(super) struct Built {
    preview: Preview,
    event: Option<Arc<Parting>>,
}

impl Studio {
    pub(super) fn preview(&self, name: &str, file: &str, out: &dyn Outlet) -> Result<Event, Failure> {
        let link = self.link()?;
        let projection = projections::load(file, &self.demos.catalog)?;
        let hash = projection.hash.clone();
        // The one before gives back its room first.
        self.previews().remove(name);
        let (client, store) = (link.client.clone(), link.store.clone());
        let task = preview(client.clone(), store, projection, PreviewOptions::default());
        let built = self.watch(task, out)?;
        let event = match built.tally.rows() {
            0 => None,
            _ => self.watch(built.parting(client), out)?,
        };
        let event = event.map(|first| parting(&first.event));
        let tally = built.tally;
        let preview = Built {
            preview: built,
            event: event.clone(),
        };
        self.previews().insert(name.to_owned(), preview);
        let previewed = Previewed {
            name: name.to_owned(),
            hash,
            tally,
            event,
        };
        out.send(Event::Previewed(Box::new(previewed)));
        Ok(Event::Done(match tally.rows() {
            0 if tally.is_equal() => say!(out, "preview of {name}: no row would be another; a accepts it", name),
            rows => say!(
                out,
                "preview of {name}: {rows} differ; p shows them",
                name,
                rows = counted(&out, rows, "row")
            ),
        }))
    }

    /// What differs between the read model in use and its preview.
    pub(super) fn previewed(&self, name: &str, out: &dyn Outlet) -> Result<Found, Failure> {
        let previews = self.previews();
        let Some(built) = previews.get(name) else {
            return Err(Failure::new(say!(out, "there is no preview of {name} any more", name)));
        };
        let (before, after) = built.preview.sides().map_err(failure)?;
        let (tally, rows, shapes) = rows(out, &before, &after, "the read model in use", "the preview")?;
        let mut facts = vec![match tally.rows() {
            0 if tally.is_equal() => fact(Level::Done, out.tr("no row would be another")),
            rows => fact(
                Level::Warning,
                say!(
                    out,
                    "{rows} would differ: {how}",
                    rows = counted(&out, rows, "row"),
                    how = told(&out, &tally)
                ),
            ),
        }];
        facts.extend(shapes);
        facts.extend(
            built
                .preview
                .missing
                .iter()
                .map(|missing| fact(Level::Warning, missing.to_string())),
        );
        facts.extend(
            built
                .preview
                .after
                .broken
                .iter()
                .map(|broken| fact(Level::Error, broken.to_string())),
        );
        facts.push(hint(
            out.tr("a puts the preview in use and keeps the build before · X drops it"),
        ));
        Ok(Found {
            tally,
            rows,
            facts,
            event: built.event.clone(),
        })
    }

    pub(super) fn accept(&self, name: &str, file: &str, replace: bool, out: &dyn Outlet) -> Result<Event, Failure> {
        let link = self.link()?;
        let projection = projections::load(file, &self.demos.catalog)?;
        let built = link.store.info(name).map_err(failure)?;
        refuse_other(&built, &projection, out)?;
        if !replace {
            refuse_takeover(&built, &projection, "accept again, and say that it is wanted", out)?;
        }
        let (client, store) = (link.client.clone(), link.store.clone());
        let task = accept(client, store, projection, PreviewOptions::default());
        let report = self.watch(task, out)?;
        self.previews().remove(name);
        out.send(Event::Built(Box::new(report.info)));
        Ok(Event::Done(say!(
            out,
            "the preview of {name} is in use; b brings the build before back",
            name
        )))
    }

    pub(super) fn drop_preview(&self, name: &str, out: &dyn Outlet) -> Result<Event, Failure> {
        self.previews().remove(name);
        self.link()?.store.drop_preview(name).map_err(failure)?;
        Ok(Event::Done(say!(out, "the preview of {name} is dropped", name)))
    }

    pub(super) fn bring_back(&self, name: &str, out: &dyn Outlet) -> Result<Event, Failure> {
        let info = self.link()?.store.bring_back(name).map_err(failure)?;
        let at = time_to_second(info.updated_at, &jiff::tz::TimeZone::UTC);
        out.send(Event::Built(Box::new(info)));
        Ok(Event::Done(say!(
            out,
            "the build of {name} before, updated {at} UTC, is in use again",
            name,
            at
        )))
    }

    fn previews(&self) -> MutexGuard<'_, BTreeMap<String, Built>> {
        self.previews.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses a file that has another projection by now than the read model was built from: its preview is of what it said before.
fn refuse_other(built: &ReadModelInfo, projection: &Projection, out: &dyn Outlet) -> Result<(), Failure> {
    if still(built, projection) {
        return Ok(());
    }
    let line = say!(
        out,
        "{file} has the projection `{now}` by now, not `{name}`",
        file = projection.file,
        now = projection.name,
        name = built.name
    );
    let advice = out.tr("give it its name back, or drop the preview with X");
    Err(Failure::new(format!("{line}\n\n{advice}")))
}

/// Refuses to take over the read model of another file that has the projection, too. Nobody was asked: it came since the studio looked.
pub(super) fn refuse_takeover(
    built: &ReadModelInfo,
    projection: &Projection,
    advice: &'static str,
    out: &dyn Outlet,
) -> Result<(), Failure> {
    let Some(taken) = takeover(built, projection).filter(|taken| taken.there) else {
        return Ok(());
    };
    let line = say!(
        out,
        "{other} has the projection `{name}` too, and its read model is the one that {file} would replace",
        other = taken.from,
        name = projection.name,
        file = projection.file
    );
    Err(Failure::new(format!("{line}\n\n{}", out.tr(advice))))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::app::job::Cue;
    use crate::demo::text::Language;
    use crate::projection::parse::parse;

    struct Silent;

    impl Outlet for Silent {
        fn send(&self, _: Event) -> bool {
            true
        }

        fn cancelled(&self) -> bool {
            false
        }

        fn language(&self) -> Language {
            Language::English
        }

        fn cue(&self, _: Duration) -> Option<Cue> {
            None
        }
    }

    fn text(n: u32) -> String {
        named("one", n)
    }

    fn named(name: &str, n: u32) -> String {
        format!(
            "-- projection: {name}\n-- topic: t\n-- type: $.type\n\nCREATE TABLE a (n INTEGER PRIMARY KEY) STRICT;\n\n-- on: A\nINSERT INTO a VALUES ({n});\n"
        )
    }

    /// A read model that was built from a file.
    fn built_from(file: &str) -> ReadModelInfo {
        ReadModelInfo {
            file: file.to_owned(),
            hash: parse(&text(1), file).unwrap().hash,
            ..ReadModelInfo::blank("one".into())
        }
    }

    #[test]
    fn a_file_that_has_another_projection_by_now_accepts_no_preview() {
        let built = built_from("ours.sql");
        let mended = parse(&text(2), "ours.sql").unwrap();
        assert_eq!(refuse_other(&built, &mended, &Silent), Ok(()));
        let other = parse(&named("two", 2), "ours.sql").unwrap();
        let failure = refuse_other(&built, &other, &Silent).unwrap_err();
        assert_eq!(failure.summary, "ours.sql has the projection `two` by now, not `one`");
        assert!(failure.full.contains("drop the preview with X"), "{failure:?}");
    }

    #[test]
    fn a_read_model_that_another_file_has_made_since_is_not_taken_over_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("other.sql").display().to_string();
        let built = built_from(&other);
        let ours = parse(&text(2), "ours.sql").unwrap();
        let refused = || refuse_takeover(&built, &ours, "say that it is wanted", &Silent);
        assert_eq!(
            refused(),
            Ok(()),
            "the other file is gone, so that ours was moved from there"
        );
        fs::write(&other, text(1)).unwrap();
        let failure = refused().unwrap_err();
        assert!(
            failure.summary.contains(&other) && failure.summary.contains("ours.sql"),
            "{failure:?}"
        );
        assert!(failure.full.ends_with("say that it is wanted"), "{failure:?}");
    }
}
