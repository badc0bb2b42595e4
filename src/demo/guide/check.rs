//! What must hold of a guide: every way ends in a demo that there is, and the answers lead where they are meant to.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::readmodel::store::Store;
use crate::record::Timestamp;

use super::super::catalog::Catalog;
use super::super::diary::{Diary, Done};
use super::super::error::DemoError;
use super::super::run::{StepState, StepView};
use super::super::text::Language;
use super::Guide;

/// What was looked at.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Each check, with what was found.
    pub steps: Vec<StepView>,
    /// Demos that the guide names and that are not there.
    pub missing: Vec<String>,
}

impl Checked {
    /// How many checks hold.
    pub fn held(&self) -> usize {
        self.steps.iter().filter(|step| step.state == StepState::Passed).count()
    }

    /// Whether all do.
    pub fn passed(&self) -> bool {
        self.held() == self.steps.len()
    }
}

fn check(title: &str, holds: bool, note: String) -> StepView {
    StepView {
        title: title.to_owned(),
        state: if holds { StepState::Passed } else { StepState::Failed },
        note,
        check: true,
        action: false,
    }
}

impl Guide {
    /// Walks every way, and holds what the guide says against the demos that there are. What was found is written into the diary.
    pub fn run(&self, catalog: &Catalog, store: &Store, language: Language) -> Result<Checked, DemoError> {
        let begun = Instant::now();
        let checked = self.check(catalog, language)?;
        let done = Done {
            at: Timestamp::now().0,
            took_ms: begun.elapsed().as_millis() as u64,
            held: checked.held(),
            checks: checked.steps.len(),
        };
        let diary = Diary {
            done: Some(done),
            ..Diary::read(store, &self.id)
        };
        diary.write(store, &self.id)?;
        Ok(checked)
    }

    /// Every check.
    pub fn check(&self, catalog: &Catalog, language: Language) -> Result<Checked, DemoError> {
        let say = |en: &str, zh: &str| match language {
            Language::English => en.to_owned(),
            Language::Chinese => zh.to_owned(),
        };
        let ways = self.ways();
        let (mut ended, mut longest, mut said, mut reached) = (0, 0, 0, BTreeSet::new());
        for answers in &ways {
            let way = self.way(answers)?;
            longest = longest.max(way.asked.len());
            said += usize::from(!way.contradictions.is_empty());
            if let Some(demo) = way.demo() {
                ended += 1;
                reached.insert(demo);
            }
        }
        let mut named: BTreeSet<&str> = reached.clone();
        named.extend(self.table.iter().map(|row| row.demo.as_str()));
        named.extend(self.path.iter().map(|leg| leg.demo.as_str()));
        named.extend(self.roadmap.iter().flat_map(|phase| &phase.demos).map(String::as_str));
        let missing: Vec<String> = named
            .iter()
            .filter(|id| catalog.get(id).is_err())
            .map(|id| (*id).to_owned())
            .collect();
        let unreached: Vec<&str> = catalog
            .demos()
            .iter()
            // A teacher's own lesson is no part of the guide that is compiled in.
            .filter(|demo| demo.is_built_in())
            .map(|demo| demo.id.as_str())
            .filter(|id| !reached.contains(id))
            .collect();
        let uncompared: Vec<&str> = named.iter().copied().filter(|id| self.row(id).is_none()).collect();
        let list = |ids: &[&str]| match ids {
            [] => say("none", "无"),
            ids => ids.join(", "),
        };
        let missing_ids: Vec<&str> = missing.iter().map(String::as_str).collect();
        let mut steps = vec![
            check(
                &say("Every way ends in a demo", "每条路都通向一个示例"),
                ended == ways.len() && ended > 0,
                say(
                    &format!("{ended} of {} ways, {longest} questions at most", ways.len()),
                    &format!("{} 条路中的 {ended} 条，最多 {longest} 个问题", ways.len()),
                ),
            ),
            check(
                &say("Every demo that it names is there", "提到的示例都存在"),
                missing.is_empty(),
                say(
                    &format!("not there: {}", list(&missing_ids)),
                    &format!("不存在：{}", list(&missing_ids)),
                ),
            ),
            check(
                &say("Some way leads to every demo", "每个示例都有路可达"),
                unreached.is_empty(),
                say(
                    &format!("no way leads to: {}", list(&unreached)),
                    &format!("无路可达：{}", list(&unreached)),
                ),
            ),
            check(
                &say("Every demo is compared with the others", "每个示例都在对照表中"),
                uncompared.is_empty(),
                say(
                    &format!("not compared: {}", list(&uncompared)),
                    &format!("不在表中：{}", list(&uncompared)),
                ),
            ),
            check(
                &say("Contradictory answers are noticed", "前后矛盾的回答会被指出"),
                self.contradictions.is_empty() || said > 0,
                say(
                    &format!("on {said} of {} ways", ways.len()),
                    &format!("{} 条路中的 {said} 条", ways.len()),
                ),
            ),
        ];
        for example in &self.examples {
            let way = self.way(&example.answers)?;
            let answers: Vec<String> = example
                .answers
                .iter()
                .map(|(question, answer)| format!("{question}={answer}"))
                .collect();
            let (demo, noticed) = (way.demo().unwrap_or("-"), way.contradictions.len());
            steps.push(check(
                &format!("{} → {}", answers.join(" "), example.demo),
                demo == example.demo && noticed == example.contradictions,
                say(
                    &format!("{demo}, {noticed} contradictions"),
                    &format!("{demo}，矛盾 {noticed} 处"),
                ),
            ));
        }
        Ok(Checked { steps, missing })
    }
}
