//! Walking through the past of a read model, and finding what wrote a row.

use super::commands::Commands;
use super::{accounts, event, write};
use crate::common::cluster::{Cluster, scratch};

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
    assert!(run(&["blame", "accounts", "account", "a9"]).contains("none of 70 records wrote that row"));
    assert!(run(&["blame", "accounts", "nothing", "a9"]).contains("its tables are: account, entry"));
    assert!(run(&["blame", "accounts", "entry", "x"]).contains("its primary key: topic, part, at"));
    assert!(
        run(&["step", "accounts", "--row", "account", "a1", "nothing"]).contains("its columns are: id, balance, n")
    );
    assert!(run(&["step", "accounts", "--type", "Never"]).contains("the log's end came first"));
    assert!(run(&["step", "accounts", "--until", "DELETE FROM account"]).contains("a condition may only read"));
}
