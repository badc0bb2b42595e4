//! A walk through the past that somebody steers: a screen, or a command line.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};

use crate::broker::client::Client;
use crate::broker::reader::Reader;
use crate::readmodel::changes::Watched;
use crate::readmodel::query::Session;
use crate::readmodel::store::{ReadModelInfo, Store};

use super::at::{Past, merged};
use super::blame::check;
use super::error::ReplayError;
use super::rebuild::Until;
use super::step::{Goal, Step, Steps, Walked};
use super::task::{Control, Task};

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Move {
    /// Forward, to a goal.
    Forward(Goal),
    /// Back, until the event before is at a goal.
    Back(Goal),
    /// To the first event of the whole log after which a condition holds; by bisection where it is said to last.
    First {
        /// A SELECT, as of [`Goal::Condition`].
        condition: String,
        /// Whether it holds on once it holds.
        lasts: bool,
    },
    /// To another moment; `None` is the end of the log.
    Jump(Option<Until>),
}

/// Where a walk stands.
#[derive(Debug)]
pub struct Stand {
    /// The read model at this moment.
    pub info: ReadModelInfo,
    /// The event that was applied last, as far as it is remembered.
    pub last: Option<Step>,
    /// The tables, as the changes of a step count them.
    pub tables: Arc<[Watched]>,
    /// How the move before ended; `None` after a jump.
    pub walked: Option<Walked>,
    /// A session in which this moment is the only read model; its answers change with the next move.
    pub session: Session,
}

/// What a walk says.
#[derive(Debug)]
pub enum Told {
    /// An event was applied, or undone.
    Step(Arc<[Watched]>, Box<Step>),
    /// A move ended.
    Stands(Box<Stand>),
    /// A move could not be done; it stands where it stood.
    Refused(ReplayError),
}

/// Starts a walk at a moment of a read model that was built. Says where it stands, and again after each of `moves`; ends when
/// nobody sends or listens any more. With `every` it tells of each event on the way too.
pub fn walk(
    client: Client,
    store: Store,
    name: String,
    moment: Option<Until>,
    every: bool,
    moves: Receiver<Move>,
    tell: SyncSender<Told>,
) -> Task<()> {
    Task::start("walk", move |control| {
        let past = Past::open(&client, &store, &name, moment, control)?;
        let reading = client.clone();
        let mut steps = Steps::new(past, Arc::new(move |ranges| merged(&reading)(ranges)), control)?;
        let mut walked = None;
        loop {
            if walked != Some(Walked::Cancelled) {
                // A snapshot may stand at the very moment, with no event before it at hand.
                steps.remember(control)?;
            }
            let stand = Stand {
                info: steps.info()?,
                last: steps.last().cloned(),
                tables: steps.tables(),
                walked,
                session: steps.session()?,
            };
            if tell.send(Told::Stands(Box::new(stand))).is_err() {
                return Ok(());
            }
            loop {
                let next = match moves.try_recv() {
                    Ok(next) => next,
                    Err(TryRecvError::Disconnected) => return Ok(()),
                    Err(TryRecvError::Empty) => {
                        // While somebody looks, what the next steps need is made ready.
                        steps.prepare(control)?;
                        let Ok(next) = moves.recv() else { return Ok(()) };
                        next
                    }
                };
                match one(&mut steps, &client, &next, every.then_some(&tell), control) {
                    Ok(done) => {
                        walked = done;
                        break;
                    }
                    Err(ReplayError::Cancelled) => return Err(ReplayError::Cancelled),
                    Err(error) => {
                        if tell.send(Told::Refused(error)).is_err() {
                            return Ok(());
                        }
                    }
                }
            }
        }
    })
}

fn one(
    steps: &mut Steps<Reader>,
    client: &Client,
    next: &Move,
    tell: Option<&SyncSender<Told>>,
    control: &mut Control,
) -> Result<Option<Walked>, ReplayError> {
    let tables = steps.tables();
    let mut each = |step: &Step| {
        if let Some(tell) = tell {
            // Whoever no longer listens is found out after the move.
            let _ = tell.send(Told::Step(Arc::clone(&tables), Box::new(step.clone())));
        }
    };
    if let Move::Forward(Goal::Row(row)) | Move::Back(Goal::Row(row)) = next {
        check(&steps.info()?.name, row, &tables)?;
    }
    if let Move::Forward(Goal::Condition(condition)) | Move::Back(Goal::Condition(condition)) = next {
        // One that is none is refused where there is no event left to ask it after, too.
        steps.past.empty()?.binds_event(condition)?;
    }
    match next {
        Move::Forward(goal) => steps.forward(goal, &mut each, control).map(Some),
        Move::Back(goal) => steps.back(goal, &mut each, control).map(Some),
        Move::First { condition, lasts } => steps.first(condition, *lasts, control).map(Some),
        Move::Jump(moment) => {
            let moment = steps.past.moment(client, moment.clone(), control)?;
            steps.jump(&moment, control)?;
            Ok(None)
        }
    }
}
