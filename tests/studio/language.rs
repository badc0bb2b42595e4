//! The studio in Chinese: nothing of what it says is left in English, nothing is cut through a wide character, and it switches
//! while it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use foldlog::app::command::{COMMANDS, Context};
use foldlog::app::job::{Event, Failure, Job};
use foldlog::app::lang::{Catalog, read};
use foldlog::app::message::Message;
use foldlog::app::model::Screen;
use foldlog::demo::text::Language;
use foldlog::record::Timestamp;
use foldlog::ui::sample::NOW;
use unicode_width::UnicodeWidthStr;

use super::fake::{Fake, refused};
use super::harness::Studio;

const SIZES: [(u16, u16); 2] = [(80, 24), (200, 50)];

/// Words that are not the studio's: what the layers below say of a failure, of Kafka's states and of an invariant.
const NOT_OURS: &str = "the invariant broke at offset Stable Empty because SELECT FROM ORDER BY LIMIT OFFSET WHERE topics create produce my \
                        events ndjson no such column data pipeline";

fn catalog() -> Catalog {
    read(include_str!("../../src/app/lang/zh.toml")).unwrap()
}

/// Runs of at least three ASCII letters.
fn words(text: &str) -> BTreeSet<String> {
    let found = text.split(|c: char| !c.is_ascii_alphabetic());
    found.filter(|word| word.len() > 2).map(str::to_owned).collect()
}

/// What stands in the places of a text's parts.
fn parts(text: &str) -> BTreeSet<&str> {
    let pieces = text.split('{').skip(1);
    pieces.filter_map(|piece| Some(piece.split_once('}')?.0)).collect()
}

/// A text without its parts and without what stands in backticks, which is code.
fn prose(text: &str) -> String {
    let mut out = String::new();
    for (n, piece) in text.split('`').enumerate() {
        if n % 2 == 0 {
            out.push_str(piece);
        }
    }
    let mut plain = String::new();
    for (n, piece) in out.split(['{', '}']).enumerate() {
        plain.push_str(if n % 2 == 0 { piece } else { " " });
    }
    plain
}

/// Drives the studio in Chinese, and finds what it says in English.
pub fn checked(size: (u16, u16), world: Fake, hold: fn(&Job) -> bool, keys: &str) -> Studio {
    let mut studio = Studio::new(size, world);
    studio.hold = hold;
    studio.model.language = Language::Chinese;
    let mut studio = studio.started();
    studio.keys(keys);
    assert_chinese(&studio, keys);
    studio
}

/// The words of our English texts that can stand on a screen for no other reason. A word that a window cuts is none of them.
static OURS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let catalog = catalog();
    let mut known = words(include_str!("fake.rs"));
    known.extend(words(include_str!("../../src/ui/sample.rs")));
    known.extend(words(NOT_OURS));
    known.extend(words(include_str!("../../demo-data/messaging/demo.toml")));
    known.extend(words(include_str!("../../src/demo/script.rs")));
    known.extend(catalog.text.values().flat_map(|text| words(text)));
    let ours = catalog.text.keys().flat_map(|text| words(&prose(text)));
    ours.filter(|word| !known.contains(word)).collect()
});

/// Holds every English word on the screen against what the world said, what was typed, and what Chinese texts have of it.
pub fn assert_chinese(studio: &Studio, typed: &str) {
    let (typed, text) = (words(typed), studio.text());
    let left: Vec<_> = words(&text)
        .into_iter()
        .filter(|word| OURS.contains(word) && !typed.contains(word))
        .collect();
    assert!(left.is_empty(), "said in English: {left:?}\n{text}");
    for line in text.lines() {
        assert!(
            !line.contains('\u{fffd}') && line.width() <= usize::from(studio.model.size.0),
            "{line}"
        );
    }
}

fn held_back(_: &Job) -> bool {
    false
}

fn shots(name: &str, world: fn() -> Fake, hold: fn(&Job) -> bool, keys: &str) {
    for size in SIZES {
        let studio = checked(size, world(), hold, keys);
        insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), studio.text());
    }
}

#[test]
fn the_main_screens() {
    let full = Fake::default;
    let empty = || Fake {
        topics: Ok(Vec::new()),
        ..Fake::default()
    };
    shots("zh_welcome", empty, held_back, "");
    shots("zh_topics", full, held_back, "j");
    shots("zh_records", full, held_back, "j<enter>");
    shots("zh_projections", full, held_back, "2");
    shots("zh_dead_letters", full, held_back, "2jd");
    let alerts = || {
        let mut world = Fake::default();
        if let Ok(rows) = &mut world.projections {
            rows[0].alerts = Some(1);
        }
        world
    };
    shots("zh_alerts", alerts, held_back, "2A");
    shots("zh_read_model", full, held_back, "3<tab>");
    shots("zh_time", full, held_back, "2T,,");
    shots("zh_blame", full, held_back, "3B");
    shots("zh_differences", full, held_back, "2v");
    shots("zh_demos", full, held_back, "4");
    shots("zh_groups", full, held_back, "5");
    shots("zh_guide", full, held_back, "4Cj<enter>");
    shots("zh_keys", full, held_back, "2?");
    shots("zh_palette", full, held_back, ":");
    shots("zh_filter", full, held_back, "/order");
    shots("zh_delete", full, held_back, "jDorder");
}

#[test]
fn what_failed_and_what_is_not_there_yet() {
    let refuses = || Fake {
        cluster: Err(refused()),
        ..Fake::default()
    };
    for size in SIZES {
        checked(size, refuses(), held_back, "");
        checked(size, refuses(), held_back, "!");
        checked(size, Fake::default(), |job| *job == Job::Connect, "");
        checked(size, Fake::default(), |job| *job == Job::Topics, "");
        checked(size, Fake::default(), |job| matches!(job, Job::Page(_)), "j<enter>");
        checked(size, Fake::default(), |job| matches!(job, Job::Query { .. }), "3");
        checked(size, Fake::default(), |job| matches!(job, Job::Walk { .. }), "2T");
        checked(size, Fake::default(), |job| matches!(job, Job::Blame(_)), "3B");
        checked(size, Fake::default(), |job| matches!(job, Job::Differences(_)), "2v");
        checked(size, Fake::default(), held_back, "/nothing<enter>");
        checked(size, Fake::default(), held_back, "j<enter>/nowhere<enter>");
        checked(size, Fake::default(), held_back, "j<enter>tsomewhere<enter>");
        checked(size, Fake::default(), held_back, "j<enter>p77<enter>");
        checked(size, Fake::default(), held_back, "3s<c-u><enter>");
        checked(size, Fake::default(), held_back, "2rq");
        checked(size, Fake::default(), held_back, "2T,,c");
        checked(size, Fake::default(), held_back, "2T,,-");
        checked(size, Fake::default(), held_back, "2T,,=x<enter>");
    }
}

/// Every key on every screen: what cannot be done says so in Chinese, too.
#[test]
fn every_key_on_every_screen() {
    let screens = [
        "",
        "j<enter>",
        "2",
        "2jd",
        "2A",
        "3",
        "3<tab>",
        "2T,,",
        "3B",
        "2v",
        "4",
        "4j<enter>",
        "4j<enter>n",
        "5",
    ];
    let keys: BTreeSet<String> = COMMANDS
        .iter()
        .filter(|c| !c.contexts.contains(&Context::Always))
        .filter_map(|c| c.keys.first())
        .map(ToString::to_string)
        .filter(|key| key.chars().count() == 1 && key.is_ascii() && key != "L")
        .collect();
    for screen in screens {
        let mut studio = checked((100, 30), Fake::default(), held_back, screen);
        let (model, world) = (studio.model.clone(), studio.world.clone());
        for key in &keys {
            studio.model = model.clone();
            studio.world = world.clone();
            studio.keys(key);
            assert_chinese(&studio, &format!("{screen}{key}"));
        }
    }
}

#[test]
fn it_switches_while_it_runs_and_demos_follow() {
    let mut studio = Studio::new((100, 30), Fake::default()).started();
    studio.keys("4");
    assert!(studio.text().contains("demos") && !studio.text().contains("示例"));
    studio.keys("L");
    assert_eq!(studio.model.language, Language::Chinese);
    assert!(studio.text().contains("示例"), "{}", studio.text());
    let asked = studio.asked.iter().filter(|(_, job)| *job == Job::Demos).count();
    assert_eq!(asked, 2, "the demos are asked for again, in Chinese");
    // A command is found by its name in either language.
    studio.keys(":lang<enter>");
    assert_eq!(studio.model.language, Language::English);
    studio.keys(":lang<enter>:语言<enter>");
    assert_eq!(studio.model.language, Language::English);
    assert!(!studio.text().contains("示例"), "{}", studio.text());
}

#[test]
fn what_ends_is_said_in_the_language_that_is_spoken_then() {
    let mut studio = Studio::new((100, 30), Fake::default()).started();
    studio.keys("L2r");
    let id = studio.last(|job| matches!(job, Job::Rebuild { .. }));
    studio.keys("x");
    studio.end(id, Err(Failure::new("cancelled")));
    assert!(studio.text().contains("已取消"), "{}", studio.text());
    studio.keys("1");
    let topics = |job: &Job| *job == Job::Topics;
    studio.hold = topics;
    studio.send(Message::Tick(Timestamp(NOW.0 + 60_000)));
    let id = studio.last(topics);
    studio.end(id, Err(refused()));
    studio.send(Message::Tick(Timestamp(NOW.0 + 120_000)));
    let id = studio.last(topics);
    let rows = studio.world.topics.clone().unwrap();
    studio.end(id, Ok(Event::Topics(rows, NOW)));
    assert!(studio.text().contains("集群恢复应答"), "{}", studio.text());
}

/// Wherever a border or a column cuts a text, it cuts between characters.
#[test]
fn no_width_cuts_a_wide_character_in_half() {
    for width in 60..72 {
        for keys in ["", "2", "2jd", "3", "2T,,", "?", ":"] {
            let studio = checked((width, 24), Fake::default(), held_back, keys);
            let buffer = studio.buffer();
            for y in 0..buffer.area.height {
                let mut x = 0;
                while x < buffer.area.width {
                    let wide = buffer[(x, y)].symbol().width() as u16;
                    assert!(
                        x + wide <= buffer.area.width,
                        "{width}: {keys}: row {y} ends in half a character"
                    );
                    // What is behind a wide character is part of it and says nothing of its own.
                    if wide == 2 {
                        assert_eq!(
                            buffer[(x + 1, y)].symbol().trim(),
                            "",
                            "{width}: {keys}: row {y}\n{}",
                            studio.text()
                        );
                    }
                    x += wide.max(1);
                }
            }
        }
    }
}

// What the catalog must hold.

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("ui/sample.rs") {
            out.push(path);
        }
    }
}

/// The string literals of a file's code before its tests, each with the code right before it.
fn literals(code: &str) -> Vec<(String, String)> {
    let code = code.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let mut found = Vec::new();
    let mut rest = code;
    let mut before = String::new();
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if let Some(raw) = rest.strip_prefix("r#\"") {
            rest = raw.split_once("\"#").map_or("", |(_, after)| after);
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\'") {
            rest = &rest[3..];
        } else if let Some(inner) = rest.strip_prefix('"') {
            let mut text = String::new();
            let mut chars = inner.char_indices();
            let mut end = inner.len();
            while let Some((at, c)) = chars.next() {
                match c {
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    '\\' => match chars.next() {
                        Some((_, 'n')) => text.push('\n'),
                        Some((_, '\n')) => {
                            let skipped = inner[at + 2..].len() - inner[at + 2..].trim_start().len();
                            for _ in 0..inner[at + 2..at + 2 + skipped].chars().count() {
                                chars.next();
                            }
                        }
                        Some((_, c)) => text.push(c),
                        None => {}
                    },
                    c => text.push(c),
                }
            }
            found.push((before.trim_end().to_owned(), text));
            before.clear();
            rest = &inner[end..];
        } else {
            before.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    found
}

/// Every text of the studio's code that is said: what is handed to a translation, and whatever reads like prose.
fn said() -> BTreeMap<String, PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    for folder in ["app", "ui", "runtime/world"] {
        sources(&root.join(folder), &mut files);
    }
    let mut texts = BTreeMap::new();
    for path in files {
        let code = fs::read_to_string(&path).unwrap();
        for (before, text) in literals(&code) {
            let handed = [".tr(", ".heading(", ".field("]
                .iter()
                .any(|call| before.ends_with(call))
                || before
                    .rsplit_once("say!(")
                    .is_some_and(|(_, between)| between.matches(',').count() == 1 && between.ends_with(','));
            let counted = before
                .rsplit_once("counted(")
                .is_some_and(|(_, between)| between.ends_with(',') && !between.contains(';'));
            let between_words = prose(&text)
                .split(' ')
                .filter(|word| word.chars().any(|c| c.is_ascii_lowercase()))
                .count();
            let code = ["SELECT ", "foldlog ", "-- ", "balance < 0", "%"]
                .iter()
                .any(|begin| text.starts_with(begin))
                || before.ends_with("reason =");
            if counted {
                texts.insert(format!("{{n}} {text}"), path.clone());
            } else if !text.is_empty() && (handed || (between_words > 1 && !code)) {
                texts.insert(text, path.clone());
            }
        }
    }
    for command in COMMANDS {
        for text in [command.name, command.help, command.hint] {
            texts.insert(text.to_owned(), root.join("app/command.rs"));
        }
        for context in command.contexts {
            texts.insert(context.title().to_owned(), root.join("app/command.rs"));
        }
    }
    for screen in Screen::ALL {
        texts.insert(screen.title().to_owned(), root.join("app/model.rs"));
    }
    texts.remove("");
    texts
}

#[test]
fn every_text_has_its_chinese_with_the_same_parts() {
    let catalog = catalog();
    let missing: Vec<String> = said()
        .into_iter()
        .filter(|(text, _)| !catalog.text.contains_key(text))
        .map(|(text, path)| format!("{}: {text:?}", path.display()))
        .collect();
    assert!(
        missing.is_empty(),
        "add to src/app/lang/zh.toml:\n{}",
        missing.join("\n")
    );
    for (english, chinese) in &catalog.text {
        assert_eq!(parts(english), parts(chinese), "{english}");
        assert!(!english.ends_with(' ') || chinese.ends_with([' ', '：']), "{english}");
    }
}

#[test]
fn the_catalog_has_nothing_that_nobody_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut all: BTreeSet<String> = said().into_keys().collect();
    for path in files {
        all.extend(
            literals(&fs::read_to_string(path).unwrap())
                .into_iter()
                .map(|(_, text)| text),
        );
    }
    let stale: Vec<_> = catalog().text.into_keys().filter(|text| !all.contains(text)).collect();
    assert!(stale.is_empty(), "nobody says this any more: {stale:#?}");
}

#[test]
fn terms_are_called_by_one_name() {
    let catalog = catalog();
    let mut wrong = Vec::new();
    for (english, chinese) in &catalog.text {
        let plain = prose(english);
        let all: Vec<&str> = plain
            .split(|c: char| !c.is_ascii_alphabetic())
            .filter(|word| !word.is_empty())
            .collect();
        for (term, name) in &catalog.glossary {
            let term: Vec<&str> = term.split(' ').collect();
            let is_it = |some: &[&str]| {
                let (last, first) = some.split_last().unwrap();
                let (end, begin) = term.split_last().unwrap();
                first == begin && (last == end || last.strip_suffix('s') == Some(end))
            };
            // What is code in both languages is nobody's term.
            if english != chinese && all.windows(term.len()).any(is_it) && !chinese.contains(name.as_str()) {
                wrong.push(format!("{english:?} says {term:?}: {name} is missing from {chinese:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
