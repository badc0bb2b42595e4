//! The charts of a demo, and the report of its last run.

use crate::app::job::{Event, Failure, Outlet};
use crate::app::lang::say;
use crate::app::screens::charts::ChartRow;
use crate::demo::chart::{Shown, left_out};
use crate::demo::report::Report;
use crate::demo::run::Outcome;
use crate::demo::snapshot::Snapshot;
use crate::demo::text::Language;
use crate::readmodel::query::Session;
use crate::record::Timestamp;

use super::{Link, Studio, advised, failure, watched};

/// What a run left, for its report.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    pub(super) scene: Snapshot,
}

impl Studio {
    /// The charts of a demo as they are now, or those of one of its stores.
    pub(super) fn charts(&self, demo: &str, store: Option<&str>, out: &dyn Outlet) -> Result<Event, Failure> {
        let link = self.link()?;
        let demo = self.demos.catalog.get(demo).map_err(failure)?;
        let session = Session::open(&link.store).map_err(failure)?;
        let wanted = demo
            .charts
            .iter()
            .filter(|chart| store.is_none_or(|store| chart.store == store));
        let language = out.language();
        let rows = watched(&session, out, || {
            let asked = wanted.take_while(|_| !out.cancelled());
            asked
                .map(|chart| chart_row(&link, chart.ask(&session, language), language))
                .collect()
        });
        Ok(Event::Charts(rows))
    }

    /// Writes the report of the last run of a demo into the working directory.
    pub(super) fn report(&self, id: &str, out: &dyn Outlet) -> Result<Event, Failure> {
        let language = out.language();
        let link = self.link()?;
        let demo = self.demos.catalog.get(id).map_err(failure)?;
        let ended = self
            .ended
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .get(id)
            .cloned();
        let Some(Ended { outcome, scene }) = ended else {
            return Err(Failure::new(
                "no run of it has come to its end since the studio was opened",
            ));
        };
        let place = (link.client.profile().name.as_str(), Timestamp::now(), language);
        let report = Report::of(demo, &outcome, scene, &link.store, place).map_err(advised)?;
        let at = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S");
        let file = format!("{id}-{at}.html");
        // Whatever stands there already is somebody's.
        std::fs::File::create_new(&file)
            .and_then(|mut file| std::io::Write::write_all(&mut file, report.html().as_bytes()))
            .map_err(|error| Failure::new(say!(language, "cannot write {file}: {error}", file, error)))?;
        let folder = std::env::current_dir().map_or_else(|_| ".".to_owned(), |folder| folder.display().to_string());
        Ok(Event::Done(say!(
            language,
            "the report is {folder}/{file}",
            folder,
            file
        )))
    }
}

fn chart_row(link: &Link, shown: Shown, language: Language) -> ChartRow {
    let notes = match &shown.chart {
        Ok(chart) => left_out(chart.left, language),
        Err(_) => Vec::new(),
    };
    let store = shown.store;
    let missing = || matches!(link.store.find(&store), Ok(None));
    let chart = match shown.chart {
        Ok(chart) => Ok(chart),
        Err(_) if missing() => Err(Failure::new(say!(
            language,
            "{store} is not built yet\n\nr on the demos screen runs the demo",
            store
        ))),
        Err(error) => Err(advised(error)),
    };
    ChartRow {
        title: shown.title,
        kind: shown.kind,
        store,
        notes,
        chart,
    }
}
