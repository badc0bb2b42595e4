#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::borrow::Cow;

use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;

fn path(text: &str) -> FieldPath {
    FieldPath(text.split('/').filter(|s| !s.is_empty()).map(str::to_owned).collect())
}

fn extract<'a>(json: &'a str, paths: &[&str]) -> Result<Vec<Scalar<'a>>, DecodeError> {
    let set = FieldSet::new(&paths.iter().map(|p| path(p)).collect::<Vec<_>>());
    let mut slots = Vec::new();
    set.extract(json.as_bytes(), &mut slots).map(|()| slots)
}

fn text(s: &str) -> Scalar<'_> {
    Scalar::Text(Cow::Borrowed(s))
}

#[test]
fn each_kind_of_value_has_its_scalar() {
    let json = r#" {"s":"x","i":-7,"r":1.5,"t":true,"f":false,"n":null,"o":{ "a" : [1, 2] },"l":[ 1 ],"e":"a\"\u00e9\ud83d\ude00\n"} "#;
    let slots = extract(json, &["s", "i", "r", "t", "f", "n", "o", "l", "e", "missing", "o/a/1"]).unwrap();
    assert_eq!(
        slots,
        [
            text("x"),
            Scalar::Integer(-7),
            Scalar::Real(1.5),
            Scalar::Integer(1),
            Scalar::Integer(0),
            Scalar::Null,
            text(r#"{ "a" : [1, 2] }"#),
            text("[ 1 ]"),
            text("a\"é😀\n"),
            Scalar::Null,
            Scalar::Integer(2),
        ]
    );
}

#[test]
fn plain_strings_are_borrowed_and_escaped_ones_owned() {
    let slots = extract(r#"{"plain":"abc","escaped":"a\tc"}"#, &["plain", "escaped"]).unwrap();
    assert!(matches!(slots[0], Scalar::Text(Cow::Borrowed("abc"))));
    assert!(matches!(&slots[1], Scalar::Text(Cow::Owned(s)) if s == "a\tc"));
}

#[test]
fn the_last_of_equal_names_counts_with_all_that_is_below_it() {
    assert_eq!(extract(r#"{"a":1,"a":2}"#, &["a"]).unwrap(), [Scalar::Integer(2)]);
    assert_eq!(
        extract(r#"{"a":{"b":1},"a":{"c":2}}"#, &["a/b"]).unwrap(),
        [Scalar::Null]
    );
    assert_eq!(
        extract(r#"{"a":{"b":1},"\u0061":7}"#, &["a/b"]).unwrap(),
        [Scalar::Null]
    );
}

#[test]
fn the_same_path_twice_fills_both_slots() {
    assert_eq!(extract(r#"{"a":"x"}"#, &["a", "a"]).unwrap(), [text("x"), text("x")]);
}

#[test]
fn no_segment_is_the_value_itself() {
    assert_eq!(
        extract(r#" {"a":1} "#, &["", "a"]).unwrap(),
        [text(r#"{"a":1}"#), Scalar::Integer(1)]
    );
    assert_eq!(extract(r#""Deposited""#, &[""]).unwrap(), [text("Deposited")]);
}

#[test]
fn an_index_is_a_name_in_an_object_and_is_written_in_one_way() {
    assert_eq!(extract(r#"{"a":{"0":"x"}}"#, &["a/0"]).unwrap(), [text("x")]);
    assert_eq!(extract(r#"{"a":["x"]}"#, &["a/00"]).unwrap(), [Scalar::Null]);
}

#[test]
fn what_is_not_one_json_value_is_refused_with_its_place() {
    for (json, reason, at) in [
        ("", "empty value", 0),
        (" ", "not JSON: it ends where a value should follow", 1),
        ("hello", "not JSON: expected a value", 0),
        (
            "{\"a\":1",
            "not JSON: it ends where a comma or the end of the object should follow",
            6,
        ),
        ("{\"a\":1}x", "not JSON: something follows the value", 7),
        ("{} {}", "not JSON: something follows the value", 3),
        ("[1,]", "not JSON: expected a value", 3),
        ("{\"a\":01}", "not JSON: expected a comma or the end of the object", 6),
        (
            "\"a\u{1}\"",
            "not JSON: a control character inside a string must be escaped",
            2,
        ),
        ("\u{feff}{}", "not JSON: expected a value", 0),
    ] {
        let error = extract(json, &["a"]).unwrap_err();
        assert_eq!((error.reason.as_str(), error.at), (reason, at), "{json:?}");
    }
    let set = FieldSet::new(&[path("a")]);
    let error = set.extract(b"{\"b\":\"\xff\"}", &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "not UTF-8 at byte 6");
}

#[test]
fn half_a_surrogate_pair_is_refused_only_where_it_is_wanted() {
    let json = r#"{"a":"x\ud800y","b":1}"#;
    assert_eq!(extract(json, &["b"]).unwrap(), [Scalar::Integer(1)]);
    assert_eq!(extract(r#"{"\udc00":1,"b":2}"#, &["b"]).unwrap(), [Scalar::Integer(2)]);
    let error = extract(json, &["a"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "not JSON: half of a surrogate pair, which no text can hold at byte 7"
    );
}

#[test]
fn depth_costs_no_stack() {
    let run = || {
        for depth in [127, 128, 129, 256, 10_000, 1_000_000] {
            let json = format!("{{\"deep\":{}{},\"a\":1}}", "[".repeat(depth), "]".repeat(depth));
            assert_eq!(extract(&json, &["a"]).unwrap(), [Scalar::Integer(1)]);
            let json = format!(
                "{{\"deep\":{}1{},\"a\":1}}",
                "{\"x\":[".repeat(depth),
                "]}".repeat(depth)
            );
            assert_eq!(extract(&json, &["a", "deep/x/0/x"]).unwrap()[0], Scalar::Integer(1));
            let mixed = format!("{}{}", "[".repeat(depth), "}".repeat(depth));
            assert!(extract(&mixed, &["a"]).is_err());
        }
    };
    // A stack that would not hold ten thousand frames.
    std::thread::Builder::new()
        .stack_size(128 * 1024)
        .spawn(run)
        .unwrap()
        .join()
        .unwrap();
}

/// A JSON value that knows how it is to be written.
#[derive(Debug, Clone)]
enum Model {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    Array(Vec<Model>),
    Object(Vec<(String, Model)>),
}

/// Few names, so that they repeat and paths meet them.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[abc]".prop_map(String::from),
        1 => "[012]".prop_map(String::from),
        1 => any::<String>().prop_map(|s| s.chars().take(12).collect()),
    ]
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|i| i.to_string()),
        any::<u64>().prop_map(|i| i.to_string()),
        any::<f64>()
            .prop_filter("finite", |f| f.is_finite())
            .prop_map(|f| format!("{f:e}")),
        "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?",
    ]
}

fn model() -> impl Strategy<Value = Model> {
    let leaf = prop_oneof![
        Just(Model::Null),
        any::<bool>().prop_map(Model::Bool),
        number().prop_map(Model::Number),
        any::<String>().prop_map(Model::Text),
        "[ -~]{0,40}".prop_map(Model::Text),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Model::Array),
            proptest::collection::vec((name(), inner), 0..6).prop_map(Model::Object),
        ]
    })
}

/// Writes `model` with white space and escapes that `salt` decides, and notes where each container stands.
fn write(model: &Model, salt: &mut u64, out: &mut String) {
    let mut dice = |n: u64| {
        *salt = salt
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (*salt >> 33) % n
    };
    let space = |n: u64| ["", "", "", " ", "\n", "\t ", "\r\n"][n as usize];
    match model {
        Model::Null => out.push_str("null"),
        Model::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Model::Number(n) => out.push_str(n),
        Model::Text(s) => {
            out.push('"');
            for c in s.chars() {
                match c {
                    '"' => out.push_str("\\\""),
                    '\\' => out.push_str("\\\\"),
                    '/' if dice(2) == 0 => out.push_str("\\/"),
                    '\n' if dice(2) == 0 => out.push_str("\\n"),
                    c if (c as u32) < 0x20 || dice(20) == 0 => {
                        for unit in c.encode_utf16(&mut [0; 2]) {
                            out.push_str(&format!("\\u{unit:04X}"));
                        }
                    }
                    c => out.push(c),
                }
            }
            out.push('"');
        }
        Model::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                write(item, salt, out);
            }
            out.push(']');
        }
        Model::Object(members) => {
            out.push('{');
            out.push_str(space(dice(7)));
            for (i, (name, value)) in members.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                write(&Model::Text(name.clone()), salt, out);
                out.push_str([":", " :", ": ", " : "][(*salt >> 40) as usize % 4]);
                write(value, salt, out);
                out.push_str([" ", "", "\n"][(*salt >> 40) as usize % 3]);
            }
            out.push('}');
        }
    }
}

/// What serde_json says stands at `path`.
fn expected(json: &str, path: &FieldPath) -> Option<serde_json::Value> {
    let mut value: &serde_json::Value = &serde_json::from_str(json).unwrap();
    for segment in &path.0 {
        value = match value {
            serde_json::Value::Object(members) => members.get(segment)?,
            serde_json::Value::Array(items) => items.get(segment.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(value.clone())
}

fn agrees(scalar: &Scalar<'_>, value: Option<serde_json::Value>) -> bool {
    use serde_json::Value;
    match (scalar, value) {
        (Scalar::Null, None | Some(Value::Null)) => true,
        (Scalar::Integer(i), Some(Value::Bool(b))) => *i == i64::from(b),
        (Scalar::Integer(i), Some(Value::Number(n))) => n.as_i64() == Some(*i) || (*i == 0 && n.as_f64() == Some(0.0)),
        // serde_json's own double may be off by the last bit without its `float_roundtrip`.
        (Scalar::Real(r), Some(Value::Number(n))) => n
            .as_f64()
            .is_some_and(|f| (f - r).abs() <= r.abs() * 1e-15 + f64::MIN_POSITIVE),
        (Scalar::Text(t), Some(Value::String(s))) => **t == *s,
        (Scalar::Text(t), Some(Value::Number(_))) => serde_json::from_str::<serde_json::Number>(t).is_ok(),
        (Scalar::Text(t), Some(value)) => serde_json::from_str::<Value>(t).unwrap() == value,
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn every_field_is_what_serde_json_finds(
        model in model(),
        salt in any::<u64>(),
        paths in proptest::collection::vec(proptest::collection::vec(name(), 0..4).prop_map(FieldPath), 1..6),
    ) {
        let mut json = String::new();
        write(&model, &mut salt.clone(), &mut json);
        // A number beyond the range of a double is no serde_json value at all.
        prop_assume!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
        let mut slots = Vec::new();
        FieldSet::new(&paths).extract(json.as_bytes(), &mut slots).unwrap();
        for (path, slot) in paths.iter().zip(&slots) {
            // serde_json reads `+1` and `01` as an index too.
            prop_assume!(path.0.iter().all(|s| s.parse::<usize>().is_err() || s.len() == 1));
            let expected = expected(&json, path);
            prop_assert!(agrees(slot, expected.clone()), "{json}\n{path}: {slot:?}, serde_json: {expected:?}");
        }
    }

    #[test]
    fn what_serde_json_refuses_is_refused_and_nothing_else(
        model in model(),
        salt in any::<u64>(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), 0u8..128, 0u8..3), 0..4),
    ) {
        let mut json = String::new();
        write(&model, &mut salt.clone(), &mut json);
        let mut bytes = json.into_bytes();
        for (place, byte, how) in changes {
            if bytes.is_empty() {
                break;
            }
            let at = place.index(bytes.len());
            match how {
                0 => bytes[at] = b"{}[]\",:0-e.\\ \x1f"[byte as usize % 14],
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, byte),
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let ours = FieldSet::new(&[path("a"), path("b/a")]).extract(text.as_bytes(), &mut Vec::new());
        let theirs = serde_json::from_str::<IgnoredAny>(&text);
        let surrogate = ours.as_ref().is_err_and(|e| e.reason.contains("surrogate"));
        prop_assert!(surrogate || ours.is_ok() == theirs.is_ok(), "{text:?}\nours {ours:?}\ntheirs {theirs:?}");
    }

    #[test]
    fn a_number_loses_no_digit(written in number()) {
        let slots = extract(&written, &[""]).unwrap();
        match &slots[0] {
            Scalar::Integer(i) => prop_assert!(i.to_string() == written || written == "-0"),
            Scalar::Real(r) => prop_assert!(decimal(&format!("{r:e}")) == decimal(&written), "{written} became {r}"),
            Scalar::Text(t) => {
                prop_assert_eq!(&**t, written.as_str());
                prop_assert!(written.parse::<i64>().is_err());
                let whole = !written.contains(['.', 'e', 'E']);
                let double = written.parse::<f64>().unwrap();
                let carried = double.is_finite() && decimal(&format!("{double:e}")) == decimal(&written);
                prop_assert!(whole || !carried, "{written} fits into {double}");
            }
            other => prop_assert!(false, "{other:?}"),
        }
    }
}

/// A decimal number's digits and exponent, by a way of its own.
fn decimal(text: &str) -> (bool, String, i64) {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let point = mantissa.find('.').map_or(0, |at| mantissa.len() - at - 1);
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let trimmed = digits.trim_end_matches('0');
    let exponent = exponent.parse::<i64>().unwrap() - point as i64 + (digits.len() - trimmed.len()) as i64;
    let trimmed = trimmed.trim_start_matches('0');
    let zero = trimmed.is_empty();
    (
        text.starts_with('-'),
        trimmed.to_owned(),
        if zero { 0 } else { exponent },
    )
}
