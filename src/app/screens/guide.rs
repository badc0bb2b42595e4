//! The guide: a short dialogue that ends in a demo, and the learning path with what was done.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::demo::guide::{Answer, Guide, Question, Way};
use crate::demo::text::{Language, Text};

use super::super::job::Job;
use super::super::list::List;
use super::super::message::Effect;
use super::super::model::{Level, Model, Screen};
use super::super::navigate;
use super::super::remote::Remote;
use super::scene;

/// What the world knows of the guide.
#[derive(Debug, Clone)]
pub struct Guidance {
    /// The guide.
    pub guide: Arc<Guide>,
    /// The demos that there are, by id.
    pub demos: BTreeMap<String, Known>,
}

/// A demo, as far as the guide shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What it is called.
    pub title: Text,
    /// What it shows, in a paragraph.
    pub summary: Text,
    /// Whether every check of its last run held; `None` where it was never run.
    pub done: Option<bool>,
}

impl Guidance {
    /// What a demo is called; its id where it is not there.
    pub fn title<'a>(&'a self, id: &'a str, language: Language) -> &'a str {
        self.demos.get(id).map_or(id, |demo| demo.title.get(language))
    }

    /// Whether a demo's last run held; `None` where it was never run.
    pub fn done(&self, id: &str) -> Option<bool> {
        self.demos.get(id)?.done
    }

    /// The next demo of the learning path: the first that was not done.
    pub fn next(&self) -> Option<&str> {
        let mut legs = self.guide.path.iter();
        let next = legs.find(|leg| self.done(&leg.demo) != Some(true))?;
        Some(&next.demo)
    }
}

/// The screen.
#[derive(Debug, Clone, Default)]
pub struct Guiding {
    /// What is known.
    pub remote: Remote<Guidance>,
    /// What was answered, by question.
    pub answers: BTreeMap<String, String>,
    /// The cursor among the answers to the question in view, or on the demo at the end.
    pub list: List,
    /// Whether the studio was opened for it.
    pub first: bool,
}

impl Guiding {
    /// Where the answers lead.
    pub fn way(&self) -> Option<Way<'_>> {
        self.remote.value.as_ref()?.guide.way(&self.answers).ok()
    }

    /// The question in view.
    pub fn question(&self) -> Option<&Question> {
        self.way()?.next
    }

    /// The answer under the cursor.
    pub fn selected(&self) -> Option<&Answer> {
        self.question()?.answers.get(self.list.selected()?)
    }

    /// The demo that it ended in.
    pub fn demo(&self) -> Option<String> {
        self.way()?.demo().map(str::to_owned)
    }

    /// Whether there is something under the cursor that can be opened.
    pub fn can_open(&self) -> bool {
        self.selected().is_some() || self.demo().is_some()
    }

    /// Shows the answers to the question in view, the cursor on `before` where it is one of them.
    fn refresh(&mut self, before: Option<&str>) {
        let (many, at) = match self.question() {
            Some(question) => {
                let at = question
                    .answers
                    .iter()
                    .position(|answer| Some(answer.id.as_str()) == before);
                (question.answers.len(), at)
            }
            None => (usize::from(self.demo().is_some()), None),
        };
        self.list.refresh(many, |_, _| true);
        self.list.set_cursor(at.unwrap_or(0));
    }
}

/// Opens it, where it was left.
pub fn open(model: &mut Model, fx: &mut Vec<Effect>) {
    navigate::enter(model, Screen::Guide, fx);
}

/// Asks for it, and what was done by now.
pub fn ask(model: &mut Model, fx: &mut Vec<Effect>) {
    if model.guiding.remote.task.is_none() {
        model.guiding.remote.task = Some(model.start(Job::Guide, fx));
    }
}

/// Takes it; the dialogue stands where it stood.
pub fn answer(model: &mut Model, guidance: Guidance) {
    let state = &mut model.guiding;
    let fresh = state.remote.value.is_none();
    state.remote.answer(guidance);
    if fresh {
        state.refresh(None);
    }
}

/// Takes the answer under the cursor, or opens the demo that it ended in.
pub fn go_on(model: &mut Model, fx: &mut Vec<Effect>) {
    let state = &mut model.guiding;
    let chosen = state.question().zip(state.selected());
    if let Some((question, answer)) = chosen.map(|(question, answer)| (question.id.clone(), answer.id.clone())) {
        state.answers.insert(question, answer);
        state.refresh(None);
        model.detail = 0;
    } else if let Some(demo) = state.demo() {
        open_demo(model, &demo, fx);
    }
}

/// Opens the scene of a demo, which is the one under the cursor among the demos from then on.
fn open_demo(model: &mut Model, id: &str, fx: &mut Vec<Effect>) {
    if !model.demos.point_at(id) {
        return model.tell(
            Level::Hint,
            "that demo is not there: the guide names it, and nobody has written it yet",
        );
    }
    scene::open(model, id, fx);
}

/// One question back. False at the first, where there is none.
pub fn back(model: &mut Model) -> bool {
    let state = &mut model.guiding;
    let last = state
        .way()
        .and_then(|way| way.asked.last().map(|(question, _)| question.id.clone()));
    let Some(last) = last else { return false };
    let before = state.answers.remove(&last);
    state.refresh(before.as_deref());
    model.detail = 0;
    true
}
