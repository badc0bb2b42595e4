//! The C boundary: every `unsafe` of the crate stands in this folder, behind types that a caller cannot misuse.
//!
//! The library is called directly rather than through the `rdkafka` crate's client types, because what this program needs
//! most is what they do not offer: batches that keep librdkafka's memory (no copy, no allocation for a record), one queue for
//! each partition, and the admin calls for offsets and groups.
//!
//! Invariants that make the calls sound:
//! - a [`Native`] owns its `rd_kafka_t`; everything that points into it (queues, topics, messages) is kept in a type that
//!   holds an `Arc<Native>` and releases its pointers before that `Arc` goes;
//! - `rd_kafka_t` may be used from several threads (librdkafka's documented contract), so `Native` is `Send + Sync`;
//! - callbacks never unwind and only touch [`Shared`], which lives in a box as long as the `rd_kafka_t`.
#![allow(unsafe_code)]

pub(super) mod admin;
mod codes;
pub(super) mod consume;
mod fault;
pub(super) mod groups;
mod handle;
pub(super) mod member;
mod partitions;
pub(super) mod probe;
pub(super) mod produce;
mod queue;

use std::ffi::{CStr, CString, c_char, c_int};
use std::time::Duration;

use rdkafka_sys as sys;
use sys::rd_kafka_resp_err_t as E;

use codes::code_at;
pub(super) use fault::{
    Fault, is_coordinator_moving, is_out_of_range, is_topic_exists, is_unknown_group, is_unknown_topic,
};
pub(super) use handle::{Kind, Native, Refused};
pub(super) use partitions::PartitionOffset;
use partitions::{PartitionList, entries, entry_of};
use queue::{Event, Queue};

/// A C string copied, or `None` for a null pointer.
///
/// # Safety
/// The pointer is null or points to a string that ends in NUL and outlives the call.
unsafe fn text(pointer: *const c_char) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: by the caller's promise.
    Some(unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
}

/// A C array of pointers as a slice; empty where librdkafka gave a null pointer.
///
/// # Safety
/// `pointer` is null or points to `len` values that outlive `'a`.
unsafe fn items<'a, T>(pointer: *const T, len: usize) -> &'a [T] {
    if pointer.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: by the caller's promise.
    unsafe { std::slice::from_raw_parts(pointer, len) }
}

/// Pointers to the values of a C array, none of which is read: a field of one may hold a number that its type here lacks.
fn each<T>(pointer: *const T, len: c_int) -> impl Iterator<Item = *const T> {
    let len = if pointer.is_null() {
        0
    } else {
        usize::try_from(len).unwrap_or(0)
    };
    (0..len).map(move |at| pointer.wrapping_add(at))
}

/// A string for C. A NUL inside cannot be passed on: it is refused as an invalid argument.
fn c_string(text: &str) -> Result<CString, Fault> {
    CString::new(text).map_err(|_| Fault {
        code: E::RD_KAFKA_RESP_ERR__INVALID_ARG as i32,
        reason: format!("`{}` contains a NUL character", text.escape_debug()),
    })
}

/// Milliseconds for C, rounded up, so that a wait of less than one is not a busy loop.
fn millis(wait: Duration) -> c_int {
    c_int::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(c_int::MAX)
}

/// A buffer for librdkafka's error texts.
struct ErrorText([c_char; 512]);

impl ErrorText {
    fn new() -> Self {
        Self([0; 512])
    }

    fn read(&self) -> String {
        // SAFETY: librdkafka ends what it writes with NUL within the size it was given, and the buffer starts as zeros.
        unsafe { text(self.0.as_ptr()) }.unwrap_or_default()
    }
}
