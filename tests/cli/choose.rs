//! `foldlog choose`, the guide among the demos, and which language the command line speaks.

use serde_json::Value;

use super::Shell;
use super::common;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn answers_lead_to_a_demo_and_what_is_open_is_asked() {
    let shell = Shell::new();
    let open = json(&shell.ok(&["choose", "--answer", "throughput=high", "-o", "json"], ""));
    assert_eq!(open["question"], "volume");
    assert_eq!(open["choices"][0]["id"], "large");
    assert_eq!(open["answers"]["throughput"], "high");
    let said = shell.fails(&["choose", "--lang", "en", "--answer", "throughput=high"], "");
    assert!(said.contains("--answer volume=large"), "{said}");

    let answers = ["throughput=high", "volume=large", "bulk=logs"];
    let args: Vec<&str> = answers.iter().flat_map(|answer| ["--answer", answer]).collect();
    let end = json(&shell.ok(&[&["choose", "-o", "json"], &args[..]].concat(), ""));
    assert_eq!(
        (&end["demo"], &end["contradictions"]),
        (&"log-analytics".into(), &Value::Array(Vec::new()))
    );
    let told = shell.ok(&[&["choose", "--lang", "en"], &args[..]].concat(), "");
    assert!(
        told.contains("volume large · timeliness medium · complexity low"),
        "{told}"
    );
    assert!(told.ends_with("Next: foldlog demo run log-analytics\n"), "{told}");

    let wrong = shell.fails(&["choose", "--answer", "throughput=huge"], "");
    assert!(
        wrong.contains("`huge` is no answer") && wrong.contains("high, low"),
        "{wrong}"
    );
    assert!(
        shell
            .fails(&["choose", "--answer", "huge"], "")
            .contains("QUESTION=ANSWER")
    );
}

#[test]
fn contradictory_answers_are_noticed_and_said() {
    let shell = Shell::new();
    let answers = ["throughput=low", "real-time=no", "calm=other", "need=fraud"];
    let args: Vec<&str> = answers.iter().flat_map(|answer| ["--answer", answer]).collect();
    let said = shell.ok(&[&["choose", "--lang", "en"], &args[..]].concat(), "");
    assert!(said.contains("\n! You said that it may wait until tonight."), "{said}");
    let said = shell.ok(&[&["choose", "--lang", "zh"], &args[..]].concat(), "");
    assert!(said.contains("\n! 你说等到今晚也行。"), "{said}");
    let twice = shell.fails(
        &["choose", "--answer", "throughput=low", "--answer", "throughput=high"],
        "",
    );
    assert!(twice.contains("contradict each other"), "{twice}");
}

#[test]
fn the_guide_counts_as_a_demo_and_walks_all_its_ways() {
    let shell = Shell::new();
    let row = |shell: &Shell| {
        let list = shell.ok(&["demo", "list", "--json"], "");
        let line = list
            .lines()
            .find(|line| json(line)["id"] == "choose")
            .unwrap()
            .to_owned();
        json(&line)
    };
    assert!(row(&shell)["done"].is_null());
    let said = shell.run(&["demo", "run", "choose", "--headless", "--json"]);
    let checked = json(&said.out);
    // Which demos are there is not the guide's doing; it names those that are not, and fails as long as there are any.
    let missing = checked["missing"].as_array().unwrap();
    assert_eq!(said.code == Some(0), missing.is_empty(), "{}", said.err);
    for check in checked["checks"].as_array().unwrap() {
        let named = check["title"] == "Every demo that it names is there";
        assert_eq!(check["passed"] == true, !named || missing.is_empty(), "{check}");
    }
    for id in missing {
        let id = id.as_str().unwrap();
        assert!(said.err.contains(id), "{}", said.err);
        assert!(shell.fails(&["demo", "show", id], "").contains("there is no demo"));
    }
    assert_eq!(
        row(&shell)["done"]["checks"],
        checked["checks"].as_array().unwrap().len()
    );
    let lesson = shell.ok(&["demo", "show", "choose", "--lang", "zh"], "");
    assert!(
        lesson.starts_with("# 该选哪个用例？") && lesson.contains("`event-sourcing`"),
        "{lesson}"
    );
    let table = shell.ok(&["choose", "--table", "--json"], "");
    assert_eq!(table.lines().count(), 16);
}

#[test]
fn the_learning_path_knows_what_was_done_and_what_comes_next() {
    let shell = Shell::new();
    let path = |shell: &Shell| json(&shell.ok(&["choose", "--path", "--json"], ""))["path"].clone();
    let before = path(&shell);
    assert_eq!(
        (&before[0]["demo"], &before[0]["next"]),
        (&"messaging".into(), &true.into())
    );
    shell.ok(&["demo", "run", "messaging", "--headless"], "");
    let after = path(&shell);
    assert_eq!((&after[0]["done"], &after[0]["next"]), (&true.into(), &false.into()));
    assert_eq!(after[1]["next"], true);
    let told = shell.ok(&["choose", "--path", "--lang", "en"], "");
    assert!(told.starts_with("✓ Messaging") && told.contains("Roadmap"), "{told}");
}

#[test]
fn on_a_terminal_it_asks_goes_back_and_ends() {
    let shell = Shell::new();
    let mut terminal = shell.terminal(&["choose", "--lang", "zh"]);
    terminal.wait_for("每秒上千条").keys("2\n").wait_for("几秒之内");
    terminal
        .keys("b\n")
        .wait_for("[1-2，q 结束]")
        .keys("high\n")
        .wait_for("累积起来");
    terminal.keys("9\n2\n").wait_for("谁要告诉谁").keys("1\n");
    terminal.wait_for("foldlog demo run messaging");
    assert!(terminal.wait_exit().success());
    let mut terminal = shell.terminal(&["choose", "--lang", "en"]);
    terminal
        .wait_for("thousands a second")
        .keys("q\n")
        .wait_for("nothing was chosen");
    assert!(!terminal.wait_exit().success());
}

#[test]
fn the_language_is_that_of_the_flag_the_configuration_or_the_locale() {
    let shell = Shell::new();
    let list = |shell: &Shell, args: &[&str], locale: &str| {
        let mut command = shell.command(&[&["demo", "list"], args].concat());
        let output = command
            .env("LC_ALL", locale)
            .timeout(common::PATIENCE)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(list(&shell, &[], "C").contains("Event sourcing"));
    assert!(list(&shell, &[], "zh_CN.UTF-8").contains("事件溯源"));
    assert!(list(&shell, &["--lang", "zh"], "C").contains("事件溯源"));
    shell.config("language = \"zh\"\n");
    assert!(list(&shell, &[], "en_US.UTF-8").contains("事件溯源"));
    assert!(list(&shell, &["--lang", "en"], "zh_CN.UTF-8").contains("Event sourcing"));
    shell.config("language = \"fr\"\n");
    assert!(shell.fails(&["demo", "list"], "").contains("config.toml"));
    // What speaks no language is none the worse for it.
    assert_eq!(shell.ok(&["topics"], ""), "");
}
