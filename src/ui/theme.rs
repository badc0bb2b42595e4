//! What colours mean. Views name a role; the theme says how it looks.
//!
//! Only the terminal's own sixteen colours are used, and never black or white, so that the user's palette decides and both
//! dark and light backgrounds stay readable. Without colour every role that carries meaning differs by weight or marks.

use ratatui::style::{Color, Modifier, Style};

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Text that is neither of the others.
    Plain,
    /// A heading, a name that matters here.
    Strong,
    /// Labels, borders at rest, what can be overlooked.
    Muted,
    /// The row under the cursor, in the pane that has the focus.
    Cursor,
    /// The row under the cursor of a pane that has not.
    CursorAway,
    /// The border of the pane that has the focus.
    Focus,
    /// A field's name in JSON, a column's name, a key to press.
    Key,
    /// A string.
    String,
    /// A number.
    Number,
    /// Nothing: null, a tombstone.
    Null,
    /// A moment.
    Time,
    /// As it should be.
    Good,
    /// Worth a look.
    Warning,
    /// Wrong.
    Bad,
    /// Changed since it was last seen.
    Changed,
    /// A production cluster.
    Production,
    /// What a chart draws of its series of this number.
    Series(u8),
}

/// What tells series apart where there is colour; their marks do so everywhere.
const SERIES: [Color; 6] = [
    Color::Blue,
    Color::Magenta,
    Color::Cyan,
    Color::Green,
    Color::Yellow,
    Color::Red,
];

/// How roles look.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    color: bool,
}

impl Theme {
    /// The terminal's sixteen colours.
    pub const COLOR: Self = Self { color: true };
    /// No colour at all, for `NO_COLOR` and terminals that have none.
    pub const MONO: Self = Self { color: false };

    /// Whether there is colour.
    pub fn has_color(self) -> bool {
        self.color
    }

    /// How a role looks.
    pub fn style(self, role: Role) -> Style {
        let (color, modifier) = match role {
            Role::Plain => (None, Modifier::empty()),
            Role::Strong => (None, Modifier::BOLD),
            Role::Muted => (Some(Color::DarkGray), Modifier::empty()),
            Role::Cursor => (None, Modifier::REVERSED),
            Role::CursorAway => (None, Modifier::BOLD),
            Role::Focus => (Some(Color::Blue), Modifier::BOLD),
            Role::Key => (Some(Color::Blue), Modifier::empty()),
            Role::String => (Some(Color::Green), Modifier::empty()),
            Role::Number => (Some(Color::Magenta), Modifier::empty()),
            Role::Null => (Some(Color::DarkGray), Modifier::ITALIC),
            Role::Time => (Some(Color::Cyan), Modifier::empty()),
            Role::Good => (Some(Color::Green), Modifier::empty()),
            Role::Warning => (Some(Color::Yellow), Modifier::BOLD),
            Role::Bad => (Some(Color::Red), Modifier::BOLD),
            Role::Changed => (Some(Color::Yellow), Modifier::UNDERLINED),
            Role::Production => (Some(Color::Red), Modifier::BOLD.union(Modifier::REVERSED)),
            Role::Series(at) => (Some(SERIES[usize::from(at) % SERIES.len()]), Modifier::empty()),
        };
        let style = Style::new().add_modifier(modifier);
        match (self.color, color) {
            (true, Some(color)) => style.fg(color),
            (false, Some(Color::DarkGray)) => style.add_modifier(Modifier::DIM),
            (false, Some(Color::Blue)) if role == Role::Key => style.add_modifier(Modifier::BOLD),
            _ => style,
        }
    }
}
