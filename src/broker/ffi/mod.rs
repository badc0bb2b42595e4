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
pub(super) mod consume;
pub(super) mod groups;
pub(super) mod produce;

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka_sys as sys;
use sys::rd_kafka_resp_err_t as E;

/// What librdkafka answered: its error code and its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub code: i32,
    pub reason: String,
}

impl Fault {
    pub(super) fn of(code: i32) -> Self {
        Self {
            code,
            reason: describe(code),
        }
    }

    /// The words after librdkafka's own prefix, which says nothing to a reader of this program's messages.
    fn with(code: i32, reason: Option<String>) -> Self {
        match reason {
            Some(reason) if !reason.is_empty() => Self { code, reason },
            _ => Self::of(code),
        }
    }

    pub(super) fn is(&self, code: E) -> bool {
        self.code == code as i32
    }

    /// Whether nobody answered, rather than somebody answering no.
    pub(super) fn is_silence(&self) -> bool {
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
}

/// librdkafka's words for a code.
pub(super) fn describe(code: i32) -> String {
    let Ok(known) = E::try_from(code) else {
        return format!("error {code}");
    };
    // SAFETY: the function returns a pointer to a static string for every code of the enum.
    let text = unsafe { text(sys::rd_kafka_err2str(known)) }.unwrap_or_default();
    text.strip_prefix("Broker: ")
        .or_else(|| text.strip_prefix("Local: "))
        .unwrap_or(&text)
        .to_owned()
}

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

/// Which half of librdkafka a handle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Producer,
    Consumer,
}

/// What the callbacks write and the callers read.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// The last connection trouble, as the error callback told it.
    trouble: Mutex<Option<Fault>>,
    /// Whether librdkafka said that no broker is left since somebody last cleared it.
    all_down: AtomicBool,
    /// The last error that is no connection trouble: that a topic that is read is gone, or may not be read any more.
    /// librdkafka tells it to the error callback, not among the messages.
    refusal: Mutex<Option<Fault>>,
    /// Records whose delivery failed.
    failed: AtomicU64,
    /// Why the first of them failed, with its topic.
    first_failure: Mutex<Option<(String, Fault)>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A librdkafka handle.
#[derive(Debug)]
pub(super) struct Native {
    rk: *mut sys::rd_kafka_t,
    shared: Box<Shared>,
}

// SAFETY: librdkafka documents `rd_kafka_t` as usable from any thread, and `Shared` is made of atomics and mutexes.
unsafe impl Send for Native {}
// SAFETY: as above.
unsafe impl Sync for Native {}

impl Drop for Native {
    fn drop(&mut self) {
        // SAFETY: the pointer is live and this is its last use: whatever points into it holds an `Arc<Native>` and went first.
        // The flag keeps the close of a group out of it, which this program never joins.
        unsafe { sys::rd_kafka_destroy_flags(self.rk, sys::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE) };
    }
}

/// A property that librdkafka refused, with its reason. The name is empty where it refused the whole.
pub(super) struct Refused {
    pub property: String,
    pub reason: String,
}

impl Native {
    /// A handle with these properties, the later overriding the earlier.
    pub(super) fn new<'a>(
        kind: Kind,
        properties: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Refused> {
        let conf = Conf::new(properties)?;
        let shared = Box::<Shared>::default();
        let opaque: *const Shared = &*shared;
        let mut error = ErrorText::new();
        // SAFETY: the conf is live. `opaque` points into a box that `Native` keeps until after `rd_kafka_destroy`. On success
        // librdkafka owns the conf, on failure it stays with `Conf`, whose drop releases it.
        let rk = unsafe {
            sys::rd_kafka_conf_set_opaque(conf.0, opaque.cast_mut().cast());
            sys::rd_kafka_conf_set_log_cb(conf.0, Some(on_log));
            sys::rd_kafka_conf_set_error_cb(conf.0, Some(on_error));
            if kind == Kind::Producer {
                sys::rd_kafka_conf_set_dr_msg_cb(conf.0, Some(on_delivery));
            }
            let kind = match kind {
                Kind::Producer => sys::rd_kafka_type_t::RD_KAFKA_PRODUCER,
                Kind::Consumer => sys::rd_kafka_type_t::RD_KAFKA_CONSUMER,
            };
            sys::rd_kafka_new(kind, conf.0, error.0.as_mut_ptr(), error.0.len())
        };
        if rk.is_null() {
            return Err(Refused {
                property: String::new(),
                reason: error.read(),
            });
        }
        std::mem::forget(conf);
        Ok(Self { rk, shared })
    }

    /// Serves the callbacks that wait, without blocking.
    pub(super) fn serve(&self) {
        // SAFETY: the handle is live.
        unsafe { sys::rd_kafka_poll(self.rk, 0) };
    }

    /// Forgets that no broker was reachable, so that only news count from here.
    pub(super) fn clear_all_down(&self) {
        self.serve();
        self.shared.all_down.store(false, Ordering::Relaxed);
    }

    /// Whether librdkafka said since the last clearing that no broker can be reached.
    pub(super) fn all_down(&self) -> bool {
        self.shared.all_down.load(Ordering::Relaxed)
    }

    /// The last connection trouble, unless something was answered since.
    pub(super) fn trouble(&self) -> Option<Fault> {
        locked(&self.shared.trouble).clone()
    }

    /// The last error that is no connection trouble, if there was one since the last call.
    pub(super) fn take_refusal(&self) -> Option<Fault> {
        locked(&self.shared.refusal).take()
    }

    /// Forgets troubles: something was answered.
    pub(super) fn answered(&self) {
        *locked(&self.shared.trouble) = None;
        self.shared.all_down.store(false, Ordering::Relaxed);
    }

    /// Waits until an event comes to `queue`, the deadline passes, or it is certain that no broker can be reached.
    fn wait(&self, queue: &Queue<'_>, deadline: Duration) -> Result<Event, Fault> {
        let start = Instant::now();
        loop {
            let left = deadline.saturating_sub(start.elapsed());
            // SAFETY: the queue is live; the event belongs to the caller.
            let event = unsafe { sys::rd_kafka_queue_poll(queue.pointer, millis(left.min(SLICE))) };
            if !event.is_null() {
                self.serve();
                return Event(event).checked();
            }
            self.serve();
            if left.is_zero() {
                return Err(Fault::of(E::RD_KAFKA_RESP_ERR__TIMED_OUT as i32));
            }
            if self.all_down() && self.is_hopeless(start.elapsed()) {
                return Err(Fault::of(E::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN as i32));
            }
        }
    }

    /// Whether waiting longer makes no sense: a name that does not resolve and a refused login stay so, a refused connection
    /// may be a broker that is just starting.
    pub(super) fn is_hopeless(&self, waited: Duration) -> bool {
        let lasting = self.trouble().is_some_and(|fault| {
            [
                E::RD_KAFKA_RESP_ERR__RESOLVE,
                E::RD_KAFKA_RESP_ERR__AUTHENTICATION,
                E::RD_KAFKA_RESP_ERR__SSL,
            ]
            .into_iter()
            .any(|code| fault.is(code))
        });
        waited >= if lasting { LASTING_GRACE } else { REFUSED_GRACE }
    }
}

/// How often a wait looks for connection troubles; an answer ends it at once.
const SLICE: Duration = Duration::from_millis(50);
/// How long refused connections are tried again before they count as an answer.
const REFUSED_GRACE: Duration = Duration::from_millis(1500);
/// The same for names that do not resolve and logins that are refused.
const LASTING_GRACE: Duration = Duration::from_millis(300);

/// A configuration that is not yet a handle's.
struct Conf(*mut sys::rd_kafka_conf_t);

impl Conf {
    fn new<'a>(properties: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Refused> {
        // SAFETY: returns a new configuration, never null.
        let conf = Self(unsafe { sys::rd_kafka_conf_new() });
        for (name, value) in properties {
            conf.set(name, value)?;
        }
        Ok(conf)
    }

    fn set(&self, name: &str, value: &str) -> Result<(), Refused> {
        let refused = |reason: String| Refused {
            property: name.to_owned(),
            reason,
        };
        let c_name = c_string(name).map_err(|fault| refused(fault.reason))?;
        let c_value = c_string(value).map_err(|_| refused("its value contains a NUL character".to_owned()))?;
        let mut error = ErrorText::new();
        // SAFETY: all pointers are live for the call, and the size is the buffer's.
        let result = unsafe {
            sys::rd_kafka_conf_set(
                self.0,
                c_name.as_ptr(),
                c_value.as_ptr(),
                error.0.as_mut_ptr(),
                error.0.len(),
            )
        };
        match result {
            sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK => Ok(()),
            _ => Err(refused(error.read())),
        }
    }
}

impl Drop for Conf {
    fn drop(&mut self) {
        // SAFETY: the configuration is live and was not handed to a handle (that path forgets the `Conf`).
        unsafe { sys::rd_kafka_conf_destroy(self.0) };
    }
}

/// A queue of events that one caller waits at.
struct Queue<'a> {
    pointer: *mut sys::rd_kafka_queue_t,
    _native: &'a Native,
}

impl<'a> Queue<'a> {
    fn new(native: &'a Native) -> Self {
        Self {
            // SAFETY: the handle is live and outlives the queue by the borrow.
            pointer: unsafe { sys::rd_kafka_queue_new(native.rk) },
            _native: native,
        }
    }
}

impl Drop for Queue<'_> {
    fn drop(&mut self) {
        // SAFETY: the queue is live and this is its last use.
        unsafe { sys::rd_kafka_queue_destroy(self.pointer) };
    }
}

/// An event that was taken from a queue.
struct Event(*mut sys::rd_kafka_event_t);

impl Event {
    /// The event, unless it says that its whole request failed.
    fn checked(self) -> Result<Self, Fault> {
        // SAFETY: the event is live.
        let (code, words) = unsafe {
            (
                sys::rd_kafka_event_error(self.0) as i32,
                text(sys::rd_kafka_event_error_string(self.0)),
            )
        };
        if code == 0 {
            Ok(self)
        } else {
            Err(Fault::with(code, words))
        }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: the event is live and this is its last use.
        unsafe { sys::rd_kafka_event_destroy(self.0) };
    }
}

/// A list of topic partitions with offsets, as many calls take and give.
struct PartitionList(*mut sys::rd_kafka_topic_partition_list_t);

/// One entry of a [`PartitionList`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartitionOffset {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub error: Option<Fault>,
}

impl PartitionList {
    fn new<'a>(entries: impl IntoIterator<Item = (&'a str, i32, i64)>) -> Result<Self, Fault> {
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
unsafe fn entries(list: *const sys::rd_kafka_topic_partition_list_t) -> Vec<PartitionOffset> {
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: by the caller's promise; `cnt` is the number of elements.
    let elements = unsafe { items((*list).elems.cast_const(), usize::try_from((*list).cnt).unwrap_or(0)) };
    // SAFETY: every element of a live list is valid.
    elements.iter().map(|entry| unsafe { entry_of(entry) }).collect()
}

/// # Safety
/// The entry's topic is a live C string.
unsafe fn entry_of(entry: &sys::rd_kafka_topic_partition_t) -> PartitionOffset {
    let code = entry.err as i32;
    PartitionOffset {
        // SAFETY: by the caller's promise.
        topic: unsafe { text(entry.topic) }.unwrap_or_default(),
        partition: entry.partition,
        offset: entry.offset,
        error: (code != 0).then(|| Fault::of(code)),
    }
}

/// librdkafka's log lines: they go where this program's own go, never to the terminal.
unsafe extern "C" fn on_log(_rk: *const sys::rd_kafka_t, level: c_int, facility: *const c_char, line: *const c_char) {
    // SAFETY: librdkafka passes live C strings.
    let (facility, line) = unsafe { (text(facility).unwrap_or_default(), text(line).unwrap_or_default()) };
    match level {
        ..=3 => tracing::error!(target: "librdkafka", facility, "{line}"),
        4 => tracing::warn!(target: "librdkafka", facility, "{line}"),
        5 | 6 => tracing::info!(target: "librdkafka", facility, "{line}"),
        _ => tracing::debug!(target: "librdkafka", facility, "{line}"),
    }
}

/// Connection troubles. Runs on the thread that polls the handle.
unsafe extern "C" fn on_error(_rk: *mut sys::rd_kafka_t, code: c_int, reason: *const c_char, opaque: *mut c_void) {
    // SAFETY: the opaque is the `Shared` of this handle, which lives as long; librdkafka passes a live C string.
    let (shared, reason) = unsafe { (&*opaque.cast::<Shared>(), text(reason)) };
    if code == E::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN as i32 {
        shared.all_down.store(true, Ordering::Relaxed);
        return;
    }
    let fault = Fault::with(code, reason);
    if !fault.is_silence() {
        *locked(&shared.refusal) = Some(fault.clone());
    }
    *locked(&shared.trouble) = Some(fault);
}

/// Records that could not be delivered. Runs on the thread that polls the handle.
unsafe extern "C" fn on_delivery(
    _rk: *mut sys::rd_kafka_t,
    message: *const sys::rd_kafka_message_t,
    opaque: *mut c_void,
) {
    // SAFETY: the opaque is the `Shared` of this handle; the message is live for the callback. The code is read as the number
    // it is on the wire, because a newer broker may send one that the enum does not list.
    unsafe {
        let code = (&raw const (*message).err).cast::<i32>().read();
        if code == 0 {
            return;
        }
        let shared = &*opaque.cast::<Shared>();
        shared.failed.fetch_add(1, Ordering::Relaxed);
        let mut first = locked(&shared.first_failure);
        if first.is_none() {
            let topic = text(sys::rd_kafka_topic_name((*message).rkt)).unwrap_or_default();
            *first = Some((topic, Fault::of(code)));
        }
    }
}

/// Whether the fault says that there is no such topic or partition.
pub(super) fn is_unknown_topic(fault: &Fault) -> bool {
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
pub(super) fn is_topic_exists(fault: &Fault) -> bool {
    fault.is(E::RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
}

/// Whether the fault says that the log does not hold the offset.
pub(super) fn is_out_of_range(fault: &Fault) -> bool {
    fault.is(E::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) || fault.is(E::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
}

impl Fault {
    /// For a broker that does not answer.
    pub(super) fn silence() -> Self {
        Self::of(E::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN as i32)
    }

    /// For an answer that leaves the topic out.
    pub(super) fn unknown_topic() -> Self {
        Self::of(E::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART as i32)
    }
}

/// Whether the fault says that there is no such group.
pub(super) fn is_unknown_group(fault: &Fault) -> bool {
    fault.is(E::RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND)
}
