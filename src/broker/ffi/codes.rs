//! Error codes as the numbers that they are.
//!
//! librdkafka hands on what the broker sends, and a newer broker sends codes that it does not know. In C they are numbers; the
//! generated bindings call them an enum, of which any other value is undefined behaviour as soon as it is loaded. So a code
//! that can come from the wire is never loaded as the enum: fields are read through [`code_at`], and the functions that
//! return one are declared here once more, with the number that C returns.

use std::ffi::c_int;

use super::{E, sys};

unsafe extern "C" {
    pub(super) fn rd_kafka_ConfigEntry_source(entry: *const sys::rd_kafka_ConfigEntry_t) -> c_int;
    pub(super) fn rd_kafka_ConfigResource_error(resource: *const sys::rd_kafka_ConfigResource_t) -> c_int;
    pub(super) fn rd_kafka_error_code(error: *const sys::rd_kafka_error_t) -> c_int;
    pub(super) fn rd_kafka_event_error(event: *mut sys::rd_kafka_event_t) -> c_int;
    pub(super) fn rd_kafka_fatal_error(rk: *mut sys::rd_kafka_t, words: *mut std::ffi::c_char, size: usize) -> c_int;
    pub(super) fn rd_kafka_last_error() -> c_int;
    pub(super) fn rd_kafka_metadata(
        rk: *mut sys::rd_kafka_t,
        all_topics: c_int,
        only_rkt: *mut sys::rd_kafka_topic_t,
        metadatap: *mut *const sys::rd_kafka_metadata,
        timeout_ms: c_int,
    ) -> c_int;
    pub(super) fn rd_kafka_topic_result_error(result: *const sys::rd_kafka_topic_result_t) -> c_int;
}

/// The code in a field, whichever number it is.
///
/// # Safety
/// The field is live; what it holds need not be a value of the enum.
pub(super) unsafe fn code_at(field: *const E) -> i32 {
    // SAFETY: by the caller's promise; the enum has the size of an `i32`.
    unsafe { field.cast::<i32>().read() }
}
