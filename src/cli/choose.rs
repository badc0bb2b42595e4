//! `foldlog choose`: the guide. A few questions on a terminal, or answers as arguments, lead to the demo that fits.

use std::collections::BTreeMap;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;

use miette::{IntoDiagnostic, miette};
use serde_json::{Value, json};

use crate::demo::catalog::Catalog;
use crate::demo::diary::Diary;
use crate::demo::guide::{Guide, Question, Way};
use crate::demo::text::Language;
use crate::readmodel::store::Store;

use super::context::Context;
use super::table::table;

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without a terminal to ask on, all answers are given as arguments; -o json prints the question that is open, so that a program can go on from there.

Examples:
  foldlog choose
  foldlog choose --answer throughput=high
  foldlog choose --answer throughput=low -o json
  foldlog choose --table
  foldlog choose --path"
)]
pub struct Args {
    /// Answer a question beforehand; as often as there are questions
    #[arg(long = "answer", value_name = "QUESTION=ANSWER")]
    answers: Vec<String>,
    /// Print how the use cases compare, and ask nothing
    #[arg(long, conflicts_with_all = ["answers", "path"])]
    table: bool,
    /// Print the learning path with what was done, and the roadmap, and ask nothing
    #[arg(long, conflicts_with = "answers")]
    path: bool,
    /// Add the demos of this folder, or take its guide instead
    #[arg(long, value_name = "DIR")]
    demos: Vec<PathBuf>,
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    let catalog = Catalog::load(&args.demos)?;
    let language = context.language()?;
    let guide = catalog.guide().ok_or_else(|| miette!("there is no guide"))?;
    let teller = Teller {
        guide,
        catalog: &catalog,
        store: context.store()?,
        language,
        json: context.json(),
    };
    if args.table {
        return teller.table();
    }
    if args.path {
        return teller.path();
    }
    let mut answers = given(&args.answers)?;
    let terminal = io::stdin().is_terminal() && io::stderr().is_terminal() && !context.json();
    loop {
        let way = guide.way(&answers)?;
        match way.next {
            None => return teller.end(&way),
            Some(question) if terminal => match teller.ask(question, &way)? {
                Said::Answer(answer) => drop(answers.insert(question.id.clone(), answer)),
                Said::Back(before) => before.into_iter().for_each(|question| drop(answers.remove(&question))),
                Said::Nothing => return Err(miette!("{}", teller.say("nothing was chosen", "没有作出选择"))),
            },
            Some(question) => return teller.open(question, &way),
        }
    }
}

/// Answers by question, as they were given; a question that is answered in two ways is a contradiction that leads nowhere.
fn given(answers: &[String]) -> miette::Result<BTreeMap<String, String>> {
    let mut given = BTreeMap::new();
    for pair in answers {
        let Some((question, answer)) = pair.split_once('=') else {
            return Err(miette!(
                help = "write --answer QUESTION=ANSWER, for example --answer throughput=high",
                "`{pair}` is no answer"
            ));
        };
        let before = given.insert(question.trim().to_owned(), answer.trim().to_owned());
        if let Some(before) = before.filter(|before| before != answer.trim()) {
            return Err(miette!(
                help = "leave one of them out",
                "`{question}` is answered twice: `{before}` and `{answer}` contradict each other"
            ));
        }
    }
    Ok(given)
}

/// What was typed.
enum Said {
    Answer(String),
    /// Back to this question, if there is one before.
    Back(Option<String>),
    Nothing,
}

/// Says what the guide knows, to a person or to a program.
struct Teller<'a> {
    guide: &'a Guide,
    catalog: &'a Catalog,
    store: Store,
    language: Language,
    json: bool,
}

impl Teller<'_> {
    fn say<'a>(&self, en: &'a str, zh: &'a str) -> &'a str {
        match self.language {
            Language::English => en,
            Language::Chinese => zh,
        }
    }

    /// What a demo is called; its id where it is not there.
    fn title<'a>(&'a self, id: &'a str) -> &'a str {
        self.catalog.get(id).map_or(id, |demo| demo.title.get(self.language))
    }

    /// Whether the demo's last run held; `None` where it was never done.
    fn done(&self, id: &str) -> Option<bool> {
        Diary::read(&self.store, id).done.map(|done| done.held == done.checks)
    }

    fn ask(&self, question: &Question, way: &Way<'_>) -> miette::Result<Said> {
        let mut out = io::stderr().lock();
        writeln!(out, "\n{}", question.ask.get(self.language)).into_diagnostic()?;
        for (number, answer) in question.answers.iter().enumerate() {
            writeln!(out, "  {}  {}", number + 1, answer.say.get(self.language)).into_diagnostic()?;
        }
        let back = if way.asked.is_empty() {
            ""
        } else {
            self.say(", b goes back", "，b 返回上一题")
        };
        loop {
            let many = question.answers.len();
            write!(out, "[1-{many}{back}{}] ", self.say(", q ends", "，q 结束")).into_diagnostic()?;
            out.flush().into_diagnostic()?;
            let mut line = String::new();
            if io::stdin().lock().read_line(&mut line).into_diagnostic()? == 0 {
                return Ok(Said::Nothing);
            }
            let typed = line.trim();
            let chosen = match typed.parse::<usize>() {
                Ok(number) => number.checked_sub(1).and_then(|at| question.answers.get(at)),
                Err(_) => question.answers.iter().find(|answer| answer.id == typed),
            };
            match (chosen, typed) {
                (Some(answer), _) => return Ok(Said::Answer(answer.id.clone())),
                (None, "q") => return Ok(Said::Nothing),
                (None, "b") => return Ok(Said::Back(way.asked.last().map(|(question, _)| question.id.clone()))),
                _ => {}
            }
        }
    }

    /// The question that is still open, where nobody can be asked.
    fn open(&self, question: &Question, way: &Way<'_>) -> miette::Result<()> {
        if !self.json {
            let answers: Vec<String> = question
                .answers
                .iter()
                .map(|answer| {
                    format!(
                        "--answer {}={}    {}",
                        question.id,
                        answer.id,
                        answer.say.get(self.language)
                    )
                })
                .collect();
            return Err(miette!(
                help = answers.join("\n"),
                "{}: {}",
                question.id,
                question.ask.get(self.language)
            ));
        }
        let answers = question.answers.iter();
        let answers: Vec<Value> = answers
            .map(|answer| json!({ "id": answer.id, "say": answer.say.get(self.language) }))
            .collect();
        let mut out = json!({ "question": question.id, "ask": question.ask.get(self.language), "choices": answers });
        self.add_way(&mut out, way);
        println!("{out}");
        Ok(())
    }

    fn add_way(&self, out: &mut Value, way: &Way<'_>) {
        let pairs = |all: &[(&Question, &crate::demo::guide::Answer)]| -> Value {
            let pairs = all
                .iter()
                .map(|(question, answer)| (question.id.clone(), answer.id.clone().into()));
            Value::Object(pairs.collect())
        };
        out["answers"] = pairs(&way.asked);
        out["not_asked"] = pairs(&way.beside);
        let said = way.contradictions.iter().map(|each| each.say.get(self.language));
        out["contradictions"] = said.collect::<Vec<_>>().into();
    }

    /// The demo that fits.
    fn end(&self, way: &Way<'_>) -> miette::Result<()> {
        let (Some(demo), Some(answer)) = (way.demo(), way.end()) else {
            return Err(miette!("the guide ends nowhere"));
        };
        let row = self.guide.row(demo);
        let why = answer.why.get(self.language);
        if self.json {
            let mut out = json!({
                "demo": demo,
                "title": self.title(demo),
                "there": self.catalog.get(demo).is_ok(),
                "done": self.done(demo),
                "why": why,
                "fit": row.map(|row| row.fit.get(self.language)),
                "run": format!("foldlog demo run {demo}"),
            });
            self.add_way(&mut out, way);
            println!("{out}");
            return Ok(());
        }
        println!("{}  ({demo})", self.title(demo));
        if let Ok(demo) = self.catalog.get(demo) {
            println!("{}", demo.summary.get(self.language).trim_end());
        }
        if let Some(row) = row {
            println!("{}", self.degrees(row));
            println!("{}{}", self.say("fits: ", "适合："), row.fit.get(self.language));
        }
        if !why.is_empty() {
            println!("\n{why}");
        }
        for contradiction in &way.contradictions {
            println!("\n! {}", contradiction.say.get(self.language));
        }
        for (question, answer) in &way.beside {
            let (question, answer) = (question.ask.get(self.language), answer.say.get(self.language));
            println!(
                "\n· {} {question} {answer}",
                self.say("not asked on this way:", "这条路上没有问到：")
            );
        }
        println!("\n{}foldlog demo run {demo}", self.say("Next: ", "接下来："));
        Ok(())
    }

    fn degrees(&self, row: &crate::demo::guide::Row) -> String {
        let language = self.language;
        format!(
            "{} {} · {} {} · {} {}",
            self.say("volume", "数据量"),
            row.volume.size(language),
            self.say("timeliness", "实时性"),
            row.timeliness.word(language),
            self.say("complexity", "复杂度"),
            row.complexity.word(language)
        )
    }

    fn table(&self) -> miette::Result<()> {
        let language = self.language;
        if self.json {
            for row in &self.guide.table {
                let out = json!({
                    "demo": row.demo,
                    "title": self.title(&row.demo),
                    "volume": row.volume.size(Language::English),
                    "timeliness": row.timeliness.word(Language::English),
                    "complexity": row.complexity.word(Language::English),
                    "fit": row.fit.get(language),
                });
                println!("{out}");
            }
            return Ok(());
        }
        let mut out = table([
            self.say("DEMO", "编号"),
            self.say("TITLE", "标题"),
            self.say("VOLUME", "数据量"),
            self.say("TIMELINESS", "实时性"),
            self.say("COMPLEXITY", "复杂度"),
            self.say("FITS", "适合"),
        ]);
        for row in &self.guide.table {
            out.add_row([
                &row.demo,
                self.title(&row.demo),
                row.volume.size(language),
                row.timeliness.word(language),
                row.complexity.word(language),
                row.fit.get(language),
            ]);
        }
        println!("{out}");
        Ok(())
    }

    fn path(&self) -> miette::Result<()> {
        let language = self.language;
        let next = self.guide.path.iter().find(|leg| self.done(&leg.demo) != Some(true));
        let next = next.map(|leg| leg.demo.as_str());
        if self.json {
            let legs = self.guide.path.iter().map(|leg| {
                json!({
                    "demo": leg.demo,
                    "title": self.title(&leg.demo),
                    "why": leg.why.get(language),
                    "done": self.done(&leg.demo),
                    "next": next == Some(leg.demo.as_str()),
                })
            });
            let roadmap = self.guide.roadmap.iter().map(|phase| {
                json!({
                    "title": phase.title.get(language),
                    "takes": phase.takes.get(language),
                    "tasks": phase.tasks.iter().map(|task| task.get(language)).collect::<Vec<_>>(),
                    "demos": phase.demos,
                })
            });
            let out = json!({ "path": legs.collect::<Vec<_>>(), "roadmap": roadmap.collect::<Vec<_>>() });
            println!("{out}");
            return Ok(());
        }
        for leg in &self.guide.path {
            let mark = match self.done(&leg.demo) {
                Some(true) => "✓",
                Some(false) => "✗",
                None if next == Some(leg.demo.as_str()) => "▸",
                None => "·",
            };
            println!(
                "{mark} {}  ({})\n    {}",
                self.title(&leg.demo),
                leg.demo,
                leg.why.get(language)
            );
        }
        if let Some(next) = next {
            println!("\n{}foldlog demo run {next}", self.say("Next: ", "接下来："));
        }
        println!("\n{}", self.say("Roadmap", "路线图"));
        for (number, phase) in self.guide.roadmap.iter().enumerate() {
            println!(
                "{}. {}  ({})",
                number + 1,
                phase.title.get(language),
                phase.takes.get(language)
            );
            for task in &phase.tasks {
                println!("   - {}", task.get(language));
            }
            println!("   {}", phase.demos.join(", "));
        }
        Ok(())
    }
}
