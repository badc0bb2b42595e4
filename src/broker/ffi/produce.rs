//! Writing: records are copied into librdkafka's queue once, and nothing else is allocated for them.

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::record::Header;

use super::codes::{rd_kafka_error_code, rd_kafka_fatal_error, rd_kafka_last_error};
use super::handle::locked;
use super::{Fault, Native, c_string, millis, sys};

/// A topic to write to.
#[derive(Debug)]
pub(in crate::broker) struct Target {
    topic: *mut sys::rd_kafka_topic_t,
    native: Arc<Native>,
}

// SAFETY: librdkafka documents topic handles as usable from any thread.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Drop for Target {
    fn drop(&mut self) {
        // SAFETY: the topic is live and this is its last use; the handle outlives it by the `Arc`.
        unsafe { sys::rd_kafka_topic_destroy(self.topic) };
    }
}

/// What is written, as librdkafka takes it.
#[derive(Debug, Clone, Copy)]
pub(in crate::broker) struct Payload<'a> {
    pub partition: Option<i32>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub timestamp: Option<i64>,
    pub headers: &'a [Header],
}

/// Null for `None`; an empty slice has a pointer that is not null, which keeps the two apart.
fn bytes(data: Option<&[u8]>) -> (*mut c_void, usize) {
    data.map_or((ptr::null_mut(), 0), |data| {
        (data.as_ptr().cast_mut().cast::<c_void>(), data.len())
    })
}

impl Target {
    pub(in crate::broker) fn new(native: &Arc<Native>, name: &str) -> Result<Self, Fault> {
        let name = c_string(name)?;
        // SAFETY: handle and name are live; a null configuration means the default.
        let topic = unsafe { sys::rd_kafka_topic_new(native.rk, name.as_ptr(), ptr::null_mut()) };
        if topic.is_null() {
            // SAFETY: reads a number of this thread.
            return Err(Fault::of(unsafe { rd_kafka_last_error() }));
        }
        Ok(Self {
            topic,
            native: Arc::clone(native),
        })
    }

    /// Queues a record without waiting.
    pub(in crate::broker) fn send(&self, payload: &Payload<'_>) -> Result<(), Fault> {
        let partition = payload.partition.unwrap_or(-1);
        let (value, value_len) = bytes(payload.value);
        let (key, key_len) = bytes(payload.key);
        if payload.timestamp.is_none() && payload.headers.is_empty() {
            // SAFETY: the topic is live; librdkafka copies key and value before it returns (`MSG_F_COPY`).
            let code = unsafe {
                sys::rd_kafka_produce(
                    self.topic,
                    partition,
                    sys::RD_KAFKA_MSG_F_COPY,
                    value,
                    value_len,
                    key,
                    key_len,
                    ptr::null_mut(),
                )
            };
            return match code {
                0 => Ok(()),
                // SAFETY: reads a number of this thread.
                _ => Err(Fault::of(unsafe { rd_kafka_last_error() })),
            };
        }
        let headers = Headers::new(payload.headers)?;
        let mut values = [
            vu(VTYPE::RD_KAFKA_VTYPE_RKT, Field { rkt: self.topic }),
            vu(VTYPE::RD_KAFKA_VTYPE_PARTITION, Field { i32_: partition }),
            vu(
                VTYPE::RD_KAFKA_VTYPE_MSGFLAGS,
                Field {
                    i: sys::RD_KAFKA_MSG_F_COPY,
                },
            ),
            vu(VTYPE::RD_KAFKA_VTYPE_VALUE, memory(value, value_len)),
            vu(VTYPE::RD_KAFKA_VTYPE_KEY, memory(key, key_len)),
            vu(VTYPE::RD_KAFKA_VTYPE_TIMESTAMP, Field { i64_: 0 }),
            vu(VTYPE::RD_KAFKA_VTYPE_HEADERS, Field { headers: headers.0 }),
        ];
        // Zero asks librdkafka for the time of the call.
        values[5].u.i64_ = payload.timestamp.unwrap_or(0);
        let count = if headers.0.is_null() { 6 } else { 7 };
        // SAFETY: the handle is live and the first `count` values are filled as their types say; librdkafka copies key and
        // value. The headers become its own on success only.
        unsafe {
            let error = sys::rd_kafka_produceva(self.native.rk, values.as_ptr(), count);
            if error.is_null() {
                std::mem::forget(headers);
                return Ok(());
            }
            let code = rd_kafka_error_code(error);
            let words = super::text(sys::rd_kafka_error_string(error));
            sys::rd_kafka_error_destroy(error);
            Err(Fault::with(code, words))
        }
    }
}

use sys::{rd_kafka_vtype_t as VTYPE, rd_kafka_vu_s__bindgen_ty_1 as Field, rd_kafka_vu_t as Vu};

fn vu(vtype: VTYPE, u: Field) -> Vu {
    Vu { vtype, u }
}

fn memory(ptr: *mut c_void, size: usize) -> Field {
    Field {
        mem: sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr, size },
    }
}

/// Headers that librdkafka has not taken over yet; null for none.
struct Headers(*mut sys::rd_kafka_headers_t);

impl Headers {
    fn new(headers: &[Header]) -> Result<Self, Fault> {
        if headers.is_empty() {
            return Ok(Self(ptr::null_mut()));
        }
        // SAFETY: returns a new list, never null.
        let list = Self(unsafe { sys::rd_kafka_headers_new(headers.len()) });
        for header in headers {
            // The list takes names with their length, but everything that reads them back takes them as C strings.
            let name = c_string(&header.key)?;
            let (value, len) = bytes(header.value.as_deref());
            // SAFETY: name and value are live for the call and copied; -1 asks for the name's own length.
            let code = unsafe {
                sys::rd_kafka_header_add(
                    list.0,
                    name.as_ptr(),
                    -1,
                    value,
                    isize::try_from(len).unwrap_or(isize::MAX),
                )
            } as i32;
            if code != 0 {
                return Err(Fault::of(code));
            }
        }
        Ok(list)
    }
}

impl Drop for Headers {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: the list is live and was not handed over.
            unsafe { sys::rd_kafka_headers_destroy(self.0) };
        }
    }
}

/// What a call about transactions answered.
fn outcome(error: *mut sys::rd_kafka_error_t) -> Result<(), Fault> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the error is live and owned by the caller of librdkafka, which is this; it is not used after it is destroyed.
    unsafe {
        let code = rd_kafka_error_code(error);
        let words = super::text(sys::rd_kafka_error_string(error));
        sys::rd_kafka_error_destroy(error);
        Err(Fault::with(code, words))
    }
}

impl Native {
    /// Takes the transactional id over from whoever had it: what they left open is settled, what they send is refused.
    pub(in crate::broker) fn init_transactions(&self, wait: Duration) -> Result<(), Fault> {
        // SAFETY: the handle is live, and was made with a transactional id by the caller's promise; without one librdkafka refuses.
        outcome(unsafe { sys::rd_kafka_init_transactions(self.rk, millis(wait)) })
    }

    pub(in crate::broker) fn begin_transaction(&self) -> Result<(), Fault> {
        // SAFETY: the handle is live.
        outcome(unsafe { sys::rd_kafka_begin_transaction(self.rk) })
    }

    pub(in crate::broker) fn commit_transaction(&self, wait: Duration) -> Result<(), Fault> {
        // SAFETY: the handle is live.
        outcome(unsafe { sys::rd_kafka_commit_transaction(self.rk, millis(wait)) })
    }

    pub(in crate::broker) fn abort_transaction(&self, wait: Duration) -> Result<(), Fault> {
        // SAFETY: the handle is live.
        outcome(unsafe { sys::rd_kafka_abort_transaction(self.rk, millis(wait)) })
    }

    /// Whether another producer has begun under this one's name, so that this one can never write again.
    pub(in crate::broker) fn is_fenced(&self) -> bool {
        // SAFETY: the handle is live; no words are asked for.
        Fault::of(unsafe { rd_kafka_fatal_error(self.rk, ptr::null_mut(), 0) }).is_fenced()
    }

    /// Serves delivery reports for as long as `wait`, or until one came.
    pub(in crate::broker) fn poll(&self, wait: Duration) {
        // SAFETY: the handle is live.
        unsafe { sys::rd_kafka_poll(self.rk, millis(wait)) };
    }

    /// Waits until the queue is empty; says whether it is.
    pub(in crate::broker) fn flush(&self, wait: Duration) -> bool {
        // SAFETY: the handle is live.
        unsafe { sys::rd_kafka_flush(self.rk, millis(wait)) as i32 == 0 }
    }

    /// Records and requests that are not acknowledged yet.
    pub(in crate::broker) fn pending(&self) -> usize {
        // SAFETY: the handle is live.
        usize::try_from(unsafe { sys::rd_kafka_outq_len(self.rk) }).unwrap_or(0)
    }

    /// Throws away what is queued, so that dropping the handle does not wait for a broker that is gone.
    pub(in crate::broker) fn purge(&self) {
        // SAFETY: the handle is live.
        unsafe { sys::rd_kafka_purge(self.rk, sys::RD_KAFKA_PURGE_F_QUEUE | sys::RD_KAFKA_PURGE_F_INFLIGHT) };
    }

    /// How many records could not be delivered.
    pub(in crate::broker) fn failed(&self) -> u64 {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// The topic of the first record that could not be delivered, and why.
    pub(in crate::broker) fn first_failure(&self) -> Option<(String, Fault)> {
        locked(&self.shared.first_failure).clone()
    }
}
