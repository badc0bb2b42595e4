//! The user's editor, on a text that is too long for one line.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;

/// What comes out of `$VISUAL` or `$EDITOR`, opened on `text` in a file that only its owner can read.
pub(super) fn edit(text: &str) -> Result<String, String> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let Some(editor) = set("VISUAL").or_else(|| set("EDITOR")) else {
        return Err("neither $VISUAL nor $EDITOR is set".to_owned());
    };
    let path = std::env::temp_dir().join(format!("foldlog-studio-{}.json", std::process::id()));
    let outcome = run(&editor, &path, text);
    // It may not even have been made.
    let _ = fs::remove_file(&path);
    outcome
}

fn run(editor: &str, path: &Path, text: &str) -> Result<String, String> {
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(told)?;
    writeln!(file, "{text}").map_err(told)?;
    // As other programs call it: the variable may have arguments of its own.
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("{editor} \"$1\""))
        .arg("sh")
        .arg(path)
        .status();
    match status {
        Ok(status) if status.success() => fs::read_to_string(path).map_err(told),
        Ok(status) => Err(format!("{editor}: {status}; nothing was changed")),
        Err(error) => Err(format!("{editor}: {error}")),
    }
}
