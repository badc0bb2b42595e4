//! What would have been: the command over a cluster, against sums that are made here.

use serde_json::{Value, json};

use super::commands::Commands;
use super::{accounts, event, write};
use crate::common::cluster::{Cluster, scratch};

/// Id, balance and count of each account, of these amounts by the number of their event.
fn sums(events: impl Iterator<Item = (i64, i64)>) -> Vec<Value> {
    let mut sums = [(0, 0); 7];
    for (account, amount) in events {
        let sum = &mut sums[account as usize];
        *sum = (sum.0 + amount, sum.1 + 1);
    }
    let row = |(account, (balance, n)): (usize, &(i64, i64))| json!({ "id": format!("a{account}"), "balance": balance, "n": n });
    sums.iter().enumerate().map(row).collect()
}

#[test]
fn a_log_is_thought_to_be_another() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(2);
    const BEGIN: i64 = 1_700_000_000_000;
    write(
        &cluster.client(),
        (0..70).map(|n| (&*topic, (n % 2) as i32, BEGIN + n, Some(event(n)))),
    );
    let folder = scratch();
    let commands = Commands::new(&cluster, folder.path(), &accounts(&[&topic]));
    let file = commands.file.to_str().unwrap().to_owned();
    commands.output(&["rebuild", &file]);
    let before = commands.dump();
    let lines = |arguments: &[&str]| -> Vec<Value> {
        let mut all = vec!["--json", "what-if", "accounts"];
        all.extend(arguments);
        let text = commands.output(&all);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let asked =
        |arguments: &[&str]| lines(&[arguments, &["-q", "SELECT id, balance, n FROM account ORDER BY id"]].concat());
    let all = || (0..70).map(|n| (n % 7, n));

    // Event n is in partition n % 2 at offset n / 2.
    let without = asked(&["--without", "0:5,1:3"]);
    assert_eq!(without, sums(all().filter(|(_, n)| *n != 10 && *n != 7)));
    let edited = asked(&["--edit", r#"1:3={"type": "In", "id": "a2", "amount": 1000}"#]);
    assert_eq!(
        edited,
        sums(all().map(|(account, n)| if n == 7 { (2, 1000) } else { (account, n) }))
    );
    let inserted = asked(&[
        "--insert",
        "after",
        "1:3",
        r#"{"type": "In", "id": "a2", "amount": 1000}"#,
    ]);
    assert_eq!(inserted, sums(all().chain([(2, 1000)])));
    let short = asked(&["--without", "0:0", "--until", "1700000000020"]);
    assert_eq!(short, sums(all().filter(|(_, n)| *n != 0 && *n < 20)));
    let other = accounts(&[&topic]).replace("balance + excluded.balance", "max(balance, excluded.balance)");
    std::fs::write(folder.path().join("other.sql"), other).unwrap();
    let with = lines(&["--with", folder.path().join("other.sql").to_str().unwrap()]);
    assert_eq!(
        (with.len(), &with[7]["changed"], &with[7]["same"]),
        (8, &7.into(), &70.into())
    );
    assert_eq!(
        with[0]["after"]["balance"], 63,
        "the largest amount of the first account"
    );

    // One row of the account, and one of the entries; the same for people.
    let rows = lines(&["--without", "0:5"]);
    let change = |row: &Value| (row["table"].clone(), row["change"].clone());
    assert_eq!(change(&rows[0]), ("account".into(), "changed".into()));
    assert_eq!(
        rows[0]["before"]["balance"].as_i64().unwrap() - 10,
        rows[0]["after"]["balance"].as_i64().unwrap()
    );
    assert_eq!(change(&rows[1]), ("entry".into(), "removed".into()));
    let last = &rows[2];
    assert_eq!(
        (&last["equal"], &last["events"]["after"]["applied"]),
        (&false.into(), &69.into())
    );
    assert_eq!(last["changes"][0]["event"]["timestamp"], BEGIN + 10);
    let text = commands.output(&[
        "what-if",
        "accounts",
        "--insert",
        "at",
        "2024-01-01",
        "{\"type\": \"In\"}",
    ]);
    assert!(
        text.contains(&format!(
            "put in {topic}[0] offset 35 (2024-01-01 00:00:00Z, type In): could not be applied"
        )),
        "{text}"
    );
    assert!(text.contains("no row would be another\n"), "{text}");
    assert!(
        text.ends_with("events: 70 applied, 0 ignored, 0 → 1 not applicable\n"),
        "{text}"
    );

    // A record of another handler's before its own, and one that begins a stream at a time.
    let envelope = format!(
        r#"{{"topic": "{topic}", "partition": 1, "key": "a1", "timestamp": "2023-11-14T22:13:20.005Z", "value": null}}"#
    );
    let tombstone = asked(&["--envelope", "--insert", "before", "0:0", &envelope]);
    assert_eq!(tombstone[1], json!({ "id": "a1", "balance": 325, "n": 11 }));
    assert_eq!(
        asked(&["--move", "0:5", "before", "1:0", "--move", "1:3", "at", "2030-01-01"]),
        sums(all())
    );
    assert_eq!(commands.dump(), before, "the read model in use is not touched");
}
