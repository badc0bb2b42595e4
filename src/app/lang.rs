//! What the studio says, in each language that it speaks.
//!
//! English stands in the code, beside what it is about, and is the key under which a catalog has it in another language: a text
//! that a catalog lacks is said in English, and a test finds it. Which language is spoken is a field of the model; nothing here
//! remembers it. Names, records and what Kafka or SQLite say about a failure are nobody's to translate and stay as they are.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::demo::text::Language;

/// A language beside English.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// What the field's terms are called; every text keeps to that.
    pub glossary: HashMap<String, String>,
    /// Texts by their English.
    pub text: HashMap<String, String>,
}

/// Parsed once, when the first text is looked up; never changed.
static CHINESE: LazyLock<Catalog> = LazyLock::new(|| read(include_str!("lang/zh.toml")).unwrap_or_default());

/// Reads a catalog.
pub fn read(text: &str) -> Result<Catalog, toml::de::Error> {
    toml::from_str(text)
}

/// The text in `language`; as it is where the catalog has no other for it.
pub fn tr(language: Language, english: &str) -> &str {
    match language {
        Language::English => english,
        Language::Chinese => CHINESE.text.get(english).map_or(english, String::as_str),
    }
}

/// The text in `language` with each `{name}` in it replaced by the part of that name. Languages may order them differently.
pub fn fill(language: Language, english: &str, parts: &[(&str, &dyn Display)]) -> String {
    let text = tr(language, english);
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let named = after.split_once('}');
        match named.and_then(|(name, after)| Some((parts.iter().find(|(known, _)| *known == name)?, after))) {
            Some(((_, part), after)) => {
                out.push_str(&part.to_string());
                rest = after;
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// Whatever knows which language is spoken.
pub trait Speaks {
    /// The language.
    fn language(&self) -> Language;

    /// A text in that language.
    fn tr<'a>(&self, english: &'a str) -> &'a str {
        tr(self.language(), english)
    }
}

impl Speaks for Language {
    fn language(&self) -> Language {
        *self
    }
}

impl<T: Speaks + ?Sized> Speaks for &T {
    fn language(&self) -> Language {
        (**self).language()
    }
}

impl<T: Speaks + ?Sized> Speaks for &mut T {
    fn language(&self) -> Language {
        (**self).language()
    }
}

/// Says a text with parts in the language of a speaker: `say!(model, "topic {name} is deleted", name)`. A part is a variable
/// of that name or `name = value`; it is shown as `Display` has it.
macro_rules! say {
    ($speaker:expr, $text:literal $(, $name:ident $(= $value:expr)?)* $(,)?) => {
        $crate::app::lang::fill(
            $crate::app::lang::Speaks::language(&$speaker),
            $text,
            &[$((stringify!($name), $crate::app::lang::say!(@part $name $(= $value)?))),*],
        )
    };
    (@part $name:ident) => { &$name as &dyn ::std::fmt::Display };
    (@part $name:ident = $value:expr) => { &$value as &dyn ::std::fmt::Display };
}
pub(crate) use say;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn english_is_said_as_it_stands() {
        let name = "orders";
        assert_eq!(
            say!(Language::English, "topic {name} is deleted", name),
            "topic orders is deleted"
        );
        assert_eq!(tr(Language::English, "whatever"), "whatever");
    }

    #[test]
    fn another_language_orders_the_parts_as_it_likes_and_braces_in_parts_stay() {
        let said = say!(Language::Chinese, "{some} of {all}", some = "{all}", all = 7);
        assert_eq!(said, "{all} / 7");
        assert_eq!(say!(Language::Chinese, "{nobody} {knows", knows = 1), "{nobody} {knows");
    }

    #[test]
    fn every_catalog_can_be_read() {
        assert!(read(include_str!("lang/zh.toml")).is_ok_and(|catalog| catalog.text.len() > 100));
    }
}
