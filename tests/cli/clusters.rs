//! Clusters with a name, and what is said when one cannot be reached or written to.

use crate::common::port::Port;
use crate::common::process::BrokerProcess;

use super::{Shell, json};

#[test]
fn named_clusters_are_written_to_only_where_that_is_allowed() {
    let server = crate::common::cluster::scratch();
    let broker = BrokerProcess::start(server.path(), "127.0.0.1:0");
    let shell = Shell::new();
    let address = &broker.address;
    shell.config(&format!(
        "[clusters.open]\nbootstrap = '{address}'\n[clusters.look]\nbootstrap = '{address}'\naccess = 'read-only'\n\
         [clusters.live]\nbootstrap = '{address}'\naccess = 'production'\n"
    ));
    shell.ok(&["-c", "open", "topics", "create", "t"], "");
    shell.ok(&["-b", address, "produce", "t"], "1\n");
    for (args, input) in [
        (&["topics", "create", "x"][..], ""),
        (&["topics", "delete", "t"], ""),
        (&["produce", "t"], "2\n"),
    ] {
        let with = |flags: &[&'static str]| [flags, args].concat();
        assert!(shell.fails(&with(&["-c", "look"]), input).contains("read-only"));
        assert!(
            shell
                .fails(&with(&["-c", "look", "--confirm", "look"]), input)
                .contains("read-only")
        );
        assert!(shell.fails(&with(&["-c", "live"]), input).contains("--confirm live"));
        assert!(
            shell
                .fails(&with(&["-c", "live", "--confirm", "love"]), input)
                .contains("`live`")
        );
    }
    assert_eq!(shell.ok(&["-c", "look", "read", "t", "-o", "raw"], ""), "1\n");
    shell.ok(&["-c", "live", "--confirm", "live", "produce", "t"], "3\n");
    assert_eq!(shell.ok(&["-c", "live", "read", "t", "-o", "raw"], ""), "1\n3\n");
    assert_eq!(json(&shell.ok(&["-c", "look", "topics", "--json"], "")).len(), 1);

    // The environment names a cluster where no flag does.
    let count = |args: &[&str], address: &str| {
        let output = shell.command(args).env("FOLDLOG_BOOTSTRAP", address).output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().count()
    };
    assert_eq!(count(&["topics", "--json"], address), 1);
    assert_eq!(
        count(&["topics", "--json"], ""),
        0,
        "empty is unset: the embedded broker"
    );
    assert_eq!(count(&["-c", "look", "topics", "--json"], "127.0.0.1:1"), 1);
    assert_eq!(count(&["-b", address, "topics", "--json"], "127.0.0.1:1"), 1);
}

#[test]
fn a_cluster_or_file_that_is_wrong_is_told() {
    let shell = Shell::new();
    assert!(shell.fails(&["-c", "x", "topics"], "").contains("[clusters.NAME]"));
    shell.config("[clusters.a]\nbootstrap = 'h:1'\n");
    let error = shell.fails(&["-c", "b", "topics"], "");
    assert!(error.contains("no cluster `b`") && error.contains("`a`"), "{error}");
    shell.config("[clusters.a]\nbootstrap = 'h:1'\n[clusters.a.properties]\nsasl.password = 'hunter2\n");
    let error = shell.fails(&["-c", "a", "topics"], "");
    assert!(
        error.contains("config.toml: line 4") && !error.contains("hunter2"),
        "{error}"
    );
    shell.config("[clusters.a]\nbootstrap = 'h:1'\n[clusters.a.properties]\nno.such.thing = 'hunter2'\n");
    let error = shell.fails(&["-c", "a", "topics"], "");
    assert!(
        error.contains("`no.such.thing`") && !error.contains("hunter2"),
        "{error}"
    );
    shell.ok(&["topics"], "");
}

#[test]
fn a_broker_that_does_not_answer_is_told_with_the_reason() {
    let shell = Shell::new();
    // A port on which nobody listens.
    let held = Port::hold();
    let free = held.address();
    let error = shell.fails(&["-b", &free, "topics"], "");
    assert!(
        error.contains(&free) && error.contains("refused") && error.contains("Check the port"),
        "{error}"
    );
    let error = shell.fails(&["-b", "no-such-host.invalid:9092", "read", "t"], "");
    assert!(
        error.contains("no-such-host.invalid:9092") && error.contains("host name"),
        "{error}"
    );
    // Somebody who accepts and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let error = shell.fails(&["-b", &address, "produce", "t"], "1\n");
    assert!(error.contains("cannot reach") && error.contains(&address), "{error}");
}

#[test]
fn secrets_are_not_logged() {
    let shell = Shell::new();
    shell.config(
        "[clusters.a]\nbootstrap = '127.0.0.1:1'\n[clusters.a.properties]\nsecurity.protocol = 'sasl_plaintext'\n\
         sasl.mechanism = 'PLAIN'\nsasl.username = 'me'\nsasl.password = 'hunter2'\ndebug = 'all'\n",
    );
    let output = shell
        .command(&["-c", "a", "topics"])
        .env("FOLDLOG_LOG", "trace")
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(!String::from_utf8_lossy(&output.stderr).contains("hunter2"));
    let log = std::fs::read_to_string(shell.data.path().join("foldlog.log")).unwrap();
    assert!(log.contains("librdkafka"), "{log}");
    assert!(!log.contains("hunter2"));
}
