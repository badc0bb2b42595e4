//! The real program in a pseudo-terminal: keys in, screen out, and waiting for text instead of for time.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

use super::PATIENCE;

/// What the reading thread shares with the test: the screen as it stands, and whether the program has closed it.
struct Shown {
    parser: vt100::Parser,
    closed: bool,
}

/// A program that runs in a terminal of its own; dropping it ends the program.
pub struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    shown: Arc<(Mutex<Shown>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Starts `program` in a terminal of `columns` by `rows`, with these arguments and environment on top of the test's own.
    pub fn start(program: &Path, args: &[&str], env: &[(&str, &str)], columns: u16, rows: u16) -> Self {
        let size = PtySize {
            rows,
            cols: columns,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
        let mut command = CommandBuilder::new(program);
        command.args(args);
        command.env("TERM", "xterm-256color");
        command.env("COLORTERM", "truecolor");
        command.env_remove("NO_COLOR");
        for (name, value) in env {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).expect("the program starts");
        drop(pair.slave);
        let parser = vt100::Parser::new(
            rows.try_into().expect("a terminal has rows"),
            columns.try_into().expect("a terminal has columns"),
            0,
        );
        let shown = Arc::new((Mutex::new(Shown { parser, closed: false }), Condvar::new()));
        let reader = spawn_reader(
            pair.master.try_clone_reader().expect("the terminal's output"),
            Arc::clone(&shown),
        );
        let keys = pair.master.take_writer().expect("the terminal's input");
        Self {
            child,
            master: pair.master,
            keys,
            shown,
            reader: Some(reader),
        }
    }

    /// Types `keys` as a terminal would send them: `"\r"` is Enter, `"\x1b"` Esc, `"\x1b[B"` the down arrow.
    pub fn keys(&mut self, keys: &str) -> &mut Self {
        self.keys
            .write_all(keys.as_bytes())
            .expect("the program reads its keys");
        self.keys.flush().expect("the program reads its keys");
        self
    }

    /// Makes the terminal another size, of which the program is told as any terminal does.
    pub fn resize(&mut self, columns: u16, rows: u16) -> &mut Self {
        let size = PtySize {
            rows,
            cols: columns,
            pixel_width: 0,
            pixel_height: 0,
        };
        self.master.resize(size).expect("the terminal takes the size");
        let mut shown = self.shown.0.lock().expect("the reader lives");
        if let (Ok(rows), Ok(columns)) = (rows.try_into(), columns.try_into()) {
            shown.parser.screen_mut().set_size(rows, columns);
        }
        drop(shown);
        self
    }

    /// Waits until `text` stands on the screen.
    pub fn wait_for(&mut self, text: &str) -> &mut Self {
        self.wait_until(&format!("`{text}` to be shown"), |screen| {
            screen.contents().contains(text)
        })
    }

    /// Waits until `text` is gone from the screen.
    pub fn wait_gone(&mut self, text: &str) -> &mut Self {
        self.wait_until(&format!("`{text}` to be gone"), |screen| {
            !screen.contents().contains(text)
        })
    }

    /// Waits until the screen satisfies `holds`; on failure the message shows the screen.
    pub fn wait_until(&mut self, what: &str, holds: impl Fn(&vt100::Screen) -> bool) -> &mut Self {
        let deadline = Instant::now() + PATIENCE;
        let (lock, changed) = &*self.shown;
        let mut shown = lock.lock().expect("the reader lives");
        loop {
            let screen = shown.parser.screen();
            if holds(screen) {
                break;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !shown.closed && !left.is_zero(),
                "waited in vain for {what}{}; the screen:\n{}",
                if shown.closed { " (the program has ended)" } else { "" },
                screen.contents()
            );
            shown = changed.wait_timeout(shown, left).expect("the reader lives").0;
        }
        drop(shown);
        self
    }

    /// The screen's text as it stands, one line a row.
    pub fn text(&self) -> String {
        self.with_screen(vt100::Screen::contents)
    }

    /// Looks at the screen: cells, colours, cursor.
    pub fn with_screen<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        let shown = self.shown.0.lock().expect("the reader lives");
        look(shown.parser.screen())
    }

    /// The program's process id.
    pub fn pid(&self) -> u32 {
        self.child.process_id().expect("the program runs")
    }

    /// Waits for the program's end; what it left on the screen can still be looked at.
    pub fn wait_exit(&mut self) -> ExitStatus {
        let (lock, changed) = &*self.shown;
        let deadline = Instant::now() + PATIENCE;
        let mut shown = lock.lock().expect("the reader lives");
        while !shown.closed {
            let left = deadline.saturating_duration_since(Instant::now());
            let screen = shown.parser.screen().contents();
            assert!(!left.is_zero(), "the program does not end; the screen:\n{screen}");
            shown = changed.wait_timeout(shown, left).expect("the reader lives").0;
        }
        drop(shown);
        self.child.wait().expect("the program has ended")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has ended already where the test waited for it.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// Feeds what the program writes to the screen until it closes the terminal, a picture only when it is whole: a key that
/// answers half a picture is read before the program has drawn what the test believes to stand there.
fn spawn_reader(mut output: Box<dyn Read + Send>, shared: Arc<(Mutex<Shown>, Condvar)>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut bytes = [0; 16 * 1024];
        let mut pending = Vec::new();
        loop {
            // On Linux a pseudo-terminal whose program has gone answers with an error, not with an end.
            let read = output.read(&mut bytes).unwrap_or(0);
            pending.extend_from_slice(&bytes[..read]);
            let closed = read == 0;
            let whole = if closed { pending.len() } else { whole(&pending) };
            let Ok(mut shown) = shared.0.lock() else { return };
            shown.closed = closed;
            shown.parser.process(&pending[..whole]);
            drop(shown);
            pending.drain(..whole);
            shared.1.notify_all();
            if closed {
                return;
            }
        }
    })
}

/// How many of these bytes may be shown: all up to the start of a synchronized update that has not ended yet, be it that
/// even its start is not all there.
fn whole(bytes: &[u8]) -> usize {
    const BEGIN: &[u8] = b"\x1b[?2026h";
    const END: &[u8] = b"\x1b[?2026l";
    let last = |mark: &[u8]| bytes.windows(mark.len()).rposition(|at| at == mark);
    let begins = (1..BEGIN.len()).rev().find(|&part| bytes.ends_with(&BEGIN[..part]));
    match (last(BEGIN), last(END)) {
        (Some(begun), ended) if ended.is_none_or(|ended| ended < begun) => begun,
        _ => bytes.len() - begins.unwrap_or(0),
    }
}
