//! Handlers that run in PostgreSQL: rebuild, follow and verify of a read model that has no file here.
//!
//! Records are read, decoded and upcast as for SQLite, and what they ask for is run there. Rows, counts and position are one
//! transaction of the server's, so that whatever ends it, what goes on finds both as they belong together.

mod fold;
mod run;
mod verify;

use std::time::{Duration, Instant};

use crate::broker::client::Client;
use crate::broker::reader::{Order, Range, ReadPlan, Reader};
use crate::projection::Projection;
use crate::readmodel::calls::Desk;
use crate::readmodel::compile::{Definition, compile};
use crate::readmodel::feed::FedTable;
use crate::readmodel::fold::OnPoison;
use crate::readmodel::store::{ReadModelInfo, State};
use crate::sink::address::Server;
use crate::sink::error::SinkError;
use crate::sink::postgres::fold::{Ledger, Session};

use super::at::is_empty;
use super::error::ReplayError;
use super::follow;
use super::log::{self, Log, Span};
use super::lookout::{self, Lookout};
use super::outage;
use super::progress::Phase;
use super::rebuild::{LISTED, RebuildReport, Until, whole};
use super::takeover::{still, takeover};
use super::task::{Control, Task};

use fold::Folding;
use run::{Ended, run};
pub use verify::{Verified, verify};

/// The longest pause between two tries to reach a server that is away.
const LONGEST: Duration = Duration::from_secs(5);
/// How long whoever has the schema is waited for: one that was killed just now goes by itself.
const TURN: Duration = Duration::from_secs(10);
/// The first.
const SHORTEST: Duration = Duration::from_millis(250);

/// Where handlers run.
#[derive(Debug, Clone)]
pub struct There {
    /// The server.
    pub server: Server,
    /// The schema.
    pub schema: String,
}

/// How to rebuild or follow there.
#[derive(Debug, Clone, Default)]
pub struct RemoteOptions {
    /// Where a rebuild stops; `None` for the end of the log as it is at the start.
    pub until: Option<Until>,
    /// Go on past poison records, listing them.
    pub skip_poison: bool,
    /// Follow a file that publishes, without publishing.
    pub no_emit: bool,
    /// Let a rebuild take the place of another projection's read model.
    pub replace: bool,
    /// How long another that folds into the schema is waited for before that is an error; 10 seconds where nothing is said.
    pub turn: Option<Duration>,
}

impl RemoteOptions {
    fn open(&self, there: &There, control: &Control) -> Result<Session, ReplayError> {
        let turn = self.turn.unwrap_or(TURN);
        Ok(Session::open(&there.server, &there.schema, turn, &control.cancel)?)
    }
}

/// A projection with what it takes to run it there.
struct Rules {
    definition: Definition,
    tables: Vec<FedTable>,
    desk: Desk,
}

impl Rules {
    fn of(projection: &Projection, control: &mut Control) -> Result<Self, ReplayError> {
        let definition = compile(projection)?;
        let lost = [
            (!projection.alerts.is_empty(), "alerts are not watched"),
            (!projection.invariants.is_empty(), "invariants are not checked"),
            (projection.history, "no history is kept"),
        ];
        for (_, what) in lost.iter().filter(|(has, _)| *has) {
            control
                .meter
                .notice(format!("{what} where the handlers run in PostgreSQL"));
        }
        Ok(Self {
            tables: definition.tables()?,
            desk: Desk::new(&definition)?,
            definition,
        })
    }

    fn projection(&self) -> &Projection {
        self.definition.projection()
    }
}

/// Starts a rebuild: into a schema beside the one in use, which then takes its name.
pub fn rebuild(client: Client, projection: Projection, there: There, options: RemoteOptions) -> Task<RebuildReport> {
    Task::start("rebuild", move |control| {
        let rules = Rules::of(&projection, control)?;
        let session = options.open(&there, control)?;
        build(&client, &rules, session, &there, &options, control)
    })
}

fn build(
    client: &Client,
    rules: &Rules,
    mut session: Session,
    there: &There,
    options: &RemoteOptions,
    control: &mut Control,
) -> Result<RebuildReport, ReplayError> {
    let started = Instant::now();
    let projection = rules.projection();
    if let (false, Some(in_use)) = (options.replace, session.found()?) {
        check_takeover(&in_use.info, projection, there)?;
    }
    let (asked, topics, until) = (client.clone(), projection.topics.clone(), options.until.clone());
    let (log, ranges) = lookout::ask(&control.cancel, move || {
        let log = Log::survey(&asked, &topics)?;
        let ranges = log.ranges(&asked, until.as_ref())?;
        Ok((log, ranges))
    })?;
    let ledger = Ledger::begin(
        &projection.name,
        &projection.file,
        &projection.hash,
        &log.cluster_id,
        log.topic_ids(),
    );
    let (later, notices) = session.build(&rules.definition, &rules.tables, &ledger)?;
    for notice in notices {
        control.meter.notice(notice);
    }
    let on_poison = match options.skip_poison {
        true => OnPoison::Skip,
        false => OnPoison::Collect(LISTED),
    };
    let mut folding = Folding::new(session, &rules.desk, projection, ledger, on_poison)?;
    control.meter.phase(Phase::Rebuilding);
    let filled: Vec<Range> = ranges.iter().filter(|range| !is_empty(range)).cloned().collect();
    let mut ended = Ended::End;
    if !filled.is_empty() {
        let open = opener(client, Order::Merged);
        let away = &mut Away::default();
        ended = run(&mut folding, || open(filled), &Span::of(&ranges), None, away, control)?;
    }
    if ended == Ended::Cancelled {
        return Err(ReplayError::Cancelled);
    }
    let missing = folding.missing();
    for field in &missing {
        control.meter.notice(field.to_string());
    }
    let letters = folding.take_letters();
    if !letters.is_empty() {
        return Err(ReplayError::PoisonThere {
            name: projection.name.clone(),
            schema: there.schema.clone(),
            letters,
            all: ended == Ended::End,
        });
    }
    control.meter.phase(Phase::Finishing);
    folding.advance(&whole(&ranges, &folding.info().position)?)?;
    for notice in folding.session.swap(projection, &later)? {
        control.meter.notice(notice);
    }
    let info = folding.info().clone();
    Ok(RebuildReport {
        records: info.counts.total(),
        info,
        took: started.elapsed(),
        missing,
    })
}

/// Refuses to take the place of another projection's read model.
fn check_takeover(in_use: &ReadModelInfo, projection: &Projection, there: &There) -> Result<(), SinkError> {
    if still(in_use, projection) && !takeover(in_use, projection).is_some_and(|taken| taken.there) {
        return Ok(());
    }
    Err(SinkError::Says {
        store: there.server.to_string(),
        reason: format!(
            "the schema {} has the read model `{}`, built from {}",
            there.schema, in_use.name, in_use.file
        ),
        help: Some(
            "give this one a schema of its own with ?schema=NAME, or let it take the place of that one with --replace"
                .to_owned(),
        ),
    })
}

fn opener(client: &Client, order: Order) -> impl Fn(Vec<Range>) -> Result<Reader, ReplayError> + Sync {
    move |ranges| Ok(client.reader(ReadPlan { ranges, order })?)
}

/// Starts following; builds the read model first where there is none. A server that is away is waited for; a record that cannot be
/// applied ends it before that record, unless it is to be skipped.
pub fn follow(client: Client, projection: Projection, there: There, options: RemoteOptions) -> Task<ReadModelInfo> {
    Task::start("follow", move |control| {
        if let (Some(emit), false) = (projection.emits.first(), options.no_emit) {
            return Err(projection
                .error_at(
                    emit.span.clone(),
                    "nothing is published where the handlers run in PostgreSQL",
                    "this emit",
                )
                .with_help("follow the file without --in to publish, or with --no-emit to leave that to another follow")
                .into());
        }
        let rules = Rules::of(&projection, control)?;
        until_over(&client, &rules, &there, &options, control)
    })
}

/// Follows, and goes on when a server that was away is back.
fn until_over(
    client: &Client,
    rules: &Rules,
    there: &There,
    options: &RemoteOptions,
    control: &mut Control,
) -> Result<ReadModelInfo, ReplayError> {
    let (mut away, mut last) = (Away::default(), None);
    loop {
        match stay(client, rules, there, options, &mut away, &mut last, control) {
            Err(error) if away.was_there && may_pass(&error, away.said) => {
                if away.wait(&error, control)? {
                    return last.ok_or(ReplayError::Cancelled);
                }
            }
            Err(ReplayError::Cancelled) => return last.ok_or(ReplayError::Cancelled),
            Err(error) => return Err(error),
            Ok(Ended::Changed) => {}
            Ok(_) => return last.ok_or(ReplayError::Cancelled),
        }
    }
}

/// Whether an error may be over some time. The server may take a while to notice that the connection is gone that had the schema.
fn may_pass(error: &ReplayError, again: bool) -> bool {
    match error {
        ReplayError::Sink(SinkError::Taken { .. }) => again,
        ReplayError::Sink(error) => error.is_outage(),
        ReplayError::Broker(error) => again && outage::is_outage(error),
        _ => false,
    }
}

/// A server that is away.
#[derive(Debug, Default)]
struct Away {
    /// Whether it answered once: an address that is wrong is not waited for.
    was_there: bool,
    /// Whether it was said that it is away.
    said: bool,
    pause: Duration,
}

impl Away {
    /// Says it once, and waits, each time longer; whether it was cancelled meanwhile.
    fn wait(&mut self, error: &ReplayError, control: &mut Control) -> Result<bool, ReplayError> {
        if !self.said {
            self.said = true;
            self.pause = SHORTEST;
            control.meter.notice(format!("{error}; trying on"));
        }
        let cancelled = outage::pause_for(control, self.pause)?;
        self.pause = (self.pause * 2).min(LONGEST);
        Ok(cancelled)
    }

    /// What was to be committed is: that it could be asked does not mean that it can be written.
    fn back(&mut self, name: &str, control: &mut Control) {
        if std::mem::take(&mut self.said) {
            control.meter.notice(format!("{name} answers again"));
        }
    }
}

/// Follows on one connection. `last` is what was committed last.
fn stay(
    client: &Client,
    rules: &Rules,
    there: &There,
    options: &RemoteOptions,
    away: &mut Away,
    last: &mut Option<ReadModelInfo>,
    control: &mut Control,
) -> Result<Ended, ReplayError> {
    let projection = rules.projection();
    let mut session = options.open(there, control)?;
    let found = session.found()?;
    away.was_there = true;
    let ledger = match found {
        Some(ledger) => ledger,
        None => {
            let first = RemoteOptions {
                until: None,
                ..options.clone()
            };
            build(client, rules, session, there, &first, control)?;
            session = options.open(there, control)?;
            session.found()?.ok_or(ReplayError::Sink(SinkError::Lost))?
        }
    };
    *last = Some(ledger.info.clone());
    let log = survey(client, projection, control)?;
    let begin = start(projection, &ledger.info, &ledger.topics, &log)?;
    for notice in begin.notices {
        control.meter.notice(notice);
    }
    session.go_on(projection, &rules.tables)?;
    let on_poison = match options.skip_poison {
        true => OnPoison::Skip,
        false => OnPoison::Pause,
    };
    let topics = ledger.topics.clone();
    let mut folding = Folding::new(session, &rules.desk, projection, ledger, on_poison)?;
    folding.advance(&log::starts(&begin.ranges))?;
    let lookout = Lookout::start(client.clone(), projection.topics.clone(), log)?;
    control.meter.phase(Phase::Live);
    let (open, span) = (opener(client, Order::Arrival), Span::of(&begin.ranges));
    let ended = run(
        &mut folding,
        || open(begin.ranges),
        &span,
        Some(&lookout),
        away,
        control,
    );
    *last = Some(folding.info().clone());
    if let Err(ReplayError::Broker(_)) = &ended {
        // An offset that is gone, for one, is what a topic looks like that was created anew: the log says which it is.
        let log = survey(client, projection, control)?;
        start(projection, folding.info(), &topics, &log)?;
    }
    let ended = ended?;
    if let State::Paused { .. } = folding.info().state {
        control.meter.phase(Phase::Paused);
    }
    Ok(ended)
}

/// Whether the log is still the one that was folded there, and still has what is needed.
fn start(
    projection: &Projection,
    info: &ReadModelInfo,
    topics: &[(String, Option<String>)],
    log: &Log,
) -> Result<follow::Start, ReplayError> {
    follow::start(projection, info, topics, log).map_err(|error| ReplayError::Elsewhere {
        file: projection.file.clone(),
        error: Box::new(error),
    })
}

fn survey(client: &Client, projection: &Projection, control: &Control) -> Result<Log, ReplayError> {
    let (client, topics) = (client.clone(), projection.topics.clone());
    lookout::ask(&control.cancel, move || Log::survey(&client, &topics))
}
