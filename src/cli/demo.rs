//! `foldlog demo`.

mod report;
mod run;

use std::borrow::Cow;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Subcommand;
use miette::{Report, miette};
use serde_json::{Value, json};

use crate::demo::catalog::{Catalog, Demo};
use crate::demo::diary::{Diary, Done};
use crate::demo::guide::Guide;
use crate::demo::player::Speed;
use crate::demo::run::Options;
use crate::demo::starter;
use crate::demo::text::Language;
use crate::readmodel::store::Store;

use crate::runtime::Demos;
use crate::sink::address;

use super::context::Context;
use super::metrics::Address;
use super::studio;
use super::table::table;

use report::ReportFile;

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  foldlog demo list
  foldlog demo show event-sourcing
  foldlog demo run event-sourcing --headless
  foldlog demo run messaging --headless --report run.html
  foldlog demo clean messaging
  foldlog demo export event-sourcing my-lesson
  foldlog demo new page-views
  foldlog demo check page-views
  foldlog demo --demos my-lessons list")]
pub struct Args {
    /// Add the demos of this folder; one of the same id takes the place of a built-in one
    #[arg(long, global = true, value_name = "DIR")]
    demos: Vec<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the demos
    List,
    /// Print a demo's lesson
    Show {
        /// The demo's id
        id: String,
    },
    /// Run a demo in the studio, or here with --headless
    #[command(
        after_help = "Events are the same at every run. Where a demo's steps write them, each run begins anew with empty topics, \
                            groups and read models; otherwise what the topics hold already is not written again. What is there \
                            under the same names and is not the demo's is left alone, and the run stops. On a cluster that is \
                            not the embedded broker, names begin with foldlog-demo-ID-, and nothing is created before it was \
                            allowed."
    )]
    Run {
        /// The demo's id
        id: String,
        /// Run it here, without the studio; fails where a check does not hold
        #[arg(long)]
        headless: bool,
        #[command(flatten)]
        how: How,
    },
    /// Delete the topics, groups and read models that a demo's runs made
    Clean {
        /// The demo's id
        id: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Begin a demo of your own in a folder
    New {
        /// Its id: lower-case letters, digits and hyphens
        id: String,
        /// The folder [default: the id]
        dir: Option<PathBuf>,
    },
    /// Prove a demo: its schemas hold, its steps pass, and a second run ends with the same rows
    #[command(after_help = "It runs twice on a broker of its own in a temporary directory; nothing else is touched.")]
    Check {
        /// The demo's folder, the one with its demo.toml
        dir: PathBuf,
    },
    /// Write a demo's files into a folder, to read, to change, to make your own of
    Export {
        /// The demo's id
        id: String,
        /// The folder [default: the demo's id]
        dir: Option<PathBuf>,
    },
}

/// How a demo is run here.
#[derive(Debug, clap::Args)]
struct How {
    /// Delete the demo's topics and groups first, whatever they hold, and replace read models of the same name
    #[arg(long, requires = "headless")]
    reset: bool,
    /// How fast events are written: so many times faster than they happened, at most a second apart, or max
    #[arg(long, requires = "headless", value_name = "TIMES", default_value = "max")]
    speed: Pace,
    /// End after this many steps
    #[arg(long, requires = "headless", value_name = "N")]
    step: Option<usize>,
    /// Create what the demo needs on a cluster without asking
    #[arg(long, requires = "headless")]
    yes: bool,
    /// What the names of topics and groups begin with [default on a cluster: foldlog-demo-ID-]
    #[arg(long, requires = "headless")]
    prefix: Option<String>,
    /// Write the run into a file: a page that needs nothing else (.html), or Markdown (.md)
    #[arg(long, requires = "headless", value_name = "FILE")]
    report: Option<ReportFile>,
    /// Serve the numbers of the demo's charts for Prometheus at this port or address of this machine, while it runs
    #[arg(long, requires = "headless", value_name = "ADDR")]
    metrics: Option<Address>,
    /// Feed the real system that a part of the demo stands for: NAME=URL, such as cache=redis://127.0.0.1:6379/0; may be given several times
    #[arg(long = "sink", requires = "headless", value_name = "NAME=URL")]
    sinks: Vec<String>,
}

/// A sink with its address, which may hold a password: what is wrong with it is said without repeating it.
fn fed(text: &str) -> miette::Result<(String, address::Address)> {
    let (name, url) = text
        .split_once('=')
        .ok_or_else(|| miette!("--sink is written NAME=URL, such as cache=redis://127.0.0.1:6379/0"))?;
    Ok((name.to_owned(), address::Address::parse(url).map_err(Report::new)?))
}

/// A speed as people write it.
#[derive(Debug, Clone, Copy)]
struct Pace(Speed);

impl FromStr for Pace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self(Speed::Fastest));
        }
        let times: Option<u32> = text.trim_start_matches('x').parse().ok().filter(|times| *times > 0);
        let times = times.ok_or_else(|| "write a whole number, such as 1, 10 or 100, or max".to_owned())?;
        Ok(Self(Speed::Times(times)))
    }
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    let language = context.language()?;
    match &args.command {
        // Neither needs the demos that there are.
        Command::New { id, dir } => return begin(id, dir.clone()),
        Command::Check { dir } if !dir.join("guide.toml").is_file() => return run::prove(context, dir, language),
        _ => {}
    }
    let mut catalog = Catalog::load(&args.demos)?;
    match args.command {
        Command::List => list(context, &catalog, language),
        Command::Show { id } => {
            let (lesson, mut told) = match catalog.guide_of(&id) {
                Some(guide) => (
                    guide.lesson(&catalog, language).into(),
                    guide_row(guide, &context.store()?, language),
                ),
                None => {
                    let demo = catalog.get(&id)?;
                    (Cow::from(demo.lesson(language)), row(demo, &context.store()?, language))
                }
            };
            if context.json() {
                told["lesson"] = lesson.into();
                println!("{told}");
            } else {
                print!("{lesson}");
            }
            Ok(())
        }
        Command::Check { dir } => {
            catalog = Catalog::load(&[args.demos, vec![dir.clone()]].concat())?;
            let guide = catalog.guide_at(&dir).or(catalog.guide());
            guide.map_or(Ok(()), |guide| run::guide(context, &catalog, guide, language))
        }
        Command::Run { id, headless: true, .. } if catalog.guide_of(&id).is_some() => {
            let guide = catalog.guide_of(&id);
            guide.map_or(Ok(()), |guide| run::guide(context, &catalog, guide, language))
        }
        Command::Run {
            id,
            headless: true,
            how,
        } => {
            let options = Options {
                reset: how.reset,
                language,
                speed: how.speed.0,
                until: how.step,
                prefix: how.prefix,
                sinks: how.sinks.iter().map(|text| fed(text)).collect::<miette::Result<_>>()?,
                ..Options::default()
            };
            let told = run::Told {
                report: how.report,
                metrics: how.metrics,
            };
            run::headless(context, catalog.get(&id)?, options, how.yes, told)
        }
        Command::Clean { id, .. } if catalog.guide_of(&id).is_some() => {
            eprintln!("{id} makes nothing on a cluster");
            Ok(())
        }
        Command::Clean { id, yes } => run::clean(context, catalog.get(&id)?, yes),
        Command::New { .. } => Ok(()),
        Command::Run { id, .. } => {
            if catalog.guide_of(&id).is_none() {
                catalog.get(&id)?;
            }
            let demos = Demos {
                run: Some(id),
                catalog,
                language,
            };
            studio::open(context, demos)
        }
        Command::Export { id, dir } => {
            let dir = dir.unwrap_or_else(|| PathBuf::from(&id));
            let files = match catalog.guide_of(&id) {
                Some(guide) => guide.export(&dir)?,
                None => catalog.get(&id)?.export(&dir)?,
            };
            for file in files {
                println!("{}", file.display());
            }
            Ok(())
        }
    }
}

fn begin(id: &str, dir: Option<PathBuf>) -> miette::Result<()> {
    let dir = dir.unwrap_or_else(|| PathBuf::from(id));
    for file in starter::begin(id, &dir)? {
        println!("{}", file.display());
    }
    eprintln!("`foldlog demo check {}` proves it", dir.display());
    Ok(())
}

/// From this width on a list has room for what a demo shows.
const ROOM: u16 = 110;

/// How long a run took, in seconds.
fn seconds(done: &Done) -> f64 {
    std::time::Duration::from_millis(done.took_ms).as_secs_f64()
}

fn list(context: &Context, catalog: &Catalog, language: Language) -> miette::Result<()> {
    let store = context.store()?;
    if context.json() {
        for demo in catalog.demos() {
            println!("{}", row(demo, &store, language));
        }
        for guide in catalog.guides() {
            println!("{}", guide_row(guide, &store, language));
        }
        return Ok(());
    }
    let width = terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| width.0);
    // In a narrow column what it shows would take ten lines a demo.
    let whole = width.is_none_or(|width| width >= ROOM);
    let mut names = match language {
        Language::English => vec!["DEMO", "TITLE", "MINUTES", "DONE", "WHAT IT SHOWS"],
        Language::Chinese => vec!["编号", "标题", "分钟", "完成", "内容"],
    };
    names.truncate(if whole { 5 } else { 4 });
    let mut table = table(names);
    let demos = catalog.demos().iter();
    let demos = demos.map(|demo| (&demo.id, &demo.title, demo.minutes, &demo.summary));
    let guides = catalog.guides().iter();
    let guides = guides.map(|guide| (&guide.id, &guide.title, guide.minutes, &guide.summary));
    for (id, title, minutes, summary) in demos.chain(guides) {
        let minutes = minutes.map_or_else(|| "-".to_owned(), |minutes| minutes.to_string());
        let done = Diary::read(&store, id).done.map(|done| match language {
            Language::English => format!("{} of {}, {:.1} s", done.held, done.checks, seconds(&done)),
            Language::Chinese => format!("{} / {}，{:.1} 秒", done.held, done.checks, seconds(&done)),
        });
        let done = done.unwrap_or_else(|| "-".to_owned());
        let mut cells = vec![id, title.get(language), &minutes, &done];
        cells.extend(whole.then(|| summary.get(language)));
        table.add_row(cells);
    }
    println!("{table}");
    if !whole {
        eprintln!("`foldlog demo show DEMO` says what it shows");
    }
    Ok(())
}

fn guide_row(guide: &Guide, store: &Store, language: Language) -> Value {
    json!({
        "id": guide.id,
        "title": guide.title.get(language),
        "summary": guide.summary.get(language),
        "origin": guide.origin(),
        "minutes": guide.minutes,
        "done": Diary::read(store, &guide.id).done.map(told),
        "topics": [],
        "projections": [],
        "steps": guide.questions.iter().map(|question| question.ask.get(language)).collect::<Vec<_>>(),
    })
}

fn told(done: Done) -> Value {
    json!({ "at": done.at, "took_ms": done.took_ms, "held": done.held, "checks": done.checks })
}

fn row(demo: &Demo, store: &Store, language: Language) -> Value {
    json!({
        "id": demo.id,
        "title": demo.title.get(language),
        "summary": demo.summary.get(language),
        "origin": demo.origin(),
        "minutes": demo.minutes,
        "done": Diary::read(store, &demo.id).done.map(told),
        "topics": demo.topics.iter().map(|topic| &topic.name).collect::<Vec<_>>(),
        "projections": demo.read_models().map(|projection| &projection.name).collect::<Vec<_>>(),
        "steps": demo.steps.iter().map(|step| step.title.get(language)).collect::<Vec<_>>(),
    })
}
