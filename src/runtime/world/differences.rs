//! Read models held against each other: a verify, and what would have been.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::app::difference::{
    Change as Thinking, Event as Parting, Fact, Found, MOST, Question, Spot as Where, Thought,
};
use crate::app::job::{Event, Failure, Outlet};
use crate::app::lang::{Speaks, say};
use crate::app::model::Level;
use crate::app::moment::{EventAt, Underway};
use crate::readmodel::apply::Outcome;
use crate::readmodel::compare::{Difference, RowDifference, Side, Tally, Which, compare};
use crate::readmodel::scratch::Scratch;
use crate::replay::drift::{First, Interleaved};
use crate::replay::task::Task;
use crate::replay::verify::{self, Verified, VerifyOptions, verify};
use crate::replay::whatif::{At, Change, Draft, Edited, Fate, Spot, WhatIf, WhatIfOptions, what_if};
use crate::ui::format::{count, counted};

use super::{Studio, advised, failure};

/// How often progress is said, and how soon a cancellation is seen.
const EVERY: Duration = Duration::from_millis(100);

impl Studio {
    /// Answers a question by holding two read models against each other.
    pub(super) fn differences(&self, question: &Question, out: &dyn Outlet) -> Result<Event, Failure> {
        let found = match question {
            Question::Verify(name) => self.verify(name, out)?,
            Question::Preview(name) => self.previewed(name, out)?,
            Question::WhatIf(thought) => self.what_if(thought, out)?,
        };
        Ok(Event::Differences(Box::new(found)))
    }

    fn verify(&self, name: &str, out: &dyn Outlet) -> Result<Found, Failure> {
        let link = self.link()?;
        let (client, store) = (link.client.clone(), link.store.clone());
        let task = verify(client, store, name.to_owned(), VerifyOptions::default());
        let verified = self.underway(task, out)?;
        let (model, shadow) = (side(&verified.model)?, side(&verified.shadow)?);
        let (_, rows, shapes) = rows(out, &model, &shadow, "the read model", "its log")?;
        let mut facts = vec![answer(&out, &verified)];
        facts.extend(shapes);
        facts.extend(verified.first.as_ref().map(|first| since(&out, first)));
        facts.extend(verified.order.as_ref().and_then(|found| order(&out, found)));
        facts.extend(lost(&out, &verified));
        if !verified.tally.is_equal() {
            facts.push(hint(out.tr(
                "the log has the truth: r on the projections screen rebuilds the read model",
            )));
        }
        let event = verified
            .first
            .as_ref()
            .and_then(|first| first.event.as_deref())
            .map(parting);
        Ok(Found {
            tally: verified.tally,
            rows,
            facts,
            event,
        })
    }

    fn what_if(&self, thought: &Thought, out: &dyn Outlet) -> Result<Found, Failure> {
        let link = self.link()?;
        let (client, store) = (link.client.clone(), link.store.clone());
        let change = change(&thought.change);
        let options = WhatIfOptions {
            changes: vec![change],
            ..WhatIfOptions::default()
        };
        let task = what_if(client, store, thought.read_model.clone(), options);
        let found = self.underway(task, out)?;
        let (truth, model) = (side(&found.truth)?, side(&found.model)?);
        let (tally, rows, shapes) = rows(out, &truth, &model, "as it is", "as it would be")?;
        let mut facts = vec![would_be(&out, &tally)];
        facts.extend(shapes);
        facts.extend(found.fates.iter().map(|one| fate(&out, &thought.change, one)));
        facts.extend(beside(&out, &found));
        let kind = found.fates.iter().find_map(|fate| match fate {
            Fate::LeftOut(event) | Fate::Was(event, _) => event.event.clone(),
            Fate::AllLeftOut(_) => None,
        });
        let event = thought.change.event().map(|at| Parting { at: at.clone(), kind });
        Ok(Found {
            tally,
            rows,
            facts,
            event: event.map(Arc::new),
        })
    }

    /// Says how far a task is until it is over; cancels it when nobody wants it any more.
    fn underway<T: Send + 'static>(&self, task: Task<T>, out: &dyn Outlet) -> Result<T, Failure> {
        let mut progress = task.progress();
        loop {
            let changed = self.handle.block_on(async { timeout(EVERY, progress.changed()).await });
            if out.cancelled() {
                task.cancel();
                break;
            }
            match changed {
                Ok(Err(_)) => break,
                Ok(Ok(())) => {
                    let newest = progress.borrow_and_update();
                    let share = (newest.total > 0).then(|| newest.done as f64 / newest.total as f64);
                    let underway = Underway {
                        events: newest.done,
                        share,
                    };
                    drop(newest);
                    out.send(Event::Underway(underway));
                }
                Err(_) => {}
            }
        }
        task.wait().map_err(advised)
    }
}

/// The first rows that differ, how all compare, and what differs beside rows. Stops where there are enough rows.
pub(super) fn rows(
    out: &dyn Outlet,
    before: &Side,
    after: &Side,
    first: &'static str,
    second: &'static str,
) -> Result<(Tally, Vec<RowDifference>, Vec<Fact>), Failure> {
    let (mut rows, mut facts) = (Vec::new(), Vec::new());
    let who = |only: Which| out.tr(if only == Which::Before { first } else { second });
    let tally = compare(before, after, &mut |difference| {
        match difference {
            Difference::Row(row) if rows.len() < MOST => rows.push(row),
            Difference::Row(_) | Difference::Compared { .. } => {}
            Difference::Table { table, only, rows } => {
                facts.push(warning(say!(
                    out,
                    "only {side} has the table {table}, with {rows}",
                    side = who(only),
                    table,
                    rows = counted(&out, rows, "row")
                )));
            }
            Difference::Column { table, column, only } => {
                facts.push(warning(say!(
                    out,
                    "only {side} has the column {table}.{column}",
                    side = who(only),
                    table,
                    column
                )));
            }
            Difference::Key { table } => facts.push(warning(say!(
                out,
                "the primary keys of {table} are of other columns, so no row can be matched with another",
                table
            ))),
        }
        true
    });
    Ok((tally.map_err(failure)?, rows, facts))
}

fn side(copy: &Scratch) -> Result<Side, Failure> {
    Side::past(copy).map_err(failure)
}

pub(super) fn fact(level: Level, text: impl Into<String>) -> Fact {
    Fact {
        level,
        text: text.into(),
    }
}

pub(super) fn hint(text: impl Into<String>) -> Fact {
    fact(Level::Hint, text)
}

fn warning(text: impl Into<String>) -> Fact {
    fact(Level::Warning, text)
}

pub(super) fn parting(event: &verify::Event) -> Arc<Parting> {
    Arc::new(Parting {
        at: EventAt {
            topic: event.topic.clone(),
            partition: event.partition,
            offset: event.offset,
            time: event.timestamp,
        },
        kind: event.event.clone(),
    })
}

/// `1 only here, 2 only there, 3 changed; 4 alike`.
pub(super) fn told(on: &impl Speaks, tally: &Tally) -> String {
    let parts = [(tally.removed, "-"), (tally.added, "+"), (tally.changed, "~")];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, sign)| format!("{sign} {}", count(n)))
        .collect();
    let alike = say!(on, "{rows} alike", rows = counted(on, tally.same, "row"));
    format!("{}; {alike}", parts.join(", "))
}

fn answer(on: &impl Speaks, verified: &Verified) -> Fact {
    let (name, rows) = (&verified.info.name, verified.tally.rows());
    match rows {
        0 if verified.tally.is_equal() => fact(
            Level::Done,
            say!(
                on,
                "{name} is what its log says, after {records}",
                name,
                records = counted(on, verified.records, "record")
            ),
        ),
        0 => fact(
            Level::Error,
            say!(on, "{name} is not what its log says: its tables differ", name),
        ),
        _ => {
            let (how, rows) = (told(on, &verified.tally), counted(on, rows, "row"));
            let text = match verified.tally.rows() {
                1 => say!(on, "{rows} is not what the log says: {how}", rows, how),
                _ => say!(on, "{rows} are not what the log says: {how}", rows, how),
            };
            fact(Level::Error, text)
        }
    }
}

fn since(on: &impl Speaks, first: &First) -> Fact {
    match (&first.event, first.held) {
        (None, _) => warning(on.tr("no event ever wrote the first of them: something else did")),
        (Some(_), true) => hint(on.tr("before the event below the rows were what the read model still has")),
        (Some(_), false) => hint(
            on.tr("after no event were they what the read model has; below is the last event that wrote what differs"),
        ),
    }
}

fn order(on: &impl Speaks, order: &Interleaved) -> Option<Fact> {
    let rows = || (count(order.rows), counted(on, order.of, "row"));
    Some(match (order.exactly, order.is_likely(), order.rows) {
        (true, ..) => warning(on.tr("another order between the partitions makes exactly this read model")),
        (_, true, _) => warning(
            on.tr("in another order between the partitions all of them come out otherwise: that is the likely reason"),
        ),
        (_, _, 0) => return None,
        _ => {
            let (some, all) = rows();
            warning(say!(
                on,
                "the order between partitions may be the reason for {some} of {all}",
                some,
                all
            ))
        }
    })
}

fn lost(on: &impl Speaks, verified: &Verified) -> Option<Fact> {
    let (had, has) = (verified.model_records(), verified.records);
    (had != has && !verified.tally.is_equal()).then(|| {
        warning(say!(
            on,
            "the read model was made of {had}, and the log has {has} up to its position: what retention or compaction took cannot be replayed",
            had = counted(on, had, "record"),
            has = count(has)
        ))
    })
}

fn would_be(on: &impl Speaks, tally: &Tally) -> Fact {
    match tally.rows() {
        0 if tally.is_equal() => fact(Level::Done, on.tr("no row would be another")),
        1 => hint(say!(on, "1 row would be another: {how}", how = told(on, tally))),
        rows => hint(say!(
            on,
            "{rows} would be others: {how}",
            rows = counted(on, rows, "row"),
            how = told(on, tally)
        )),
    }
}

/// The change as the replay takes it.
fn change(thought: &Thinking) -> Change {
    let value = |text: &str| (text.trim() != "null").then(|| text.as_bytes().to_vec());
    match thought {
        Thinking::Without(event) => Change::Without(at(event)),
        Thinking::WithoutWhere(condition) => Change::WithoutWhere(condition.clone()),
        Thinking::Instead(event, text) => Change::Edit(at(event), Edited::Value(value(text))),
        Thinking::Besides(event, key, text) => {
            let draft = Draft {
                key: key.clone(),
                value: value(text),
                ..Draft::default()
            };
            Change::Insert(draft, Spot::After(at(event)))
        }
        Thinking::Moved(event, spot) => {
            let beside = |topic: &String, partition: &i32, offset: &i64| At {
                topic: Some(topic.clone()),
                partition: *partition,
                offset: *offset,
            };
            let spot = match spot {
                Where::Before(topic, partition, offset) => Spot::Before(beside(topic, partition, offset)),
                Where::After(topic, partition, offset) => Spot::After(beside(topic, partition, offset)),
                Where::Time(time) => Spot::Time(*time),
            };
            Change::Move(at(event), spot)
        }
    }
}

fn at(event: &EventAt) -> At {
    At {
        topic: Some(event.topic.clone()),
        partition: event.partition,
        offset: event.offset,
    }
}

/// What became of the event that the change made.
fn fate(on: &impl Speaks, thought: &Thinking, fate: &Fate) -> Fact {
    let event = on.tr(match thought {
        Thinking::Besides(..) => "the event that is put in after the one below",
        Thinking::Moved(..) => "the event below, moved,",
        _ => "the event below, as edited,",
    });
    match fate {
        Fate::LeftOut(_) => hint(on.tr("the event below is left out")),
        Fate::AllLeftOut(records) => {
            let records = counted(on, *records, "record");
            match thought {
                Thinking::WithoutWhere(condition) => {
                    hint(say!(on, "{records} left out where {condition}", records, condition))
                }
                _ => hint(say!(on, "{records} left out", records)),
            }
        }
        Fate::Was(_, Outcome::Applied) => hint(say!(on, "{event} was applied", event)),
        Fate::Was(_, Outcome::Ignored) => warning(say!(on, "{event} is ignored: no handler is for it", event)),
        Fate::Was(_, Outcome::Skipped | Outcome::Held) => warning(say!(
            on,
            "{event} is left out: that was decided about it, or about an earlier one of its key",
            event
        )),
        Fate::Was(_, Outcome::Poison(poison)) => warning(say!(
            on,
            "{event} could not be applied: {reason}",
            event,
            reason = poison.reason
        )),
    }
}

/// What else would be otherwise: later events that could not be applied, or now could, and invariants.
fn beside(on: &impl Speaks, found: &WhatIf) -> Vec<Fact> {
    let mut facts = Vec::new();
    for (records, mended) in [(&found.refused, false), (&found.mended, true)] {
        if let Some(first) = records.first() {
            let at = format!("{}[{}] {}", first.topic, first.partition, first.offset);
            let events = counted(on, records.len() as u64, "later event");
            let reason = &first.reason;
            facts.push(warning(match mended {
                false => say!(
                    on,
                    "{events} could not be applied then, the first {at}: {reason}",
                    events,
                    at,
                    reason
                ),
                true => say!(
                    on,
                    "{events} would no longer fail, the first {at}: {reason}",
                    events,
                    at,
                    reason
                ),
            }));
        }
    }
    let known = |name: &str, of: &[crate::readmodel::invariant::Broken]| of.iter().any(|broken| broken.name == name);
    for broken in found
        .after
        .broken
        .iter()
        .filter(|one| !known(&one.name, &found.before.broken))
    {
        facts.push(warning(say!(on, "then {broken}", broken)));
    }
    for broken in found
        .before
        .broken
        .iter()
        .filter(|one| !known(&one.name, &found.after.broken))
    {
        facts.push(fact(
            Level::Done,
            say!(on, "then the invariant `{name}` would hold", name = broken.name),
        ));
    }
    facts
}
