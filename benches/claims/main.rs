//! What is claimed about speed and memory, measured: `cargo bench`, or `cargo bench -- consume rebuild` for some of it.
//!
//! Both sides of a ratio run in turns, on the same broker and the same data, and the medians are compared. Every side of a
//! comparison with a program is a process of its own from its start to its end. Times of a busy machine mean little;
//! ratios on it still mean something. The exit code says whether every claim held.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../../tests/common/mod.rs"]
mod common;
mod data;
mod load;
mod past;
mod rebuild;
mod sections;
mod stats;

use std::process::ExitCode;

use stats::Claim;

/// Collects what was measured and whether it is as claimed.
#[derive(Default)]
pub struct Board {
    missed: Vec<String>,
    unmeasured: Vec<String>,
}

impl Board {
    /// Prints one figure beside its claim.
    pub fn figure(&mut self, name: &str, figure: f64, claim: Claim, how: &str) {
        let bound = match claim {
            Claim::AtLeast(bound) => format!("at least {bound:.2}"),
            Claim::Below(bound) => format!("below {bound:.2}"),
        };
        let verdict = if claim.holds(figure) { "ok" } else { "MISSED" };
        println!("{name:<42} {figure:>9.2}  {bound:<14} {verdict:<7} {how}");
        if !claim.holds(figure) {
            self.missed.push(name.to_owned());
        }
    }

    /// Says what could not be measured, and why.
    pub fn missing(&mut self, name: &str, why: &str) {
        println!("{name:<42} {:>9}  {why}", "-");
        self.unmeasured.push(name.to_owned());
    }
}

/// The word that picks a section, and what measures it.
type Section = (&'static str, fn(&mut Board));

const SECTIONS: &[Section] = &[
    ("start", sections::start),
    ("frame", sections::frame),
    ("consume", sections::consume),
    ("rebuild", rebuild::rebuild),
    ("kafka", sections::against_kafka),
    ("memory", sections::memory),
    ("past", past::past),
    ("history", past::history),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    if let Some((role, rest)) = arguments.split_first().filter(|(role, _)| role.starts_with("child-")) {
        return load::child(role, rest);
    }
    if let Some(unknown) = arguments
        .iter()
        .find(|word| SECTIONS.iter().all(|(name, _)| name != word))
    {
        let names: Vec<&str> = SECTIONS.iter().map(|(name, _)| *name).collect();
        eprintln!("there is no section {unknown:?}; there are {}", names.join(", "));
        return ExitCode::FAILURE;
    }
    if cfg!(debug_assertions) {
        eprintln!("this is a build for debugging; figures come from `cargo bench`");
        return ExitCode::FAILURE;
    }
    let mut board = Board::default();
    for (name, section) in SECTIONS {
        if arguments.is_empty() || arguments.iter().any(|argument| argument == name) {
            section(&mut board);
        }
    }
    if !board.unmeasured.is_empty() {
        println!("\nnot measured: {}", board.unmeasured.join(", "));
    }
    if board.missed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("\nmissed: {}", board.missed.join(", "));
    ExitCode::FAILURE
}
