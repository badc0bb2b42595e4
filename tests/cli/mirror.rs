//! `foldlog mirror`: to another cluster and no further, once, and a comparison that tells what differs.

use super::{Shell, json};
use crate::common::process::BrokerProcess;

#[test]
fn it_mirrors_goes_on_and_compares() {
    let shell = Shell::new();
    let other = Shell::new();
    let target = BrokerProcess::start(other.data.path(), "127.0.0.1:0");
    shell.ok(
        &[
            "topics",
            "create",
            "orders",
            "-p",
            "2",
            "--config",
            "max.message.bytes=20000000",
        ],
        "",
    );
    shell.ok(
        &["produce", "orders", "--key-field", "id"],
        "{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n",
    );
    let mirror = |more: &[&str]| {
        let args = [&["mirror", "orders", "--to", &target.address], more].concat();
        shell.run(&args)
    };
    let said = mirror(&["--once"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), "mirrored 3 records\n"));
    let said = mirror(&["--once", "--json"]);
    let told = json(&said.out);
    assert_eq!((told[0]["records"].as_u64(), said.code), (Some(0), Some(0)));
    let said = mirror(&["--check"]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(0), "3 records equal\n"),
        "{}",
        said.err
    );
    let there = shell.ok(&["-b", &target.address, "read", "orders", "-o", "json"], "");
    let mut there: Vec<String> = json(&there).iter().map(|record| record["value"].to_string()).collect();
    there.sort();
    assert_eq!(there, ["{\"id\":1}", "{\"id\":2}", "{\"id\":3}"]);
    let config = shell.ok(&["-b", &target.address, "topics", "--json"], "");
    assert_eq!(json(&config)[1]["partitions"], 2);

    shell.ok(&["produce", "orders", "--key-field", "id"], "{\"id\":4}\n");
    let said = mirror(&["--check", "--json"]);
    let told = json(&said.out);
    assert_eq!(
        (told[0]["equal"].as_u64(), told[0]["missing"].as_u64()),
        (Some(3), Some(1))
    );
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("1 missing"), "{}", said.err);
    assert_eq!(mirror(&["--once"]).err, "mirrored 1 record\n");
}

#[test]
fn what_cannot_be_mirrored_is_said() {
    let shell = Shell::new();
    let broker = BrokerProcess::start(shell.data.path(), "127.0.0.1:0");
    shell.ok(&["topics", "create", "orders"], "");
    let itself = shell.fails(&["mirror", "orders", "--to", &broker.address, "--once"], "");
    assert!(itself.contains("the target is the source itself"), "{itself}");
    let unknown = shell.fails(&["mirror", "odrers", "--to", &broker.address, "--once"], "");
    assert!(unknown.contains("`orders`"), "{unknown}");
    assert!(shell.fails(&["mirror", "orders"], "").contains("--to"));
    let nobody = shell.fails(&["mirror", "orders", "--to-cluster", "nobody"], "");
    assert!(nobody.contains("nobody"), "{nobody}");
}
