//! Handlers.

use super::super::token::Kind;
use super::{Rendered, Shape, Writer, quoted};

/// `only_keyed`: no table has anything that keeps rows apart besides its primary key.
pub(super) fn render(sql: &str, shapes: &[Shape], only_keyed: bool) -> Rendered {
    let mut writer = Writer::new(sql, shapes);
    let target = Target::of(&writer, shapes);
    let mut place = Place::Before;
    let mut depth = 0_usize;
    // The depth of the subquery that is being written, where one is.
    let mut within: Option<usize> = None;
    for at in 0..writer.tokens.len() {
        match writer.kind(at) {
            Some(Kind::Open) => {
                depth += 1;
                let asks = ["SELECT", "WITH", "VALUES"];
                if within.is_none() && asks.iter().any(|word| writer.is(at + 1, word)) {
                    within = Some(depth);
                }
            }
            Some(Kind::Close) => {
                if within == Some(depth) {
                    within = None;
                }
                depth = depth.saturating_sub(1);
            }
            _ => {}
        }
        if depth == 0 {
            place = place.next(&writer, at);
        }
        if let Some(target) = &target {
            if matches!(place, Place::Value | Place::Where) && within.is_none() && target.has(&writer, at) {
                let name = writer.name(at);
                let full = format!("{}.{}", quoted(&target.name), quoted(&name));
                writer.put(at, &full);
                continue;
            }
            // SQLite takes any conflict for meant; there is one kind of them.
            if depth == 0
                && only_keyed
                && writer.is(at, "CONFLICT")
                && writer.is(at + 1, "DO")
                && writer.is(at + 2, "UPDATE")
            {
                let key: Vec<String> = target.shape.key.iter().map(|name| quoted(name)).collect();
                let text = format!("{} ({})", writer.text(at), key.join(", "));
                writer.put(at, &text);
                continue;
            }
        }
        writer.token(at);
    }
    writer.finish()
}

/// Where in an upsert a token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before `DO UPDATE SET`.
    Before,
    /// A column that is set.
    Set,
    /// What it is set to, or the condition.
    Value,
    /// The condition, from which there is no way back.
    Where,
}

impl Place {
    /// The place of a token outside all parentheses.
    fn next(self, writer: &Writer<'_>, at: usize) -> Self {
        let begins = at >= 2 && writer.is(at - 2, "DO") && writer.is(at - 1, "UPDATE") && writer.is(at, "SET");
        match (self, writer.kind(at)) {
            (Self::Before, _) if begins => Self::Set,
            (Self::Set, Some(Kind::Operator)) if matches!(writer.text(at), "=" | "==") => Self::Value,
            (Self::Value, Some(Kind::Operator)) if writer.text(at) == "," => Self::Set,
            (Self::Set | Self::Value, Some(Kind::Word)) if writer.is(at, "WHERE") => Self::Where,
            (place, _) => place,
        }
    }
}

/// The table that an INSERT writes.
struct Target<'s> {
    /// What its rows are called: its alias, where it has one.
    name: String,
    shape: &'s Shape,
}

impl<'s> Target<'s> {
    fn of(writer: &Writer<'_>, shapes: &'s [Shape]) -> Option<Self> {
        let mut depth = 0_usize;
        for at in 0..writer.tokens.len() {
            match writer.kind(at) {
                Some(Kind::Open) => depth += 1,
                Some(Kind::Close) => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > 0 || !writer.is(at, "INTO") {
                continue;
            }
            let name = writer.name(at + 1);
            let shape = shapes.iter().find(|shape| shape.name == name)?;
            let name = match writer.is(at + 2, "AS") {
                // An alias without quotes is in lower case there.
                true if writer.kind(at + 3) == Some(Kind::Word) => writer.text(at + 3).to_ascii_lowercase(),
                true => writer.name(at + 3),
                false => name,
            };
            return Some(Self { name, shape });
        }
        None
    }

    /// Whether a token is a column of it that does not say whose it is.
    fn has(&self, writer: &Writer<'_>, at: usize) -> bool {
        let bare = match writer.kind(at) {
            Some(Kind::Word) => writer.is_name(at),
            Some(Kind::Quoted) => true,
            _ => false,
        };
        let dot = |at: usize| writer.text(at) == ".";
        bare && !dot(at + 1)
            && !at.checked_sub(1).is_some_and(dot)
            && self.shape.columns.iter().any(|(column, _)| *column == writer.name(at))
    }
}
