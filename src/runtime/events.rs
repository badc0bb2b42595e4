//! The event loop: signals first, input second, the clock third, data last, because producers flood and users wait.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::{
    Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEventKind,
};
use futures_util::StreamExt;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::app::job::World;
use crate::app::key::{Code, Key};
use crate::app::message::{Effect, Message, Mouse};
use crate::app::model::Model;
use crate::app::update::update;
use crate::demo::text::Language;
use crate::record::Timestamp;
use crate::ui::theme::Theme;

use super::editor;
use super::tasks::Tasks;
use super::terminal::Screen;
use super::{Exit, Signals};

/// At most 30 frames a second.
const FRAME: Duration = Duration::from_millis(33);
/// How often time comes in: the clock shows seconds.
const TICK: Duration = Duration::from_secs(1);

/// Runs the studio to its end.
pub(super) async fn run(
    screen: &mut Screen,
    signals: &mut Signals,
    mut model: Model,
    world: Arc<dyn World>,
    theme: Theme,
) -> io::Result<Exit> {
    let (mut tasks, mut messages) = Tasks::new(world);
    let mut input = EventStream::new();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // The first frame is drawn before anything is asked of the world.
    draw(screen, &mut model, theme)?;
    let mut next_frame = Instant::now() + FRAME;
    let mut dirty;
    let mut message = Message::Start;
    let exit = loop {
        if let Message::Ended(id, _) = &message {
            tasks.over(*id);
        }
        let effects = update(&mut model, message);
        dirty = true;
        match carry_out(effects, screen, &mut tasks, model.language)? {
            Some(Done::Exit(exit)) => break Ok(exit),
            Some(Done::Edit(text)) => {
                // Two that read the same keys would each get half of them.
                drop(input);
                message = Message::Edited(screen.lend(|| editor::edit(&text))?);
                input = EventStream::new();
                continue;
            }
            None => {}
        }
        // Waits for the next message, drawing what changed meanwhile when its time has come.
        message = loop {
            if dirty && Instant::now() >= next_frame {
                draw(screen, &mut model, theme)?;
                next_frame = Instant::now() + FRAME;
                dirty = false;
            }
            let wake = model.wake().map(|at| Instant::now() + until(at));
            let next = tokio::select! {
                biased;
                number = signals.next() => Next::Exit(Exit::Signal(number)),
                event = input.next() => match event {
                    Some(event) => translate(event?).map_or(Next::Wait, Next::Message),
                    // Without a terminal to read from there is no user left.
                    None => Next::Exit(Exit::Quit),
                },
                _ = ticks.tick() => Next::Message(Message::Tick(Timestamp::now())),
                () = sleep_until(wake.unwrap_or(next_frame)), if wake.is_some() => Next::Message(Message::Tick(Timestamp::now())),
                () = sleep_until(next_frame), if dirty => Next::Wait,
                Some(message) = messages.recv() => Next::Message(message),
            };
            match next {
                Next::Message(message) => break message,
                Next::Wait => {}
                Next::Exit(exit) => {
                    tasks.end(messages);
                    return Ok(exit);
                }
            }
        };
    };
    tasks.end(messages);
    exit
}

/// How long it is until a time; not at all where that is past, and a tick at most.
fn until(at: Timestamp) -> Duration {
    let left = u64::try_from(at.0.saturating_sub(Timestamp::now().0)).unwrap_or(0);
    Duration::from_millis(left).min(TICK)
}

/// What a wait brought.
enum Next {
    Message(Message),
    Wait,
    Exit(Exit),
}

/// What the loop itself has to do after the effects.
enum Done {
    Exit(Exit),
    Edit(String),
}

fn carry_out(
    effects: Vec<Effect>,
    screen: &mut Screen,
    tasks: &mut Tasks,
    language: Language,
) -> io::Result<Option<Done>> {
    let mut edit = None;
    for effect in effects {
        match effect {
            Effect::Start(id, job) => tasks.start(id, job, language),
            Effect::Tell(id, cue) => tasks.tell(id, cue),
            Effect::Cancel(id) => tasks.cancel(id),
            Effect::Copy(text) => screen.copy(&text)?,
            Effect::Edit(text) => edit = Some(Done::Edit(text)),
            Effect::Quit => return Ok(Some(Done::Exit(Exit::Quit))),
            #[cfg(debug_assertions)]
            #[allow(clippy::panic, reason = "asked for, to see that the terminal is put back")]
            Effect::Panic => panic!("asked for by the command `debug panic`"),
        }
    }
    Ok(edit)
}

fn draw(screen: &mut Screen, model: &mut Model, theme: Theme) -> io::Result<()> {
    let layout = screen.draw(model, theme)?;
    update(model, Message::Laid(Box::new(layout)));
    Ok(())
}

/// What the terminal says, as the studio knows it; `None` where it means nothing.
fn translate(event: Event) -> Option<Message> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => key_of(key).map(Message::Key),
        Event::Paste(text) => Some(Message::Paste(text)),
        Event::Resize(width, height) => Some(Message::Resize(width, height)),
        Event::Mouse(mouse) => {
            let what = match mouse.kind {
                MouseEventKind::Down(MouseButton::Left) => Mouse::Click,
                MouseEventKind::Drag(MouseButton::Left) => Mouse::Drag,
                MouseEventKind::Up(MouseButton::Left) => Mouse::Release,
                MouseEventKind::ScrollUp => Mouse::WheelUp,
                MouseEventKind::ScrollDown => Mouse::WheelDown,
                _ => return None,
            };
            Some(Message::Mouse(what, mouse.column, mouse.row))
        }
        _ => None,
    }
}

fn key_of(key: KeyEvent) -> Option<Key> {
    let code = match key.code {
        KeyCode::Char(c) => Code::Char(c),
        KeyCode::Enter => Code::Enter,
        KeyCode::Esc => Code::Esc,
        KeyCode::Tab if key.modifiers.contains(KeyModifiers::SHIFT) => Code::BackTab,
        KeyCode::Tab => Code::Tab,
        KeyCode::BackTab => Code::BackTab,
        KeyCode::Backspace => Code::Backspace,
        KeyCode::Delete => Code::Delete,
        KeyCode::Up => Code::Up,
        KeyCode::Down => Code::Down,
        KeyCode::Left => Code::Left,
        KeyCode::Right => Code::Right,
        KeyCode::PageUp => Code::PageUp,
        KeyCode::PageDown => Code::PageDown,
        KeyCode::Home => Code::Home,
        KeyCode::End => Code::End,
        _ => return None,
    };
    Some(Key {
        code,
        ctrl: key.modifiers.contains(KeyModifiers::CONTROL),
        alt: key.modifiers.contains(KeyModifiers::ALT),
    })
}
