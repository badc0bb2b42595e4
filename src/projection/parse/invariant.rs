//! `-- invariant: NAME`, and `-- expect broken: NAME` in a test.

use std::ops::Range;

use crate::projection::header::{Header, nearest};
use crate::projection::token::Token;
use crate::projection::{Invariant, Step, statement};

use super::{Asking, Parser, Result, Section};

/// An invariant whose SELECT has not come yet.
pub(super) struct Head {
    name: String,
    line: usize,
    pub(super) span: Range<usize>,
}

impl Parser<'_> {
    pub(super) fn invariant(&mut self, header: &Header) -> Result<()> {
        let span = header.span.start..header.value_span.end;
        let name = header.value.clone();
        if name.is_empty() {
            return Err(self
                .error(span, "this invariant has no name", "the name is missing")
                .with_help("say what must be true: `-- invariant: no account is overdrawn`"));
        }
        if let Some(first) = self.invariants.iter().find(|known| known.name == name) {
            return Err(self
                .error(span, format!("two invariants are called `{name}`"), "again")
                .also(first.span.clone(), "the first")
                .with_help("the first event that breaks one is listed under its name; give one of them another"));
        }
        self.hash.invariant(&name);
        self.section = Section::Select("an invariant");
        self.asking = Some(Asking::Invariant(Head {
            name,
            line: self.line(header.span.start),
            span,
        }));
        Ok(())
    }

    pub(super) fn invariant_select(&mut self, head: Head, tokens: &[Token]) -> Result<()> {
        statement::check_select(self.source, tokens, "an invariant").map_err(|refusal| self.refused(refusal))?;
        let select = self.bound(tokens)?;
        self.invariants.push(Invariant {
            name: head.name,
            line: head.line,
            span: head.span,
            select,
        });
        Ok(())
    }

    pub(super) fn expect_broken(&mut self, header: &Header) -> Result<()> {
        let names = || self.invariants.iter().map(|known| known.name.as_str());
        if !names().any(|known| known == header.value) {
            let help = match (nearest(&header.value, names()), self.invariants.is_empty()) {
                (Some(name), _) => format!("did you mean `{name}`?"),
                (None, true) => "the projection has no `-- invariant:`".to_owned(),
                (None, false) => format!("there are: {}", names().collect::<Vec<_>>().join(", ")),
            };
            return Err(self
                .error(header.value_span.clone(), "no invariant has this name", "unknown")
                .with_help(help));
        }
        let line = self.line(header.span.start);
        self.expected(
            header,
            Step::Broken {
                name: header.value.clone(),
                line,
            },
        );
        Ok(())
    }
}
