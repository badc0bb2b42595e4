//! The admin calls: metadata, offsets, topics, configuration. Each waits for its answer with a deadline.

use std::ffi::CString;
use std::ptr;
use std::thread;
use std::time::{Duration, Instant};

use super::codes::{
    code_at, rd_kafka_ConfigEntry_source, rd_kafka_ConfigResource_error, rd_kafka_last_error, rd_kafka_metadata,
    rd_kafka_topic_result_error,
};
use super::{
    E, ErrorText, Event, Fault, Native, PartitionList, PartitionOffset, Queue, c_string, each, entry_of, items, millis,
    sys, text,
};

/// A topic as the cluster's metadata has it.
#[derive(Debug, Clone)]
pub(in crate::broker) struct TopicMetadata {
    pub name: String,
    pub error: Option<Fault>,
    /// Partition number, number of replicas, and why it has no leader where it has none.
    pub partitions: Vec<(i32, i32, Option<Fault>)>,
}

/// The cluster as its metadata has it.
#[derive(Debug, Clone, Default)]
pub(in crate::broker) struct ClusterMetadata {
    pub id: Option<String>,
    pub brokers: Vec<String>,
}

/// A configuration entry as the broker tells it.
#[derive(Debug, Clone)]
pub(in crate::broker) struct ConfigItem {
    pub name: String,
    pub value: Option<String>,
    pub is_default: bool,
}

/// A topic's name with its configuration, or why there is none.
type TopicConfig = (String, Result<Vec<ConfigItem>, Fault>);

/// How long a partition that moves is asked for at most: an election takes some tens of milliseconds.
const MOVED: Duration = Duration::from_secs(2);
/// The pause in between.
const AGAIN: Duration = Duration::from_millis(20);

/// The options of one admin call.
pub(super) struct Options(pub(super) *mut sys::rd_kafka_AdminOptions_t);

impl Options {
    pub(super) fn new(native: &Native, operation: sys::rd_kafka_admin_op_t, deadline: Duration) -> Self {
        let mut error = ErrorText::new();
        // SAFETY: the handle is live; a timeout out of librdkafka's range is refused by it and leaves its default.
        unsafe {
            let options = sys::rd_kafka_AdminOptions_new(native.rk, operation);
            sys::rd_kafka_AdminOptions_set_request_timeout(
                options,
                millis(deadline),
                error.0.as_mut_ptr(),
                error.0.len(),
            );
            Self(options)
        }
    }

    fn read_committed(self) -> Self {
        // SAFETY: the options are live; the error is null or ours to destroy, and only says that the call does not take it.
        unsafe {
            let error = sys::rd_kafka_AdminOptions_set_isolation_level(
                self.0,
                sys::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED,
            );
            if !error.is_null() {
                sys::rd_kafka_error_destroy(error);
            }
        }
        self
    }

    /// Asks whether the change would be made, and makes none.
    fn validate_only(self) -> Self {
        let mut error = ErrorText::new();
        // SAFETY: as in `new`.
        unsafe {
            sys::rd_kafka_AdminOptions_set_validate_only(self.0, 1, error.0.as_mut_ptr(), error.0.len());
        }
        self
    }

    /// Waits at the broker until the change is done.
    fn operation(self, deadline: Duration) -> Self {
        let mut error = ErrorText::new();
        // SAFETY: as in `new`.
        unsafe {
            sys::rd_kafka_AdminOptions_set_operation_timeout(
                self.0,
                millis(deadline),
                error.0.as_mut_ptr(),
                error.0.len(),
            );
        }
        self
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: the options are live and this is their last use; librdkafka copied what it needs.
        unsafe { sys::rd_kafka_AdminOptions_destroy(self.0) };
    }
}

impl Native {
    /// The cluster's id and brokers.
    pub(in crate::broker) fn describe_cluster(&self, deadline: Duration) -> Result<ClusterMetadata, Fault> {
        let queue = Queue::new(self);
        let options = Options::new(
            self,
            sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECLUSTER,
            deadline,
        );
        // SAFETY: handle, options and queue are live for the call.
        unsafe { sys::rd_kafka_DescribeCluster(self.rk, options.0, queue.pointer) };
        let event = self.wait(&queue, deadline)?;
        // SAFETY: the result and what it points to live as long as the event.
        unsafe {
            let result = sys::rd_kafka_event_DescribeCluster_result(event.0);
            if result.is_null() {
                return Err(Fault::of(E::RD_KAFKA_RESP_ERR__FAIL as i32));
            }
            let mut count = 0;
            let nodes = sys::rd_kafka_DescribeCluster_result_nodes(result, &mut count);
            let mut brokers: Vec<(i32, String)> = items(nodes.cast_const(), count)
                .iter()
                .map(|&node| {
                    let host = text(sys::rd_kafka_Node_host(node)).unwrap_or_default();
                    (
                        sys::rd_kafka_Node_id(node),
                        format!("{host}:{}", sys::rd_kafka_Node_port(node)),
                    )
                })
                .collect();
            brokers.sort();
            Ok(ClusterMetadata {
                id: text(sys::rd_kafka_DescribeCluster_result_cluster_id(result)),
                brokers: brokers.into_iter().map(|(_, address)| address).collect(),
            })
        }
    }

    /// Every topic of the cluster, or one. Neither makes the broker create a topic: asking for all never does, and for one
    /// the request says so as long as `allow.auto.create.topics` is off, which every handle of this program has.
    pub(in crate::broker) fn metadata(
        &self,
        only: Option<&str>,
        deadline: Duration,
    ) -> Result<Vec<TopicMetadata>, Fault> {
        let topic = only.map(|name| Topic::new(self, name)).transpose()?;
        let mut answer: *const sys::rd_kafka_metadata = ptr::null();
        // SAFETY: the handle and the topic are live; on success the answer is ours until `rd_kafka_metadata_destroy`.
        unsafe {
            let code = rd_kafka_metadata(
                self.rk,
                i32::from(only.is_none()),
                topic.as_ref().map_or(ptr::null_mut(), |topic| topic.pointer),
                &mut answer,
                millis(deadline),
            );
            self.serve();
            if code != 0 {
                return Err(Fault::of(code));
            }
            let topics = each((*answer).topics.cast_const(), (*answer).topic_cnt);
            let topics = topics.map(|topic| topic_of(topic)).collect();
            sys::rd_kafka_metadata_destroy(answer);
            Ok(topics)
        }
    }

    /// For each entry the offset that its `offset` field asks for: -2 the first, -1 the end, else the first at or after that
    /// time. All in as many requests as there are leaders. `committed` asks for the end that a reader of committed
    /// transactions can reach. A partition whose leadership is on its way to another broker, or has only begun, is asked for
    /// once more.
    pub(in crate::broker) fn list_offsets(
        &self,
        asked: &[Vec<(&str, i32, i64)>],
        committed: bool,
        deadline: Duration,
    ) -> Result<Vec<Vec<PartitionOffset>>, Fault> {
        let start = Instant::now();
        loop {
            let answers = self.list_offsets_once(asked, committed, deadline.saturating_sub(start.elapsed()))?;
            let mut faults = answers.iter().flatten().filter_map(|entry| entry.error.as_ref());
            if !faults.any(Fault::is_moving) || start.elapsed() >= MOVED.min(deadline) {
                return Ok(answers);
            }
            thread::sleep(AGAIN);
        }
    }

    fn list_offsets_once(
        &self,
        asked: &[Vec<(&str, i32, i64)>],
        committed: bool,
        deadline: Duration,
    ) -> Result<Vec<Vec<PartitionOffset>>, Fault> {
        let start = Instant::now();
        // The requests travel together; each has a queue of its own, so that the answers keep their order.
        let mut waiting = Vec::new();
        for entries in asked {
            let queue = Queue::new(self);
            let list = PartitionList::new(entries.iter().copied())?;
            let mut options = Options::new(self, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS, deadline);
            if committed {
                options = options.read_committed();
            }
            // SAFETY: all pointers are live for the call; librdkafka copies list and options.
            unsafe { sys::rd_kafka_ListOffsets(self.rk, list.0, options.0, queue.pointer) };
            waiting.push(queue);
        }
        let mut answers = Vec::with_capacity(waiting.len());
        for queue in waiting {
            let event = self.wait(&queue, deadline.saturating_sub(start.elapsed()))?;
            answers.push(list_offsets_of(&event));
        }
        Ok(answers)
    }

    /// Creates a topic; -1 partitions or replicas ask for the cluster's default.
    pub(in crate::broker) fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        replication: i32,
        config: &[(String, String)],
        deadline: Duration,
    ) -> Result<(), Fault> {
        let options = self.create_options(deadline).operation(deadline);
        self.create(name, partitions, replication, config, &options, deadline)
    }

    /// Asks whether a topic could be created, with the cluster's defaults; none is.
    pub(in crate::broker) fn check_create_topic(&self, name: &str, deadline: Duration) -> Result<(), Fault> {
        let options = self.create_options(deadline).validate_only();
        self.create(name, -1, -1, &[], &options, deadline)
    }

    fn create_options(&self, deadline: Duration) -> Options {
        Options::new(self, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATETOPICS, deadline)
    }

    fn create(
        &self,
        name: &str,
        partitions: i32,
        replication: i32,
        config: &[(String, String)],
        options: &Options,
        deadline: Duration,
    ) -> Result<(), Fault> {
        let queue = Queue::new(self);
        let c_name = c_string(name)?;
        let config: Vec<(CString, CString)> = config
            .iter()
            .map(|(name, value)| Ok((c_string(name)?, c_string(value)?)))
            .collect::<Result<_, Fault>>()?;
        let mut error = ErrorText::new();
        // SAFETY: every pointer is live for its call; librdkafka copies the new topic, which is destroyed here.
        let event = unsafe {
            let mut topic = sys::rd_kafka_NewTopic_new(
                c_name.as_ptr(),
                partitions,
                replication,
                error.0.as_mut_ptr(),
                error.0.len(),
            );
            if topic.is_null() {
                return Err(Fault {
                    code: E::RD_KAFKA_RESP_ERR__INVALID_ARG as i32,
                    reason: error.read(),
                });
            }
            for (name, value) in &config {
                sys::rd_kafka_NewTopic_set_config(topic, name.as_ptr(), value.as_ptr());
            }
            sys::rd_kafka_CreateTopics(self.rk, &mut topic, 1, options.0, queue.pointer);
            sys::rd_kafka_NewTopic_destroy(topic);
            self.wait(&queue, deadline)?
        };
        // SAFETY: the result lives as long as the event.
        unsafe {
            let mut count = 0;
            let result = sys::rd_kafka_event_CreateTopics_result(event.0);
            if result.is_null() {
                return Err(Fault::of(E::RD_KAFKA_RESP_ERR__FAIL as i32));
            }
            topic_results(sys::rd_kafka_CreateTopics_result_topics(result, &mut count), count)
        }
    }

    /// Gives a topic more partitions, `count` in all.
    pub(in crate::broker) fn create_partitions(
        &self,
        name: &str,
        count: usize,
        deadline: Duration,
    ) -> Result<(), Fault> {
        let queue = Queue::new(self);
        let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATEPARTITIONS;
        let options = Options::new(self, operation, deadline).operation(deadline);
        let c_name = c_string(name)?;
        let mut error = ErrorText::new();
        // SAFETY: every pointer is live for its call; librdkafka copies the request, which is destroyed here; the result
        // lives as long as the event.
        unsafe {
            let mut more = sys::rd_kafka_NewPartitions_new(c_name.as_ptr(), count, error.0.as_mut_ptr(), error.0.len());
            if more.is_null() {
                return Err(Fault {
                    code: E::RD_KAFKA_RESP_ERR__INVALID_ARG as i32,
                    reason: error.read(),
                });
            }
            sys::rd_kafka_CreatePartitions(self.rk, &mut more, 1, options.0, queue.pointer);
            sys::rd_kafka_NewPartitions_destroy(more);
            let event = self.wait(&queue, deadline)?;
            let mut count = 0;
            let result = sys::rd_kafka_event_CreatePartitions_result(event.0);
            if result.is_null() {
                return Err(Fault::of(E::RD_KAFKA_RESP_ERR__FAIL as i32));
            }
            topic_results(sys::rd_kafka_CreatePartitions_result_topics(result, &mut count), count)
        }
    }

    /// Deletes a topic.
    pub(in crate::broker) fn delete_topic(&self, name: &str, deadline: Duration) -> Result<(), Fault> {
        let queue = Queue::new(self);
        let options =
            Options::new(self, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DELETETOPICS, deadline).operation(deadline);
        let c_name = c_string(name)?;
        // SAFETY: every pointer is live for its call; librdkafka copies the request, which is destroyed here; the result
        // lives as long as the event.
        unsafe {
            let mut topic = sys::rd_kafka_DeleteTopic_new(c_name.as_ptr());
            sys::rd_kafka_DeleteTopics(self.rk, &mut topic, 1, options.0, queue.pointer);
            sys::rd_kafka_DeleteTopic_destroy(topic);
            let event = self.wait(&queue, deadline)?;
            let mut count = 0;
            let result = sys::rd_kafka_event_DeleteTopics_result(event.0);
            if result.is_null() {
                return Err(Fault::of(E::RD_KAFKA_RESP_ERR__FAIL as i32));
            }
            topic_results(sys::rd_kafka_DeleteTopics_result_topics(result, &mut count), count)
        }
    }

    /// The ids that the cluster gave topics; `None` where it has none, as before Apache Kafka 2.8.
    pub(in crate::broker) fn topic_ids(
        &self,
        names: &[&str],
        deadline: Duration,
    ) -> Result<Vec<(String, Option<String>)>, Fault> {
        let queue = Queue::new(self);
        let options = Options::new(
            self,
            sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            deadline,
        );
        let names: Vec<CString> = names.iter().map(|name| c_string(name)).collect::<Result<_, _>>()?;
        let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
        // SAFETY: every pointer is live for its call; librdkafka copies the names, and the collection is destroyed here; the
        // result and what it points to live as long as the event.
        unsafe {
            let topics = sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
            sys::rd_kafka_DescribeTopics(self.rk, topics, options.0, queue.pointer);
            sys::rd_kafka_TopicCollection_destroy(topics);
            let event = self.wait(&queue, deadline)?;
            let result = sys::rd_kafka_event_DescribeTopics_result(event.0);
            if result.is_null() {
                return Err(Fault::of(E::RD_KAFKA_RESP_ERR__FAIL as i32));
            }
            let mut count = 0;
            let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
            Ok(items(topics.cast_const(), count)
                .iter()
                .map(|&one| id_of(one))
                .collect())
        }
    }

    /// The configuration of several topics, in one request: for each the entries, or why there are none.
    pub(in crate::broker) fn topic_configs(
        &self,
        names: &[&str],
        deadline: Duration,
    ) -> Result<Vec<TopicConfig>, Fault> {
        let queue = Queue::new(self);
        let options = Options::new(
            self,
            sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS,
            deadline,
        );
        let names: Vec<CString> = names.iter().map(|name| c_string(name)).collect::<Result<_, _>>()?;
        // SAFETY: every pointer is live for its call; librdkafka copies the resources, which are destroyed here; the result
        // lives as long as the event.
        unsafe {
            let mut resources: Vec<_> = names
                .iter()
                .map(|name| {
                    sys::rd_kafka_ConfigResource_new(
                        sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC,
                        name.as_ptr(),
                    )
                })
                .collect();
            sys::rd_kafka_DescribeConfigs(
                self.rk,
                resources.as_mut_ptr(),
                resources.len(),
                options.0,
                queue.pointer,
            );
            sys::rd_kafka_ConfigResource_destroy_array(resources.as_mut_ptr(), resources.len());
            let event = self.wait(&queue, deadline)?;
            let result = sys::rd_kafka_event_DescribeConfigs_result(event.0);
            if result.is_null() {
                return Err(Fault::of(E::RD_KAFKA_RESP_ERR__FAIL as i32));
            }
            let mut count = 0;
            let resources = sys::rd_kafka_DescribeConfigs_result_resources(result, &mut count);
            Ok(items(resources.cast_const(), count)
                .iter()
                .map(|&one| config_of(one))
                .collect())
        }
    }
}

/// # Safety
/// The description is live.
unsafe fn id_of(topic: *const sys::rd_kafka_TopicDescription_t) -> (String, Option<String>) {
    // SAFETY: by the caller's promise; name and id live as long as the description.
    unsafe {
        let name = text(sys::rd_kafka_TopicDescription_name(topic)).unwrap_or_default();
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        if id.is_null() {
            return (name, None);
        }
        let high = sys::rd_kafka_Uuid_most_significant_bits(id);
        let low = sys::rd_kafka_Uuid_least_significant_bits(id);
        // A broker that knows of no ids leaves zeros.
        (name, (high != 0 || low != 0).then(|| format!("{high:016x}{low:016x}")))
    }
}

/// # Safety
/// The resource is live.
unsafe fn config_of(resource: *const sys::rd_kafka_ConfigResource_t) -> TopicConfig {
    // SAFETY: by the caller's promise; names and values live as long as the resource.
    unsafe {
        let name = text(sys::rd_kafka_ConfigResource_name(resource)).unwrap_or_default();
        let code = rd_kafka_ConfigResource_error(resource);
        if code != 0 {
            let words = text(sys::rd_kafka_ConfigResource_error_string(resource));
            return (name, Err(Fault::with(code, words)));
        }
        let mut count = 0;
        let entries = sys::rd_kafka_ConfigResource_configs(resource, &mut count);
        let entries = items(entries.cast_const(), count)
            .iter()
            .map(|&entry| ConfigItem {
                name: text(sys::rd_kafka_ConfigEntry_name(entry)).unwrap_or_default(),
                value: text(sys::rd_kafka_ConfigEntry_value(entry))
                    .filter(|_| sys::rd_kafka_ConfigEntry_is_sensitive(entry) != 1),
                // librdkafka fills `is_default` for the oldest protocol version only; the source is what newer ones send.
                is_default: sys::rd_kafka_ConfigEntry_is_default(entry) == 1
                    || rd_kafka_ConfigEntry_source(entry)
                        != sys::rd_kafka_ConfigSource_t::RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG as i32,
            })
            .collect();
        (name, Ok(entries))
    }
}

fn list_offsets_of(event: &Event) -> Vec<PartitionOffset> {
    // SAFETY: the result and its entries live as long as the event.
    unsafe {
        let result = sys::rd_kafka_event_ListOffsets_result(event.0);
        if result.is_null() {
            return Vec::new();
        }
        let mut count = 0;
        let infos = sys::rd_kafka_ListOffsets_result_infos(result, &mut count);
        items(infos.cast_const(), count)
            .iter()
            .map(|&info| answered(entry_of(sys::rd_kafka_ListOffsetsResultInfo_topic_partition(info))))
            .collect()
    }
}

/// What became of a partition that was asked for its offset. Where a broker goes away before it has answered, librdkafka reports
/// no error and an offset that is none.
fn answered(entry: PartitionOffset) -> PartitionOffset {
    /// `RD_KAFKA_OFFSET_INVALID`.
    const INVALID: i64 = -1001;
    match entry.error {
        None if entry.offset == INVALID => PartitionOffset {
            error: Some(Fault::silence()),
            ..entry
        },
        _ => entry,
    }
}

/// # Safety
/// The array holds `count` live results.
unsafe fn topic_results(results: *mut *const sys::rd_kafka_topic_result_t, count: usize) -> Result<(), Fault> {
    // SAFETY: by the caller's promise.
    unsafe {
        for &result in items(results.cast_const(), count) {
            let code = rd_kafka_topic_result_error(result);
            if code != 0 {
                return Err(Fault::with(code, text(sys::rd_kafka_topic_result_error_string(result))));
            }
        }
    }
    Ok(())
}

/// # Safety
/// The metadata is live.
unsafe fn topic_of(topic: *const sys::rd_kafka_metadata_topic) -> TopicMetadata {
    // SAFETY: by the caller's promise. No reference to topic or partition is made: their codes may be no values of the enum.
    unsafe {
        let fault = |field| Some(code_at(field)).filter(|code| *code != 0).map(Fault::of);
        let mut partitions: Vec<_> = each((*topic).partitions.cast_const(), (*topic).partition_cnt)
            .map(|one| ((*one).id, (*one).replica_cnt, fault(&raw const (*one).err)))
            .collect();
        partitions.sort_by_key(|(id, ..)| *id);
        TopicMetadata {
            name: text((*topic).topic).unwrap_or_default(),
            error: fault(&raw const (*topic).err),
            partitions,
        }
    }
}

/// A topic handle of one call.
struct Topic<'a> {
    pointer: *mut sys::rd_kafka_topic_t,
    _native: &'a Native,
}

impl<'a> Topic<'a> {
    fn new(native: &'a Native, name: &str) -> Result<Self, Fault> {
        let name = c_string(name)?;
        // SAFETY: handle and name are live; a null configuration means the default.
        let pointer = unsafe { sys::rd_kafka_topic_new(native.rk, name.as_ptr(), ptr::null_mut()) };
        if pointer.is_null() {
            // SAFETY: reads a number of this thread.
            return Err(Fault::of(unsafe { rd_kafka_last_error() }));
        }
        Ok(Self {
            pointer,
            _native: native,
        })
    }
}

impl Drop for Topic<'_> {
    fn drop(&mut self) {
        // SAFETY: the topic is live and this is its last use.
        unsafe { sys::rd_kafka_topic_destroy(self.pointer) };
    }
}

#[cfg(test)]
mod tests {
    use std::mem::MaybeUninit;

    use super::*;

    #[test]
    fn codes_that_librdkafka_does_not_know_are_kept_as_their_numbers() {
        let mut topic = MaybeUninit::<sys::rd_kafka_metadata_topic>::zeroed();
        let mut partition = MaybeUninit::<sys::rd_kafka_metadata_partition>::zeroed();
        // SAFETY: both are written through pointers only; zeros are what their other fields may be.
        let read = unsafe {
            (&raw mut (*partition.as_mut_ptr()).err).cast::<i32>().write(12345);
            (&raw mut (*topic.as_mut_ptr()).err).cast::<i32>().write(-12345);
            (*topic.as_mut_ptr()).partitions = partition.as_mut_ptr();
            (*topic.as_mut_ptr()).partition_cnt = 1;
            topic_of(topic.as_ptr())
        };
        assert_eq!(read.error.unwrap().code, -12345);
        let codes: Vec<i32> = read
            .partitions
            .into_iter()
            .filter_map(|(.., error)| Some(error?.code))
            .collect();
        assert_eq!(codes, [12345]);
    }

    #[test]
    fn an_offset_that_is_none_is_no_answer() {
        let told = |offset| {
            let entry = PartitionOffset {
                topic: "t".to_owned(),
                partition: 0,
                offset,
                error: None,
            };
            answered(entry).error.map(|fault| fault.is_silence())
        };
        // -1 says that no record is as late as that.
        assert_eq!([0, 7, -1, -1001].map(told), [None, None, None, Some(true)]);
    }
}
