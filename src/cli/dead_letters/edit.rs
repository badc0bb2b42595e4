//! The other value of a record: from the command line, a file, standard input, or an editor.

use std::fs::{self, OpenOptions};
use std::io::{IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use miette::{Context as _, IntoDiagnostic, miette};

use crate::record::Record;

/// Where the value comes from.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
pub(super) struct Value {
    /// The file with the value; `-` is standard input [default: $VISUAL or $EDITOR opens on the value as it is]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The value itself
    #[arg(long, value_name = "TEXT")]
    value: Option<String>,
    /// A null value
    #[arg(long)]
    tombstone: bool,
}

/// The value; `None` is a null value.
pub(super) fn value(from: Value, record: Option<&Record>) -> miette::Result<Option<Vec<u8>>> {
    match from {
        Value { tombstone: true, .. } => Ok(None),
        Value { value: Some(text), .. } => Ok(Some(text.into_bytes())),
        Value { file: Some(file), .. } if file == Path::new("-") => {
            let mut bytes = Vec::new();
            std::io::stdin()
                .read_to_end(&mut bytes)
                .into_diagnostic()
                .wrap_err("cannot read standard input")?;
            Ok(Some(without_newline(bytes)))
        }
        Value { file: Some(file), .. } => {
            let bytes = fs::read(&file)
                .into_diagnostic()
                .wrap_err_with(|| format!("cannot read {}", file.display()))?;
            Ok(Some(without_newline(bytes)))
        }
        Value { .. } => edited(record.and_then(|record| record.value.as_deref()).unwrap_or_default()).map(Some),
    }
}

/// What comes out of an editor that was opened on `value`.
fn edited(value: &[u8]) -> miette::Result<Vec<u8>> {
    let editor = ["VISUAL", "EDITOR"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|set| !set.is_empty()));
    let Some(editor) = editor.filter(|_| std::io::stdin().is_terminal()) else {
        return Err(miette!(
            help = "give it as --value TEXT, as a file, or on standard input with `-`; on a terminal $EDITOR opens",
            "there is no value to apply in place of the record's own"
        ));
    };
    let path = std::env::temp_dir().join(format!("foldlog-{}.json", std::process::id()));
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(value)
    };
    write()
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot write {}", path.display()))?;
    // As other tools call it: the variable may have arguments of its own.
    let ran = Command::new("sh")
        .arg("-c")
        .arg(format!("{editor} \"$1\""))
        .arg("sh")
        .arg(&path)
        .status();
    let after = fs::read(&path);
    let _ = fs::remove_file(&path);
    match ran {
        Ok(status) if status.success() => {}
        Ok(status) => {
            return Err(miette!(
                "the editor `{editor}` ended with {status}; nothing was changed"
            ));
        }
        Err(error) => return Err(miette!("the editor `{editor}` cannot be started: {error}")),
    }
    let after = without_newline(after.into_diagnostic().wrap_err("cannot read what was edited")?);
    if after == value {
        return Err(miette!(
            help = "`foldlog dead-letters PROJECTION retry` tries it as it is",
            "the value is as it was; nothing was changed"
        ));
    }
    Ok(after)
}

/// Editors and `echo` end a file with a line break that is no part of the value.
fn without_newline(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    bytes
}
