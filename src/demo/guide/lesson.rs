//! A guide as a text to read: it says what the questions say, so that it cannot say anything else.

use std::fmt::{self, Write as _};

use super::super::catalog::Catalog;
use super::super::text::Language;
use super::{Guide, Question};

/// The guide as Markdown.
pub(super) fn lesson(guide: &Guide, catalog: &Catalog, language: Language) -> String {
    let mut out = String::new();
    // Writing into a string does not fail.
    let _ = write(&mut out, guide, catalog, language);
    out
}

fn write(out: &mut String, guide: &Guide, catalog: &Catalog, language: Language) -> fmt::Result {
    let say = |en: &'static str, zh: &'static str| match language {
        Language::English => en,
        Language::Chinese => zh,
    };
    let title = |id: &str| {
        catalog
            .get(id)
            .map_or(id.to_owned(), |demo| demo.title.get(language).to_owned())
    };
    writeln!(
        out,
        "# {}\n\n{}\n",
        guide.title.get(language),
        guide.summary.get(language)
    )?;
    writeln!(out, "    foldlog choose\n\n## {}\n", say("The decision tree", "决策树"))?;
    if let Some(first) = guide.questions.first() {
        tree(out, guide, first, 0, language)?;
    }
    writeln!(out, "\n## {}\n", say("How they compare", "场景对照表"))?;
    let head = say(
        "| demo | volume | timeliness | complexity | fits |",
        "| 示例 | 数据量 | 实时性 | 复杂度 | 适合 |",
    );
    writeln!(out, "{head}\n|---|---|---|---|---|")?;
    for row in &guide.table {
        let (volume, timeliness) = (row.volume.size(language), row.timeliness.word(language));
        let (complexity, fit) = (row.complexity.word(language), row.fit.get(language));
        writeln!(
            out,
            "| {} | {volume} | {timeliness} | {complexity} | {fit} |",
            title(&row.demo)
        )?;
    }
    writeln!(out, "\n## {}\n", say("In which order to learn", "学习路径"))?;
    for (number, leg) in guide.path.iter().enumerate() {
        writeln!(
            out,
            "{}. {} (`{}`): {}",
            number + 1,
            title(&leg.demo),
            leg.demo,
            leg.why.get(language)
        )?;
    }
    writeln!(out, "\n## {}\n", say("The roadmap", "实施路线图"))?;
    for (number, phase) in guide.roadmap.iter().enumerate() {
        writeln!(
            out,
            "{}. **{}** ({})",
            number + 1,
            phase.title.get(language),
            phase.takes.get(language)
        )?;
        for task in &phase.tasks {
            writeln!(out, "   - {}", task.get(language))?;
        }
    }
    Ok(())
}

/// A question and what each answer leads to. A question that several answers lead to is spelt out where it has the last place.
fn tree(out: &mut String, guide: &Guide, question: &Question, depth: usize, language: Language) -> fmt::Result {
    let indent = "  ".repeat(depth);
    writeln!(out, "{indent}- {}", question.ask.get(language))?;
    for answer in &question.answers {
        let said = answer.say.get(language);
        match (
            &answer.demo,
            answer.next.as_deref().and_then(|next| guide.question(next)),
        ) {
            (Some(demo), _) => writeln!(out, "{indent}  - {said} → `{demo}`")?,
            (None, Some(next)) if shared(guide, next) => {
                writeln!(out, "{indent}  - {said} → {}", next.ask.get(language))?
            }
            (None, Some(next)) => {
                writeln!(out, "{indent}  - {said}")?;
                tree(out, guide, next, depth + 2, language)?;
            }
            (None, None) => {}
        }
    }
    if depth == 0 {
        for question in guide.questions.iter().filter(|question| shared(guide, question)) {
            tree(out, guide, question, 1, language)?;
        }
    }
    Ok(())
}

/// Whether several answers lead to a question.
fn shared(guide: &Guide, question: &Question) -> bool {
    let answers = guide.questions.iter().flat_map(|question| &question.answers);
    answers
        .filter(|answer| answer.next.as_deref() == Some(question.id.as_str()))
        .count()
        > 1
}
