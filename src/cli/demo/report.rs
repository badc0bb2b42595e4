//! `--report FILE`: the run, written where somebody else can read it.

use std::path::PathBuf;
use std::str::FromStr;

use miette::{IntoDiagnostic, WrapErr};

use crate::demo::report::Report;

/// A file whose name says what is written into it.
#[derive(Debug, Clone)]
pub(super) struct ReportFile {
    path: PathBuf,
    page: bool,
}

impl FromStr for ReportFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = PathBuf::from(text);
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        let page = match ending.as_deref() {
            Some("html" | "htm") => true,
            Some("md" | "markdown") => false,
            _ => return Err("its name must end in .html or .md, which says how it is written".to_owned()),
        };
        match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            // A run is too long to find at its end that there is nowhere to write.
            Some(folder) if !folder.is_dir() => Err(format!("there is no folder {}", folder.display())),
            _ => Ok(Self { path, page }),
        }
    }
}

impl ReportFile {
    /// Writes it; what stood in the file is replaced.
    pub(super) fn write(&self, report: &Report) -> miette::Result<()> {
        let text = if self.page { report.html() } else { report.markdown() };
        std::fs::write(&self.path, text)
            .into_diagnostic()
            .wrap_err_with(|| format!("cannot write the report {}", self.path.display()))?;
        eprintln!("report: {}", self.path.display());
        Ok(())
    }
}
