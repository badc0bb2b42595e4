//! A webhook hears of each alert once it answers, in order, and not again after a kill.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use super::commands::Commands;
use super::write;
use crate::common::cluster::{Cluster, scratch};
use crate::common::eventually;

/// A request: its line and headers, in lower case, and its body.
type Request = (Vec<String>, Value);

/// An HTTP server that fails first.
struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers with these codes, 0 for none at all, then with 200.
    fn start(codes: &'static [u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let heard = Arc::clone(&requests);
        thread::spawn(move || {
            let mut codes = codes.iter().copied();
            for stream in listener.incoming().flatten() {
                // A connection may carry several.
                let mut reader = BufReader::new(stream);
                while let Some(request) = read(&mut reader) {
                    let code = codes.next().unwrap_or(200);
                    heard.lock().unwrap().push(request);
                    if code == 0 {
                        break;
                    }
                    let answer = format!("HTTP/1.1 {code} x\r\ncontent-length: 2\r\n\r\nok");
                    reader.get_mut().write_all(answer.as_bytes()).unwrap();
                }
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_lowercase()),
        }
    }
    let length = head
        .iter()
        .find_map(|line| line.strip_prefix("content-length: "))?
        .parse()
        .ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, serde_json::from_slice(&body).ok()?))
}

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
