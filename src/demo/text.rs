//! Text in the languages that a demo is written in.

use serde::Deserialize;

/// A language that demos are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Simplified Chinese.
    Chinese,
}

impl Language {
    /// The language of a POSIX locale, such as `zh_CN.UTF-8`; English for every other than Chinese.
    pub fn of_locale(locale: &str) -> Self {
        if locale.to_ascii_lowercase().starts_with("zh") {
            Self::Chinese
        } else {
            Self::English
        }
    }

    /// The language of this process's locale, by the variables that say it, in their order.
    pub fn of_environment() -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(set);
        Self::of_locale(&locale.unwrap_or_default())
    }

    /// The two letters in a file's name: `lesson.zh.md`.
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }
}

/// The same text in one or more languages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// In English.
    pub en: Option<String>,
    /// In Simplified Chinese.
    pub zh: Option<String>,
}

impl Text {
    /// A text that is written in both.
    pub(super) fn both(en: &str, zh: &str) -> Self {
        Self {
            en: Some(en.to_owned()),
            zh: Some(zh.to_owned()),
        }
    }

    /// The text in `language`, or in the other where it was not written in this one.
    pub fn get(&self, language: Language) -> &str {
        let (first, second) = match language {
            Language::English => (&self.en, &self.zh),
            Language::Chinese => (&self.zh, &self.en),
        };
        first.as_deref().or(second.as_deref()).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.en.is_none() && self.zh.is_none()
    }
}
