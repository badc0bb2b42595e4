//! Drives the whole studio without a terminal, a thread or a clock: keys in, text out.

use foldlog::app::job::{Event, Failure, Job, TaskId, World};
use foldlog::app::key::{Code, Key};
use foldlog::app::message::{Effect, Message};
use foldlog::app::model::Model;
use foldlog::app::update::update;
use foldlog::ui::sample::{NOW, frame, terminal};
use foldlog::ui::theme::Theme;
use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

use super::fake::{Fake, Heard};

pub struct Studio {
    pub model: Model,
    pub world: Fake,
    pub theme: Theme,
    /// Jobs that this holds for are started and never answer.
    pub hold: fn(&Job) -> bool,
    /// What was asked of the world, in order.
    pub asked: Vec<(TaskId, Job)>,
    pub effects: Vec<Effect>,
    terminal: Terminal<TestBackend>,
}

impl Studio {
    pub fn new(size: (u16, u16), world: Fake) -> Self {
        Self {
            model: Model::new(NOW, TimeZone::UTC, size),
            world,
            theme: Theme::COLOR,
            hold: |_| false,
            asked: Vec::new(),
            effects: Vec::new(),
            terminal: terminal(size),
        }
    }

    /// Starts it; everything that does not wait has answered.
    pub fn started(mut self) -> Self {
        self.draw();
        self.send(Message::Start);
        self
    }

    pub fn send(&mut self, message: Message) {
        let mut messages = std::collections::VecDeque::from([message]);
        while let Some(message) = messages.pop_front() {
            for effect in update(&mut self.model, message) {
                if let Effect::Start(id, job) = &effect {
                    self.asked.push((*id, job.clone()));
                    if !(self.hold)(job) {
                        messages.extend(self.perform(*id, job.clone()));
                    }
                }
                self.effects.push(effect);
            }
        }
        self.draw();
    }

    fn perform(&self, id: TaskId, job: Job) -> Vec<Message> {
        let goes_on = matches!(
            job,
            Job::Tail { .. } | Job::Rebuild { .. } | Job::Follow { .. } | Job::RunDemo { .. }
        );
        let heard = Heard(Default::default(), self.model.language);
        let outcome = self.world.perform(job, &heard);
        let mut messages: Vec<Message> = heard
            .0
            .into_inner()
            .unwrap()
            .into_iter()
            .map(|e| Message::Said(id, e))
            .collect();
        // What goes on until it is cancelled has no last word here; a test says it where it matters.
        if !goes_on {
            messages.push(Message::Ended(id, outcome));
        }
        messages
    }

    /// The last job that was started and fits.
    pub fn last(&self, fits: fn(&Job) -> bool) -> TaskId {
        self.asked.iter().rev().find(|(_, job)| fits(job)).unwrap().0
    }

    /// Ends a job.
    pub fn end(&mut self, id: TaskId, outcome: Result<Event, Failure>) {
        self.send(Message::Ended(id, outcome));
    }

    /// Presses keys: characters as they are, others in angle brackets, as `<enter>`.
    pub fn keys(&mut self, keys: &str) -> &mut Self {
        let mut rest = keys;
        while let Some(c) = rest.chars().next() {
            let (key, len) = match rest.strip_prefix('<').and_then(|r| r.split_once('>')) {
                Some((name, _)) => (named(name), name.len() + 2),
                None => (Key::ch(c), c.len_utf8()),
            };
            self.send(Message::Key(key));
            rest = &rest[len..];
        }
        self
    }

    fn draw(&mut self) {
        // Unlike a terminal, the backend keeps what stood behind a wide character and shows it once that is gone.
        self.terminal.clear().unwrap();
        frame(&mut self.terminal, &mut self.model, self.theme);
    }

    pub fn buffer(&self) -> &Buffer {
        self.terminal.backend().buffer()
    }

    /// The column and the row of the terminal's cursor.
    pub fn cursor(&mut self) -> (u16, u16) {
        let at = self.terminal.get_cursor_position().unwrap();
        (at.x, at.y)
    }

    /// What is on the screen, without the space at the ends of lines.
    pub fn text(&self) -> String {
        let buffer = self.buffer();
        let mut out = String::new();
        for y in 0..buffer.area.height {
            let mut line = String::new();
            let mut skip = 0;
            for x in 0..buffer.area.width {
                let symbol = buffer[(x, y)].symbol();
                // The cell after a wide character belongs to it.
                if skip == 0 {
                    line.push_str(symbol);
                    skip = unicode_width::UnicodeWidthStr::width(symbol).saturating_sub(1);
                } else {
                    skip -= 1;
                }
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

fn named(name: &str) -> Key {
    if let Some(c) = name.strip_prefix("c-") {
        return Key::ctrl(c.chars().next().unwrap());
    }
    Key::of(match name {
        "enter" => Code::Enter,
        "esc" => Code::Esc,
        "tab" => Code::Tab,
        "up" => Code::Up,
        "down" => Code::Down,
        "left" => Code::Left,
        "right" => Code::Right,
        "pgdn" => Code::PageDown,
        "pgup" => Code::PageUp,
        "bs" => Code::Backspace,
        other => panic!("no key is called {other}"),
    })
}
