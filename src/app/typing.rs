//! While something is typed: prompts, the palette, questions. No key is a command here, except the one that always is.

use std::collections::BTreeSet;
use std::convert::Infallible;

use crate::readmodel::decision::Choice as Decided;

use super::difference::Question;
use super::job::{Cue, Failure, TaskId};
use super::key::{Code, Key};
use super::lang::say;
use super::message::Effect;
use super::model::{Level, Model, Screen};
use super::motion;
use super::navigate;
use super::overlay::{Confirm, Confirmed, Overlay, Prompt, PromptKind, Tried, edit, paste};
use super::palette::{Choice, Kind, Palette};
use super::place::{self, Place};
use super::screens::time::conditions::Towards;
use super::screens::{differences, letters, previews, projections, readmodel, records, scene, search, time};
use super::update;

/// Opens a prompt that begins with what is set now.
pub(super) fn prompt(model: &mut Model, kind: PromptKind) {
    let text = match kind {
        PromptKind::Filter => motion::list_mut(model).map(|l| l.filter().to_owned()),
        PromptKind::Sql => Some(model.readmodel.sql.clone()),
        PromptKind::Place => None,
        PromptKind::Instead | PromptKind::Besides => differences::says(model),
        PromptKind::Without => differences::alike(model),
        PromptKind::Move => None,
        PromptKind::Mend => letters::said(model),
        PromptKind::Partitions => model.records.as_ref().and_then(|r| r.partitions.as_ref()).map(|set| {
            let all: Vec<String> = set.iter().map(ToString::to_string).collect();
            all.join(",")
        }),
    };
    model.overlay = Some(Overlay::Prompt(Prompt::new(kind, &text.unwrap_or_default())));
}

/// Does what was typed, and keeps it until that is known to be good.
fn attempt<E>(model: &mut Model, overlay: Overlay, act: impl FnOnce(&mut Model) -> Result<(), E>) -> Result<(), E> {
    let (first, screen) = (model.next_task(), model.screen);
    act(model)?;
    let next = model.next_task();
    model.tried = (first < next).then(|| Tried {
        jobs: first..next,
        screen,
        overlay: Box::new(overlay),
    });
    Ok(())
}

/// Opens what was typed again if it is this job that failed, so that it can be mended where it was written, and says why. Not over
/// anything that was begun meanwhile; then false.
pub(super) fn refused(model: &mut Model, id: TaskId, failure: &Failure, fx: &mut Vec<Effect>) -> bool {
    let Some(tried) = model.tried.take_if(|tried| tried.jobs.contains(&id)) else {
        return false;
    };
    if model.overlay.is_some() {
        return false;
    }
    if model.screen == Screen::Differences && tried.screen != Screen::Differences {
        // It was asked on a screen of its own, which has nothing to show.
        navigate::up(model, fx);
    }
    if model.screen != tried.screen {
        return false;
    }
    let mut overlay = *tried.overlay;
    let why = Some(failure.summary.clone());
    match &mut overlay {
        // The whole of it stands below the query.
        Overlay::Prompt(prompt) if prompt.kind == PromptKind::Sql => {}
        Overlay::Prompt(prompt) => prompt.error = why,
        Overlay::Palette(palette) => palette.error = why,
        _ => {}
    }
    model.overlay = Some(overlay);
    true
}

/// Opens the palette.
pub(super) fn palette(model: &mut Model) {
    let mut palette = Palette::default();
    palette.find(model);
    model.overlay = Some(Overlay::Palette(palette));
}

/// Opens what can be done to the demo that runs.
pub(super) fn faults(model: &mut Model) {
    let mut palette = Palette {
        kind: Kind::Faults,
        ..Palette::default()
    };
    palette.find(model);
    model.overlay = Some(Overlay::Palette(palette));
}

/// Opens the conditions that the past can be run to.
pub(super) fn conditions(model: &mut Model) {
    let mut palette = Palette {
        kind: Kind::Conditions,
        ..Palette::default()
    };
    palette.find(model);
    model.overlay = Some(Overlay::Palette(palette));
}

/// Gives a key to what is being typed.
pub(super) fn key(model: &mut Model, key: Key, fx: &mut Vec<Effect>) {
    match model.overlay.take() {
        Some(Overlay::Prompt(prompt)) => prompt_key(model, prompt, key, fx),
        Some(Overlay::Palette(palette)) => palette_key(model, palette, key, fx),
        Some(Overlay::Confirm(confirm)) => confirm_key(model, confirm, key, fx),
        other => model.overlay = other,
    }
}

/// Gives pasted text to what is being typed.
pub(super) fn pasted(model: &mut Model, text: &str, fx: &mut Vec<Effect>) {
    match model.overlay.take() {
        Some(Overlay::Prompt(mut prompt)) => {
            paste(&mut prompt.input, text);
            typed(model, &prompt, fx);
            model.overlay = Some(Overlay::Prompt(prompt));
        }
        Some(Overlay::Palette(mut palette)) => {
            paste(&mut palette.input, text);
            palette.find(model);
            model.overlay = Some(Overlay::Palette(palette));
        }
        Some(Overlay::Confirm(mut confirm)) => {
            paste(&mut confirm.input, text);
            model.overlay = Some(Overlay::Confirm(confirm));
        }
        other => model.overlay = other,
    }
}

fn prompt_key(model: &mut Model, mut prompt: Prompt, key: Key, fx: &mut Vec<Effect>) {
    match key.code {
        Code::Esc => {
            if prompt.kind == PromptKind::Filter {
                set_filter(model, &prompt.before, fx);
            }
            return;
        }
        Code::Enter => {
            prompt.error = None;
            let kept = Overlay::Prompt(prompt.clone());
            if let Err(error) = attempt(model, kept, |model| accept(model, &prompt, fx)) {
                prompt.error = Some(error);
                model.overlay = Some(Overlay::Prompt(prompt));
            }
            return;
        }
        Code::Up | Code::Down if prompt.kind == PromptKind::Sql => recall(model, &mut prompt, key.code),
        Code::Char('o') if key.ctrl && prompt.kind.takes_editor() => {
            fx.push(Effect::Edit(prompt.input.value().to_owned()));
        }
        _ => {
            if edit(&mut prompt.input, key) {
                prompt.error = None;
                typed(model, &prompt, fx);
            }
        }
    }
    model.overlay = Some(Overlay::Prompt(prompt));
}

/// Takes what came of the editor into the line; Enter then says that it is meant.
pub(super) fn edited(model: &mut Model, outcome: Result<String, String>) {
    let language = model.language;
    let Some(Overlay::Prompt(prompt)) = &mut model.overlay else {
        return;
    };
    match outcome {
        Ok(text) => {
            prompt.error = differences::said(&text, language).err();
            prompt.input = differences::one_line(Some(text.trim().as_bytes())).into();
        }
        Err(why) => prompt.error = Some(why),
    }
}

/// A filter works while it is typed.
fn typed(model: &mut Model, prompt: &Prompt, fx: &mut Vec<Effect>) {
    if prompt.kind == PromptKind::Filter {
        set_filter(model, prompt.input.value(), fx);
    }
}

/// Sets the filter of the list in view.
pub(super) fn set_filter(model: &mut Model, text: &str, fx: &mut Vec<Effect>) {
    let Some(list) = motion::list_mut(model) else { return };
    if list.filter() == text {
        return;
    }
    list.set_filter(text);
    match model.screen {
        Screen::Topics => model.topics.refresh(),
        Screen::Records => {
            if let Some(records) = &mut model.records {
                records.refilter();
            }
        }
        Screen::Projections => model.projections.refresh(),
        Screen::Letters => letters::refresh(model),
        Screen::Alerts => {
            if let Some(alerts) = &mut model.alerts {
                alerts.refresh();
            }
        }
        Screen::ReadModel => model.readmodel.refresh(),
        Screen::Time | Screen::Scene | Screen::Guide => {}
        Screen::Differences => {
            if let Some(state) = &mut model.differences {
                state.refresh();
            }
        }
        Screen::Blame => {
            if let Some(blame) = &mut model.blame {
                blame.refilter();
            }
        }
        Screen::Demos => model.demos.refresh(),
        Screen::Charts => {
            if let Some(charts) = &mut model.charts {
                charts.refresh();
            }
        }
        Screen::Groups => model.groups.refresh(),
    }
    motion::selected(model, fx);
}

/// Puts an earlier query into the line, or a later one.
fn recall(model: &Model, prompt: &mut Prompt, code: Code) {
    let history = &model.readmodel.history;
    let at = history.iter().position(|q| q == prompt.input.value());
    let next = match (code, at) {
        (Code::Up, None) => history.last(),
        (Code::Up, Some(i)) => i.checked_sub(1).and_then(|i| history.get(i)),
        (_, Some(i)) => history.get(i + 1),
        _ => None,
    };
    if let Some(query) = next {
        prompt.input = query.clone().into();
    }
}

fn accept(model: &mut Model, prompt: &Prompt, fx: &mut Vec<Effect>) -> Result<(), String> {
    let text = prompt.input.value();
    match prompt.kind {
        PromptKind::Filter => {
            set_filter(model, text, fx);
            if model.screen == Screen::Records {
                search::filtered(model, fx);
            }
        }
        PromptKind::Place => match model.screen {
            Screen::Time => time::steps::typed(model, text, fx)?,
            _ => {
                let open = model.records.as_ref().map(|records| records.topic.as_str());
                let place = match place::in_topic(text) {
                    Some((topic, partition, offset)) if Some(topic.as_str()) == open => Place::At(partition, offset),
                    Some((topic, ..)) => {
                        return Err(say!(model, "that is a record of {topic}, which is not open", topic));
                    }
                    None => place::parse(text, model.now, &model.zone(), model.language)?,
                };
                records::go(model, place, fx);
            }
        },
        PromptKind::Partitions => {
            let Some(state) = &model.records else { return Ok(()) };
            let known: BTreeSet<i32> = match model
                .topics
                .remote
                .value
                .as_ref()
                .and_then(|all| all.iter().find(|t| t.name == state.topic))
            {
                Some(topic) => topic.watermarks.iter().map(|w| w.partition).collect(),
                None => state.window.watermarks.keys().copied().collect(),
            };
            let partitions = records::parse_partitions(text, &known, model.language)?;
            records::choose(model, partitions, fx);
        }
        PromptKind::Instead => {
            differences::said(text, model.language)?;
            ask(model, differences::instead(model, text.trim()), fx);
        }
        PromptKind::Besides => {
            differences::said(text, model.language)?;
            ask(model, differences::besides(model, text.trim()), fx);
        }
        PromptKind::Without if text.trim().is_empty() => return Err("type a condition, or esc to leave".into()),
        PromptKind::Without => ask(model, differences::without_where(model, text.trim()), fx),
        PromptKind::Move => ask(model, differences::moved(model, text)?, fx),
        PromptKind::Mend => {
            differences::said(text, model.language)?;
            let value = Some(text.trim().as_bytes().to_vec()).filter(|value| value != b"null");
            letters::decide(model, Decided::Edit(value), fx);
        }
        PromptKind::Sql if text.trim().is_empty() => return Err("type a SELECT, or esc to leave".into()),
        PromptKind::Sql => readmodel::own_query(model, text.trim(), fx),
    }
    Ok(())
}

/// Asks what would have been.
pub(super) fn ask(model: &mut Model, question: Option<Question>, fx: &mut Vec<Effect>) {
    if let Some(question) = question {
        differences::open(model, question, fx);
        navigate::enter(model, Screen::Differences, fx);
    }
}

fn palette_key(model: &mut Model, mut palette: Palette, key: Key, fx: &mut Vec<Effect>) {
    match (key.code, key.ctrl) {
        (Code::Esc, _) => return,
        (Code::Up | Code::BackTab, _) | (Code::Char('p'), true) => palette.step(-1),
        (Code::Down | Code::Tab, _) | (Code::Char('n'), true) => palette.step(1),
        (Code::Enter, _) => {
            match palette.entries.get(palette.cursor).map(|e| e.choice.clone()) {
                Some(Choice::Command(action)) => update::act(model, action, fx),
                Some(Choice::Topic(name)) => navigate::open_topic(model, &name, Place::End, fx),
                Some(Choice::Fault(at)) => scene::tell(model, Cue::Fault(at), fx),
                Some(Choice::Refused(why)) => model.tell(Level::Hint, why),
                Some(Choice::Condition(condition)) => {
                    palette.error = None;
                    let done: Result<(), Infallible> = attempt(model, Overlay::Palette(palette), |model| {
                        time::conditions::run(model, condition, Towards::End, fx);
                        Ok(())
                    });
                    let Ok(()) = done;
                }
                None if palette.kind == Kind::Conditions => {
                    palette.find(model);
                    model.overlay = Some(Overlay::Palette(palette));
                    model.tell(Level::Hint, "type a condition, or esc to leave");
                }
                None if palette.kind == Kind::Faults => model.tell(Level::Hint, "nothing of that can be done here now"),
                None => model.tell(Level::Hint, "no command has that name here"),
            }
            return;
        }
        _ => {
            if edit(&mut palette.input, key) {
                palette.error = None;
                palette.find(model);
            }
        }
    }
    model.overlay = Some(Overlay::Palette(palette));
}

fn confirm_key(model: &mut Model, mut confirm: Confirm, key: Key, fx: &mut Vec<Effect>) {
    match key.code {
        Code::Esc => return model.tell(Level::Hint, "nothing was done"),
        Code::Enter if confirm.input.value() == confirm.expect => return confirmed(model, confirm.then, fx),
        Code::Enter => model.tell(Level::Hint, "that is not the word; esc leaves everything as it is"),
        // Nothing is to be typed: what other programs ask for is understood, and no other key spoils the answer.
        Code::Char('y') if confirm.expect.is_empty() => return confirmed(model, confirm.then, fx),
        Code::Char('n') if confirm.expect.is_empty() => return model.tell(Level::Hint, "nothing was done"),
        _ if confirm.expect.is_empty() => {}
        _ => {
            edit(&mut confirm.input, key);
        }
    }
    model.overlay = Some(Overlay::Confirm(confirm));
}

fn confirmed(model: &mut Model, what: Confirmed, fx: &mut Vec<Effect>) {
    match what {
        Confirmed::DeleteTopic(name) => {
            let task = model.start(super::job::Job::DeleteTopic(name.clone()), fx);
            model.deleting.push((task, name));
        }
        Confirmed::RunDemo { id, by_step } => scene::run(model, &id, by_step, fx),
        Confirmed::BringBack(name) => previews::bring_back(model, name, fx),
        Confirmed::Rebuild {
            name,
            file,
            skip_poison,
        } => projections::take_over(model, name, file, skip_poison, fx),
        Confirmed::TakeOver { name, file } => {
            previews::put(model, name, file, true, fx);
            if model.screen == Screen::Differences {
                navigate::up(model, fx);
            }
        }
        Confirmed::Quit => fx.push(Effect::Quit),
    }
}
