//! The terminal, the event loop, and the tasks that effects become.

mod clipboard;
mod editor;
mod events;
mod tasks;
mod terminal;
mod world;

use std::io;
use std::sync::Arc;

use jiff::tz::TimeZone;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::model::Model;
use crate::broker::client::Client;
use crate::broker::embedded::Embedded;
use crate::demo::catalog::Catalog;
use crate::demo::text::Language;
use crate::readmodel::store::Store;
use crate::record::Timestamp;
use crate::replay::notify::Webhook;
use crate::sink::address::Feeding;
use crate::ui::theme::Theme;

/// A cluster that answers: its client, its read models, and the embedded broker where it is that.
#[derive(Debug)]
pub struct Link {
    /// The client.
    pub client: Client,
    /// The read models.
    pub store: Store,
    /// The embedded broker; it lives as long as this does.
    pub embedded: Option<Arc<Embedded>>,
    /// Where alerts are told, where that is said.
    pub webhook: Option<Webhook>,
    /// Which stores projections feed when they are followed.
    pub feeding: Feeding,
}

/// Reaches the cluster; called from a task, again after a failure, and may block. An error is told as it is.
pub type Connect = Box<dyn Fn() -> Result<Link, String> + Send + Sync>;

/// The demos that the studio offers.
#[derive(Debug, Clone)]
pub struct Demos {
    /// Which there are.
    pub catalog: Catalog,
    /// The language that the studio speaks first.
    pub language: Language,
    /// The one to run as soon as the cluster answers.
    pub run: Option<String>,
}

/// How the studio ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The user left.
    Quit,
    /// This signal asked it to end.
    Signal(i32),
}

/// Opens the studio on this terminal and runs it to its end. The terminal is put back however that comes. `target` is what
/// the cluster is called while it does not answer yet.
pub fn run(connect: Connect, target: String, demos: Demos) -> io::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let guides = |id: &String| demos.catalog.guide_of(id).is_some();
    let guide = demos.run.as_ref().is_some_and(guides);
    let first = demos.run.clone().filter(|id| !guides(id));
    let language = demos.language;
    let world = world::Studio::new(connect, demos, runtime.handle().clone());
    let exit = {
        let mut screen = terminal::Screen::open()?;
        runtime.block_on(async {
            let mut signals = Signals::new()?;
            let size = screen.size()?;
            let mut model = Model::new(Timestamp::now(), TimeZone::system(), size);
            model.target = target;
            model.demos.first = first;
            model.guiding.first = guide;
            model.language = language;
            events::run(&mut screen, &mut signals, model, world, theme()).await
        })
    };
    // A thread that waits for a cluster that does not answer must not keep the user waiting.
    runtime.shutdown_background();
    exit
}

/// The signals that end the studio.
struct Signals {
    terminate: Signal,
    hangup: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for one and returns its number.
    async fn next(&mut self) -> i32 {
        let kind = tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.hangup.recv() => SignalKind::hangup(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
        };
        kind.as_raw_value()
    }
}

/// No colour where `NO_COLOR` asks for that or the terminal has none.
fn theme() -> Theme {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if set("NO_COLOR") || std::env::var("TERM").is_ok_and(|term| term == "dumb") {
        Theme::MONO
    } else {
        Theme::COLOR
    }
}
