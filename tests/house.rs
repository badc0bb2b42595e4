//! The walls of the house: who may import whom, and which crate is known to which folder only.
// Helpers outside a #[test] fail the test by unwrapping, which the lint cannot see.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up, with what each layer may import.
const LAYERS: &[(&str, &[&str])] = &[
    ("record", &[]),
    ("broker", &["record"]),
    ("decode", &["record"]),
    ("projection", &["record", "decode"]),
    ("readmodel", &["record", "decode", "projection"]),
    ("chart", &["record", "decode", "readmodel"]),
    ("sink", &["record", "decode", "projection", "readmodel"]),
    ("agent", &["record"]),
    (
        "replay",
        &["record", "broker", "decode", "projection", "readmodel", "sink", "agent"],
    ),
    (
        "demo",
        &[
            "record",
            "broker",
            "decode",
            "projection",
            "readmodel",
            "chart",
            "sink",
            "replay",
            "agent",
        ],
    ),
    (
        "app",
        &[
            "record",
            "broker",
            "decode",
            "projection",
            "readmodel",
            "chart",
            "sink",
            "replay",
            "demo",
        ],
    ),
    (
        "ui",
        &[
            "record",
            "broker",
            "decode",
            "projection",
            "readmodel",
            "chart",
            "sink",
            "replay",
            "demo",
            "app",
        ],
    ),
    (
        "runtime",
        &[
            "record",
            "broker",
            "decode",
            "projection",
            "readmodel",
            "chart",
            "sink",
            "replay",
            "demo",
            "app",
            "ui",
        ],
    ),
    (
        "cli",
        &[
            "record",
            "broker",
            "decode",
            "projection",
            "readmodel",
            "chart",
            "sink",
            "replay",
            "agent",
            "demo",
            "runtime",
        ],
    ),
];

/// Crates that only some layers may name.
const CRATES: &[(&str, &[&str])] = &[
    ("rdkafka", &["broker"]),
    ("rdkafka_sys", &["broker"]),
    ("kafka_protocol", &["broker"]),
    ("rusqlite", &["readmodel"]),
    ("ratatui", &["ui", "runtime"]),
    ("crossterm", &["runtime"]),
    ("clap", &["cli"]),
    ("ureq", &["replay", "sink"]),
    ("native_tls", &["sink"]),
    ("postgres", &["sink"]),
    ("postgres_native_tls", &["sink"]),
    ("tokio_postgres", &["sink"]),
    ("parquet", &["sink"]),
    ("tokio", &["broker", "sink", "replay", "demo", "runtime", "cli"]),
    ("tokio_util", &["broker", "sink", "replay", "demo", "runtime", "cli"]),
];

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// Every source file with the layer it belongs to and its text without comments.
fn sources() -> Vec<(PathBuf, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    files
        .into_iter()
        .filter_map(|path| {
            let first = path.strip_prefix(&root).unwrap().components().next()?;
            let layer = first.as_os_str().to_str()?.trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).unwrap();
            let code: Vec<&str> = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect();
            (layer != "lib" && layer != "main").then(|| (path, layer, code.join("\n")))
        })
        .collect()
}

/// The identifiers that follow `prefix` in `code`, a use-list in braces counted whole.
fn named_after(code: &str, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut word = String::new();
            let mut take = true;
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        names.push(std::mem::take(&mut word));
                        take = true;
                    }
                    ':' if depth == 0 => take = false,
                    c if depth == 0 && take && (c.is_alphanumeric() || c == '_') => word.push(c),
                    _ => {}
                }
            }
            names.push(word);
        } else {
            names.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

#[test]
fn a_layer_imports_only_those_below_it() {
    let allowed: BTreeMap<&str, &[&str]> = LAYERS.iter().copied().collect();
    let mut wrong = Vec::new();
    for (path, layer, code) in sources() {
        let Some(below) = allowed.get(layer.as_str()) else {
            wrong.push(format!("{}: the layer `{layer}` is not in the list", path.display()));
            continue;
        };
        for name in named_after(&code, "crate::") {
            if name != layer && !below.contains(&name.as_str()) {
                wrong.push(format!("{}: `{layer}` may not import `crate::{name}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_crate_is_known_only_where_it_belongs() {
    let mut wrong = Vec::new();
    for (path, layer, code) in sources() {
        for (name, homes) in CRATES {
            let named = code
                .match_indices(&format!("{name}::"))
                .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'));
            if named && !homes.contains(&layer.as_str()) {
                wrong.push(format!("{}: `{name}` belongs to {}", path.display(), homes.join(", ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_stands_at_the_c_boundary_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let homes = [root.join("broker/ffi"), root.join("readmodel/changes/ffi.rs")];
    let files: Vec<_> = sources()
        .into_iter()
        .filter(|(_, _, code)| code.contains("unsafe {") || code.contains("unsafe impl") || code.contains("unsafe fn"))
        .map(|(path, _, _)| path)
        .filter(|path| homes.iter().all(|home| !path.starts_with(home)))
        .collect();
    assert!(
        files.is_empty(),
        "unsafe code belongs to broker/ffi and readmodel/changes/ffi.rs alone: {files:?}"
    );
}

#[test]
fn every_layer_of_the_list_is_there() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (layer, _) in LAYERS {
        assert!(
            src.join(layer).is_dir() || src.join(format!("{layer}.rs")).is_file(),
            "the layer `{layer}` has no folder"
        );
    }
}
