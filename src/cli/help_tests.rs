use clap::CommandFactory;

use super::*;

/// Every command with the words that call it.
fn commands() -> Vec<(String, clap::Command)> {
    let mut all = Vec::new();
    let mut left = vec![(String::new(), Cli::command())];
    while let Some((name, mut command)) = left.pop() {
        command.build();
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            left.push((format!("{name} {}", sub.get_name()), sub.clone()));
        }
        all.push((name, command));
    }
    all
}

/// The text below the options before it is wrapped.
fn after_help(command: &clap::Command) -> String {
    command.get_after_help().map(ToString::to_string).unwrap_or_default()
}

#[test]
fn help_fits_its_terminal() {
    for (name, command) in commands() {
        for width in [60, 80, 120] {
            let help = command.clone().term_width(width).render_long_help().to_string();
            // The line of the usage is the one that is never wrapped.
            for line in help.lines().filter(|line| !line.starts_with("Usage:")) {
                assert!(line.chars().count() <= width, "foldlog{name} at {width}:\n{line}");
            }
        }
    }
}

/// Help is wrapped when it is shown; what was wrapped before that would be wrapped twice.
#[test]
fn help_is_wrapped_once() {
    for (name, command) in commands() {
        let text = after_help(&command);
        for line in text.lines().filter(|line| line.starts_with(' ')) {
            let fits = line.chars().count() <= 60;
            assert!(
                fits,
                "foldlog{name}: this line of an example or a table would be broken:\n{line}"
            );
        }
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2) {
            let prose = |line: &str| !line.is_empty() && !line.starts_with(' ');
            let broken = prose(pair[0]) && prose(pair[1]) && !pair[0].ends_with(['.', ':']);
            assert!(
                !broken,
                "foldlog{name}: a paragraph must be one line:\n{}\n{}",
                pair[0], pair[1]
            );
        }
    }
}

#[test]
fn every_command_that_does_something_has_examples() {
    for (name, command) in commands() {
        if name.is_empty() || name == " broker" || name.split(' ').count() > 2 {
            continue;
        }
        let text = after_help(&command);
        assert!(text.contains("Examples:\n  foldlog"), "foldlog{name}: {text}");
    }
}
