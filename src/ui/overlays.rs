//! What lies over a screen: the keys, the messages, the palette, a question.

use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Widget};

use crate::app::command::{COMMANDS, Context};
use crate::app::lang::{Speaks, say};
use crate::app::layout::Layout;
use crate::app::model::{Level, Model, contexts_of};
use crate::app::overlay::{Confirm, Overlay};
use crate::app::palette::{Kind, Palette};
use crate::app::screens::scene;

use super::canvas::{Canvas, padded, width};
use super::format;
use super::input;
use super::text::{self, Lines};
use super::theme::Role;

/// Draws the overlay, if there is one; returns where the cursor stands in it.
pub(super) fn draw(canvas: &mut Canvas<'_>, body: Rect, model: &Model, layout: &mut Layout) -> Option<Position> {
    match model.overlay.as_ref()? {
        Overlay::Help { first } => {
            let inner = window(
                canvas,
                body,
                76,
                body.height.saturating_sub(2),
                model.tr("keys"),
                model.tr("esc closes"),
            );
            layout.overlay = help(canvas, inner, model, *first);
            None
        }
        Overlay::Messages { first } => {
            let wide = body.width.saturating_sub(6);
            let inner = window(
                canvas,
                body,
                wide,
                body.height.saturating_sub(2),
                model.tr("messages"),
                model.tr("esc closes"),
            );
            layout.overlay = messages(canvas, inner, model, *first);
            None
        }
        Overlay::Palette(palette) => {
            let rows = (palette.entries.len() as u16 + 4).clamp(6, 16);
            let (title, wide) = match palette.kind {
                Kind::Commands => (model.tr("commands").to_owned(), 76),
                Kind::Conditions => (model.tr("run to a condition").to_owned(), 110),
                Kind::Faults => (broken(model, palette), 110),
            };
            let inner = window(canvas, body, wide, rows, &title, model.tr("⏎ runs · esc closes"));
            Some(draw_palette(canvas, inner, palette))
        }
        Overlay::Confirm(confirm) => Some(draw_confirm(canvas, body, confirm)),
        Overlay::Prompt(_) => None,
    }
}

/// What the list of faults has: those of one part and of the whole demo, until something is typed.
fn broken(model: &Model, palette: &Palette) -> String {
    let part = scene::part(model).filter(|_| palette.input.value().trim().is_empty());
    match part.map(|part| part.title.get(model.language)) {
        Some(part) => say!(model, "break it: {part} · type for other parts", part),
        None => model.tr("break it").to_owned(),
    }
}

/// A window in the upper middle of the body, cleared.
fn window(canvas: &mut Canvas<'_>, body: Rect, wide: u16, high: u16, title: &str, note: &str) -> Rect {
    let wide = wide.min(body.width.saturating_sub(2));
    let high = high.min(body.height);
    let rect = Rect {
        x: body.x + (body.width - wide) / 2,
        y: body.y + (body.height - high) / 3,
        width: wide,
        height: high,
    };
    Clear.render(rect, canvas.buffer);
    canvas.pane(rect, title, note, true)
}

/// The contexts in the order in which the help tells of them: what is of one screen alone comes first.
const HELP: [Context; 20] = [
    Context::Welcome,
    Context::Topics,
    Context::Records,
    Context::Projections,
    Context::Letters,
    Context::Alerts,
    Context::ReadModel,
    Context::Rows,
    Context::Time,
    Context::Blame,
    Context::Differences,
    Context::Charts,
    Context::Demos,
    Context::Scene,
    Context::Guide,
    Context::Groups,
    Context::List,
    Context::Browse,
    Context::Motion,
    Context::Always,
];

fn help(canvas: &mut Canvas<'_>, rect: Rect, model: &Model, first: usize) -> crate::app::layout::Viewport {
    let mut here = contexts_of(model.screen, model.pane);
    if model.welcome() {
        here.push(Context::Welcome);
    }
    let mut lines = Lines::new(canvas, 0);
    for context in HELP.into_iter().filter(|c| here.contains(c)) {
        let commands: Vec<_> = COMMANDS
            .iter()
            // Once, under the first of its contexts that holds here.
            .filter(|c| c.contexts.iter().find(|at| here.contains(at)) == Some(&context))
            .collect();
        if commands.is_empty() {
            continue;
        }
        lines.heading(context.title());
        for command in commands {
            let keys: Vec<String> = command.keys.iter().map(ToString::to_string).collect();
            let keys = format!("  {}", padded(&keys.join(" "), 14));
            let style = |role| canvas.theme.style(role);
            lines.lines.push(Line::from(vec![
                Span::styled(keys, style(Role::Key)),
                Span::styled(model.tr(command.help), style(Role::Plain)),
            ]));
        }
    }
    text::draw(canvas, rect, &lines.lines, first)
}

fn messages(canvas: &mut Canvas<'_>, rect: Rect, model: &Model, first: usize) -> crate::app::layout::Viewport {
    let mut lines = Lines::new(canvas, 0);
    if model.messages.is_empty() {
        lines.text(model.tr("Nothing was said and nothing failed yet."), Role::Muted);
    }
    for note in model.messages.iter().rev() {
        let (mark, role) = match note.level {
            Level::Error => ("✗", Role::Bad),
            Level::Warning => ("!", Role::Warning),
            _ => ("✓", Role::Good),
        };
        lines.spans(vec![
            (format::clock(note.at, &model.zone()), Role::Time),
            (format!(" {mark} "), role),
            (note.line.clone(), Role::Strong),
        ]);
        // The line above ends with the first line of the whole already.
        let full = match note.full.split_once('\n') {
            Some((first, rest)) if note.line.ends_with(first.trim()) => rest.trim_end(),
            _ => note.full.trim_end(),
        };
        if !full.is_empty() && !note.line.ends_with(full) {
            for line in full.lines() {
                lines.owned(format!("  {line}"), Role::Plain);
            }
            lines.blank();
        }
    }
    text::draw(canvas, rect, &lines.lines, first)
}

fn draw_palette(canvas: &mut Canvas<'_>, rect: Rect, palette: &Palette) -> Position {
    canvas.text(rect.x, rect.y, ":", Role::Key, 1);
    let line = Rect {
        x: rect.x + 2,
        width: rect.width.saturating_sub(2),
        ..rect
    };
    let cursor = input::line(canvas, line, &palette.input);
    let rows = usize::from(rect.height.saturating_sub(2));
    let first = (palette.cursor + 1).saturating_sub(rows);
    let name =
        palette
            .entries
            .iter()
            .map(|e| width(&e.name))
            .max()
            .unwrap_or(0)
            .min(if palette.kind == Kind::Commands {
                28
            } else {
                rect.width / 2
            });
    for (i, entry) in palette.entries.iter().enumerate().skip(first).take(rows) {
        let y = rect.y + 2 + (i - first) as u16;
        canvas.text(rect.x, y, &entry.name, Role::Strong, name);
        let help = rect.width.saturating_sub(name + 12);
        canvas.text(rect.x + name + 2, y, &entry.help, Role::Muted, help);
        canvas.right(rect.right(), y, &entry.key, Role::Key, 9);
        if i == palette.cursor {
            canvas.paint(Rect { y, height: 1, ..rect }, Role::Cursor);
        }
    }
    if let Some(error) = &palette.error {
        canvas.text(rect.x, rect.y + 1, canvas.language.tr(error), Role::Bad, rect.width);
    }
    if palette.kind == Kind::Conditions && palette.input.value().is_empty() {
        canvas.text(
            line.x,
            line.y,
            "balance < 0 · :amount > 1000 · SELECT … FROM …",
            Role::Muted,
            line.width,
        );
    }
    if palette.entries.is_empty() {
        let line = match palette.kind {
            Kind::Commands => "nothing has that name here",
            Kind::Faults => "nothing of that can be done here now",
            Kind::Conditions => "on the rows of the table in view, and the event's fields as :name",
        };
        canvas.text(rect.x, rect.y + 2, canvas.language.tr(line), Role::Muted, rect.width);
    }
    cursor
}

fn draw_confirm(canvas: &mut Canvas<'_>, body: Rect, confirm: &Confirm) -> Position {
    let wide = 64.min(body.width.saturating_sub(4));
    let lines = text::wrap_words(&confirm.question, usize::from(wide.saturating_sub(4)).max(1));
    let typed = !confirm.expect.is_empty();
    let high = lines.len() as u16 + if typed { 6 } else { 4 };
    let inner = window(
        canvas,
        body,
        wide,
        high,
        canvas.language.tr("are you sure?"),
        canvas.language.tr("esc leaves everything as it is"),
    );
    for (i, line) in lines.iter().enumerate() {
        canvas.text(inner.x, inner.y + i as u16, line, Role::Plain, inner.width);
    }
    let y = inner.y + lines.len() as u16 + 1;
    if !typed {
        canvas.text(inner.x, y, canvas.language.tr("⏎ go on"), Role::Key, inner.width);
        return Position::new(inner.x, y);
    }
    canvas.text(
        inner.x,
        y,
        &say!(canvas.language, "Type {word} to go on:", word = confirm.expect),
        Role::Muted,
        inner.width,
    );
    let line = Rect {
        y: y + 1,
        height: 1,
        ..inner
    };
    input::line(canvas, line, &confirm.input)
}

#[cfg(test)]
mod tests {
    use crate::app::model::{Pane, Screen};

    use super::*;

    #[test]
    fn the_help_tells_of_every_context_that_a_screen_has() {
        for screen in Screen::ALL {
            for pane in [Pane::List, Pane::Detail, Pane::Third] {
                for context in contexts_of(*screen, pane) {
                    assert!(HELP.contains(&context), "{screen:?}: {context:?}");
                }
            }
        }
    }
}
