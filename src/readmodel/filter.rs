//! Which records a WHERE chooses: a condition in SQL on one record, with its parts as columns and its value's fields as `:name`.

use rusqlite::Connection;

use crate::decode::fields::FieldPath;
use crate::record::RecordRef;

use super::condition::EventBindings;
use super::error::ReadModelError;
use super::explain::name_length;
use super::writer;

/// What a condition may call a record's parts, each with what it is. Only those that stand in the condition are bound: values are
/// large, and headers are made into JSON for it.
const COLUMNS: [(&str, &str); 9] = [
    ("topic", "@topic"),
    ("partition", "@partition"),
    ("offset", "@offset"),
    ("timestamp", "@timestamp"),
    ("key", "@key"),
    ("value", "@value"),
    ("headers", "@headers"),
    ("type", "@type"),
    ("size", "length(CAST(@value AS BLOB))"),
];

/// A condition on records, ready to be asked.
#[derive(Debug)]
pub struct RecordFilter {
    connection: Connection,
    sql: String,
    bindings: EventBindings,
}

impl RecordFilter {
    /// Checks a condition. `event_type` says where the type stands in an event's value; `type` is NULL where it has none.
    pub fn new(condition: &str, event_type: &FieldPath) -> Result<Self, ReadModelError> {
        let lower = condition.to_lowercase();
        let columns: Vec<String> = COLUMNS
            .iter()
            .filter(|(name, _)| lower.contains(name))
            .map(|(name, what)| format!("{what} AS \"{name}\""))
            .collect();
        let columns = if columns.is_empty() {
            "1".to_owned()
        } else {
            columns.join(", ")
        };
        let before = format!("SELECT 1 FROM (SELECT {columns}) WHERE (");
        // The line's end closes a comment.
        let sql = format!("{before}{condition}\n)");
        let connection = Connection::open_in_memory().map_err(|error| ReadModelError::sqlite("cannot ask", error))?;
        let refused = |message: String, at: Option<usize>| {
            let at = at
                .and_then(|at| at.checked_sub(before.len()))
                .filter(|at| *at < condition.len());
            ReadModelError::Query {
                message,
                at: at.map(|at| (at, name_length(condition, at)).into()),
                sql: condition.to_owned(),
                help: Some(format!(
                    "a condition is what stands behind WHERE, such as type = 'Deposited' AND :amount > 100; it knows {}, and `:name` is a \
                     field of the value",
                    COLUMNS.map(|(name, _)| name).join(", ")
                )),
            }
        };
        let bindings = {
            let statement = connection.prepare(&sql).map_err(|error| match error {
                rusqlite::Error::SqlInputError { msg, offset, .. } => refused(msg, usize::try_from(offset).ok()),
                rusqlite::Error::MultipleStatement => refused("one condition at a time".to_owned(), None),
                error => ReadModelError::sqlite("cannot ask", error),
            })?;
            EventBindings::of(&statement, Some(event_type))
                .map_err(|name| refused(format!("`{name}` binds nothing of an event"), None))?
        };
        Ok(Self {
            connection,
            sql,
            bindings,
        })
    }

    /// Lets a condition that takes long be given up; it then fails.
    pub fn interrupt_when<F>(&mut self, stop: F) -> Result<(), ReadModelError>
    where
        F: FnMut() -> bool + Send + 'static,
    {
        writer::interrupt_when(&mut self.connection, stop)
    }

    /// Whether it chooses a record. What SQLite has against the condition at this record is an error, as `->>` on what is no JSON is.
    pub fn chooses(&self, record: &RecordRef<'_>) -> Result<bool, ReadModelError> {
        let failed = |error| ReadModelError::sqlite("the condition failed", error);
        let mut statement = self.connection.prepare_cached(&self.sql).map_err(failed)?;
        self.bindings.bind(&mut statement, record)?;
        let mut rows = statement.raw_query();
        Ok(rows.next().map_err(failed)?.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Header, Record, Timestamp};

    fn ask(condition: &str, value: Option<&str>) -> Result<bool, String> {
        let filter = RecordFilter::new(condition, &FieldPath(vec!["meta".into(), "type".into()]));
        let record = Record {
            topic: "orders".into(),
            partition: 2,
            offset: 7,
            timestamp: Some(Timestamp(1_000)),
            key: Some(b"a".to_vec()),
            value: value.map(|value| value.as_bytes().to_vec()),
            headers: vec![Header {
                key: "trace".into(),
                value: Some(b"x1".to_vec()),
            }],
        };
        let chooses = filter.and_then(|filter| filter.chooses(&record.view()));
        chooses.map_err(|error| error.to_string())
    }

    const RESERVED: Option<&str> = Some(r#"{"meta": {"type": "Reserved"}, "amount": 120, "size": "XL"}"#);

    #[test]
    fn a_record_is_chosen_by_its_parts_and_its_fields() {
        for (condition, chosen) in [
            ("type = 'Reserved' AND :amount > 100", true),
            ("type = 'Reserved' AND :amount > 120", false),
            ("value ->> 'amount' = 120", true),
            ("$meta::type = 'Reserved' -- its type", true),
            (
                "key = 'a' AND topic = 'orders' AND partition = 2 AND offset BETWEEN 7 AND 8",
                true,
            ),
            ("@key = 'a' AND @offset = 7 OR 0", true),
            ("timestamp >= 1000 AND headers LIKE '%trace%'", true),
            ("size = 59 AND :size = 'XL'", true),
            (":missing > 1", false),
            (":missing IS NULL", true),
            ("KEY IN ('b', 'c')", false),
            ("1", true),
        ] {
            assert_eq!(ask(condition, RESERVED), Ok(chosen), "{condition}");
        }
    }

    #[test]
    fn a_record_without_a_value_or_json_has_no_fields_and_no_type() {
        for value in [None, Some("no json")] {
            assert_eq!(ask("type IS NULL AND :amount IS NULL", value), Ok(true));
        }
        assert_eq!(ask("value IS NULL", None), Ok(true));
        assert!(
            ask("value ->> 'amount' > 1", Some("no json"))
                .unwrap_err()
                .contains("malformed JSON")
        );
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for (condition, what) in [
            ("amount > 100", "no such column: amount"),
            ("count(*) > 1", "misuse of aggregate"),
            ("@nothing = 1", "@nothing"),
            ("", "syntax error"),
            ("key = ", "syntax error"),
        ] {
            let error = ask(condition, RESERVED).unwrap_err();
            assert!(error.contains(what), "{condition}: {error}");
        }
    }
}
