//! Reading a guide, and refusing one that leads nowhere.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::super::error::DemoError;
use super::super::folder::Folder;
use super::super::text::Text;
use super::{Answer, Contradiction, Example, Guide, Leg, Phase, Question, Row};

/// `guide.toml` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    order: Option<u32>,
    minutes: Option<u32>,
    title: Text,
    #[serde(default)]
    summary: Text,
    questions: Vec<Spanned<Question>>,
    #[serde(default)]
    contradictions: Vec<Spanned<Contradiction>>,
    #[serde(default)]
    table: Vec<Spanned<Row>>,
    #[serde(default)]
    path: Vec<Spanned<Leg>>,
    #[serde(default)]
    roadmap: Vec<Phase>,
    #[serde(default)]
    examples: Vec<Spanned<Example>>,
}

/// Reads a guide's folder.
pub(in crate::demo) fn load(folder: Folder) -> Result<Guide, DemoError> {
    let name = folder.name_of("guide.toml");
    let source = folder.read("guide.toml")?;
    let wrong = |span: Range<usize>, message: &str, help: Option<&str>| {
        DemoError::invalid(&name, &source, span, message, "here", help.map(str::to_owned))
    };
    let file: File = toml::from_str(&source).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        wrong(span, error.message(), None)
    })?;
    check(&file).map_err(|(span, message)| wrong(span, &message, None))?;
    let questions: Vec<Question> = values(file.questions);
    Ok(Guide {
        id: folder.id(),
        title: file.title,
        summary: file.summary,
        minutes: file.minutes,
        questions,
        contradictions: values(file.contradictions),
        table: values(file.table),
        path: values(file.path),
        roadmap: file.roadmap,
        examples: values(file.examples),
        order: file.order.unwrap_or(u32::MAX),
        folder: Some(folder),
    })
}

fn values<T>(all: Vec<Spanned<T>>) -> Vec<T> {
    all.into_iter().map(Spanned::into_inner).collect()
}

/// Whether everything that is named is there, and no question comes back to itself.
fn check(file: &File) -> Result<(), (Range<usize>, String)> {
    let mut known = BTreeSet::new();
    for question in &file.questions {
        let at = question.span();
        let question = question.get_ref();
        if !known.insert(question.id.as_str()) {
            return Err((at, format!("the question `{}` is there twice", question.id)));
        }
        let mut ids = BTreeSet::new();
        for answer in &question.answers {
            if !ids.insert(answer.id.as_str()) {
                return Err((at, format!("the answer `{}` is there twice", answer.id)));
            }
            if answer.next.is_some() == answer.demo.is_some() {
                let message = format!("the answer `{}` must lead either to a question or to a demo", answer.id);
                return Err((at, message));
            }
        }
        if question.answers.is_empty() {
            return Err((at, format!("the question `{}` has no answers", question.id)));
        }
    }
    leads(file)?;
    for contradiction in &file.contradictions {
        named(file, contradiction.get_ref().answers.iter()).map_err(|message| (contradiction.span(), message))?;
    }
    for example in &file.examples {
        named(file, example.get_ref().answers.iter()).map_err(|message| (example.span(), message))?;
    }
    Ok(())
}

/// Every answer leads to a question that is there and that comes later: so every way ends.
fn leads(file: &File) -> Result<(), (Range<usize>, String)> {
    if file.questions.is_empty() {
        return Err((0..0, "a guide needs a question".to_owned()));
    }
    let place = |id: &str| file.questions.iter().position(|question| question.get_ref().id == id);
    let mut reached = BTreeSet::from([0]);
    for (at, question) in file.questions.iter().enumerate() {
        let wrong = |message: String| Err((question.span(), message));
        let id = &question.get_ref().id;
        if !reached.contains(&at) {
            return wrong(format!("no answer leads to the question `{id}`"));
        }
        for Answer { next, .. } in &question.get_ref().answers {
            let Some(next) = next else { continue };
            match place(next) {
                None => return wrong(format!("`{id}` leads to `{next}`, and there is no such question")),
                Some(to) if to <= at => {
                    return wrong(format!(
                        "`{id}` leads back to `{next}`: an answer leads to a question below"
                    ));
                }
                Some(to) => {
                    reached.insert(to);
                }
            }
        }
    }
    Ok(())
}

/// Whether these are answers to questions that there are.
fn named<'a>(file: &File, answers: impl Iterator<Item = (&'a String, &'a String)>) -> Result<(), String> {
    for (question, answer) in answers {
        let found = file.questions.iter().find(|known| known.get_ref().id == *question);
        let Some(found) = found else {
            return Err(format!("there is no question `{question}`"));
        };
        if !found.get_ref().answers.iter().any(|known| known.id == *answer) {
            return Err(format!("`{answer}` is no answer to `{question}`"));
        }
    }
    Ok(())
}
