//! Where a record stands, as a command line says it: `0:12`, or `orders:0:12` where there are several topics.

use std::str::FromStr;

use miette::miette;

use crate::readmodel::decision::RecordPlace;
use crate::record::TopicPartition;
use crate::replay::rebuild::At;

/// A record, perhaps without its topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlaceArg {
    topic: Option<String>,
    partition: i32,
    offset: i64,
}

impl FromStr for PlaceArg {
    type Err = String;

    /// Also as sentences and the studio have it: `orders[0] offset 12`, `orders[0] 12`.
    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = || {
            let (partition, offset) = text.trim().rsplit_once([':', ' '])?;
            let partition = partition.trim().trim_end_matches(':');
            let partition = match partition.strip_suffix("offset") {
                Some(before) if before.ends_with("] ") => before.trim_end(),
                _ => partition,
            };
            let (topic, partition) = match partition.strip_suffix(']') {
                Some(inside) => inside.rsplit_once('[')?,
                None => partition.rsplit_once(':').unwrap_or(("", partition)),
            };
            let is_legal = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
            if !topic.chars().all(is_legal) {
                return None;
            }
            Some(Self {
                topic: (!topic.is_empty()).then(|| topic.to_owned()),
                partition: partition.parse().ok().filter(|partition| *partition >= 0)?,
                offset: offset.trim().parse().ok().filter(|offset| *offset >= 0)?,
            })
        };
        parsed().ok_or_else(|| {
            format!(
                "`{}` is no record's place: write PARTITION:OFFSET such as 0:12, or TOPIC:PARTITION:OFFSET",
                text.escape_debug()
            )
        })
    }
}

impl PlaceArg {
    /// The same for a replay, which knows the topics of its log.
    pub(super) fn at(self) -> At {
        At {
            topic: self.topic,
            partition: self.partition,
            offset: self.offset,
        }
    }

    /// Partition and offset in a topic, where it is meant.
    pub(super) fn within(&self, topic: &str) -> miette::Result<(i32, i64)> {
        match &self.topic {
            Some(other) if other != topic => Err(miette!(
                "{other}:{}:{} is a record of {other}, and {topic} is read",
                self.partition,
                self.offset
            )),
            _ => Ok((self.partition, self.offset)),
        }
    }

    /// The place in one of these topics.
    pub(super) fn among(self, topics: &[String]) -> miette::Result<RecordPlace> {
        let topic = match (self.topic, topics) {
            (Some(topic), topics) if topics.contains(&topic) => topic,
            (None, [topic]) => topic.clone(),
            (Some(topic), topics) => {
                return Err(miette!(
                    help = format!("it reads {}", topics.join(", ")),
                    "the read model does not read the topic {topic}"
                ));
            }
            (None, topics) => {
                let places = topics
                    .iter()
                    .map(|topic| format!("{topic}:{}:{}", self.partition, self.offset));
                return Err(miette!(
                    help = format!("write {}", places.collect::<Vec<_>>().join(" or ")),
                    "{}:{} could be in any of its topics: {}",
                    self.partition,
                    self.offset,
                    topics.join(", ")
                ));
            }
        };
        Ok(RecordPlace {
            partition: TopicPartition::new(topic, self.partition),
            offset: self.offset,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_written_in_several_ways() {
        let place = |topic: Option<&str>| PlaceArg {
            topic: topic.map(str::to_owned),
            partition: 0,
            offset: 12,
        };
        assert_eq!("0:12".parse(), Ok(place(None)));
        for text in [
            "a.b-c:0:12",
            "a.b-c[0]:12",
            "a.b-c[0] 12",
            " a.b-c[0]: 12",
            "a.b-c[0] offset 12",
        ] {
            assert_eq!(text.parse(), Ok(place(Some("a.b-c"))), "{text}");
        }
        for text in [
            "", "12", "a:12", "0:x", "-1:5", "0:-5", "a[b]:1", "a[0]", "a b:0:1", "a:b:0:1",
        ] {
            assert!(text.parse::<PlaceArg>().unwrap_err().contains("0:12"), "{text}");
        }
        let topics = ["a".to_owned(), "b".to_owned()];
        assert_eq!(place(Some("b")).among(&topics).unwrap().to_string(), "b:0:12");
        assert_eq!(place(None).among(&topics[..1]).unwrap().to_string(), "a:0:12");
        assert!(place(None).among(&topics).is_err());
        assert!(place(Some("c")).among(&topics).is_err());
    }
}
