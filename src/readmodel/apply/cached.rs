//! Handlers whose rows are kept in memory.

use rusqlite::Connection;

use crate::decode::fields::Scalar;
use crate::record::RecordRef;

use super::super::cached::{Cache, Done};
use super::super::error::ReadModelError;
use super::{Applier, Outcome, go};

impl<'c> Applier<'c> {
    /// Keeps rows in memory from here on, in `room` bytes at most, of the tables for which that is known to be the same.
    /// Whoever records or publishes what each event does needs it on disk.
    pub(in super::super) fn keep_rows(&mut self, connection: &'c Connection, room: usize) -> rusqlite::Result<()> {
        if self.recorder.is_none() && self.emits.is_none() {
            self.cache = Cache::new(connection, self.definition.plan(), room)?;
        }
        Ok(())
    }

    /// Bytes of the rows that are kept in memory.
    pub(in super::super) fn in_memory(&self) -> u64 {
        self.cache.as_ref().map_or(0, |cache| cache.size() as u64)
    }

    /// Writes the rows that are kept in memory, for whoever reads the tables.
    pub(in super::super) fn flush(&mut self) -> Result<(), ReadModelError> {
        match &mut self.cache {
            Some(cache) => cache.flush().map_err(unwritten),
            None => Ok(()),
        }
    }

    /// Runs the statements of an event, in memory where that is possible: all or none take effect.
    pub(super) fn cached(
        &mut self,
        steps: &[usize],
        record: &RecordRef<'_>,
        slots: &[Scalar<'_>],
    ) -> Result<Outcome, ReadModelError> {
        let Some(cache) = &mut self.cache else {
            return self.as_sql(steps, record, slots);
        };
        if let [step] = steps
            && let Some(write) = cache.write_of(*step)
        {
            cache.begin(false);
            return match cache.apply(write, record, slots).map_err(unwritten)? {
                Done::Applied => {
                    cache.stay_within().map_err(unwritten)?;
                    Ok(Outcome::Applied)
                }
                Done::AsSql => self.give_way(steps, record, slots),
            };
        }
        let in_memory = steps.iter().filter(|step| cache.write_of(**step).is_some()).count();
        if in_memory == 0 {
            return self.as_sql(steps, record, slots);
        }
        cache.begin(true);
        let mixed = in_memory < steps.len();
        if mixed {
            go(&mut self.savepoint)?;
        }
        let ended = self.each(steps, record, slots)?;
        if mixed {
            if !matches!(ended, Some(Outcome::Applied)) {
                go(&mut self.rollback)?;
            }
            go(&mut self.release)?;
        }
        if let Some(cache) = &mut self.cache {
            match ended {
                Some(Outcome::Applied) => cache.stay_within().map_err(unwritten)?,
                _ => cache.undo(),
            }
        }
        match ended {
            Some(outcome) => Ok(outcome),
            None => self.give_way(steps, record, slots),
        }
    }

    /// Applies the statements one after the other, each in memory or as SQL; `None` where one must be SQL after all.
    fn each(
        &mut self,
        steps: &[usize],
        record: &RecordRef<'_>,
        slots: &[Scalar<'_>],
    ) -> Result<Option<Outcome>, ReadModelError> {
        for step in steps {
            let write = self.cache.as_ref().and_then(|cache| cache.write_of(*step));
            let (Some(write), Some(cache)) = (write, &mut self.cache) else {
                match self.step(*step, record, slots)? {
                    Outcome::Applied => continue,
                    outcome => return Ok(Some(outcome)),
                }
            };
            if let Done::AsSql = cache.apply(write, record, slots).map_err(unwritten)? {
                return Ok(None);
            }
        }
        Ok(Some(Outcome::Applied))
    }

    /// Runs the statements as SQL, with the rows that they are for on disk.
    fn give_way(
        &mut self,
        steps: &[usize],
        record: &RecordRef<'_>,
        slots: &[Scalar<'_>],
    ) -> Result<Outcome, ReadModelError> {
        if let Some(cache) = &mut self.cache {
            for step in steps {
                if let Some(write) = cache.write_of(*step) {
                    cache.give_way(write, record, slots).map_err(unwritten)?;
                }
            }
            cache.stay_within().map_err(unwritten)?;
        }
        self.as_sql(steps, record, slots)
    }

    fn as_sql(
        &mut self,
        steps: &[usize],
        record: &RecordRef<'_>,
        slots: &[Scalar<'_>],
    ) -> Result<Outcome, ReadModelError> {
        match steps {
            [step] => self.step(*step, record, slots),
            steps => self.steps(steps, record, slots),
        }
    }
}

fn unwritten(error: rusqlite::Error) -> ReadModelError {
    ReadModelError::sqlite("cannot write the rows that are kept in memory", error)
}
