//! `foldlog read`.

use std::io::{BufRead, BufReader, Read};
use std::process::Command;

use super::{Shell, json};

/// Six records of two partitions, one a second from noon on, with keys a and b in turn.
fn filled() -> Shell {
    let shell = Shell::new();
    shell.ok(&["topics", "create", "t", "-p", "2"], "");
    let lines: Vec<String> = (0..6)
        .map(|n| {
            let (partition, key, time) = (n % 2, ["a", "b"][n % 2], 1_777_636_800_000 + n * 1000);
            format!(r#"{{"topic":"t","partition":{partition},"key":"{key}","timestamp":{time},"value":{n}}}"#)
        })
        .collect();
    shell.ok(&["produce", "--envelope", "--keep-partitions"], &lines.join("\n"));
    shell
}

fn values(shell: &Shell, args: &[&str]) -> String {
    let mut all = vec!["read", "t", "-o", "raw"];
    all.extend(args);
    shell.ok(&all, "").replace('\n', "")
}

#[test]
fn places_keys_and_limits() {
    let shell = filled();
    assert_eq!(values(&shell, &[]), "012345", "by time across partitions");
    assert_eq!(values(&shell, &["--from", "-1"]), "45", "the last of each partition");
    assert_eq!(values(&shell, &["-p", "1"]), "135");
    assert_eq!(values(&shell, &["--from", "1", "--to", "2"]), "23");
    assert_eq!(values(&shell, &["--from", "2026-05-01T12:00:03Z"]), "345");
    assert_eq!(values(&shell, &["--to", "2026-05-01T14:00:02+02:00"]), "01");
    assert_eq!(values(&shell, &["--from", "1777636804000"]), "45");
    assert_eq!(values(&shell, &["--from", "end"]), "");
    assert_eq!(values(&shell, &["--from", "2", "--to", "1"]), "");
    assert_eq!(values(&shell, &["--key", "b"]), "135");
    let past = shell.run(&["read", "t", "-o", "raw", "--from", "1", "--to", "99"]);
    assert_eq!((past.code, past.out.replace('\n', "").as_str()), (Some(0), "2345"));
    assert!(
        past.err.contains("no offset 99 yet: t ends at 3 at most"),
        "{}",
        past.err
    );
    assert_eq!(
        shell.run(&["read", "t", "--to", "3"]).err,
        "",
        "the end itself is there"
    );
    assert_eq!(values(&shell, &["--key", "b", "--limit", "2"]), "13");
    assert_eq!(values(&shell, &["-n", "0"]), "");
    // A record's place, as the table and every sentence write it, is read on from in its partition.
    assert_eq!(values(&shell, &["--from", "1:1"]), "35");
    assert_eq!(values(&shell, &["--from", "t[1] offset 1", "--to", "t:1:2"]), "3");
    let other = shell.fails(&["read", "t", "--from", "0:1", "--to", "1:2"], "");
    assert!(other.contains("one partition at a time"), "{other}");
    let other = shell.fails(&["read", "t", "--from", "u:0:1"], "");
    assert!(other.contains("u:0:1 is a record of u"), "{other}");
    let end = shell.run(&["read", "t", "-o", "raw", "--from", "3"]);
    assert_eq!((end.code, end.out.as_str()), (Some(0), ""));
    assert!(end.err.contains("nothing stands from offset 3 on"), "{}", end.err);
    let error = shell.fails(&["read", "t", "--from", "4"], "");
    assert!(error.contains("t[0] has no offset 4: it holds 0 to 2"), "{error}");
    assert!(shell.fails(&["read", "t", "-p", "9"], "").contains("no partition 9"));
    assert!(
        shell
            .fails(&["read", "t", "--from", "yesterday"], "")
            .contains("is no place")
    );
    let error = shell.fails(&["read", "tt"], "");
    assert!(error.contains("no topic `tt`") && error.contains("`t`"), "{error}");
    assert!(!shell.ok(&["topics"], "").contains("tt"), "looking creates nothing");
}

#[test]
fn nothing_in_a_record_reaches_the_terminal_as_a_command() {
    let shell = Shell::new();
    let line = r#"{"topic":"t","key":"\u001b[31mred","value":"\u001b]0;title\u0007\nnext","valueEncoding":"text"}"#;
    shell.ok(&["produce", "--envelope"], line);
    let table = shell.ok(&["read", "t"], "");
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(table.chars().all(|c| c == '\n' || !c.is_control()), "{table:?}");
    assert!(table.contains("red") && table.contains("title"), "{table}");
}

#[test]
fn raw_values_are_what_they_are_in_a_pipe_and_only_shown_on_a_terminal() {
    let shell = Shell::new();
    let line = r#"{"topic":"t","value":"\u001b]0;title\u0007\nnext","valueEncoding":"text"}"#;
    shell.ok(&["produce", "--envelope"], line);
    let read = ["read", "t", "-o", "raw"];
    assert_eq!(shell.ok(&read, ""), "\u{1b}]0;title\u{7}\nnext\n");
    let mut terminal = shell.terminal(&read);
    terminal.wait_exit();
    let text = terminal.text();
    assert!(text.contains("␛]0;title␇␊next"), "{text}");
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let shell = Shell::new();
    let lines: String = (0..50_000)
        .map(|n| format!("{{\"topic\":\"t\",\"value\":{n}}}\n"))
        .collect();
    shell.ok(&["produce", "--envelope"], &lines);
    let mut child = shell.spawn(&["read", "t", "-o", "json"]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    drop(out);
    assert!(json(&line)[0]["value"] == 0);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn following_shows_what_comes_and_ends_cleanly_when_interrupted() {
    let shell = filled();
    let mut child = shell.spawn(&["read", "t", "-o", "raw", "--follow", "--from", "-1"]);
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut first: Vec<String> = out.by_ref().take(2).map(Result::unwrap).collect();
    first.sort();
    assert_eq!(first, ["4", "5"]);
    shell.ok(&["produce", "t"], "6\n");
    assert_eq!(out.next().unwrap().unwrap(), "6");
    let signalled = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(signalled.success());
    assert!(out.next().is_none());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}
