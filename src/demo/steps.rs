//! Reading the steps of a lesson: what an action names must be there, and a check must be one of the forms.

use std::ops::Range;

use toml::Spanned;

use super::catalog::{Check, Demo, LessonStep};
use super::error::DemoError;
use super::load::Loader;
use super::script::{Action, Condition, FORMS, Question, Step};
use super::sinks::Feeds;

/// The read model that holds every record of the demo's topics, for checks that ask for it.
pub(super) const LOG: &str = "log";
/// The file that it is said to be built from, by which one that a killed run left is known.
pub(super) const LOG_FILE: &str = "demo:log.record";

/// Reads the steps of `demo`, which is whole apart from them.
pub(super) fn read(loader: &Loader<'_>, steps: Vec<Step>, demo: &mut Demo) -> Result<(), DemoError> {
    for step in steps {
        let mut actions = Vec::new();
        for action in step.actions {
            let span = action.span();
            let action = action.into_inner();
            check_action(loader, &action, span.clone(), demo)?;
            if let Action::Use(other) = &action {
                let projection = loader.projection(&other.file, span, &demo.topics)?;
                if demo.spares.iter().all(|known| known.file != projection.file) {
                    demo.spares.push(projection);
                }
            }
            actions.push(action);
        }
        let mut checks = Vec::new();
        for check in step.checks {
            checks.push(read_check(loader, check, demo)?);
        }
        demo.steps.push(LessonStep {
            title: step.title,
            text: step.text,
            checks,
            actions,
        });
    }
    Ok(())
}

fn read_check(loader: &Loader<'_>, check: Spanned<Question>, demo: &Demo) -> Result<Check, DemoError> {
    let span = check.span();
    let question = check.into_inner();
    if question.title.is_empty() {
        let help = "`title = { en = \"…\", zh = \"…\" }`: one of them is enough";
        return Err(loader.wrong(span, "this check does not say what it is", "no title", Some(help)));
    }
    if question.is_limited() {
        let help = "a check is asked once; put `{ wait = { …, within = 30 } }` among the step's `actions` before it";
        return Err(loader.wrong(span, "a check does not wait", "`within`", Some(help)));
    }
    let condition = read_condition(loader, &question, span, demo)?;
    Ok(Check {
        title: question.title,
        condition,
    })
}

fn read_condition(
    loader: &Loader<'_>,
    question: &Question,
    span: Range<usize>,
    demo: &Demo,
) -> Result<Condition, DemoError> {
    let Some(condition) = question.condition() else {
        let message = "it is not clear what must hold";
        return Err(loader.wrong(span, message, "here", Some(FORMS)));
    };
    let names = Names { loader, span, demo };
    match &condition {
        Condition::Sql { .. } => {}
        Condition::Records { topic, .. } | Condition::Kept { topic, .. } => names.topic(topic)?,
        Condition::Group { group, .. } => {
            let groups: Vec<&str> = demo.processors.iter().map(|known| known.group.as_str()).collect();
            names.known("group", group, &groups)?;
        }
        Condition::Part { part, .. } => names.whatever_runs(part)?,
        Condition::Latency { part, .. } => names.part(part)?,
        Condition::Mirrored { mirror, .. } => names.mirror(mirror)?,
        Condition::CaughtUp(parts) => parts.iter().try_for_each(|part| names.part(part))?,
        Condition::Verified { read_model, .. } => names.read_model(read_model)?,
        Condition::Replica { source, read_model, .. } => {
            names.database(source)?;
            names.read_model(read_model)?;
        }
        Condition::Alerts { read_model, name, .. } => {
            names.read_model(read_model)?;
            if let Some(name) = name {
                let of = demo.read_models().filter(|known| known.name == *read_model);
                let alerts: Vec<&str> = of
                    .flat_map(|known| &known.alerts)
                    .map(|alert| alert.name.as_str())
                    .collect();
                names.known("alert", name, &alerts)?;
            }
        }
        Condition::InLake { sink, .. } => names.sink(sink, true)?,
        Condition::InStep { sink, .. } => names.sink(sink, false)?,
    }
    Ok(condition)
}

fn check_action(loader: &Loader<'_>, action: &Action, span: Range<usize>, demo: &Demo) -> Result<(), DemoError> {
    let names = Names {
        loader,
        span: span.clone(),
        demo,
    };
    match (action, action.part()) {
        (Action::Start(part) | Action::Stop(part) | Action::Kill(part), _) => names.whatever_runs(part)?,
        (_, Some(part)) => names.part(part)?,
        _ => {}
    }
    if let Action::Cut(mirror) | Action::Join(mirror) = action {
        names.mirror(mirror)?;
    }
    if let Some(topic) = action.topic() {
        names.topic(topic)?;
    }
    if let Some(read_model) = action.read_model() {
        names.read_model(read_model)?;
    }
    match action {
        Action::Produce(produce) => {
            let services: Vec<&str> = demo.services.iter().map(|known| known.name.as_str()).collect();
            match &produce.service {
                Some(service) => names.known("service", service, &services),
                None => Ok(()),
            }
        }
        Action::Members(members) => loader.check_members(members.count, span),
        Action::Slow(slow) if slow.rate == 0 => {
            let help = "`rate` is at least 1 record a second; `stop` stops it";
            Err(loader.wrong(span, "so slow is stopped", "here", Some(help)))
        }
        Action::Use(other) => {
            let projection = loader.projection(&other.file, span.clone(), &demo.topics)?;
            names.read_model(&projection.name)
        }
        Action::Change(change) => names.database(&change.database),
        Action::Rotate(agent) => names.agent(agent),
        Action::Load(sink) => names.lake_to_load(sink),
        Action::Wait(question) => read_condition(loader, question, span, demo).map(|_| ()),
        _ => Ok(()),
    }
}

/// Looks up what a step names.
struct Names<'a> {
    loader: &'a Loader<'a>,
    span: Range<usize>,
    demo: &'a Demo,
}

impl Names<'_> {
    fn part(&self, name: &str) -> Result<(), DemoError> {
        let known: Vec<&str> = self.demo.processors.iter().map(|known| known.name.as_str()).collect();
        self.known("processor", name, &known)
    }

    fn mirror(&self, name: &str) -> Result<(), DemoError> {
        let known: Vec<&str> = self.demo.mirrors.iter().map(|known| known.name.as_str()).collect();
        self.known("mirror", name, &known)
    }

    /// What can be started and stopped: a processor, a mirror, a capture, an agent.
    fn whatever_runs(&self, name: &str) -> Result<(), DemoError> {
        let captured = self.demo.databases.iter().any(|known| known.capture == name);
        let carried = self.demo.agents.iter().any(|known| known.name == name);
        if captured || carried || self.mirror(name).is_ok() {
            return Ok(());
        }
        self.part(name)
    }

    fn database(&self, name: &str) -> Result<(), DemoError> {
        let known: Vec<&str> = self.demo.databases.iter().map(|known| known.name.as_str()).collect();
        self.known("database", name, &known)
    }

    fn agent(&self, name: &str) -> Result<(), DemoError> {
        let known: Vec<&str> = self.demo.agents.iter().map(|known| known.name.as_str()).collect();
        self.known("agent", name, &known)
    }

    fn topic(&self, name: &str) -> Result<(), DemoError> {
        let known: Vec<&str> = self.demo.topics.iter().map(|known| known.name.as_str()).collect();
        self.known("topic", name, &known)
    }

    /// One that gets records, or rows.
    fn sink(&self, name: &str, records: bool) -> Result<(), DemoError> {
        let sinks = self.demo.sinks.iter();
        let known = sinks.filter(|sink| matches!(sink.feeds, Feeds::Records(_)) == records);
        let known: Vec<&str> = known.map(|sink| sink.name.as_str()).collect();
        let what = if records { "sink of records" } else { "sink of rows" };
        self.known(what, name, &known)
    }

    /// One whose files are loaded into a topic.
    fn lake_to_load(&self, name: &str) -> Result<(), DemoError> {
        let sinks = self.demo.sinks.iter().filter(|sink| sink.loads_into.is_some());
        let known: Vec<&str> = sinks.map(|sink| sink.name.as_str()).collect();
        self.known("sink with `loads-into`", name, &known)
    }

    fn read_model(&self, name: &str) -> Result<(), DemoError> {
        let known: Vec<&str> = self.demo.read_models().map(|known| known.name.as_str()).collect();
        self.known("read model", name, &known)
    }

    fn known(&self, what: &str, name: &str, known: &[&str]) -> Result<(), DemoError> {
        if known.contains(&name) {
            return Ok(());
        }
        let message = format!("the demo has no {what} `{name}`");
        let help = match known {
            [] => format!("it has no {what} at all"),
            known => format!("there are {}", known.join(", ")),
        };
        Err(self.loader.wrong(self.span.clone(), message, "named here", Some(&help)))
    }
}
