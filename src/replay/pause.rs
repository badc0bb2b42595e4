//! A follow that stands before a record: it waits until somebody decides about it, without the lock and without work.

use std::thread;
use std::time::{Duration, Instant};

use crate::decode::printable::printable;
use crate::readmodel::compile::{Definition, compile};
use crate::readmodel::decision::Mark;
use crate::readmodel::error::ReadModelError;
use crate::readmodel::store::{ReadModelInfo, Store};
use crate::readmodel::writer::Live;

use super::error::ReplayError;
use super::follow::{Wait, paused};
use super::progress::Phase;
use super::task::Control;

/// How often a paused follow looks whether something was decided: two looks at a folder.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long whoever publishes for a follow that has ended may take to be done with what it was doing.
const LET_GO: Duration = Duration::from_secs(30);
/// How soon is looked again whether it is.
const AGAIN: Duration = Duration::from_millis(10);

/// Characters of a reason that are told.
const REASON: usize = 500;

/// What it waits for.
pub(super) struct Paused<'a> {
    pub(super) store: &'a Store,
    pub(super) wait: &'a Wait,
    /// How the read model and the decisions were when it paused.
    pub(super) mark: Mark,
}

impl Paused<'_> {
    /// The read model to go on with, by the rules that it was built with last; `None` where it was cancelled meanwhile.
    pub(super) fn until_decided(
        self,
        definition: &mut Definition,
        control: &mut Control,
    ) -> Result<Option<Live>, ReplayError> {
        let name = definition.projection().name.clone();
        let clock = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| ReplayError::Crashed(format!("no clock to wait by: {error}")))?;
        let mut told = false;
        loop {
            let cancelled = control.cancel.cancelled();
            if clock
                .block_on(async { tokio::time::timeout(LOOK_EVERY, cancelled).await })
                .is_ok()
            {
                return Ok(None);
            }
            if self.store.mark(&name) == self.mark {
                continue;
            }
            if self.store.info(&name)?.hash != definition.projection().hash
                && let Some(mended) = (self.wait.reload)()
            {
                *definition = compile(&mended)?;
            }
            match Live::open(self.store, definition) {
                Ok(live) => {
                    control.meter.phase(Phase::Starting);
                    return Ok(Some(live));
                }
                // Whoever decides holds it until that is done.
                Err(ReadModelError::Locked { holder, .. }) if !told => {
                    told = true;
                    control.meter.notice(format!("waits until {holder} is done with it"));
                }
                Err(ReadModelError::Locked { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Waits until a read model that was let go is free: a thread that publishes ends after what it is doing, and holds it until then.
pub(super) fn let_go(store: &Store, name: &str) -> Result<(), ReadModelError> {
    let began = Instant::now();
    while began.elapsed() < LET_GO && store.is_held(name)? {
        thread::sleep(AGAIN);
    }
    Ok(())
}

/// Why a read model is paused, and what can be done.
pub(super) fn advice(info: &ReadModelInfo) -> String {
    let name = &info.name;
    format!(
        "paused at {reason}
  foldlog dead-letters {name}                    shows the record
  foldlog dead-letters {name} retry              tries it again, by what {file} says then
  foldlog dead-letters {name} skip               goes on without it; --hold-key holds the later ones of its key
  foldlog dead-letters {name} edit               gives it another value
it goes on by itself when that is done",
        reason = printable(paused(info).unwrap_or_default().as_bytes(), REASON).text,
        file = info.file,
    )
}
