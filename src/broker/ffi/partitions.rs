//! Lists of partitions with offsets, as many calls take and give them.

use super::{Fault, c_string, code_at, each, sys, text};

/// A list of topic partitions with offsets, as many calls take and give.
pub(super) struct PartitionList(pub(super) *mut sys::rd_kafka_topic_partition_list_t);

/// One entry of a [`PartitionList`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::broker) struct PartitionOffset {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub error: Option<Fault>,
}

impl PartitionList {
    pub(super) fn new<'a>(entries: impl IntoIterator<Item = (&'a str, i32, i64)>) -> Result<Self, Fault> {
        // SAFETY: returns a new list, never null; zero is a valid first size.
        let list = Self(unsafe { sys::rd_kafka_topic_partition_list_new(0) });
        for (topic, partition, offset) in entries {
            let topic = c_string(topic)?;
            // SAFETY: list and string are live; librdkafka copies the string; the entry is valid until the list changes.
            unsafe { (*sys::rd_kafka_topic_partition_list_add(list.0, topic.as_ptr(), partition)).offset = offset };
        }
        Ok(list)
    }
}

impl Drop for PartitionList {
    fn drop(&mut self) {
        // SAFETY: the list is live and this is its last use.
        unsafe { sys::rd_kafka_topic_partition_list_destroy(self.0) };
    }
}

/// Copies a list out of an event or of our own.
///
/// # Safety
/// The pointer is null or a live list.
pub(super) unsafe fn entries(list: *const sys::rd_kafka_topic_partition_list_t) -> Vec<PartitionOffset> {
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: by the caller's promise; `cnt` is the number of elements, and every element of a live list is an entry.
    unsafe {
        each((*list).elems.cast_const(), (*list).cnt)
            .map(|entry| entry_of(entry))
            .collect()
    }
}

/// # Safety
/// The entry is live, and its topic is a live C string.
pub(super) unsafe fn entry_of(entry: *const sys::rd_kafka_topic_partition_t) -> PartitionOffset {
    // SAFETY: by the caller's promise. No reference to the entry is made: its code may be no value of the enum.
    unsafe {
        let code = code_at(&raw const (*entry).err);
        PartitionOffset {
            topic: text((*entry).topic).unwrap_or_default(),
            partition: (*entry).partition,
            offset: (*entry).offset,
            error: (code != 0).then(|| Fault::of(code)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::mem::MaybeUninit;

    use super::*;

    #[test]
    fn a_code_that_librdkafka_does_not_know_is_kept_as_its_number() {
        let mut entry = MaybeUninit::<sys::rd_kafka_topic_partition_t>::zeroed();
        // SAFETY: the entry is written through pointers only, and its topic is a C string; zeros are what its other fields may be.
        let read = unsafe {
            (&raw mut (*entry.as_mut_ptr()).err).cast::<i32>().write(12345);
            (*entry.as_mut_ptr()).topic = c"orders".as_ptr().cast_mut();
            entry_of(entry.as_ptr())
        };
        assert_eq!(read.topic, "orders");
        let error = read.error.unwrap();
        assert_eq!(error.code, 12345);
        assert!(error.reason.contains("12345"), "{}", error.reason);
    }
}
