//! A demo's events, recorded or generated: the same records at every run, each with the partition that it goes to.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::record::Timestamp;

use super::error::DemoError;

/// An event as it will be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The topic.
    pub topic: String,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// When it happened.
    pub timestamp: Timestamp,
}

impl Event {
    /// The partition of the event among `partitions`, as every Kafka client places a key; without one, `nth` goes round.
    pub fn partition(&self, partitions: i32, nth: usize) -> i32 {
        let count = u32::try_from(partitions).unwrap_or(1).max(1);
        let place = match &self.key {
            Some(key) => (murmur2(key) & 0x7fff_ffff) % count,
            None => u32::try_from(nth).unwrap_or(0) % count,
        };
        i32::try_from(place).unwrap_or(0)
    }
}

/// The hash by which the Java client, and librdkafka's `murmur2_random`, place a key.
fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ (key.len() as u32);
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        let mut k = word.iter().rev().fold(0, |k: u32, byte| (k << 8) | u32::from(*byte));
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0, |k: u32, byte| (k << 8) | u32::from(*byte));
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    key: Option<String>,
    timestamp: i64,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

/// Reads recorded events: one JSON object a line with `key`, `timestamp` in milliseconds and `value`, null for a tombstone.
pub(super) fn recorded(text: &str, file: &str, topic: &str) -> Result<Vec<Event>, DemoError> {
    let mut out = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        if line.trim().is_empty() {
            continue;
        }
        let parsed: Line<'_> = serde_json::from_str(line.trim_end()).map_err(|error| {
            DemoError::invalid(
                file,
                text,
                start..start + line.trim_end().len(),
                format!("this line is no event: {error}"),
                "here",
                Some("write `{\"key\": \"…\", \"timestamp\": 1709283600000, \"value\": {…}}`".to_owned()),
            )
        })?;
        out.push(Event {
            topic: topic.to_owned(),
            key: parsed.key.map(String::into_bytes),
            value: parsed.value.map(|value| value.get().as_bytes().to_vec()),
            timestamp: Timestamp(parsed.timestamp),
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_placed_as_the_java_client_places_them() {
        // From the Java client's own test of `Utils.murmur2`.
        for (key, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }

    #[test]
    fn recorded_lines_are_taken_as_written() {
        let text = "{\"key\":\"a\",\"timestamp\":1,\"value\":{ \"n\": 1.50 }}\n\n{\"key\":null,\"timestamp\":2,\"value\":null}\n";
        let events = recorded(text, "x.ndjson", "t").unwrap();
        assert_eq!(events[0].value.as_deref(), Some(&b"{ \"n\": 1.50 }"[..]));
        assert_eq!((events[1].key.as_ref(), events[1].value.as_ref()), (None, None));
        assert!(recorded("{}", "x.ndjson", "t").is_err());
    }
}
