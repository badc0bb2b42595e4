//! The world as it is: Kafka through the client, read models through the store, files through the file system.

mod blame;
mod charts;
mod decisions;
mod demos;
mod differences;
mod past;
mod places;
mod previews;
mod projections;
mod records;
mod replays;
mod search;
mod timeline;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::app::job::{ClusterView, Event, Failure, Job, Outlet, TableRow, TopicRow, World};
use crate::app::lang::say;
use crate::broker::client::Client;
use crate::broker::profile::Access;
use crate::readmodel::query::Session;
use crate::readmodel::store::State;
use crate::record::Timestamp;

use super::{Connect, Demos, Link};

/// How soon a query that nobody waits for any more is interrupted.
const LOOK: Duration = Duration::from_millis(100);

/// Performs the studio's jobs on a real cluster.
pub(super) struct Studio {
    connect: Connect,
    demos: Demos,
    /// Present once the cluster has answered.
    link: Mutex<Option<Arc<Link>>>,
    /// The walk through a read model's past, while somebody looks at one.
    past: Mutex<Option<past::Walking>>,
    /// Previews that were built, by the projection's name.
    previews: Mutex<BTreeMap<String, previews::Built>>,
    /// What runs of demos left for their reports, by the demo's id.
    ended: Mutex<BTreeMap<String, charts::Ended>>,
    /// How many dead letters are listed of projections of which somebody wanted more, by name.
    letters: Mutex<BTreeMap<String, usize>>,
    /// Where a job waits for a replay's progress.
    handle: Handle,
}

/// A failure told by an error and everything below it.
fn failure(error: impl std::error::Error) -> Failure {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(&format!("\n  because: {cause_text}"));
        }
        below = cause.source();
    }
    Failure::new(text)
}

/// A failure with the way to mend it, where the error knows one.
fn advised(error: impl miette::Diagnostic) -> Failure {
    let help = error.help().map(|help| help.to_string());
    let mut told = failure(error);
    if let Some(help) = help {
        told.full.push_str(&format!("\n\n{help}"));
    }
    told
}

impl Studio {
    pub(super) fn new(connect: Connect, demos: Demos, handle: Handle) -> Arc<Self> {
        Arc::new(Self {
            connect,
            demos,
            link: Mutex::new(None),
            past: Mutex::new(None),
            previews: Mutex::new(BTreeMap::new()),
            ended: Mutex::new(BTreeMap::new()),
            letters: Mutex::new(BTreeMap::new()),
            handle,
        })
    }

    fn link(&self) -> Result<Arc<Link>, Failure> {
        let link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        link.clone()
            .ok_or_else(|| Failure::new("the cluster does not answer yet"))
    }

    /// The client as one that may write to a production cluster: the studio has asked by name before it starts such a job.
    fn writing(&self, link: &Link) -> Result<Client, Failure> {
        let client = link.client.clone();
        let name = client.profile().name.clone();
        match client.profile().access {
            Access::Production => client.confirm(&name).map_err(failure),
            _ => Ok(client),
        }
    }

    fn connect(&self) -> Result<Event, Failure> {
        let link = (self.connect)().map_err(Failure::new)?;
        link.client.cluster().map_err(failure)?;
        let profile = link.client.profile();
        let view = ClusterView {
            name: profile.name.clone(),
            bootstrap: profile.bootstrap.clone(),
            access: profile.access,
            embedded: link.embedded.is_some(),
            attached: link.embedded.as_ref().is_some_and(|e| !e.is_owner()),
        };
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(link));
        Ok(Event::Connected(view))
    }

    fn topics(&self, out: &dyn Outlet) -> Result<Event, Failure> {
        let link = self.link()?;
        let at = Timestamp::now();
        if let Some(embedded) = &link.embedded {
            out.send(Event::Attached(!embedded.is_owner()));
        }
        let mut rows = Vec::new();
        for topic in link.client.topics().map_err(failure)? {
            if out.cancelled() {
                break;
            }
            rows.push(TopicRow {
                watermarks: link.client.watermarks(&topic).map_err(failure)?,
                name: topic.name,
                replication: topic.replication,
                internal: topic.internal,
            });
        }
        Ok(Event::Topics(rows, at))
    }

    fn projections(&self, out: &dyn Outlet) -> Result<Event, Failure> {
        let letters = self.letters().clone();
        projections::list(&*self.link()?, &self.demos.catalog, &letters, out.language()).map(Event::Projections)
    }

    fn letters(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tables(&self) -> Result<Event, Failure> {
        let link = self.link()?;
        let session = Session::open(&link.store).map_err(failure)?;
        let mut rows = Vec::new();
        for model in link.store.list().map_err(failure)? {
            let tables = match (session.tables(&model.name), &model.state) {
                // The list of projections says why; the others can be asked.
                (Err(_), State::Unreadable { .. }) => continue,
                (tables, _) => tables.map_err(failure)?,
            };
            for table in tables {
                rows.push(TableRow {
                    read_model: model.name.clone(),
                    table,
                });
            }
        }
        Ok(Event::Tables(rows))
    }
}

/// Runs a query until it ends or nobody waits for it any more.
fn query(session: &Session, sql: &str, limit: usize, out: &dyn Outlet) -> Result<Event, Failure> {
    watched(session, out, || {
        session.query(sql, limit).map(Event::Rows).map_err(advised)
    })
}

/// Asks a session; what it runs is interrupted when nobody waits for it any more.
fn watched<T>(session: &Session, out: &dyn Outlet, ask: impl FnOnce() -> T) -> T {
    let interrupt = session.interrupt_handle();
    let (done, over) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        // SQLite does not ask whether anybody still waits, so somebody else does.
        scope.spawn(move || {
            while over.recv_timeout(LOOK) == Err(mpsc::RecvTimeoutError::Timeout) {
                if out.cancelled() {
                    interrupt.interrupt();
                }
            }
        });
        let answer = ask();
        drop(done);
        answer
    })
}

impl World for Studio {
    fn perform(&self, job: Job, out: &dyn Outlet) -> Result<Event, Failure> {
        match job {
            Job::Connect => self.connect(),
            Job::Topics => self.topics(out),
            Job::TopicConfig(name) => {
                let config = self.link()?.client.topic_config(&name).map_err(failure)?;
                Ok(Event::TopicConfig(config))
            }
            Job::DeleteTopic(name) => {
                self.writing(&*self.link()?)?.delete_topic(&name).map_err(failure)?;
                Ok(Event::Done(say!(out, "topic {name} is deleted", name)))
            }
            Job::Page(request) => records::page(&self.link()?.client, &request, out).map(Event::Page),
            Job::Tail { topic, from, needle } => {
                records::tail(&self.link()?.client, &topic, from, needle.as_ref(), out)
            }
            Job::Groups => self.link()?.client.groups().map(Event::Groups).map_err(failure),
            Job::Group(id) => self.link()?.client.group(&id).map(Event::Group).map_err(failure),
            Job::Projections => self.projections(out),
            Job::MoreLetters(name, listed) => {
                self.letters().insert(name, listed);
                self.projections(out)
            }
            Job::Rebuild {
                file,
                skip_poison,
                replace,
                ..
            } => self.rebuild(&file, skip_poison, replace, out),
            Job::Follow { file, .. } => self.follow(&file, out),
            Job::Preview { name, file } => self.preview(&name, &file, out),
            Job::Accept { name, file, replace } => self.accept(&name, &file, replace, out),
            Job::Alerts(name, limit) => {
                let found = self.link()?.store.latest_alerts(&name, limit).map_err(failure)?;
                Ok(Event::Alerts(Box::new(found.unwrap_or_default())))
            }
            Job::Decide(deciding) => self.decide(&deciding, out),
            Job::DropPreview(name) => self.drop_preview(&name, out),
            Job::BringBack(name) => self.bring_back(&name, out),
            Job::Tables => self.tables(),
            Job::Query { sql, limit } => {
                let session = Session::open(&self.link()?.store).map_err(failure)?;
                query(&session, &sql, limit, out)
            }
            Job::Walk { stood, go } => self.walk(&stood, go, out),
            Job::PastRows { stood, sql, limit } => self.past_rows(&stood, &sql, limit, out),
            Job::LeavePast => Ok(self.leave_past()),
            Job::Remember(name, conditions) => self.remember(&name, &conditions),
            Job::Timeline(read_model) => self.timeline(&read_model, out),
            Job::Differences(question) => self.differences(&question, out),
            Job::Blame(row) => self.blame(&row, out),
            Job::Charts { demo, store } => self.charts(&demo, store.as_deref(), out),
            Job::Report(id) => self.report(&id, out),
            Job::Guide => self.guide(out),
            Job::Demos => Ok(Event::Demos(self.demos(out.language()))),
            Job::RunDemo { id, by_step, speed } => self.run_demo(&id, by_step, speed, out),
        }
    }
}
