//! Records into transactions of the server.

use crate::projection::Projection;
use crate::readmodel::apply::{Outcome, Poison, PoisonKind};
use crate::readmodel::calls::{Calls, Desk};
use crate::readmodel::fold::{Folded, OnPoison, Reached};
use crate::readmodel::missing::MissingField;
use crate::readmodel::store::{DeadLetter, LetterState, ReadModelInfo, State};
use crate::record::{Position, RecordRef};
use crate::sink::postgres::fold::{Job, Ledger, Session};

use super::super::error::ReplayError;

/// Records of one transaction at most: what is sent without waiting, and done again where one of them cannot be applied.
const RECORDS: usize = 1024;
/// Bytes of records of one transaction, about.
const BYTES: usize = 4 * 1024 * 1024;
/// Bytes of poison records that are kept for the list of a rebuild that fails.
const COLLECTED: usize = 16 * 1024 * 1024;

/// Applies records there and remembers how far it came.
pub(super) struct Folding<'c> {
    pub(super) session: Session,
    calls: Calls<'c>,
    /// The line of each handler's statement.
    lines: Vec<usize>,
    ledger: Ledger,
    reached: Reached,
    on_poison: OnPoison,
    letters: Vec<DeadLetter>,
    collected: usize,
}

/// A record of a transaction, and what becomes of it as far as that is known here.
struct Planned<'r> {
    record: RecordRef<'r>,
    outcome: Outcome,
}

/// What a transaction leads to.
struct After {
    ledger: Ledger,
    reached: Reached,
    letters: Vec<DeadLetter>,
    /// Whether it ends before a record that cannot be applied.
    paused: bool,
}

impl<'c> Folding<'c> {
    pub(super) fn new(
        mut session: Session,
        desk: &'c Desk,
        projection: &Projection,
        mut ledger: Ledger,
        on_poison: OnPoison,
    ) -> Result<Self, ReplayError> {
        let mut reached = Reached::default();
        for (at, next) in ledger.info.position.iter() {
            reached.seen(&at.topic, at.partition, next);
        }
        if let State::Paused { .. } = ledger.info.state {
            // The record that it stands before is about to be tried again.
            ledger.info.state = State::Ready;
            ledger.info.counts.poisoned = 0;
            session.release()?;
        }
        let statements = projection.handlers.iter().flat_map(|handler| &handler.statements);
        Ok(Self {
            session,
            calls: desk.calls()?,
            lines: statements.map(|statement| statement.line).collect(),
            ledger,
            reached,
            on_poison,
            letters: Vec::new(),
            collected: 0,
        })
    }

    /// What is committed.
    pub(super) fn info(&self) -> &ReadModelInfo {
        &self.ledger.info
    }

    /// The fields that handlers bind and that were missing in every event of theirs so far.
    pub(super) fn missing(&self) -> Vec<MissingField> {
        self.calls.missing()
    }

    /// Poison records that were met and are only collected.
    pub(super) fn take_letters(&mut self) -> Vec<DeadLetter> {
        std::mem::take(&mut self.letters)
    }

    /// Moves on past offsets that hold no record, and writes that down.
    pub(super) fn advance(&mut self, position: &Position) -> Result<(), ReplayError> {
        for (at, next) in position.iter() {
            self.reached.seen(&at.topic, at.partition, next);
        }
        let position = self.reached.position();
        if position != self.ledger.info.position {
            let mut ledger = self.ledger.clone();
            ledger.info.position = position;
            self.session.all(&[], &ledger, &[])?;
            self.ledger = ledger;
        }
        Ok(())
    }

    /// Applies records in their order, in as many transactions as that takes. `each` is told after each of them.
    pub(super) fn apply<'r>(
        &mut self,
        records: impl Iterator<Item = RecordRef<'r>>,
        each: &mut dyn FnMut(&ReadModelInfo),
    ) -> Result<Folded, ReplayError> {
        let mut records = records.peekable();
        while records.peek().is_some() {
            let (mut planned, mut jobs, mut bytes) = (Vec::new(), Vec::new(), 0);
            while planned.len() < RECORDS && bytes < BYTES {
                let Some(record) = records.next() else { break };
                bytes += record.size();
                let outcome = self.plan(&record, &mut jobs)?;
                let stops = self.on_poison == OnPoison::Pause && matches!(outcome, Outcome::Poison(_));
                planned.push(Planned { record, outcome });
                if stops {
                    break;
                }
            }
            let paused = self.transaction(planned, jobs)?;
            each(&self.ledger.info);
            if paused || self.is_enough() {
                return Ok(Folded::Poisoned);
            }
        }
        Ok(Folded::All)
    }

    fn is_enough(&self) -> bool {
        match self.on_poison {
            OnPoison::Collect(limit) => self.letters.len() >= limit || self.collected >= COLLECTED,
            OnPoison::Skip | OnPoison::Pause => false,
        }
    }

    /// What becomes of a record; one that is to be applied adds its statements to `jobs`.
    fn plan(&mut self, record: &RecordRef<'_>, jobs: &mut Vec<Vec<Job>>) -> Result<Outcome, ReplayError> {
        let (outcome, calls) = self.calls.of(record)?;
        if outcome != Outcome::Applied {
            return Ok(outcome);
        }
        let mut own = Vec::with_capacity(calls.len());
        for call in &calls {
            match self.session.job(call) {
                Ok(job) => own.push(job),
                Err(reason) => return Ok(self.refused(call.statement, reason)),
            }
        }
        jobs.push(own);
        Ok(Outcome::Applied)
    }

    fn refused(&self, statement: usize, reason: String) -> Outcome {
        Outcome::Poison(Poison {
            kind: PoisonKind::Handler,
            reason,
            line: self.lines.get(statement).copied(),
        })
    }

    /// Runs one transaction; whether it ended before a record that cannot be applied.
    fn transaction(&mut self, mut planned: Vec<Planned<'_>>, jobs: Vec<Vec<Job>>) -> Result<bool, ReplayError> {
        let mut after = self.after(&planned);
        if self.session.all(&jobs, &after.ledger, &after.letters)?.is_some() {
            let faults = self.session.each(&jobs, self.on_poison == OnPoison::Pause)?;
            let mut tried: Vec<&mut Planned<'_>> = planned
                .iter_mut()
                .filter(|planned| planned.outcome == Outcome::Applied)
                .collect();
            for fault in faults {
                if let Some(planned) = tried.get_mut(fault.record) {
                    planned.outcome = self.refused(fault.statement, fault.reason);
                }
            }
            after = self.after(&planned);
            self.session.close(&after.ledger, &after.letters)?;
        }
        self.ledger = after.ledger;
        self.reached = after.reached;
        if let OnPoison::Collect(_) = self.on_poison {
            self.collected += after
                .letters
                .iter()
                .map(|letter| letter.record.view().size())
                .sum::<usize>();
            self.letters.extend(after.letters);
        }
        Ok(after.paused)
    }

    /// Where these records lead.
    fn after(&self, planned: &[Planned<'_>]) -> After {
        let mut after = After {
            ledger: self.ledger.clone(),
            reached: self.reached.clone(),
            letters: Vec::new(),
            paused: false,
        };
        let info = &mut after.ledger.info;
        for Planned { record, outcome } in planned {
            match outcome {
                Outcome::Applied => info.counts.applied += 1,
                Outcome::Ignored => info.counts.ignored += 1,
                // Nobody decides about records of a read model that is elsewhere.
                Outcome::Skipped | Outcome::Held => info.counts.skipped += 1,
                Outcome::Poison(poison) => {
                    let paused = self.on_poison == OnPoison::Pause;
                    let letter = DeadLetter {
                        record: record.to_record(),
                        kind: poison.kind,
                        reason: poison.reason.clone(),
                        line: poison.line,
                        state: if paused {
                            LetterState::Paused
                        } else {
                            LetterState::Skipped
                        },
                    };
                    match self.on_poison {
                        OnPoison::Skip => info.counts.skipped += 1,
                        OnPoison::Collect(_) | OnPoison::Pause => info.counts.poisoned += 1,
                    }
                    if paused {
                        info.state = State::Paused {
                            reason: letter.to_string(),
                        };
                        after.letters.push(letter);
                        after.paused = true;
                        break;
                    }
                    after.letters.push(letter);
                }
            }
            after.reached.seen(record.topic, record.partition, record.offset + 1);
        }
        info.position = after.reached.position();
        after
    }
}
