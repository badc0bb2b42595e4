//! Deciding about single records: retry, skip or edit one that cannot be applied.
//!
//! A read model is a fold of the log as decisions amend it, always in the log's order. The record that a paused read model stands
//! before is decided about on the spot. A decision about an earlier one changes what everything after it was folded on, so the read
//! model is folded anew to where it stands, beside the one in use, and swapped in: never is a record applied late. It begins with the
//! last snapshot before the record, where one is still what the log and the decisions make.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::process::Command;

use crate::broker::client::Client;
use crate::broker::reader::Range;
use crate::projection::Projection;
use crate::readmodel::compile::{Definition, compile};
use crate::readmodel::decision::{Amendments, Choice, Decision, RecordPlace};
use crate::readmodel::snapshot::Snapshot;
use crate::readmodel::store::{DeadLetter, LetterState, ReadModelInfo, State, Store};
use crate::readmodel::writer::{Building, Live};
use crate::record::{Position, Record, Timestamp};

use super::at::{Past, merged};
use super::error::ReplayError;
use super::follow;
use super::log::{self, Log};
use super::lookout;
use super::rebuild::{LISTED, RebuildReport, Until, fill};
use super::source::Source;
use super::task::{Control, Task};

/// Dead letters that are named where there is none at a place.
const NAMED: usize = 5;
/// How many times longer an event takes by SQL than in memory, about.
const SLOWER: u64 = if cfg!(test) { 1 } else { 4 };

/// What somebody wants done.
#[derive(Debug, Clone)]
pub struct Request {
    /// The read model.
    pub name: String,
    /// The projection as its file says it now. Where that is another than the read model was built from, it is built anew with it.
    pub projection: Option<Projection>,
    /// What is done with which record; each is one of the read model's dead letters.
    pub choices: Vec<(RecordPlace, Choice)>,
    /// Who wants it.
    pub who: String,
}

/// What was done.
#[derive(Debug, Clone)]
pub struct Decided {
    /// The read model as it is now.
    pub info: ReadModelInfo,
    /// How it was folded anew, where it was.
    pub rebuilt: Option<RebuildReport>,
}

/// Starts carrying out what somebody decided. Where a record cannot be applied even so, nothing is changed and nothing is written
/// down.
pub fn decide(client: Client, store: Store, request: Request) -> Task<Decided> {
    Task::start("decide", move |control| {
        let plan = Plan::new(&store, &request)?;
        if let Some(decided) = plan.on_the_spot(&store)? {
            return Ok(decided);
        }
        let topics = plan.definition.projection().topics.clone();
        let (asked, until) = (client.clone(), Until::Position(plan.target()));
        let (log, ranges) = lookout::ask(&control.cancel, move || {
            let log = Log::survey(&asked, &topics)?;
            let ranges = log.ranges(&asked, Some(&until))?;
            Ok((log, ranges))
        })?;
        plan.anew(&store, log, &ranges, &merged(&client), control)
    })
}

/// Whoever runs this, as far as the system says.
pub fn who() -> String {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let said = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let user = set("USER").or_else(|| set("LOGNAME")).or_else(|| said("id", "-un"));
    let host = said("uname", "-n");
    format!(
        "{}@{}",
        user.as_deref().unwrap_or("unknown"),
        host.as_deref().unwrap_or("unknown")
    )
}

/// Whether a request takes folding the read model anew, which takes as long as a rebuild up to where it stands.
pub fn takes_rebuild(store: &Store, request: &Request) -> Result<bool, ReplayError> {
    Ok(!Plan::new(store, request)?.is_on_the_spot())
}

/// A request, looked up.
pub(super) struct Plan {
    info: ReadModelInfo,
    definition: Definition,
    decisions: Vec<Decision>,
    paused: Option<DeadLetter>,
}

impl Plan {
    pub(super) fn new(store: &Store, request: &Request) -> Result<Self, ReplayError> {
        let name = &request.name;
        let info = store.info(name)?;
        let built = store.projection(name)??;
        // What a file emits can have been mended without a change of what it folds.
        let definition = compile(request.projection.as_ref().unwrap_or(&built))?;
        let topics = store.topics(name)?;
        let wanted: HashSet<&RecordPlace> = request.choices.iter().map(|(place, _)| place).collect();
        let (mut letters, mut paused) = (HashMap::new(), None);
        store.each_dead_letter(name, &mut |letter| {
            if letter.state == LetterState::Paused {
                paused = Some(letter.clone());
            }
            if wanted.contains(&letter.place()) {
                letters.insert(letter.place(), letter);
            }
            true
        })?;
        let mut decisions = Vec::new();
        for (place, choice) in &request.choices {
            let Some(letter) = letters.get(place).cloned() else {
                return Err(no_letter(store, &info, place)?);
            };
            check(&letter, place, choice)?;
            let id = topics.iter().find(|(topic, _)| **topic == *place.partition.topic);
            decisions.push(Decision {
                at: Timestamp::now(),
                who: request.who.clone(),
                choice: choice.clone(),
                topic_id: id.and_then(|(_, id)| id.clone()),
                poison: letter.poison(),
                record: letter.record,
            });
        }
        Ok(Self {
            info,
            definition,
            decisions,
            paused,
        })
    }

    /// The read model is paused before the one record that this is about, and the rules are the same.
    fn is_on_the_spot(&self) -> bool {
        let paused = self.paused.as_ref().map(|letter| &letter.record);
        let same = self.info.hash == self.definition.projection().hash;
        matches!(&*self.decisions, [decision] if same && Some(&decision.record) == paused)
    }

    /// Decides about the record that the read model is paused before.
    pub(super) fn on_the_spot(&self, store: &Store) -> Result<Option<Decided>, ReplayError> {
        let ([decision], true) = (&*self.decisions, self.is_on_the_spot()) else {
            return Ok(None);
        };
        let mut live = Live::open(store, &self.definition)?;
        if !matches!(live.info().state, State::Paused { .. }) || live.info().position != self.info.position {
            // Somebody was faster.
            let place = decision.place();
            return Err(ReplayError::NoLetter {
                message: format!("`{}` is no longer paused before {place}", self.info.name),
                help: format!("`foldlog dead-letters {}` shows what there is now", self.info.name),
            });
        }
        match live.settle(&decision.record, &self.decisions)? {
            None => Ok(Some(Decided {
                info: live.read_info()?,
                rebuilt: None,
            })),
            Some(letter) => Err(self.refused(vec![letter])),
        }
    }

    /// How far the read model is folded anew: to where it stands.
    pub(super) fn target(&self) -> Position {
        self.info.position.clone()
    }

    /// The record that the read model is paused before, if this is about it among others.
    fn paused_record(&self) -> Option<&Record> {
        let paused = self.paused.as_ref().map(|letter| &letter.record);
        paused.filter(|record| self.decisions.iter().any(|decision| decision.record == **record))
    }

    /// Folds the read model anew and puts it in use.
    pub(super) fn anew<S: Source>(
        &self,
        store: &Store,
        mut log: Log,
        ranges: &[Range],
        open: &(dyn Fn(Vec<Range>) -> Result<S, ReplayError> + Sync),
        control: &mut Control,
    ) -> Result<Decided, ReplayError> {
        let name = &self.info.name;
        let mut projection = self.definition.projection().clone();
        let same = projection.hash == self.info.hash;
        // Whether the log is still the one that was folded; that the rules may be others is on purpose.
        projection.hash.clone_from(&self.info.hash);
        follow::start(&projection, &self.info, &store.topics(name)?, &log)?;
        self.check_there(&log)?;
        let standing = standing(store, name, &log, control)?;
        log.amendments = standing.with(self.decisions.iter().cloned());
        let past = Past {
            store: store.clone(),
            definition: self.definition.clone(),
            snapshots: store.snapshots(name)?,
            starts: log::starts(ranges),
            ends: log::ends(ranges),
            log,
        };
        let base = self.base(&past, open, control)?;
        let begun = base.as_ref().map(|base| past.ranges(&base.info.position, &past.ends));
        let ranges = begun.as_deref().unwrap_or(ranges);
        self.check_whole(base.as_ref(), ranges)?;
        match &base {
            None => log::tell_cuts(&past.starts, control),
            Some(base) => control.meter.notice(format!(
                "begun with the snapshot after {}, which lies before what is decided about",
                records(base.info.counts.total())
            )),
        }
        let mut before = BTreeSet::new();
        store.each_dead_letter(name, &mut |letter| {
            if letter.state == LetterState::Skipped {
                before.insert(letter.place());
            }
            true
        })?;
        let check = |building: &mut Building| {
            self.check_applied(&before, building)?;
            match self.paused_record() {
                Some(record) => {
                    if let Some(letter) = building.attempt(record)? {
                        return Err(self.refused(vec![letter]));
                    }
                }
                None if same => building.stays_paused(self.paused.clone()),
                None => {}
            }
            building.decide(self.decisions.clone());
            Ok(())
        };
        let origin = past.log.origin();
        let building = match &base {
            None => Building::start(store, &self.definition, &origin)?,
            Some(base) => Building::from_snapshot(store, &self.definition, &origin, base)?,
        };
        let report = fill(building, ranges, open, true, check, control)?;
        let mut info = report.info.clone();
        if let Some(record) = self.paused_record()
            && let Ok(mut live) = Live::open(store, &self.definition)
        {
            // Live, so that what it emits is published. Where somebody else goes on already, they apply it.
            live.settle(record, &[])?;
            info = live.read_info()?;
        }
        Ok(Decided {
            info,
            rebuilt: Some(report),
        })
    }

    /// The last snapshot with which a fold of the log begins as it is amended now. `None` where the fold begins with the log: a snapshot
    /// has no history and no word of what is told to others, and other rules made it if the file was mended.
    fn base<S: Source>(
        &self,
        past: &Past,
        open: &dyn Fn(Vec<Range>) -> Result<S, ReplayError>,
        control: &Control,
    ) -> Result<Option<Snapshot>, ReplayError> {
        let projection = self.definition.projection();
        let tells = !projection.emits.is_empty() || !projection.alerts.is_empty() || self.info.emitted.is_some();
        if projection.hash != self.info.hash || projection.history || self.info.history.is_some() || tells {
            return Ok(None);
        }
        let base = past.nearest(&past.ends, None, open, control)?;
        // Behind a snapshot every event is SQL. Where all can be folded in memory, the whole log is read sooner than much of it so.
        let worth = |base: &Snapshot| {
            let all = self.info.counts.total();
            let left = all.saturating_sub(base.info.counts.total());
            !self.definition.is_folded_in_memory() || left * SLOWER <= all
        };
        Ok(base.filter(worth))
    }

    /// Whether the log still has what is to be applied.
    fn check_there(&self, log: &Log) -> Result<(), ReplayError> {
        let marks = log.topics.iter().flat_map(|topic| {
            let partitions = topic.partitions.iter();
            partitions.map(|marks| (topic.name.clone(), marks.partition, marks.low))
        });
        for (topic, partition, low) in marks {
            let gone = self.decisions.iter().find(|decision| {
                let record = &decision.record;
                (&record.topic, record.partition) == (&topic, partition) && record.offset < low
            });
            if let Some(gone) = gone {
                return Err(ReplayError::NoLetter {
                    message: format!("the log no longer has {}: it begins at offset {low}", gone.place()),
                    help: format!(
                        "`foldlog dead-letters {} --json` still has its bytes, and `foldlog produce --envelope` writes them \
                         back as a new record",
                        self.info.name
                    ),
                });
            }
        }
        Ok(())
    }

    /// Whether the log still has all that the read model was folded from. Rows whose events are gone would be lost for the sake of one
    /// record.
    fn check_whole(&self, base: Option<&Snapshot>, ranges: &[Range]) -> Result<(), ReplayError> {
        let there: i64 = ranges
            .iter()
            .map(|range| range.end.unwrap_or(range.start) - range.start)
            .sum();
        let behind = base.map_or(0, |base| base.info.counts.total());
        // The one that it is paused before is not folded.
        let folded = (self.info.counts.total() - self.info.counts.poisoned).saturating_sub(behind);
        let gone = folded.saturating_sub(there.unsigned_abs());
        if gone == 0 {
            return Ok(());
        }
        let (name, file) = (&self.info.name, &self.info.file);
        Err(ReplayError::NoLetter {
            message: format!(
                "deciding about an earlier record folds `{name}` anew, and the log has lost {gone} of the records that it was folded from"
            ),
            help: format!(
                "nothing was changed. To give up what those records made: `foldlog rebuild {file} --skip-poison`, then decide"
            ),
        })
    }

    /// Whether what was to be applied was, and nothing else fell out for it.
    fn check_applied(&self, before: &BTreeSet<RecordPlace>, building: &Building) -> Result<(), ReplayError> {
        let mut wrong = Vec::new();
        let decided = self.decisions.iter();
        let decided: HashMap<_, _> = decided.map(|decision| (decision.place(), &decision.choice)).collect();
        building.each_letter(&mut |letter| {
            let is_wrong = match decided.get(&letter.place()) {
                Some(Choice::Skip { .. }) => false,
                Some(Choice::Retry | Choice::Edit(_)) => letter.state == LetterState::Skipped,
                None => letter.state == LetterState::Skipped && !before.contains(&letter.place()),
            };
            if is_wrong {
                wrong.push(letter);
            }
            wrong.len() < LISTED
        })?;
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(self.refused(wrong)),
        }
    }

    fn refused(&self, letters: Vec<DeadLetter>) -> ReplayError {
        ReplayError::StillPoison {
            name: self.info.name.clone(),
            letters,
        }
    }
}

/// That nothing is listed at this place.
fn no_letter(store: &Store, info: &ReadModelInfo, place: &RecordPlace) -> Result<ReplayError, ReplayError> {
    let some = store.dead_letters(&info.name, NAMED)?;
    let names: Vec<_> = some.iter().map(|letter| letter.place().to_string()).collect();
    Ok(ReplayError::NoLetter {
        message: format!("`{}` has no dead letter at {place}", info.name),
        help: match names.len() {
            0 => "every record that it met was applied or ignored".to_owned(),
            NAMED => format!("it has some at {}, ...", names.join(", ")),
            _ => format!("it has some at {}", names.join(", ")),
        },
    })
}

/// Whether this can be done with such a record.
fn check(letter: &DeadLetter, place: &RecordPlace, choice: &Choice) -> Result<(), ReplayError> {
    let no = |message: String, help: String| Err(ReplayError::NoLetter { message, help });
    match choice {
        Choice::Skip { hold_key: true } if letter.record.key.is_none() => no(
            format!("{place} has no key, so nothing can be held for it"),
            "leave it out without --hold-key".to_owned(),
        ),
        Choice::Retry | Choice::Edit(_) if letter.state == LetterState::Held => no(
            format!("{place} {}", letter.reason),
            "decide about that one: when it is applied, those that it holds are applied after it, in the log's order"
                .to_owned(),
        ),
        _ => Ok(()),
    }
}

/// What stands about this log. Decisions about a topic that was created anew since are about other records, which is said.
pub(super) fn standing(store: &Store, name: &str, log: &Log, control: &mut Control) -> Result<Amendments, ReplayError> {
    let standing = store.standing(name, &log.topic_ids())?;
    let all = Amendments::standing(store.decisions(name)?).len();
    if all > standing.len() {
        control.meter.notice(format!(
            "{} about single records no longer count: the topic is gone from the projection, or was created anew since",
            counted(all - standing.len())
        ));
    }
    if !standing.is_empty() {
        control.meter.notice(format!(
            "{} about single records {} the log: `foldlog dead-letters {name} log` has them",
            counted(standing.len()),
            if standing.len() == 1 { "amends" } else { "amend" }
        ));
    }
    Ok(standing)
}

fn records(count: u64) -> String {
    match count {
        1 => "1 record".to_owned(),
        many => format!("{many} records"),
    }
}

fn counted(decisions: usize) -> String {
    match decisions {
        1 => "1 decision".to_owned(),
        many => format!("{many} decisions"),
    }
}

/// All of them taken back.
pub(super) fn taken_back(standing: &Amendments, who: &str) -> Vec<Decision> {
    let back = |decision: &Decision| Decision {
        at: Timestamp::now(),
        who: who.to_owned(),
        choice: Choice::Retry,
        ..decision.clone()
    };
    standing.iter().map(back).collect()
}

#[cfg(test)]
#[path = "decide_tests.rs"]
pub(in crate::replay) mod tests;
