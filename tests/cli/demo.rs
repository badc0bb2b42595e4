//! `foldlog demo`: one's own demo from the first file to the clean-up.

use super::Shell;

#[test]
fn a_lesson_is_shown_as_text_and_as_json() {
    let shell = Shell::new();
    for id in ["messaging", "choose"] {
        let text = shell.ok(&["demo", "show", id], "");
        let json = shell.ok(&["demo", "show", id, "--json"], "");
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert!(text.starts_with("# "), "{text}");
        assert_eq!(
            (json["id"].as_str(), json["lesson"].as_str()),
            (Some(id), Some(text.as_str()))
        );
    }
}

#[test]
fn a_demo_of_ones_own_is_begun_proved_run_listed_and_cleaned_up() {
    let shell = Shell::new();
    let dir = shell.data.path().join("lessons/page-views");
    let dir = dir.to_str().unwrap();
    let written = shell.ok(&["demo", "new", "page-views", dir], "");
    assert_eq!(written.lines().count(), 5, "{written}");
    assert!(
        shell
            .fails(&["demo", "new", "page-views", dir], "")
            .contains("cannot write")
    );
    assert!(
        shell
            .fails(&["demo", "new", "../x"], "")
            .contains("cannot be a demo's id")
    );

    let proved = shell.ok(&["demo", "check", dir], "");
    assert!(proved.contains("\n  ✓ 20 views wait  lag 20\n"), "{proved}");
    assert!(
        proved.ends_with(
            "page-views: 120 events as their schemas describe, every check holds, and twice the same rows\n"
        ),
        "{proved}"
    );
    // Nothing of it was here.
    assert_eq!(shell.ok(&["topics"], ""), "");

    let demo = |args: &[&str]| shell.ok(&[&["demo", "--demos", dir], args].concat(), "");
    let first = demo(&["run", "page-views", "--headless", "--step", "1"]);
    assert!(first.contains("page-views: 1 of 1 checks hold"), "{first}");
    let before = demo(&["list", "--json"]);
    let whole = demo(&["run", "page-views", "--headless", "--speed", "1000000"]);
    assert!(whole.contains("page-views: 3 of 3 checks hold"), "{whole}");
    let row = |text: &str| {
        let line = text
            .lines()
            .find(|line| line.contains("page-views"))
            .unwrap()
            .to_owned();
        serde_json::from_str::<serde_json::Value>(&line).unwrap()
    };
    // A run that was cut short is not done.
    assert!(row(&before)["done"].is_null());
    let done = &row(&demo(&["list", "--json"]))["done"];
    assert_eq!((done["held"].as_u64(), done["checks"].as_u64()), (Some(3), Some(3)));
    assert!(demo(&["list"]).contains("3 of 3"));
    assert!(shell.ok(&["groups"], "").contains("counter"));

    let cleaned = demo(&["clean", "page-views"]);
    assert_eq!(
        cleaned,
        "deleted read model pages\ndeleted topic page-views-views\ndeleted group counter\n"
    );
    assert_eq!(shell.ok(&["topics"], "") + &shell.ok(&["projections"], ""), "");

    let file = std::path::Path::new(dir).join("demo.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("expect = [[120]]", "expect = [[121]]")).unwrap();
    let said = shell.run(&["demo", "check", dir]);
    assert_ne!(said.code, Some(0));
    assert!(said.out.contains("120, expected 121"), "{}", said.out);
    assert!(said.err.contains("not every check holds"), "{}", said.err);
}

#[test]
fn what_a_run_cannot_be_told_is_said() {
    let shell = Shell::new();
    let said = shell.fails(&["demo", "run", "messaging", "--headless", "--speed", "fast"], "");
    assert!(said.contains("max"), "{said}");
    let said = shell.fails(&["demo", "run", "messaging", "--step", "2"], "");
    assert!(said.contains("--headless"), "{said}");
    let said = shell.fails(&["-b", "127.0.0.1:1", "demo", "clean", "messaging"], "");
    assert!(said.contains("--yes"), "{said}");
}

/// A supervisor's SIGTERM ends a run as Ctrl-C does: the second cluster's folder goes with it.
#[test]
fn a_run_that_is_terminated_takes_its_second_cluster_away() {
    let shell = Shell::new();
    let temporary = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_foldlog"));
    shell.environment(|name, value| {
        command.env(name, value);
    });
    let mut run = command
        .env("TMPDIR", temporary.path())
        .args(["demo", "run", "data-pipeline", "--headless"])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let second = || std::fs::read_dir(temporary.path()).unwrap().next();
    crate::common::eventually("the second cluster", second).unwrap();
    let asked = std::process::Command::new("kill")
        .args(["-TERM", &run.id().to_string()])
        .status();
    assert!(asked.unwrap().success());
    let ended = crate::common::eventually("the run to end", || run.try_wait().unwrap());
    assert!(ended.code().is_some(), "{ended}");
    assert!(second().is_none());
}
