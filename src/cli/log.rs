//! The program's own log: a file in the data directory, so that nothing of it ever reaches the terminal.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;

/// A file larger than this is put aside when the program starts, and the one before it is dropped.
const LIMIT: u64 = 8 * 1024 * 1024;

/// Opens `foldlog.log`, at the level that `FOLDLOG_LOG` says (`info` without it; it takes what `EnvFilter` takes).
///
/// A log that cannot be written is no reason not to run: a read-only data directory still lets a cluster be looked at.
pub(super) fn init(data: &Path) {
    let path = data.join("foldlog.log");
    if fs::create_dir_all(data).is_err() {
        return;
    }
    if fs::metadata(&path).is_ok_and(|meta| meta.len() > LIMIT) {
        let _ = fs::rename(&path, data.join("foldlog.log.old"));
    }
    let Ok(file) = OpenOptions::new().create(true).append(true).open(&path) else {
        return;
    };
    let mut filter = EnvFilter::try_from_env("FOLDLOG_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    // These write down addresses and headers, which are secrets in a webhook.
    for quiet in ["ureq=off", "ureq_proto=off"] {
        if let Ok(quiet) = quiet.parse() {
            filter = filter.add_directive(quiet);
        }
    }
    // An error here means that a subscriber is set already, which then is the one that is wanted.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(Mutex::new(file))
        .try_init();
}
