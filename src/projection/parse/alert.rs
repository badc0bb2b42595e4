//! `-- alert: NAME`.

use std::ops::Range;

use crate::projection::header::Header;
use crate::projection::token::Token;
use crate::projection::{Alert, statement};

use super::{Asking, Parser, Result, Section};

/// An alert whose SELECT has not come yet.
pub(super) struct Head {
    name: String,
    line: usize,
    pub(super) span: Range<usize>,
}

impl Parser<'_> {
    pub(super) fn alert(&mut self, header: &Header) -> Result<()> {
        self.check_last_handler()?;
        let span = header.span.start..header.value_span.end;
        let name = header.value.clone();
        if name.is_empty() {
            return Err(self
                .error(span, "this alert has no name", "the name is missing")
                .with_help("say what it is about: `-- alert: account overdrawn`"));
        }
        if let Some(first) = self.alerts.iter().find(|known| known.name == name) {
            return Err(self
                .error(span, format!("two alerts are called `{name}`"), "again")
                .also(first.span.clone(), "the first")
                .with_help("alerts are raised and resolved under their name; give one of them another"));
        }
        self.hash.alert(&name);
        self.section = Section::Select("an alert");
        self.asking = Some(Asking::Alert(Head {
            name,
            line: self.line(header.span.start),
            span,
        }));
        Ok(())
    }

    pub(super) fn alert_select(&mut self, head: Head, tokens: &[Token]) -> Result<()> {
        statement::check_select(self.source, tokens, "an alert").map_err(|refusal| self.refused(refusal))?;
        let select = self.bound(tokens)?;
        self.alerts.push(Alert {
            name: head.name,
            line: head.line,
            span: head.span,
            select,
        });
        Ok(())
    }
}
