//! The past of a read model: one walk at a time, which stands where the studio last saw it stand.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::app::job::{Event, Failure, Outlet, PageFrom, PageRequest};
use crate::app::lang::say;
use crate::app::moment::{Applied, Go, Moment, Outcome, Ran, RowChange, Shape, Stood, Underway};
use crate::app::place::Place;
use crate::projection::parse::parse;
use crate::readmodel::apply;
use crate::readmodel::changes::Watched;
use crate::readmodel::query::Session;
use crate::readmodel::remembered::Remembered;
use crate::record::{Position, Record, Timestamp, TopicPartition};
use crate::replay::progress::Phase;
use crate::replay::rebuild::{At, Until};
use crate::replay::step::{Goal, Step, Walked};
use crate::replay::task::Task;
use crate::replay::walk::{Move, Stand, Told, walk};

use super::{Studio, advised, failure, query, records};

/// How often a way says how far it is, and how soon a cancellation is seen.
const EVERY: Duration = Duration::from_millis(100);
/// Events on the way that may wait to be counted: a walk that is ahead by more waits.
const AHEAD: usize = 256;
/// The most changed rows of one event that are shown; all are counted.
const CHANGES: usize = 500;
/// The most lines of one statement that are shown.
const STATEMENT: usize = 40;

/// A walk that stands somewhere. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Walking {
    read_model: String,
    source: String,
    invariants: Vec<(String, String)>,
    remembered: Vec<Remembered>,
    task: Task<()>,
    moves: SyncSender<Move>,
    told: Receiver<Told>,
    stands: Option<Stands>,
}

#[derive(Debug)]
struct Stands {
    position: Position,
    session: Session,
}

impl Walking {
    fn stands_at(&self, stood: &Stood) -> bool {
        let here = self.stands.as_ref().map(|stands| &stands.position);
        self.read_model == stood.read_model && here.is_some() && here == stood.position.as_ref()
    }

    /// Waits until the move that was asked for has ended.
    fn wait(&mut self, out: &dyn Outlet) -> Result<Box<Stand>, Failure> {
        let progress = self.task.progress();
        let mut underway = Underway::default();
        let mut said = Instant::now();
        loop {
            match self.told.recv_timeout(EVERY) {
                Ok(Told::Stands(stand)) => return Ok(stand),
                Ok(Told::Refused(error)) => return Err(advised(error)),
                Ok(Told::Step(..)) => underway.events += 1,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(Failure::new("the walk ended")),
            }
            if out.cancelled() {
                return Err(Failure::new("it was stopped on the way"));
            }
            if said.elapsed() >= EVERY {
                let progress = progress.borrow();
                let jumps = progress.phase == Phase::Rebuilding && progress.total > 0;
                underway.share = (jumps && underway.events == 0).then(|| progress.done as f64 / progress.total as f64);
                out.send(Event::Underway(underway));
                said = Instant::now();
            }
        }
    }
}

impl Studio {
    /// Goes another way from where the studio stands.
    pub(super) fn walk(&self, stood: &Stood, go: Go, out: &dyn Outlet) -> Result<Event, Failure> {
        let mut past = self.past();
        let looks = match &go {
            Go::Forward(goal) | Go::Back(goal) | Go::First(goal) => !matches!(goal, Goal::Count(_)),
            Go::FirstLasting(_) => true,
            _ => false,
        };
        let (jump, moves) = self.way(stood, go, out)?;
        let mut stand = self.stand(&mut past, stood, jump, out)?;
        for next in moves {
            stand = Some(ask(&mut past, next, out)?);
        }
        let mut stand = stand.ok_or_else(|| Failure::new("there is no way to go"))?;
        let walked = stand.walked;
        if let (true, Some(Walked::Edge), Some(position)) = (looks, walked, &stood.position) {
            // What was looked for is not there: nobody wanted to see the end of the log instead.
            stand = ask(&mut past, Move::Jump(Some(Until::Position(position.clone()))), out)?;
        }
        let source = past.as_ref().map_or("", |walking| &walking.source);
        let moment = Moment {
            walked,
            invariants: past.as_ref().map_or(Vec::new(), |walking| walking.invariants.clone()),
            remembered: past.as_ref().map_or(Vec::new(), |walking| walking.remembered.clone()),
            ..moment(&stand, source)
        };
        arrived(&mut past, *stand);
        Ok(Event::Moment(Box::new(moment)))
    }

    /// Asks the read model at the moment in view.
    pub(super) fn past_rows(&self, stood: &Stood, sql: &str, limit: usize, out: &dyn Outlet) -> Result<Event, Failure> {
        let mut past = self.past();
        if let Some(stand) = self.stand(&mut past, stood, None, out)? {
            arrived(&mut past, *stand);
        }
        let stands = past.as_ref().and_then(|walking| walking.stands.as_ref());
        let stands = stands.ok_or_else(|| Failure::new("there is no moment in view"))?;
        query(&stands.session, sql, limit, out)
    }

    /// Keeps conditions for the next session.
    pub(super) fn remember(&self, name: &str, conditions: &[Remembered]) -> Result<Event, Failure> {
        if let Err(error) = self.link()?.store.remember(name, conditions) {
            // Not worth a word where somebody looks for an event: what is lost can be typed again.
            tracing::warn!(%error);
        }
        Ok(Event::Done(String::new()))
    }

    /// Ends the walk.
    pub(super) fn leave_past(&self) -> Event {
        *self.past() = None;
        Event::Done(String::new())
    }

    fn past(&self) -> MutexGuard<'_, Option<Walking>> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a way is made of: a jump, if it begins with one, and moves.
    fn way(&self, stood: &Stood, go: Go, out: &dyn Outlet) -> Result<(Option<Option<Until>>, Vec<Move>), Failure> {
        Ok(match go {
            Go::Begin => (Some(Some(Until::Position(Position::new()))), Vec::new()),
            Go::End => (Some(None), Vec::new()),
            Go::BeforeEnd(0) => (Some(None), Vec::new()),
            Go::BeforeEnd(count) => (Some(None), vec![Move::Back(Goal::Count(count))]),
            Go::Time(time) => (Some(Some(Until::Time(time))), Vec::new()),
            Go::Offset(topic, partition, offset) => {
                let at = self.partition(&stood.read_model, topic, partition, out)?;
                match self.find(&at, offset, out)? {
                    Some(time) => event_at(at, offset, time),
                    None => (Some(None), Vec::new()),
                }
            }
            Go::Event(event) => {
                let at = TopicPartition::new(event.topic, event.partition);
                event_at(at, event.offset, event.time)
            }
            Go::First(Goal::Condition(condition)) => {
                let lasts = false;
                (None, vec![Move::First { condition, lasts }])
            }
            Go::FirstLasting(condition) => {
                let lasts = true;
                (None, vec![Move::First { condition, lasts }])
            }
            Go::First(goal) => (Some(Some(Until::Position(Position::new()))), vec![Move::Forward(goal)]),
            Go::Forward(goal) => (None, vec![Move::Forward(goal)]),
            Go::Back(goal) => (None, vec![Move::Back(goal)]),
        })
    }

    /// The partition of that number. Without a topic it is meant where one topic alone has it.
    fn partition(
        &self,
        read_model: &str,
        topic: Option<String>,
        number: i32,
        out: &dyn Outlet,
    ) -> Result<TopicPartition, Failure> {
        let link = self.link()?;
        let topics = link.store.info(read_model).map_err(failure)?.topics;
        let mut having = Vec::new();
        for name in topics
            .iter()
            .filter(|name| topic.as_ref().is_none_or(|topic| topic == *name))
        {
            if link.client.topic(name).map_err(failure)?.partitions.contains(&number) {
                having.push(name.as_str());
            }
        }
        match (having.as_slice(), topic) {
            ([topic], _) => Ok(TopicPartition::new(*topic, number)),
            ([], Some(topic)) if topics.contains(&topic) => Err(Failure::new(say!(
                out,
                "{topic} has no partition {number}",
                topic,
                number
            ))),
            ([], Some(topic)) => Err(Failure::new(say!(
                out,
                "{read_model} does not read the topic {topic}: it reads {topics}",
                read_model,
                topic,
                topics = topics.join(", ")
            ))),
            ([], None) => Err(Failure::new(say!(out, "there is no partition {number}", number))),
            (several, _) => Err(Failure::new(say!(
                out,
                "several topics have a partition {number}: write TOPIC:{number}:OFFSET, of {topics}",
                number,
                topics = several.join(", ")
            ))),
        }
    }

    /// The time of the record at a place, or of the next there is. `None` past the last record.
    fn find(&self, at: &TopicPartition, offset: i64, out: &dyn Outlet) -> Result<Option<Option<Timestamp>>, Failure> {
        let request = PageRequest {
            topic: at.topic.to_string(),
            partitions: Some(BTreeSet::from([at.partition])),
            from: PageFrom::Place(Place::At(at.partition, offset)),
            limit: 1,
            needle: None,
        };
        let page = records::page(&self.link()?.client, &request, out)?;
        let is_it = |record: &&Record| record.partition == at.partition && record.offset >= offset;
        Ok(page.records.iter().find(is_it).map(|record| record.timestamp))
    }

    /// Makes sure that the walk stands at the moment in view, or jumps. Returns where it stands now, if it moved.
    fn stand(
        &self,
        past: &mut Option<Walking>,
        stood: &Stood,
        jump: Option<Option<Until>>,
        out: &dyn Outlet,
    ) -> Result<Option<Box<Stand>>, Failure> {
        let walks = past.as_ref().is_some_and(|walking| walking.stands_at(stood));
        match (walks, jump) {
            (true, None) => Ok(None),
            (true, Some(moment)) => ask(past, Move::Jump(moment), out).map(Some),
            (false, jump) => {
                let here = || stood.position.clone().map(Until::Position);
                // The one before gives back its room first.
                *past = None;
                *past = Some(self.begin(stood, jump.unwrap_or_else(here))?);
                waited(past, out).map(Some)
            }
        }
    }

    fn begin(&self, stood: &Stood, moment: Option<Until>) -> Result<Walking, Failure> {
        let link = self.link()?;
        let name = stood.read_model.clone();
        let source = link.store.source(&name).map_err(failure)?;
        // One move at a time: the next is asked for when the one before has ended.
        let (moves, asked) = sync_channel(1);
        let (tell, told) = sync_channel(AHEAD);
        let (client, store) = (link.client.clone(), link.store.clone());
        Ok(Walking {
            remembered: store.remembered(&name),
            task: walk(client, store, name.clone(), moment, true, asked, tell),
            read_model: name,
            invariants: invariants(&source),
            source,
            moves,
            told,
            stands: None,
        })
    }
}

/// The way to right after an event.
fn event_at(at: TopicPartition, offset: i64, time: Option<Timestamp>) -> (Option<Option<Until>>, Vec<Move>) {
    match time {
        // The order of a replay follows time.
        Some(time) => (
            Some(Some(Until::Time(time))),
            vec![Move::Forward(Goal::Offset(at, offset))],
        ),
        // Only the position can find it.
        None => {
            let after = At {
                topic: Some(at.topic.to_string()),
                partition: at.partition,
                offset: offset.saturating_add(1),
            };
            (Some(Some(Until::Offsets(vec![after]))), Vec::new())
        }
    }
}

/// The names and SELECTs of what must always hold.
fn invariants(source: &str) -> Vec<(String, String)> {
    let known = parse(source, "")
        .map(|projection| projection.invariants)
        .unwrap_or_default();
    known.into_iter().map(|one| (one.name, one.select.sql)).collect()
}

fn ask(past: &mut Option<Walking>, next: Move, out: &dyn Outlet) -> Result<Box<Stand>, Failure> {
    if let Some(walking) = past {
        // An error is one of the thread that has ended, which the wait below finds.
        let _ = walking.moves.send(next);
    }
    waited(past, out)
}

/// Waits for a move. Where it was stopped, or the walk came to an end, the walk is given up: the next goes from the moment in view.
fn waited(past: &mut Option<Walking>, out: &dyn Outlet) -> Result<Box<Stand>, Failure> {
    let Some(walking) = past else {
        return Err(Failure::new("the walk ended"));
    };
    let outcome = walking.wait(out);
    if out.cancelled()
        || (outcome.is_err() && walking.task.is_finished())
        || (outcome.is_err() && walking.stands.is_none())
    {
        let ended = past.take();
        if let (Err(_), Some(walking), false) = (&outcome, ended, out.cancelled()) {
            // The thread knows why.
            walking.task.wait().map_err(advised)?;
        }
    }
    outcome
}

fn arrived(past: &mut Option<Walking>, stand: Stand) {
    if let Some(walking) = past {
        walking.stands = Some(Stands {
            position: stand.info.position,
            session: stand.session,
        });
    }
}

/// A table as the screens know it.
pub(super) fn shape_of(table: &Watched) -> Shape {
    Shape {
        name: table.name.clone(),
        columns: table.columns.clone(),
        key: table.key.clone(),
    }
}

fn moment(stand: &Stand, source: &str) -> Moment {
    Moment {
        position: stand.info.position.clone(),
        counts: stand.info.counts,
        latest: stand.info.latest,
        event: stand.last.as_ref().map(|step| applied(step, source)),
        tables: stand.tables.iter().map(shape_of).collect(),
        walked: stand.walked,
        invariants: Vec::new(),
        remembered: Vec::new(),
    }
}

pub(super) fn applied(step: &Step, source: &str) -> Applied {
    let effect = &step.effect;
    let changes = effect.changes.iter().take(CHANGES).map(|change| RowChange {
        table: change.table,
        line: change.line,
        before: change.before.as_ref().map(|row| row.cells()),
        after: change.after.as_ref().map(|row| row.cells()),
    });
    let ran = effect.lines.iter().map(|line| Ran {
        line: *line,
        text: statement(source, *line),
    });
    Applied {
        record: step.record.clone(),
        event: effect.event.clone(),
        outcome: match &effect.outcome {
            apply::Outcome::Applied => Outcome::Applied,
            apply::Outcome::Ignored => Outcome::Ignored,
            apply::Outcome::Poison(poison) => Outcome::Refused(poison.reason.clone()),
            apply::Outcome::Skipped => Outcome::Refused("it was decided to leave it out".to_owned()),
            apply::Outcome::Held => Outcome::Refused("it waits for an earlier one of its key".to_owned()),
        },
        ran: ran.collect(),
        changes: changes.collect(),
        written: effect.changes.len(),
    }
}

/// The text of the statement that begins on a line, from 1: up to the line that ends it, or the header after it.
pub(super) fn statement(source: &str, line: usize) -> String {
    let mut text: Vec<&str> = Vec::new();
    for line in source.lines().skip(line.saturating_sub(1)) {
        let ends = line.trim_end().ends_with(';');
        if text.len() == STATEMENT {
            text.push("…");
            break;
        }
        if !text.is_empty() && line.starts_with("-- ") {
            break;
        }
        text.push(line.trim_end());
        if ends {
            break;
        }
    }
    text.join("\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::statement;

    #[test]
    fn a_statement_is_shown_from_its_line_to_its_end() {
        let source = "-- on: A\nINSERT INTO a\n  VALUES (1);\nUPDATE b SET c = 1\n\n-- on: B\nDELETE FROM a;\n";
        assert_eq!(statement(source, 2), "INSERT INTO a\n  VALUES (1);");
        assert_eq!(statement(source, 4), "UPDATE b SET c = 1");
        assert_eq!(statement(source, 7), "DELETE FROM a;");
        assert_eq!(statement(source, 99), "");
    }
}
