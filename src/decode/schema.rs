//! A JSON Schema that values are held against. References are resolved within it only: nothing is fetched.

use jsonschema::Validator;
use serde_json::Value;

use super::printable::printable;

/// Characters of what a schema has against a value: the value itself may have megabytes.
const WIDTH: usize = 200;

/// A compiled schema.
#[derive(Debug)]
pub struct Schema {
    validator: Validator,
}

/// What a schema has against a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// Where in the value, as a JSON pointer; empty is the whole value.
    pub pointer: String,
    /// Why, such as `"many" is not of type "integer"`.
    pub reason: String,
    /// How many more there are.
    pub more: usize,
}

impl Schema {
    /// Compiles the text of a schema, or says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        let json: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
        let validator = jsonschema::validator_for(&json).map_err(|error| {
            let reason = error.to_string();
            // What the crate says then is about its own features.
            if let Some((what, _)) = reason.split_once(" is not present in a registry") {
                let what = what.trim_start_matches("Resource ");
                return format!("it refers to {what}, which does not stand in it");
            }
            match error.instance_path().to_string().as_str() {
                "" => reason,
                pointer => format!("at {pointer}: {reason}"),
            }
        })?;
        Ok(Self { validator })
    }

    /// Holds a value against the schema. What is not JSON breaks it as a whole.
    pub fn check(&self, value: &[u8]) -> Result<(), Breach> {
        let json: Value = match serde_json::from_slice(value) {
            Ok(json) => json,
            Err(error) => {
                return Err(Breach {
                    pointer: String::new(),
                    reason: error.to_string(),
                    more: 0,
                });
            }
        };
        if self.validator.is_valid(&json) {
            return Ok(());
        }
        let mut breaches = self.validator.iter_errors(&json);
        let Some(first) = breaches.next() else { return Ok(()) };
        let reason = printable(first.to_string().as_bytes(), WIDTH);
        Err(Breach {
            pointer: first.instance_path().to_string(),
            reason: if reason.cut { reason.text + "…" } else { reason.text },
            more: breaches.count(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_and_the_reason_are_told() {
        let schema = Schema::new(
            r#"{"type": "object", "required": ["id"],
                "properties": {"lines": {"items": {"properties": {"n": {"type": "integer", "minimum": 1}}}}}}"#,
        )
        .unwrap();
        assert_eq!(schema.check(br#"{"id": 1, "lines": [{"n": 2}], "more": null}"#), Ok(()));
        let breach = schema
            .check(br#"{"id": 1, "lines": [{"n": 2}, {"n": "two"}]}"#)
            .unwrap_err();
        assert_eq!(
            (&*breach.pointer, &*breach.reason, breach.more),
            ("/lines/1/n", r#""two" is not of type "integer""#, 0)
        );
        let breach = schema.check(br#"{"lines": [{"n": 0}]}"#).unwrap_err();
        assert_eq!(breach.more, 1);
        let breach = schema.check(b"{").unwrap_err();
        assert_eq!(breach.pointer, "");
        let long = format!(r#"{{"id": 1, "lines": [{{"n": "{}"}}]}}"#, "x".repeat(10_000));
        assert!(schema.check(long.as_bytes()).unwrap_err().reason.chars().count() <= WIDTH + 1);
    }

    #[test]
    fn what_is_no_schema_is_told_and_nothing_is_fetched() {
        assert!(Schema::new("{").unwrap_err().contains("not JSON"));
        assert!(Schema::new(r#"{"type": "integr"}"#).is_err());
        assert!(Schema::new(r#"{"$ref": "https://example.com/other.json"}"#).is_err());
        assert!(Schema::new(r##"{"$defs": {"n": {"type": "integer"}}, "$ref": "#/$defs/n"}"##).is_ok());
    }
}
