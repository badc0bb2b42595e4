//! Walking through the past of a read model, and finding what wrote a row.

use super::commands::Commands;
use super::{accounts, event, write};
use crate::common::cluster::{Cluster, scratch};
use crate::common::eventually;

#[test]
fn the_past_is_walked_and_blamed() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(2);
    write(
        &cluster.client(),
        (0..70).map(|n| (&*topic, (n % 2) as i32, 1_700_000_000_000 + n, Some(event(n)))),
    );
    let folder = scratch();
    let commands = Commands::new(&cluster, folder.path(), &accounts(&[&topic]));
    let file = commands.file.to_str().unwrap().to_owned();
    commands.output(&["rebuild", &file]);
    let before = commands.dump();
    let lines = |arguments: &[&str]| -> Vec<serde_json::Value> {
        let text = commands.output(arguments);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };

    // Ten of the seventy events are of each of the seven accounts.
    let blamed = lines(&["--json", "blame", "accounts", "account", "a3"]);
    let offsets: Vec<_> = blamed
        .iter()
        .map(|event| event["record"]["offset"].as_i64().unwrap())
        .collect();
    assert_eq!(offsets, [1, 5, 8, 12, 15, 19, 22, 26, 29, 33]);
    assert_eq!(blamed[0]["changes"][0]["before"], serde_json::Value::Null);
    assert_eq!(blamed[1]["changes"][0]["before"]["balance"], 3);
    assert_eq!(blamed[1]["changes"][0]["after"]["balance"], 13);
    assert_eq!(
        blamed[1]["changes"].as_array().unwrap().len(),
        1,
        "nothing of other rows"
    );
    let entry = lines(&["--json", "blame", "accounts", "entry", &format!("[\"{topic}\", 1, 0]")]);
    assert_eq!((entry.len(), &entry[0]["record"]["partition"]), (1, &1.into()));
    assert!(
        commands
            .output(&["blame", "accounts", "account", "a3", "balance"])
            .contains("balance: 3 → 13")
    );

    let forth = lines(&["--json", "step", "accounts", "1700000000010", "-n", "3"]);
    let times = |steps: &[serde_json::Value]| -> Vec<i64> {
        steps
            .iter()
            .map(|step| step["record"]["timestamp"].as_i64().unwrap() - 1_700_000_000_000)
            .collect()
    };
    assert_eq!(times(&forth), [10, 11, 12]);
    let back = lines(&["--json", "step", "accounts", "1700000000013", "--back", "-n", "3"]);
    assert_eq!(times(&back), [12, 11, 10]);
    assert_eq!(back[2]["changes"], forth[0]["changes"]);
    let first = lines(&[
        "--json",
        "step",
        "accounts",
        "--until",
        "SELECT count(*) FROM account WHERE balance > 40",
    ]);
    assert_eq!(times(&first), [21], "0 + 7 + 14 + 21 is the first sum over 40");
    let cell = lines(&[
        "--json",
        "step",
        "accounts",
        "1700000000030",
        "--back",
        "--row",
        "account",
        "a0",
        "balance",
    ]);
    assert_eq!(times(&cell), [28]);
    assert_eq!(commands.dump(), before);

    let run = |arguments: &[&str]| {
        let output = commands.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr)
            .unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    let first = |condition: &[&str]| lines(&[&["--json", "step", "accounts", "--first"], condition].concat());
    let rich = "SELECT count(*) FROM account WHERE balance > 200";
    let richest = first(&[rich]);
    assert_eq!(richest, lines(&["--json", "step", "accounts", "--until", rich]));
    assert_eq!(first(&[rich, "--lasting"]), richest);
    assert_eq!(times(&first(&["SELECT :amount > 42 AND @partition = 0"])), [44]);
    assert!(run(&["step", "accounts", "--first", "SELECT count(*) > 99 FROM account"]).contains("after no event"));
    assert!(run(&["step", "accounts", "--first", "SELECT :amount > 5", "--lasting"]).contains("does not last"));
    assert!(run(&["blame", "accounts", "account", "a9"]).contains("none of 70 records wrote that row"));
    assert!(run(&["blame", "accounts", "nothing", "a9"]).contains("its tables are: account, entry"));
    assert!(run(&["blame", "accounts", "entry", "x"]).contains("its primary key: topic, part, at"));
    assert!(
        run(&["step", "accounts", "--row", "account", "a1", "nothing"]).contains("its columns are: id, balance, n")
    );
    assert!(run(&["step", "accounts", "--type", "Never"]).contains("the log's end came first"));
    let writes = "WITH gone AS (SELECT 1) DELETE FROM account";
    assert!(run(&["step", "accounts", "--until", writes]).contains("a condition may only read"));
    assert!(run(&["step", "accounts", "--until", "DELETE FROM account"]).contains("syntax error"));
}

/// A read model that keeps its history tells from it what another finds by a replay, after a follow went on with it too.
#[test]
fn a_history_tells_what_a_replay_finds() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(2);
    let events = |numbers: std::ops::Range<i64>| {
        let events = numbers.map(|n| (&*topic, (n % 7 % 2) as i32, 1_700_000_000_000 + n, Some(event(n))));
        write(&cluster.client(), events);
    };
    events(0..70);
    let folders = [scratch(), scratch()];
    let [kept, plain] = [true, false].map(|history| {
        let kept = if history { "on" } else { "off" };
        let text = accounts(&[&topic]).replacen("-- topic:", &format!("-- history: {kept}\n-- topic:"), 1);
        let commands = Commands::new(&cluster, folders[usize::from(history)].path(), &text);
        commands.output(&["rebuild", commands.file.to_str().unwrap()]);
        commands
    });
    let asked = |commands: &Commands| {
        let questions: [&[&str]; 4] = [
            &["blame", "accounts", "account", "a3"],
            &["blame", "accounts", "account", "a3", "balance"],
            &["--json", "blame", "accounts", "account", "a4"],
            &["blame", "accounts", "account", "a3", "--until", "0:10,1:12"],
        ];
        questions.map(|question| commands.output(question))
    };
    let first = asked(&kept);
    assert_eq!(first, asked(&plain));
    assert_eq!(first[0].lines().filter(|line| line.contains("offset")).count(), 10);

    events(70..140);
    for commands in [&kept, &plain] {
        // What came since is not in the read model, and not in the answer.
        assert_eq!(asked(commands), first);
        let mut follower = commands.start("follow");
        eventually("all of it to be applied", || (commands.applied() == 140).then_some(()));
        follower.kill().unwrap();
        follower.wait().unwrap();
    }
    let then = asked(&kept);
    assert_eq!(then, asked(&plain));
    assert_eq!(then[0].lines().filter(|line| line.contains("offset")).count(), 20);
    assert_eq!(kept.dump(), plain.dump());

    let said = |commands: &Commands| {
        let output = commands
            .command(&["blame", "accounts", "account", "a3"])
            .output()
            .unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said(&kept).contains("told by the history"), "{}", said(&kept));
    assert!(said(&plain).contains("found by a replay"), "{}", said(&plain));
    let listed: serde_json::Value = serde_json::from_str(&kept.output(&["--json", "projections"])).unwrap();
    assert_eq!(listed["history"]["events"], 140);
    assert!(
        kept.output(&["projections"])
            .contains("keeps the history of 140 events")
    );
}
