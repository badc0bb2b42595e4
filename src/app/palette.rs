//! The command palette: find a command, a topic or a projection by a few of its letters.

use tui_input::Input;

use crate::demo::text::Language;

use super::command::{Action, COMMANDS};
use super::lang::{Speaks, say};
use super::model::Model;
use super::screens::scene;
use super::screens::time::conditions::Condition;

/// What an entry of the palette does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Runs a command.
    Command(Action),
    /// Opens a topic's records.
    Topic(String),
    /// Runs to a condition.
    Condition(Condition),
    /// Does this one of the open demo's faults.
    Fault(usize),
    /// Cannot be done here, for this reason.
    Refused(String),
}

/// An entry of the palette.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it does.
    pub choice: Choice,
    /// What it is called.
    pub name: String,
    /// What a command is called in English.
    pub english: Option<&'static str>,
    /// The key that does the same, if any.
    pub key: String,
    /// What it does, in words.
    pub help: String,
}

/// What a palette is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Commands and topics.
    #[default]
    Commands,
    /// Conditions that the past is run to.
    Conditions,
    /// What can be done to a running demo.
    Faults,
}

/// The open palette.
#[derive(Debug, Clone, Default)]
pub struct Palette {
    /// What it is for.
    pub kind: Kind,
    /// What is typed.
    pub input: Input,
    /// What matches, best first.
    pub entries: Vec<Entry>,
    /// Which of them is chosen.
    pub cursor: usize,
    /// Why what was chosen last was refused.
    pub error: Option<String>,
}

impl Palette {
    /// Finds again what matches what is typed.
    pub fn find(&mut self, model: &Model) {
        if self.kind == Kind::Conditions {
            self.entries = conditions(model, self.input.value().trim());
            self.cursor = 0;
            return;
        }
        let typed = self.input.value().trim().to_lowercase();
        if self.kind == Kind::Faults {
            self.entries = faults(model, &typed);
            self.cursor = 0;
            return;
        }
        let mut found: Vec<(i32, Entry)> = all(model, &typed)
            .filter_map(|entry| {
                // A command is found by its English name, too: who types it need not change the keyboard first.
                let english = entry.english.and_then(|name| score(&typed, name));
                let own = score(&typed, &entry.name.to_lowercase());
                Some((own.max(english)?, entry))
            })
            .collect();
        // Stable, so that equal matches keep the table's order.
        found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        self.entries = found.into_iter().map(|(_, entry)| entry).collect();
        self.cursor = 0;
    }

    /// Moves the choice; stops at the ends.
    pub fn step(&mut self, by: isize) {
        let last = self.entries.len().saturating_sub(1);
        self.cursor = self.cursor.saturating_add_signed(by).min(last);
    }
}

fn all<'a>(model: &'a Model, typed: &'a str) -> impl Iterator<Item = Entry> + 'a {
    let contexts = model.contexts();
    let commands = COMMANDS
        .iter()
        .filter(move |c| {
            // A command without a key is for those who know its whole name.
            (c.keys.is_empty() && c.name == typed)
                || (c.contexts.iter().any(|at| contexts.contains(at))
                    && !matches!(c.action, Action::Palette | Action::Back)
                    && !c.contexts.contains(&super::command::Context::Motion)
                    && model.refusal(c.action).is_none())
        })
        .map(|c| Entry {
            choice: Choice::Command(c.action),
            name: model.tr(c.name).to_owned(),
            english: Some(c.name),
            key: c.keys.first().map(ToString::to_string).unwrap_or_default(),
            help: model.tr(c.help).to_owned(),
        });
    let topics = model
        .topics
        .remote
        .value
        .iter()
        .flatten()
        .filter(|t| !t.internal)
        .map(move |t| Entry {
            choice: Choice::Topic(t.name.clone()),
            name: say!(model, "topic {name}", name = t.name),
            english: None,
            key: String::new(),
            help: model.tr("its records").to_owned(),
        });
    commands.chain(topics)
}

/// What is typed as a condition, then those that were run to, newest first, then the projection's invariants.
fn conditions(model: &Model, typed: &str) -> Vec<Entry> {
    let Some(time) = &model.time else { return Vec::new() };
    let entry = |condition: Condition, name: String, help: &str| Entry {
        choice: Choice::Condition(condition),
        name,
        english: None,
        key: String::new(),
        help: help.split_whitespace().collect::<Vec<_>>().join(" "),
    };
    let own = (!typed.is_empty()).then(|| {
        let condition = Condition::typed(typed, time.shape());
        entry(condition, typed.to_owned(), model.tr("run to it"))
    });
    let known = model.conditions.iter().rev().filter(|known| known.text != typed);
    let known = known.map(|known| entry(known.clone(), known.text.clone(), model.tr("run to before")));
    let invariants = time.moment.value.iter().flat_map(|moment| &moment.invariants);
    let broken = |name: &str| say!(model, "broken: {name}", name);
    let invariants = invariants.map(|(name, sql)| entry(Condition::broken(name, sql), broken(name), sql));
    let fits = |entry: &Entry| score(&typed.to_lowercase(), &entry.name.to_lowercase()).is_some();
    own.into_iter().chain(known.chain(invariants).filter(fits)).collect()
}

/// What can be done to the part under the cursor, then to the whole demo; once something is typed, to the other parts too.
fn faults(model: &Model, typed: &str) -> Vec<Entry> {
    let (Some(demo), Some(scene)) = (scene::demo(model), scene::scene(model)) else {
        return Vec::new();
    };
    let lost = scene.snapshot().is_some_and(|now| now.broker_lost);
    let all = demo.faults.iter().enumerate();
    let fits = all.filter(|(_, fault)| fault.fits(fault.part.and_then(|at| scene.part(at)), lost));
    let mut found: Vec<(bool, bool, i32, Entry)> = fits
        .filter_map(|(at, fault)| {
            let name = fault.title().get(model.language).to_owned();
            let english = fault.title().get(Language::English).to_lowercase();
            let here = fault.part == Some(scene.cursor);
            if typed.is_empty() && !here && fault.part.is_some() && !fault.is_way_back() {
                return None;
            }
            let score = score(typed, &name.to_lowercase()).max(score(typed, &english))?;
            let refused = fault
                .is_of_the_broker()
                .then(|| foreign(model))
                .flatten()
                .map(|why| model.tr(why));
            let entry = Entry {
                name,
                english: None,
                key: String::new(),
                help: refused.map_or_else(|| fault.expect().get(model.language).to_owned(), str::to_owned),
                choice: refused.map_or(Choice::Fault(at), |why| Choice::Refused(why.to_owned())),
            };
            Some((
                here,
                fault.part.is_none(),
                if typed.is_empty() { 0 } else { score },
                entry,
            ))
        })
        .collect();
    // Stable, so that equals keep the demo's order.
    found.sort_by_key(|(here, whole, score, _)| std::cmp::Reverse((*score, *here, *whole)));
    found.into_iter().map(|(.., entry)| entry).collect()
}

/// Why the broker cannot be taken away, where it is not this studio's to take.
fn foreign(model: &Model) -> Option<&'static str> {
    let cluster = model.cluster.value.as_ref()?;
    if !cluster.embedded {
        return Some("not here: this broker is not Foldlog's own");
    }
    cluster
        .attached
        .then_some("not here: another Foldlog on this data directory runs the broker")
}

/// How well `typed` fits `name`: every letter in order, better where they stand together or begin a word. `None` if it does not.
fn score(typed: &str, name: &str) -> Option<i32> {
    let name: Vec<char> = name.chars().collect();
    let mut at = 0;
    let mut score = 0;
    let mut last: Option<usize> = None;
    for c in typed.chars() {
        let found = (at..name.len()).find(|i| name[*i] == c)?;
        let begins = found == 0 || !name[found - 1].is_alphanumeric();
        score += 1;
        if begins {
            score += 4;
        }
        if last.is_some_and(|l| l + 1 == found) {
            score += 6;
        }
        last = Some(found);
        at = found + 1;
    }
    Some(score * 16 - name.len() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_in_order_match_and_whole_words_win() {
        assert_eq!(score("xyz", "refresh"), None);
        assert!(score("rm", "read models").is_some());
        assert!(score("dem", "demos") > score("dem", "dead letter menu"));
        assert!(score("topics", "topics") > score("topics", "internal topics"));
    }
}
