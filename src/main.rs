//! The binary: arguments in, exit code out.

use std::panic;
use std::process::{ExitCode, exit};

use clap::Parser;
use foldlog::cli::{self, Cli};

fn main() -> ExitCode {
    end_quietly_when_nobody_reads();
    match cli::run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(report) => {
            eprintln!("{report:?}");
            ExitCode::FAILURE
        }
    }
}

/// `foldlog read orders | head` closes the pipe early, and `println!` panics then. The signal that ends other programs is
/// ignored in Rust, and must stay so: TLS connections that break would raise it too.
fn end_quietly_when_nobody_reads() {
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let text = info.payload().downcast_ref::<String>().map_or("", String::as_str);
        if text.starts_with("failed printing to std") && text.contains("Broken pipe") {
            exit(0);
        }
        default(info);
    }));
}
