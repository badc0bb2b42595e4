//! What librdkafka answers where it answers no.

use super::{E, sys, text};

/// What librdkafka answered: its error code and its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::broker) struct Fault {
    pub code: i32,
    pub reason: String,
}

impl Fault {
    pub(in crate::broker) fn of(code: i32) -> Self {
        Self {
            code,
            reason: describe(code),
        }
    }

    /// The words after librdkafka's own prefix, which says nothing to a reader of this program's messages.
    pub(super) fn with(code: i32, reason: Option<String>) -> Self {
        match reason {
            Some(reason) if !reason.is_empty() => Self { code, reason },
            _ => Self::of(code),
        }
    }

    pub(in crate::broker) fn is(&self, code: E) -> bool {
        self.code == code as i32
    }

    /// Whether nobody answered, rather than somebody answering no.
    pub(in crate::broker) fn is_silence(&self) -> bool {
        [
            E::RD_KAFKA_RESP_ERR__TRANSPORT,
            E::RD_KAFKA_RESP_ERR__TIMED_OUT,
            E::RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE,
            E::RD_KAFKA_RESP_ERR__MSG_TIMED_OUT,
            E::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN,
            E::RD_KAFKA_RESP_ERR__RESOLVE,
            E::RD_KAFKA_RESP_ERR__AUTHENTICATION,
            E::RD_KAFKA_RESP_ERR__SSL,
            E::RD_KAFKA_RESP_ERR__WAIT_COORD,
            E::RD_KAFKA_RESP_ERR__WAIT_CACHE,
        ]
        .into_iter()
        .any(|code| self.is(code))
    }

    /// Whether the queue has no room now.
    pub(in crate::broker) fn is_full(&self) -> bool {
        self.is(E::RD_KAFKA_RESP_ERR__QUEUE_FULL)
    }

    /// Whether the record is larger than what is taken.
    pub(in crate::broker) fn is_too_large(&self) -> bool {
        self.is(E::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
    }

    /// Whether the broker does not take the record as it is.
    pub(in crate::broker) fn is_invalid_record(&self) -> bool {
        self.is(E::RD_KAFKA_RESP_ERR_INVALID_RECORD)
    }

    /// Whether the broker has no transactions, or not for this user.
    pub(in crate::broker) fn is_without_transactions(&self) -> bool {
        [
            E::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
            E::RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE,
            E::RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION,
        ]
        .into_iter()
        .any(|code| self.is(code))
    }

    /// Whether the broker has not come round to it yet.
    pub(in crate::broker) fn is_busy(&self) -> bool {
        [
            E::RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS,
            E::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
            E::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
            E::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        ]
        .into_iter()
        .any(|code| self.is(code))
    }

    /// Whether the broker that was asked is not, or not yet, the one that leads the partition.
    pub(in crate::broker) fn is_moving(&self) -> bool {
        self.is(E::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION)
    }

    /// Whether another producer has begun under the same name.
    pub(in crate::broker) fn is_fenced(&self) -> bool {
        [
            E::RD_KAFKA_RESP_ERR__FENCED,
            E::RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
            E::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
        ]
        .into_iter()
        .any(|code| self.is(code))
    }

    /// Whether it is the record that cannot be written, whoever writes it.
    pub(in crate::broker) fn is_of_the_record(&self) -> bool {
        [
            E::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
            E::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION,
            E::RD_KAFKA_RESP_ERR_INVALID_RECORD,
            E::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP,
            E::RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE,
        ]
        .into_iter()
        .any(|code| self.is(code))
    }

    /// Whether the broker failed without a code for why; the embedded one answers so when its disk is full.
    pub(in crate::broker) fn is_unexplained(&self) -> bool {
        self.is(E::RD_KAFKA_RESP_ERR_UNKNOWN)
    }

    /// For a broker that does not answer.
    pub(in crate::broker) fn silence() -> Self {
        Self::of(E::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN as i32)
    }

    /// For an answer that leaves the topic out.
    pub(in crate::broker) fn unknown_topic() -> Self {
        Self::of(E::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART as i32)
    }
}

/// librdkafka's words for a code.
fn describe(code: i32) -> String {
    let Ok(known) = E::try_from(code) else {
        return format!("error {code}, which this program's librdkafka does not know");
    };
    // SAFETY: the function returns a pointer to a static string for every code of the enum.
    let text = unsafe { text(sys::rd_kafka_err2str(known)) }.unwrap_or_default();
    text.strip_prefix("Broker: ")
        .or_else(|| text.strip_prefix("Local: "))
        .unwrap_or(&text)
        .to_owned()
}

/// Whether the fault says that there is no such topic or partition.
pub(in crate::broker) fn is_unknown_topic(fault: &Fault) -> bool {
    [
        E::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        E::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID,
        E::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
        E::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION,
        // Such a name cannot be a topic's.
        E::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION,
    ]
    .into_iter()
    .any(|code| fault.is(code))
}

/// Whether the fault says that the topic is there already.
pub(in crate::broker) fn is_topic_exists(fault: &Fault) -> bool {
    fault.is(E::RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
}

/// Whether the fault says that the log does not hold the offset.
pub(in crate::broker) fn is_out_of_range(fault: &Fault) -> bool {
    fault.is(E::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) || fault.is(E::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
}

/// Whether the fault says that there is no such group.
pub(in crate::broker) fn is_unknown_group(fault: &Fault) -> bool {
    fault.is(E::RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND)
}

/// Whether a group's coordinator is only being found or is reading its log: it answers a moment later. So it does where librdkafka
/// gave up the connection on which it was asked.
pub(in crate::broker) fn is_coordinator_moving(fault: &Fault) -> bool {
    fault.is(E::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS)
        || fault.is(E::RD_KAFKA_RESP_ERR__DESTROY)
        || fault.is(E::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE)
        || fault.is(E::RD_KAFKA_RESP_ERR_NOT_COORDINATOR)
}
