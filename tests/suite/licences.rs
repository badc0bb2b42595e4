//! Every crate that is built in may be given away with the program.

use std::path::Path;
use std::process::Command;

/// Licences that ask for no more than their notice. Weak and strong copyleft are missing on purpose.
const PERMISSIVE: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "WTFPL",
    "Zlib",
];

/// Whether an SPDX expression leaves a choice of permissive licences: each side of an AND, one side of an OR.
fn permissive(expression: &str) -> bool {
    // The old form of OR that many manifests still use.
    let expression = expression.replace('/', " OR ");
    let mut rest = expression.trim();
    let result = any_of(&mut rest);
    result && rest.is_empty()
}

fn any_of(rest: &mut &str) -> bool {
    let mut result = all_of(rest);
    while let Some(after) = rest.strip_prefix("OR ") {
        *rest = after.trim_start();
        result |= all_of(rest);
    }
    result
}

fn all_of(rest: &mut &str) -> bool {
    let mut result = one(rest);
    while let Some(after) = rest.strip_prefix("AND ") {
        *rest = after.trim_start();
        result &= one(rest);
    }
    result
}

fn one(rest: &mut &str) -> bool {
    if let Some(inside) = rest.strip_prefix('(') {
        *rest = inside.trim_start();
        let result = any_of(rest);
        *rest = rest.strip_prefix(')').map_or("unclosed", str::trim_start);
        return result;
    }
    let end = [" OR ", " AND ", ")"].iter().filter_map(|stop| rest.find(stop)).min();
    let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
    *rest = after.trim_start();
    PERMISSIVE.contains(&name.trim())
}

#[test]
fn expressions_are_understood() {
    for good in [
        "MIT",
        "MIT OR Apache-2.0",
        "MIT/Apache-2.0",
        "GPL-3.0 OR MIT",
        "(MIT OR GPL-2.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR GPL-2.0",
    ] {
        assert!(permissive(good), "{good}");
    }
    for bad in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "MPL-2.0",
        "(MIT",
        "MIT)",
        "MIT AND (GPL-2.0 OR LGPL-3.0)",
    ] {
        assert!(!permissive(bad), "{bad}");
    }
}

#[test]
fn every_dependency_is_permissive() {
    // Crates for other systems are neither downloaded nor built in.
    let rustc = Command::new("rustc").arg("-vV").output().expect("rustc can be run");
    let version = String::from_utf8_lossy(&rustc.stdout);
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .expect("a host");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(["--filter-platform", host, "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    assert!(packages.len() > 100, "all of them are looked at");
    let others: Vec<String> = packages
        .iter()
        .filter(|package| !permissive(package["license"].as_str().unwrap_or("")))
        .map(|package| format!("{} {}: {}", package["name"], package["version"], package["license"]))
        .collect();
    assert!(others.is_empty(), "not permissive: {others:#?}");
}
