//! `foldlog`: the studio.

use std::io::IsTerminal;
use std::sync::Arc;

use miette::{IntoDiagnostic, miette};

use crate::demo::catalog::Catalog;
use crate::runtime::{self, Demos, Exit, Link};

use super::context::Context;

/// Runs it.
pub fn run(context: &Context) -> miette::Result<()> {
    let demos = Demos {
        catalog: Catalog::load(&[])?,
        language: context.language()?,
        run: None,
    };
    open(context, demos)
}

/// Opens the studio with these demos.
pub(super) fn open(context: &Context, demos: Demos) -> miette::Result<()> {
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        return Err(miette!(
            help = "`foldlog --help` lists the commands that work without one, such as `foldlog topics`",
            "the studio needs a terminal, and this is none"
        ));
    }
    let context = context.clone();
    let target = context.cluster();
    let link = move || -> miette::Result<Link> {
        let webhook = context.webhook(None, None)?;
        let feeding = context.feeding(&[])?;
        let connection = context.connect()?;
        Ok(Link {
            client: connection.client,
            store: connection.store,
            embedded: connection.embedded.map(Arc::new),
            webhook,
            feeding,
        })
    };
    let connect = move || link().map_err(|report| told(&report));
    match runtime::run(Box::new(connect), target, demos).into_diagnostic()? {
        Exit::Quit => Ok(()),
        // As a shell expects of a program that a signal ended.
        Exit::Signal(number) => std::process::exit(128 + number),
    }
}

/// A report as plain text: what happened, what lies beneath, and what to do.
fn told(report: &miette::Report) -> String {
    let mut text = report.to_string();
    for cause in report.chain().skip(1) {
        text.push_str(&format!("\n  because: {cause}"));
    }
    if let Some(help) = report.help() {
        text.push_str(&format!("\n\n{help}"));
    }
    text
}
