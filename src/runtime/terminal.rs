//! The terminal: taken at the start, and put back however the studio ends.

use std::io::{self, BufWriter, Stdout, Write};
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossterm::event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute, queue};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

use crate::app::layout::Layout;
use crate::app::model::Model;
use crate::ui;
use crate::ui::theme::Theme;

use super::clipboard;

/// The terminal while the studio has it.
pub(super) struct Screen {
    taken: Taken,
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn open() -> io::Result<Self> {
        let taken = Taken::default();
        put_back_on_panic(taken.clone());
        enable_raw_mode()?;
        taken.0.store(true, Ordering::SeqCst);
        // From here on the terminal is put back by dropping, even when one of the next steps fails.
        let screen = Self {
            taken,
            terminal: fresh()?,
        };
        take()?;
        Ok(screen)
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> io::Result<(u16, u16)> {
        let size = self.terminal.size()?;
        Ok((size.width, size.height))
    }

    /// Draws a frame; only the cells that changed are sent.
    pub(super) fn draw(&mut self, model: &Model, theme: Theme) -> io::Result<Layout> {
        let mut layout = Layout::default();
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(|frame| layout = ui::draw(frame, model, theme))?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)?;
        Ok(layout)
    }

    /// Lends the terminal to another program, and takes it again; the next frame is drawn whole.
    pub(super) fn lend<T>(&mut self, program: impl FnOnce() -> T) -> io::Result<T> {
        self.taken.put_back();
        let out = program();
        enable_raw_mode()?;
        self.taken.0.store(true, Ordering::SeqCst);
        take()?;
        // A terminal that knows of no frame yet draws the next one whole; to be cleared it would ask where the cursor is.
        execute!(io::stdout(), Clear(ClearType::All))?;
        self.terminal = fresh()?;
        Ok(out)
    }

    /// Puts text on the clipboard of whoever sits at the terminal, over SSH as well.
    pub(super) fn copy(&mut self, text: &str) -> io::Result<()> {
        let out = self.terminal.backend_mut();
        out.write_all(clipboard::osc52(text).as_bytes())?;
        out.flush()
    }
}

fn fresh() -> io::Result<Terminal<CrosstermBackend<BufWriter<Stdout>>>> {
    Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(64 * 1024, io::stdout())))
}

/// What the studio wants of a terminal.
fn take() -> io::Result<()> {
    execute!(
        io::stdout(),
        EnterAlternateScreen,
        EnableMouseCapture,
        EnableBracketedPaste,
        cursor::Hide
    )
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.taken.put_back();
    }
}

/// Whether the terminal is taken; whoever puts it back first does so alone, since leaving the alternate screen a second time
/// would put the cursor back over what was said in between.
#[derive(Debug, Clone, Default)]
struct Taken(Arc<AtomicBool>);

impl Taken {
    /// Puts the terminal back as far as that is possible.
    fn put_back(&self) {
        if !self.0.swap(false, Ordering::SeqCst) {
            return;
        }
        let _ = disable_raw_mode();
        let _ = execute!(
            io::stdout(),
            EndSynchronizedUpdate,
            DisableBracketedPaste,
            DisableMouseCapture,
            LeaveAlternateScreen,
            cursor::Show
        );
    }
}

/// Puts the terminal back before a panic of this thread says anything. A panic of another thread says nothing here: its job
/// fails with what it said, and the screen stays whole.
fn put_back_on_panic(taken: Taken) {
    let before = panic::take_hook();
    let drawing = thread::current().id();
    panic::set_hook(Box::new(move |info| {
        if thread::current().id() == drawing {
            taken.put_back();
            before(info);
        } else {
            tracing::error!("{info}");
        }
    }));
}
