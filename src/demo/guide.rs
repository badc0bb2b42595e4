//! The guide: questions that lead to the demo that fits, what contradicts what, how the use cases compare, and in which order
//! to learn them. It is data, `guide.toml` in a folder beside the demos, and counts as one of them.

mod check;
mod lesson;
mod load;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::catalog::Catalog;
use super::error::DemoError;
use super::folder::{Folder, write_new};
use super::text::{Language, Text};

pub use check::Checked;
pub(super) use load::load;

/// A guide.
#[derive(Debug, Clone, Default)]
pub struct Guide {
    /// Its folder's name.
    pub id: String,
    /// What it is called.
    pub title: Text,
    /// What it is for, in a paragraph.
    pub summary: Text,
    /// How long it takes, in minutes, where it says so.
    pub minutes: Option<u32>,
    /// The questions; the first is asked first.
    pub questions: Vec<Question>,
    /// Answers that do not go together.
    pub contradictions: Vec<Contradiction>,
    /// How the demos compare.
    pub table: Vec<Row>,
    /// In which order to learn.
    pub path: Vec<Leg>,
    /// In which order a team goes about it.
    pub roadmap: Vec<Phase>,
    /// What comes out of which answers.
    pub examples: Vec<Example>,
    pub(super) order: u32,
    folder: Option<Folder>,
}

/// A question.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// What answers name it by.
    pub id: String,
    /// The question itself.
    pub ask: Text,
    /// What may be answered.
    pub answers: Vec<Answer>,
}

/// An answer; it leads either to another question or to a demo.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// What it is given by.
    pub id: String,
    /// The answer itself.
    pub say: Text,
    /// The question after it.
    pub next: Option<String>,
    /// The demo that it leads to.
    pub demo: Option<String>,
    /// What is to be said of that, where the comparison does not say enough.
    #[serde(default)]
    pub why: Text,
}

/// Answers that do not go together, or not with some demos.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contradiction {
    /// The answers, by question.
    pub answers: BTreeMap<String, String>,
    /// The demos that they do not go with; where there are none, the answers contradict each other.
    #[serde(default)]
    pub demos: Vec<String>,
    /// Why.
    pub say: Text,
}

/// How much of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Degree {
    /// Little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
}

impl Degree {
    /// In a word, of timeliness or complexity.
    pub fn word(self, language: Language) -> &'static str {
        match (language, self) {
            (Language::English, Self::Low) => "low",
            (Language::English, Self::Medium) => "medium",
            (Language::English, Self::High) => "high",
            (Language::Chinese, Self::Low) => "低",
            (Language::Chinese, Self::Medium) => "中",
            (Language::Chinese, Self::High) => "高",
        }
    }

    /// In a word, of a volume.
    pub fn size(self, language: Language) -> &'static str {
        match (language, self) {
            (Language::English, Self::Low) => "small",
            (Language::English, Self::Medium) => "medium",
            (Language::English, Self::High) => "large",
            (Language::Chinese, Self::Low) => "小",
            (Language::Chinese, Self::Medium) => "中",
            (Language::Chinese, Self::High) => "大",
        }
    }
}

/// How a demo compares with the others.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The demo.
    pub demo: String,
    /// How much data.
    pub volume: Degree,
    /// How soon it is wanted.
    pub timeliness: Degree,
    /// How much there is to it.
    pub complexity: Degree,
    /// Whom it fits.
    pub fit: Text,
}

/// A leg of the learning path.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leg {
    /// The demo.
    pub demo: String,
    /// What is learnt.
    pub why: Text,
}

/// A phase of the roadmap.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// What it is about.
    pub title: Text,
    /// How long it takes.
    pub takes: Text,
    /// The demos that prepare for it.
    pub demos: Vec<String>,
    /// What is done.
    pub tasks: Vec<Text>,
}

/// Answers and where they must lead: the guide's own tests.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// The answers, by question.
    pub answers: BTreeMap<String, String>,
    /// The demo.
    pub demo: String,
    /// How many contradictions are noticed.
    #[serde(default)]
    pub contradictions: usize,
}

/// Where answers lead.
#[derive(Debug, Clone)]
pub struct Way<'a> {
    /// The questions that were asked, each with its answer.
    pub asked: Vec<(&'a Question, &'a Answer)>,
    /// The question that comes next; `None` where a demo was reached.
    pub next: Option<&'a Question>,
    /// Answers to questions that were not asked on this way.
    pub beside: Vec<(&'a Question, &'a Answer)>,
    /// What does not go together.
    pub contradictions: Vec<&'a Contradiction>,
}

impl<'a> Way<'a> {
    /// The answer that leads to a demo, once there is one.
    pub fn end(&self) -> Option<&'a Answer> {
        let (_, last) = self.asked.last()?;
        last.demo.is_some().then_some(*last)
    }

    /// The demo that fits, once that is known.
    pub fn demo(&self) -> Option<&'a str> {
        self.end()?.demo.as_deref()
    }
}

impl Guide {
    /// A question by its id.
    pub fn question(&self, id: &str) -> Option<&Question> {
        self.questions.iter().find(|question| question.id == id)
    }

    /// How a demo compares, where the guide says it.
    pub fn row(&self, demo: &str) -> Option<&Row> {
        self.table.iter().find(|row| row.demo == demo)
    }

    /// Where answers lead: from the first question on, as far as there are answers. Answers that nobody could give are an error.
    pub fn way(&self, answers: &BTreeMap<String, String>) -> Result<Way<'_>, DemoError> {
        let mut given = BTreeMap::new();
        for (question, answer) in answers {
            given.insert(question.as_str(), self.answer(question, answer)?);
        }
        let mut way = Way {
            asked: Vec::new(),
            next: self.questions.first(),
            beside: Vec::new(),
            contradictions: Vec::new(),
        };
        while let Some(question) = way.next {
            let Some((question, answer)) = given.remove(question.id.as_str()) else {
                break;
            };
            way.asked.push((question, answer));
            way.next = answer.next.as_deref().and_then(|next| self.question(next));
        }
        way.beside = given.into_values().collect();
        let demo = way.demo();
        let holds = |contradiction: &&Contradiction| {
            let mut parts = contradiction.answers.iter();
            parts.all(|(question, answer)| answers.get(question) == Some(answer))
                && (contradiction.demos.is_empty()
                    || demo.is_some_and(|demo| contradiction.demos.iter().any(|d| d == demo)))
        };
        way.contradictions = self.contradictions.iter().filter(holds).collect();
        Ok(way)
    }

    fn answer(&self, question: &str, answer: &str) -> Result<(&Question, &Answer), DemoError> {
        let Some(found) = self.question(question) else {
            let ids: Vec<&str> = self.questions.iter().map(|question| question.id.as_str()).collect();
            return Err(DemoError::Answer {
                reason: format!("the guide has no question `{question}`"),
                help: format!("its questions are {}", ids.join(", ")),
            });
        };
        match found.answers.iter().find(|known| known.id == answer) {
            Some(known) => Ok((found, known)),
            None => Err(DemoError::Answer {
                reason: format!("`{answer}` is no answer to `{question}`"),
                help: format!("answer {}", found.choices()),
            }),
        }
    }

    /// Every way from the first question to a demo, as answers by question.
    pub fn ways(&self) -> Vec<BTreeMap<String, String>> {
        let mut ends = Vec::new();
        let mut open: Vec<(Option<&Question>, BTreeMap<String, String>)> =
            vec![(self.questions.first(), BTreeMap::new())];
        while let Some((question, answers)) = open.pop() {
            let Some(question) = question else { continue };
            for answer in question.answers.iter().rev() {
                let mut answers = answers.clone();
                answers.insert(question.id.clone(), answer.id.clone());
                match &answer.next {
                    Some(next) => open.push((self.question(next), answers)),
                    None => ends.push(answers),
                }
            }
        }
        ends
    }

    /// The guide as Markdown: its tree, how the demos compare, the learning path and the roadmap.
    pub fn lesson(&self, catalog: &Catalog, language: Language) -> String {
        lesson::lesson(self, catalog, language)
    }

    /// Where the guide comes from: `built in`, or its folder.
    pub fn origin(&self) -> String {
        self.folder.as_ref().map(Folder::origin).unwrap_or_default()
    }

    /// Whether it is one of this program.
    pub(super) fn is_built_in(&self) -> bool {
        matches!(self.folder, Some(Folder::BuiltIn(_)))
    }

    /// Whether it was read from the folder `dir`.
    pub(super) fn is_at(&self, dir: &Path) -> bool {
        matches!(&self.folder, Some(Folder::Disk(path)) if path == dir)
    }

    /// Writes the guide's files below `dir`, which may not hold any of them yet.
    pub fn export(&self, dir: &Path) -> Result<Vec<PathBuf>, DemoError> {
        let files = self.folder.as_ref().map_or(Ok(Vec::new()), Folder::files)?;
        write_new(dir, files.into_iter())
    }
}

impl Question {
    /// What may be answered, by id.
    pub fn choices(&self) -> String {
        let ids: Vec<&str> = self.answers.iter().map(|answer| answer.id.as_str()).collect();
        ids.join(", ")
    }
}

#[cfg(test)]
mod tests;
