//! A change of a row as the records that Debezium writes for it: a key, and an envelope with the row before and after.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::readmodel::capture::{Op, RowChange, SourceColumn, SourceTable};
use crate::record::{Header, Timestamp};

/// The connector's name in every event.
const CONNECTOR: &str = "sqlite";
/// What a key says of its table where a topic has the changes of several, whose keys may be the same.
const TABLE: &str = "__dbz__physicalTableIdentifier";
/// The headers of the two events that a changed key makes.
const NEW_KEY: &str = "__debezium.newkey";
const OLD_KEY: &str = "__debezium.oldkey";

/// How events are written.
#[derive(Debug, Clone)]
pub(super) struct Envelope {
    /// What names of topics, and the names of schemas, begin with.
    pub(super) prefix: String,
    /// The database's name.
    pub(super) database: String,
    /// Whether a topic has the changes of several tables.
    pub(super) together: bool,
    /// Whether each key and value carries its schema.
    pub(super) schemas: bool,
}

/// What a record says of the snapshot that it is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    First,
    FirstOfTable,
    Row,
    LastOfTable,
    Last,
    /// Of a table that is read once more.
    Incremental,
    /// It is a change and no part of a snapshot.
    None,
}

impl Part {
    fn word(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::FirstOfTable => "first_in_data_collection",
            Self::Row => "true",
            Self::LastOfTable => "last_in_data_collection",
            Self::Last => "last",
            Self::Incremental => "incremental",
            Self::None => "false",
        }
    }
}

/// A record to write.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Written {
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<Header>,
}

type Object = BTreeMap<String, Box<RawValue>>;

#[derive(Serialize)]
struct Payload<'a> {
    before: Option<&'a RawValue>,
    after: Option<&'a RawValue>,
    source: &'a Value,
    transaction: Option<()>,
    op: &'static str,
    ts_ms: i64,
    ts_us: i64,
    ts_ns: i64,
}

/// A payload with its schema.
#[derive(Serialize)]
struct Wrapped<'a, T> {
    schema: &'a Value,
    payload: T,
}

impl Envelope {
    /// The records of a change. A deletion is followed by a tombstone; a row whose key changes is deleted under the old one and
    /// created under the new one. `now` is when it is written.
    pub(super) fn records(
        &self,
        change: &RowChange,
        table: &SourceTable,
        part: Part,
        now: Timestamp,
    ) -> Result<Vec<Written>, serde_json::Error> {
        let before = change
            .before
            .as_deref()
            .map(serde_json::from_str::<&RawValue>)
            .transpose()?;
        let after = change
            .after
            .as_deref()
            .map(serde_json::from_str::<&RawValue>)
            .transpose()?;
        let plain = |row: Option<&RawValue>| row.map(|row| self.plain_key(row, table)).transpose();
        let (old, new) = (plain(before)?, plain(after)?);
        let value = |before, after, op: Op| self.value(change, table, part, now, (before, after, op));
        let event = |key: &RawValue, value: Option<Vec<u8>>, headers: Vec<Header>| {
            let key = self.key(key, table)?;
            Ok::<_, serde_json::Error>(Written { key, value, headers })
        };
        // Kafka Connect's own converter of headers writes no schemas, whatever keys and values have.
        let header = |name: &str, key: &RawValue| Header {
            key: name.into(),
            value: Some(key.get().into()),
        };
        Ok(match (old, new) {
            (Some(old), Some(new)) if old.get() != new.get() => vec![
                event(
                    &old,
                    Some(value(before, None, Op::Delete)?),
                    vec![header(NEW_KEY, &new)],
                )?,
                event(&old, None, vec![header(NEW_KEY, &new)])?,
                event(&new, Some(value(None, after, Op::Create)?), vec![header(OLD_KEY, &old)])?,
            ],
            (_, Some(new)) => vec![event(&new, Some(value(before, after, change.op)?), Vec::new())?],
            (Some(old), None) => vec![
                event(&old, Some(value(before, None, change.op)?), Vec::new())?,
                event(&old, None, Vec::new())?,
            ],
            (None, None) => Vec::new(),
        })
    }

    /// The columns of the key, and the table where a topic has several.
    fn plain_key(&self, row: &RawValue, table: &SourceTable) -> Result<Box<RawValue>, serde_json::Error> {
        let mut row: Object = serde_json::from_str(row.get())?;
        let mut text = String::from("{");
        for name in &table.key {
            let value = row.remove(name).unwrap_or_else(|| RawValue::NULL.to_owned());
            if text.len() > 1 {
                text.push(',');
            }
            text += &format!("{}:{}", Value::from(name.as_str()), value.get());
        }
        if self.together {
            text += &format!(",{}:{}", Value::from(TABLE), Value::from(self.name_of(table)));
        }
        text.push('}');
        RawValue::from_string(text)
    }

    /// A record's key, with its schema where each has one.
    fn key(&self, plain: &RawValue, table: &SourceTable) -> Result<Vec<u8>, serde_json::Error> {
        if !self.schemas {
            return Ok(plain.get().as_bytes().to_vec());
        }
        let own: Object = serde_json::from_str(plain.get())?;
        let rows = [Some(&own)];
        let columns: Vec<&SourceColumn> = table
            .columns
            .iter()
            .filter(|column| table.key.contains(&column.name))
            .collect();
        let kinds: Vec<Kind> = columns.iter().map(|column| kind_of(column, &rows)).collect();
        let fitted = columns.iter().zip(&kinds).filter(|(_, kind)| **kind == Kind::Text);
        let payload = as_text(plain, fitted.map(|(column, _)| column.name.as_str()))?;
        let mut fields: Vec<Value> = columns
            .iter()
            .zip(&kinds)
            .map(|(column, kind)| field(column, *kind))
            .collect();
        if self.together {
            fields.push(json!({"type": "string", "optional": false, "field": TABLE}));
        }
        serde_json::to_vec(&Wrapped {
            schema: &json!({"type": "struct", "fields": fields, "optional": false, "name": format!("{}.Key", self.name_of(table))}),
            payload,
        })
    }

    fn value(
        &self,
        change: &RowChange,
        table: &SourceTable,
        part: Part,
        now: Timestamp,
        (before, after, op): (Option<&RawValue>, Option<&RawValue>, Op),
    ) -> Result<Vec<u8>, serde_json::Error> {
        let at = change.at.0;
        let source = json!({
            "version": env!("CARGO_PKG_VERSION"), "connector": CONNECTOR, "name": self.prefix, "ts_ms": at,
            "snapshot": part.word(), "db": self.database, "sequence": null, "ts_us": at * 1_000, "ts_ns": at * 1_000_000,
            "table": table.name, "pos": change.number,
        });
        let payload = Payload {
            before,
            after,
            source: &source,
            transaction: None,
            op: op.letter(),
            ts_ms: now.0,
            ts_us: now.0 * 1_000,
            ts_ns: now.0 * 1_000_000,
        };
        if !self.schemas {
            return serde_json::to_vec(&payload);
        }
        let rows: Vec<Option<Object>> = [before, after]
            .into_iter()
            .map(|row| row.map(|row| serde_json::from_str(row.get())).transpose())
            .collect::<Result<_, _>>()?;
        let rows: Vec<Option<&Object>> = rows.iter().map(Option::as_ref).collect();
        let kinds: Vec<Kind> = table.columns.iter().map(|column| kind_of(column, &rows)).collect();
        let texts = || {
            let fitted = table
                .columns
                .iter()
                .zip(&kinds)
                .filter(|(_, kind)| **kind == Kind::Text);
            fitted.map(|(column, _)| column.name.as_str())
        };
        let fit = |row: Option<&RawValue>| row.map(|row| as_text(row, texts())).transpose();
        let (before, after) = (fit(before)?, fit(after)?);
        serde_json::to_vec(&Wrapped {
            schema: &self.schema(table, &kinds),
            payload: Payload {
                before: before.as_deref(),
                after: after.as_deref(),
                ..payload
            },
        })
    }

    /// The table's full name: `PREFIX.DATABASE.TABLE`, which is also that of its own topic.
    pub(super) fn name_of(&self, table: &SourceTable) -> String {
        format!("{}.{}.{}", self.prefix, self.database, table.name)
    }

    fn schema(&self, table: &SourceTable, kinds: &[Kind]) -> Value {
        let row = |name: &str| {
            let columns = table.columns.iter().zip(kinds);
            let fields: Vec<Value> = columns.map(|(column, kind)| field(column, *kind)).collect();
            json!({"type": "struct", "fields": fields, "optional": true, "name": format!("{}.Value", self.name_of(table)), "field": name})
        };
        let plain = |kind: &str, optional: bool, name: &str| json!({"type": kind, "optional": optional, "field": name});
        let source = json!({
            "type": "struct", "optional": false, "name": "io.debezium.connector.sqlite.Source", "field": "source", "fields": [
                plain("string", false, "version"), plain("string", false, "connector"), plain("string", false, "name"),
                plain("int64", false, "ts_ms"),
                {"type": "string", "optional": true, "name": "io.debezium.data.Enum", "version": 1, "default": "false", "field": "snapshot",
                 "parameters": {"allowed": "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"}},
                plain("string", false, "db"), plain("string", true, "sequence"), plain("int64", true, "ts_us"),
                plain("int64", true, "ts_ns"), plain("string", false, "table"), plain("int64", false, "pos"),
            ],
        });
        let transaction = json!({
            "type": "struct", "optional": true, "name": "event.block", "version": 1, "field": "transaction", "fields": [
                plain("string", false, "id"), plain("int64", false, "total_order"), plain("int64", false, "data_collection_order"),
            ],
        });
        json!({
            "type": "struct", "optional": false, "name": format!("{}.Envelope", self.name_of(table)), "version": 2, "fields": [
                row("before"), row("after"), source, transaction, plain("string", false, "op"), plain("int64", true, "ts_ms"),
                plain("int64", true, "ts_us"), plain("int64", true, "ts_ns"),
            ],
        })
    }
}

/// The type of a field, as Kafka Connect calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integer,
    Double,
    Text,
}

/// What a column has in these rows. It is what was declared, as far as SQLite holds columns to that: where a table is not STRICT, text can
/// stand in any of them. Then it is text, and so are its numbers.
fn kind_of(column: &SourceColumn, rows: &[Option<&Object>]) -> Kind {
    let kind = declared(column);
    let mut values = rows
        .iter()
        .flatten()
        .filter_map(|row| row.get(&column.name))
        .map(|value| value.get());
    let fits = |value: &str| match kind {
        _ if value == "null" => true,
        Kind::Text => true,
        Kind::Integer => value.parse::<i64>().is_ok(),
        Kind::Double => !value.starts_with('"'),
    };
    if values.all(fits) { kind } else { Kind::Text }
}

fn declared(column: &SourceColumn) -> Kind {
    let declared = column.declared.to_ascii_uppercase();
    let is = |words: &[&str]| words.iter().any(|word| declared.contains(word));
    if is(&["INT"]) {
        Kind::Integer
    } else if is(&["CHAR", "CLOB", "TEXT", "BLOB", "DATE", "TIME"]) || declared.is_empty() {
        Kind::Text
    } else {
        Kind::Double
    }
}

/// The row with the numbers of these columns as text, digit for digit. One where none is stays as it is.
fn as_text<'n>(row: &RawValue, columns: impl Iterator<Item = &'n str>) -> Result<Box<RawValue>, serde_json::Error> {
    let values: Object = serde_json::from_str(row.get())?;
    let is_number = |value: &RawValue| value.get() != "null" && !value.get().starts_with('"');
    let numbers: BTreeSet<&str> = columns
        .filter(|name| values.get(*name).is_some_and(|value| is_number(value)))
        .collect();
    if numbers.is_empty() {
        return Ok(row.to_owned());
    }
    let ordered: serde_json::Map<String, Value> = serde_json::from_str(row.get())?;
    let mut text = String::from("{");
    // The map tells the columns' order, and the raw values their digits.
    for name in ordered.keys() {
        let Some(value) = values.get(name) else { continue };
        if text.len() > 1 {
            text.push(',');
        }
        let value = if numbers.contains(name.as_str()) {
            Value::from(value.get()).to_string()
        } else {
            value.get().to_owned()
        };
        text += &format!("{}:{value}", Value::from(name.as_str()));
    }
    text.push('}');
    RawValue::from_string(text)
}

/// A column as a field of a schema.
fn field(column: &SourceColumn, kind: Kind) -> Value {
    let kind = match kind {
        Kind::Integer => "int64",
        Kind::Double => "double",
        Kind::Text => "string",
    };
    json!({"type": kind, "optional": column.optional, "field": column.name})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::schema::Schema;

    fn envelope(together: bool, schemas: bool) -> Envelope {
        Envelope {
            prefix: "dbserver1".to_owned(),
            database: "inventory".to_owned(),
            together,
            schemas,
        }
    }

    fn table() -> SourceTable {
        let column = |name: &str, declared: &str, optional| SourceColumn {
            name: name.to_owned(),
            declared: declared.to_owned(),
            optional,
        };
        SourceTable {
            name: "customers".to_owned(),
            columns: vec![
                column("id", "INTEGER", false),
                column("email", "TEXT", true),
                column("credit", "REAL", true),
            ],
            key: vec!["id".to_owned()],
        }
    }

    fn change(op: Op, before: Option<&str>, after: Option<&str>) -> RowChange {
        RowChange {
            number: 7,
            at: Timestamp(1_722_502_800_000),
            table: "customers".to_owned(),
            op,
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        }
    }

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    const ADA: &str = r#"{"id":1,"email":"ada@example.com","credit":0.1}"#;
    const NEW: &str = r#"{"id":1,"email":"countess@example.com","credit":12345678901234567890}"#;

    #[test]
    fn an_update_is_one_record_with_both_rows_as_they_are() {
        let now = Timestamp(1_722_502_800_123);
        let update = change(Op::Update, Some(ADA), Some(NEW));
        let records = envelope(false, false)
            .records(&update, &table(), Part::None, now)
            .unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!(text(&records[0].key), r#"{"id":1}"#);
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            text(records[0].value.as_ref().unwrap()),
            format!(
                r#"{{"before":{ADA},"after":{NEW},"source":{{"version":"{version}","connector":"sqlite","name":"dbserver1","ts_ms":1722502800000,"snapshot":"false","db":"inventory","sequence":null,"ts_us":1722502800000000,"ts_ns":1722502800000000000,"table":"customers","pos":7}},"transaction":null,"op":"u","ts_ms":1722502800123,"ts_us":1722502800123000,"ts_ns":1722502800123000000}}"#
            )
        );
    }

    #[test]
    fn a_deletion_is_followed_by_a_tombstone() {
        let delete = change(Op::Delete, Some(ADA), None);
        let records = envelope(true, false)
            .records(&delete, &table(), Part::None, Timestamp(0))
            .unwrap();
        let [event, tombstone] = &records[..] else {
            panic!("{records:?}")
        };
        let value: Value = serde_json::from_slice(event.value.as_ref().unwrap()).unwrap();
        assert_eq!((value["op"].as_str(), &value["after"]), (Some("d"), &Value::Null));
        assert_eq!((&tombstone.key, &tombstone.value), (&event.key, &None));
        assert_eq!(
            text(&event.key),
            r#"{"id":1,"__dbz__physicalTableIdentifier":"dbserver1.inventory.customers"}"#
        );
    }

    #[test]
    fn another_key_deletes_the_row_and_creates_it() {
        let moved = change(Op::Update, Some(ADA), Some(r#"{"id":2,"email":null,"credit":null}"#));
        let records = envelope(false, false)
            .records(&moved, &table(), Part::None, Timestamp(0))
            .unwrap();
        let keys: Vec<&str> = records.iter().map(|record| text(&record.key)).collect();
        assert_eq!(keys, [r#"{"id":1}"#, r#"{"id":1}"#, r#"{"id":2}"#]);
        let op =
            |at: usize| serde_json::from_slice::<Value>(records[at].value.as_ref().unwrap()).unwrap()["op"].clone();
        assert_eq!((op(0), op(2)), (json!("d"), json!("c")));
        let headers: Vec<&str> = records
            .iter()
            .flat_map(|record| &record.headers)
            .map(|header| &*header.key)
            .collect();
        assert_eq!(headers, [NEW_KEY, NEW_KEY, OLD_KEY]);
    }

    #[test]
    fn a_schema_names_every_field_of_its_payload() {
        let create = change(Op::Create, None, Some(ADA));
        let records = envelope(true, true)
            .records(&create, &table(), Part::First, Timestamp(0))
            .unwrap();
        for bytes in [&records[0].key, records[0].value.as_ref().unwrap()] {
            let wrapped: Value = serde_json::from_slice(bytes).unwrap();
            same_fields(&wrapped["schema"], &wrapped["payload"]);
        }
        let value: Value = serde_json::from_slice(records[0].value.as_ref().unwrap()).unwrap();
        assert_eq!(value["schema"]["name"], "dbserver1.inventory.customers.Envelope");
        assert_eq!(value["payload"]["source"]["snapshot"], "first");
    }

    #[test]
    fn each_value_is_of_the_type_that_its_schema_says() {
        let column = |name: &str, declared: &str| SourceColumn {
            name: name.to_owned(),
            declared: declared.to_owned(),
            optional: true,
        };
        let table = SourceTable {
            name: "t".to_owned(),
            columns: vec![
                column("id", "INTEGER"),
                column("at", "DATETIME"),
                column("count", "INT"),
                column("price", "NUMERIC"),
                column("name", "TEXT"),
            ],
            key: vec!["at".to_owned()],
        };
        let types = |row: &str| -> Vec<(String, String)> {
            let records = envelope(false, true)
                .records(&change(Op::Create, None, Some(row)), &table, Part::None, Timestamp(0))
                .unwrap();
            let key: Value = serde_json::from_slice(&records[0].key).unwrap();
            assert_eq!(
                (&key["schema"]["fields"][0]["type"], key["payload"]["at"].is_string()),
                (&json!("string"), true)
            );
            let value: Value = serde_json::from_slice(records[0].value.as_ref().unwrap()).unwrap();
            let fields = value["schema"]["fields"][1]["fields"].as_array().unwrap();
            let of = |field: &Value| {
                let name = field["field"].as_str().unwrap();
                (
                    field["type"].as_str().unwrap().to_owned(),
                    value["payload"]["after"][name].to_string(),
                )
            };
            fields.iter().map(of).collect()
        };
        let told = |types: &[(String, String)]| {
            types
                .iter()
                .map(|(kind, value)| format!("{kind} {value}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            told(&types(r#"{"id":1,"at":1700000000,"count":2,"price":1.5,"name":null}"#)),
            [
                "int64 1",
                "string \"1700000000\"",
                "int64 2",
                "double 1.5",
                "string null"
            ]
        );
        assert_eq!(
            told(&types(
                r#"{"id":1,"at":"now","count":"many","price":"free","name":"x"}"#
            )),
            [
                "int64 1",
                "string \"now\"",
                "string \"many\"",
                "string \"free\"",
                "string \"x\""
            ]
        );
        assert_eq!(
            told(&types(r#"{"id":1,"at":"now","count":2.5,"price":3,"name":"x"}"#))[2..4],
            ["string \"2.5\"", "double 3"]
        );
    }

    #[test]
    fn events_are_what_their_schemas_describe() {
        let schema = |text: &str| Schema::new(text).unwrap();
        for (op, before, after, schema) in [
            (
                Op::Read,
                None,
                Some(ADA),
                schema(include_str!("../../../schemas/db-changes/r.json")),
            ),
            (
                Op::Create,
                None,
                Some(ADA),
                schema(include_str!("../../../schemas/db-changes/c.json")),
            ),
            (
                Op::Update,
                Some(ADA),
                Some(NEW),
                schema(include_str!("../../../schemas/db-changes/u.json")),
            ),
            (
                Op::Delete,
                Some(ADA),
                None,
                schema(include_str!("../../../schemas/db-changes/d.json")),
            ),
        ] {
            let change = change(op, before, after);
            let records = envelope(true, false)
                .records(&change, &table(), Part::None, Timestamp(5))
                .unwrap();
            let value = records[0].value.as_ref().unwrap();
            assert!(schema.check(value).is_ok(), "{}", text(value));
            let other = text(value).replace("\"op\":", "\"opp\":");
            assert!(schema.check(other.as_bytes()).is_err());
        }
    }

    fn same_fields(schema: &Value, payload: &Value) {
        let Some(object) = payload.as_object() else { return };
        let mut names: Vec<&str> = object.keys().map(String::as_str).collect();
        let fields = schema["fields"].as_array().unwrap();
        let mut fields_of: Vec<&str> = fields.iter().map(|field| field["field"].as_str().unwrap()).collect();
        names.sort_unstable();
        fields_of.sort_unstable();
        assert_eq!(names, fields_of);
        fields
            .iter()
            .for_each(|field| same_fields(field, &payload[field["field"].as_str().unwrap()]));
    }
}
