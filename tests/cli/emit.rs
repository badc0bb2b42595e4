//! What `follow` and `projections` say of a projection that emits.

use std::fs;

use crate::common::eventually;
use crate::common::process::BrokerProcess;

use super::{Shell, json};

const ACCOUNTS: &str = r#"-- projection: accounts
-- topic: events
-- type: $.type

CREATE TABLE account (id TEXT PRIMARY KEY, balance INTEGER NOT NULL) STRICT;

-- on: Deposited
INSERT INTO account VALUES (:id, :amount) ON CONFLICT DO UPDATE SET balance = balance + excluded.balance;

-- emit: balances
SELECT id AS key, json_object('balance', balance) AS value FROM account WHERE id = :id;

-- test: what is emitted does not disturb a test
-- given: {"type": "Deposited", "id": "a", "amount": 10}
-- expect: SELECT balance FROM account
-- = 10
"#;

const EVENT: &str = "{\"type\":\"Deposited\",\"id\":\"a\",\"amount\":1}\n";

#[test]
fn publishing_obeys_what_may_be_done_to_a_cluster() {
    let server = crate::common::cluster::scratch();
    let broker = BrokerProcess::start(server.path(), "127.0.0.1:0");
    let shell = Shell::new();
    let address = &broker.address;
    shell.config(&format!(
        "[clusters.look]\nbootstrap = '{address}'\naccess = 'read-only'\n\
         [clusters.live]\nbootstrap = '{address}'\naccess = 'production'\n"
    ));
    let path = shell.home.path().join("accounts.sql");
    fs::write(&path, ACCOUNTS).unwrap();
    let path = path.to_str().unwrap();
    shell.ok(&["-b", address, "topics", "create", "events"], "");
    shell.ok(&["-b", address, "produce", "events"], EVENT);
    assert!(shell.ok(&["test", path], "").contains("1 ok"));

    for (cluster, said) in [("look", "read-only"), ("live", "--confirm live")] {
        let refused = shell.run(&["-c", cluster, "follow", path]);
        assert_eq!(refused.code, Some(1));
        assert!(refused.err.contains(said), "{}", refused.err);
        // Nothing was built that could then not be followed.
        assert!(
            shell
                .run(&["-c", cluster, "projections"])
                .err
                .contains("no read models yet")
        );
        // A rebuild publishes nothing, so it may.
        shell.ok(&["-c", cluster, "rebuild", path], "");
    }
    let applied = |cluster: &str| {
        let models = json(&shell.ok(&["-c", cluster, "projections", "--json"], ""));
        (
            models[0]["applied"].as_u64(),
            models[0]["emitted"]["published"].as_u64().unwrap_or(0),
        )
    };
    for (flags, seen) in [
        (["-c", "look", "follow", "--no-emit"], ("look", 0)),
        (["-c", "live", "follow", "--confirm=live"], ("live", 1)),
    ] {
        let (before, _) = applied(seen.0);
        let mut child = shell.spawn(&[&flags[..], &[path]].concat());
        shell.ok(&["-b", address, "produce", "events"], EVENT);
        let expected = before.map(|before| before + 1);
        eventually("the event to be applied", || {
            assert!(child.try_wait().unwrap().is_none(), "it ended");
            let (applied, published) = applied(seen.0);
            (applied >= expected && published >= seen.1).then_some(())
        });
        child.kill().unwrap();
        child.wait().unwrap();
        let topics = json(&shell.ok(&["-b", address, "topics", "--json"], ""));
        assert_eq!(topics.iter().any(|topic| topic["topic"] == "balances"), seen.1 > 0);
    }
    let read = shell.ok(&["-b", address, "read", "balances", "--json"], "");
    assert!(
        read.contains("foldlog-id") && read.contains("accounts/events/0/"),
        "{read}"
    );
}

#[test]
fn projections_that_feed_each_other_are_named() {
    let shell = Shell::new();
    let file = |name: &str, from: &str, to: &str| {
        let text = format!(
            "-- projection: {name}\n-- topic: {from}\nCREATE TABLE t (id TEXT PRIMARY KEY) STRICT;\n\
             -- on: *\nINSERT OR IGNORE INTO t VALUES (:id);\n-- emit: {to}\nSELECT :id AS key, :id AS value;\n"
        );
        let path = shell.home.path().join(format!("{name}.sql"));
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (ping, pong) = (file("ping", "a", "b"), file("pong", "b", "a"));
    // The topics are not there, so that neither begins.
    let warned = |args: &[&str]| {
        shell
            .run(args)
            .err
            .contains("ping emits to b, pong emits to a, and so round to ping")
    };
    assert!(warned(&["follow", &ping, &pong]));
    assert!(!warned(&["follow", "--no-emit", &ping, &pong]));
    assert!(!warned(&["follow", &ping]));
}
