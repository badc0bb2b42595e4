//! Proving a demo: its events and what is made of them against their schemas, its steps, and that a second run ends with the same rows, on a broker that
//! nobody else sees.

use std::path::Path;
use std::sync::Arc;

use crate::broker::embedded::Embedded;
use crate::readmodel::dump::dump;
use crate::readmodel::store::Store;

use super::catalog::{Catalog, Demo};
use super::error::DemoError;
use super::run::{Options, Outcome, StepState, run};

/// What was found.
#[derive(Debug, Clone)]
pub struct Proof {
    /// The demo's id.
    pub id: String,
    /// How many events its services write.
    pub events: usize,
    /// The first run.
    pub outcome: Outcome,
    /// Read models and checks that came out otherwise the second time.
    pub unstable: Vec<String>,
}

impl Proof {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.outcome.passed && self.unstable.is_empty()
    }
}

/// Proves the demo in the folder `dir`. `cancel` is told of each run, so that it can end it.
pub fn prove(dir: &Path, options: &Options, started: &mut dyn FnMut(&super::run::Run)) -> Result<Proof, DemoError> {
    let catalog = Catalog::load(&[dir.to_owned()])?;
    let demo = catalog.at(dir)?.clone();
    let events = demo.events()?;
    demo.check_events(&events)?;
    let (outcome, first) = once(&demo, options, started)?;
    let mut unstable = Vec::new();
    if outcome.passed {
        let (again, second) = once(&demo, options, started)?;
        let checks = |outcome: &Outcome| -> Vec<(String, StepState, String)> {
            let checks = outcome.steps.iter().filter(|step| step.check);
            checks
                .map(|step| (step.title.clone(), step.state, step.note.clone()))
                .collect()
        };
        for (a, b) in checks(&outcome).iter().zip(&checks(&again)) {
            if a != b {
                unstable.push(format!("{}: {}, then {}", a.0, a.2, b.2));
            }
        }
        for ((name, a), (_, b)) in first.iter().zip(&second) {
            if a != b {
                unstable.push(format!("the read model {name} has other rows the second time"));
            }
        }
    }
    Ok(Proof {
        id: demo.id.clone(),
        events: events.len(),
        outcome,
        unstable,
    })
}

/// A run on a broker of its own; its read models with the SHA-256 of their rows.
fn once(
    demo: &Demo,
    options: &Options,
    started: &mut dyn FnMut(&super::run::Run),
) -> Result<(Outcome, Vec<(String, String)>), DemoError> {
    let folder = tempfile::tempdir().map_err(|error| DemoError::Write {
        file: std::env::temp_dir().display().to_string(),
        reason: error.to_string(),
    })?;
    let embedded = Arc::new(Embedded::open(folder.path(), None)?);
    let client = embedded.client()?;
    let store = Store::open(folder.path(), &client.profile().name)?;
    let options = Options {
        embedded: Some(Arc::clone(&embedded)),
        ..options.clone()
    };
    let run = run(client, store.clone(), demo.clone(), options);
    started(&run);
    let outcome = run.wait()?;
    let mut dumps = Vec::new();
    let measured = |name: &str| {
        let mut measured = demo.processors.iter().filter(|processor| processor.measured);
        measured.any(|processor| processor.projection.name == name)
    };
    for projection in demo.read_models().filter(|each| !measured(&each.name)) {
        if store.find(&projection.name)?.is_some() {
            dumps.push((
                projection.name.clone(),
                dump(&store, &projection.name, &mut Vec::new())?,
            ));
        }
    }
    Ok((outcome, dumps))
}
