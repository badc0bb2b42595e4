//! A webhook hears of each alert once it answers, in order, and not again after a kill.

use serde_json::{Value, json};

use super::commands::Commands;
use super::write;
use crate::common::cluster::{Cluster, scratch};
use crate::common::eventually;
use crate::common::webhook::Server;

fn alerting(topic: &str) -> String {
    format!(
        "-- projection: accounts
-- topic: {topic}
-- type: $.type

CREATE TABLE account (id TEXT PRIMARY KEY, balance INTEGER NOT NULL) STRICT;

-- on: In
INSERT INTO account VALUES (:id, :amount) ON CONFLICT DO UPDATE SET balance = balance + excluded.balance;

-- alert: overdrawn
SELECT id, balance FROM account WHERE id = :id AND balance < 0;
"
    )
}

fn notified(commands: &Commands) -> Value {
    let line = commands.output(&["--json", "projections"]);
    let value: Value = serde_json::from_str(line.lines().next().unwrap_or("{}")).unwrap();
    value["notified"].clone()
}

#[test]
fn alerts_are_posted_until_they_are_taken_and_not_again() {
    let cluster = Cluster::shared();
    let topic = cluster.topic(1);
    let client = cluster.client();
    let folder = scratch();
    let commands = Commands::new(&cluster, folder.path(), &alerting(&topic));
    let event = |id: &str, amount: i64| {
        let value = json!({ "type": "In", "id": id, "amount": amount }).to_string();
        write(&client, [(&*topic, 0, 1_700_000_000_000, Some(value))]);
    };
    // Of what a rebuild finds nobody is told.
    event("old", -1);
    commands.output(&["rebuild", commands.file.to_str().unwrap()]);
    let server = Server::start(&[500, 200, 404]);
    let url = format!("http://{}/hook?token=hunter2", server.address);
    let start = || {
        let file = commands.file.to_str().unwrap();
        let mut command = commands.command(&["follow", file]);
        command
            .env("FOLDLOG_WEBHOOK", &url)
            .env("FOLDLOG_WEBHOOK_HEADER", "Authorization: Bearer hunter2");
        command.env("FOLDLOG_LOG", "trace").spawn().unwrap()
    };
    let mut child = start();
    event("a", -5);
    event("a", 9);
    event("b", -7);
    let told = eventually("all to be told", || {
        let told = notified(&commands);
        (told["delivered"] == 2).then_some(told)
    });
    assert_eq!((&told["waiting"], &told["given_up"]), (&json!(0), &json!(1)));
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("hunter2"));
    let requests = server.requests();
    let short: Vec<String> = requests
        .iter()
        .map(|(_, body)| format!("{} {} {}", body["state"], body["row"], body["position"]["offset"]).replace('"', ""))
        .collect();
    // Failed, taken, refused for good, taken.
    let expected = [
        "raised {id:a,balance:-5} 1",
        "raised {id:a,balance:-5} 1",
        "resolved {id:a,balance:-5} 2",
        "raised {id:b,balance:-7} 3",
    ];
    assert_eq!(short, expected);
    let (head, body) = &requests[0];
    assert!(head[0].starts_with("post /hook?token=hunter2 "), "{head:?}");
    let id = body["id"].as_str().unwrap();
    for line in [
        format!("idempotency-key: {id}"),
        "authorization: bearer hunter2".to_owned(),
        "content-type: application/json".to_owned(),
    ] {
        assert!(head.contains(&line), "{line} in {head:?}");
    }
    assert_eq!(requests[1].1["id"], id);
    let log = std::fs::read_to_string(folder.path().join("foldlog.log")).unwrap();
    assert!(
        !log.contains("hunter2") && !log.contains("Bearer"),
        "a secret is logged"
    );

    // Started again, it tells only what is new.
    let mut child = start();
    event("b", 8);
    eventually("the next to be told", || {
        (notified(&commands)["delivered"] == 3).then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(server.requests().len(), expected.len() + 1);
    let open = commands.output(&["--json", "alerts"]);
    assert!(open.lines().count() == 1 && open.contains(r#""key":"old""#), "{open}");
}
