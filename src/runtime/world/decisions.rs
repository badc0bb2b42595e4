//! What is done with records that could not be applied.

use crate::app::job::{Event, Failure, Outlet};
use crate::app::lang::{Speaks, say};
use crate::app::screens::letters::{Choices, Deciding};
use crate::readmodel::decision::Choice;
use crate::replay::decide::{Request, decide, who};
use crate::replay::takeover::still;
use crate::ui::format::counted;

use super::{Studio, failure, projections};

impl Studio {
    pub(super) fn decide(&self, deciding: &Deciding, out: &dyn Outlet) -> Result<Event, Failure> {
        let link = self.link()?;
        let built = link.store.info(&deciding.name).map_err(failure)?;
        let now = match &deciding.file {
            Some(file) => Some(projections::load(file, &self.demos.catalog)?),
            None => None,
        };
        let choices: Vec<_> = match &deciding.choices {
            Choices::One(place, choice) => vec![(place.clone(), choice.clone())],
            Choices::RetrySkipped => {
                let skipped = link.store.skipped(&deciding.name).map_err(failure)?;
                skipped.into_iter().map(|place| (place, Choice::Retry)).collect()
            }
        };
        if choices.is_empty() {
            return Err(Failure::new(say!(
                out,
                "`{name}` left no record out",
                name = deciding.name
            )));
        }
        let request = Request {
            name: deciding.name.clone(),
            // A file that is another projection's by now says nothing about this one.
            projection: now.filter(|now| now.hash != built.hash && still(&built, now)),
            choices: choices.clone(),
            who: who(),
        };
        let task = decide(link.client.clone(), link.store.clone(), request);
        let decided = self.watch(task, out)?;
        let mut what = match &*choices {
            [(place, Choice::Retry)] => say!(out, "applied {place}", place),
            [(place, Choice::Skip { hold_key: false })] => say!(out, "left out {place}", place),
            [(place, Choice::Skip { hold_key: true })] => {
                say!(out, "left out {place}; what comes later of its key is held", place)
            }
            [(place, Choice::Edit(_))] => say!(out, "applied {place} with the other value", place),
            many => say!(
                out,
                "applied {place}",
                place = counted(&out, many.len() as u64, "record")
            ),
        };
        if decided.rebuilt.is_some() {
            what.push_str(out.tr("; the read model was folded anew"));
        }
        out.send(Event::Built(Box::new(decided.info)));
        Ok(Event::Done(what))
    }
}
