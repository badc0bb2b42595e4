//! The handle: its configuration, its life, and what its callbacks tell.

use std::ffi::{c_char, c_int, c_void};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{E, ErrorText, Fault, c_string, code_at, sys, text};

/// Which half of librdkafka a handle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum Kind {
    Producer,
    Consumer,
    /// A consumer in a group, which hears of rebalances as events.
    Member,
}

/// What the callbacks write and the callers read.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// The last connection trouble, as the error callback told it.
    trouble: Mutex<Option<Fault>>,
    /// Whether librdkafka said that no broker is left since somebody last cleared it.
    all_down: AtomicBool,
    /// How often librdkafka said so: once for each outage.
    outages: AtomicU64,
    /// The last error that is no connection trouble: that a topic that is read is gone, or may not be read any more.
    /// librdkafka tells it to the error callback, not among the messages.
    refusal: Mutex<Option<Fault>>,
    /// Records whose delivery failed.
    pub(super) failed: AtomicU64,
    /// Why the first of them failed, with its topic.
    pub(super) first_failure: Mutex<Option<(String, Fault)>>,
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn note(&self, fault: Fault) {
        if fault.is(E::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
            self.outages.fetch_add(1, Ordering::Relaxed);
            self.all_down.store(true, Ordering::Relaxed);
            return;
        }
        if !fault.is_silence() {
            *locked(&self.refusal) = Some(fault.clone());
        }
        *locked(&self.trouble) = Some(fault);
    }
}

/// A librdkafka handle.
#[derive(Debug)]
pub(in crate::broker) struct Native {
    pub(super) rk: *mut sys::rd_kafka_t,
    pub(super) shared: Box<Shared>,
}

// SAFETY: librdkafka documents `rd_kafka_t` as usable from any thread, and `Shared` is made of atomics and mutexes.
unsafe impl Send for Native {}
// SAFETY: as above.
unsafe impl Sync for Native {}

impl Drop for Native {
    fn drop(&mut self) {
        // SAFETY: the pointer is live and this is its last use: whatever points into it holds an `Arc<Native>` and went first.
        // The flag keeps the close of a group out of it: a member that wants to leave its group has done so before.
        unsafe { sys::rd_kafka_destroy_flags(self.rk, sys::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE) };
    }
}

/// A property that librdkafka refused, with its reason. The name is empty where it refused the whole.
pub(in crate::broker) struct Refused {
    pub property: String,
    pub reason: String,
}

impl Native {
    /// A handle with these properties, the later overriding the earlier.
    pub(in crate::broker) fn new<'a>(
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
            if kind == Kind::Member {
                sys::rd_kafka_conf_set_events(conf.0, sys::RD_KAFKA_EVENT_REBALANCE);
            }
            let kind = match kind {
                Kind::Producer => sys::rd_kafka_type_t::RD_KAFKA_PRODUCER,
                Kind::Consumer | Kind::Member => sys::rd_kafka_type_t::RD_KAFKA_CONSUMER,
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

    /// Has the handle ask for the cluster at this address too, beside those that it knows.
    pub(in crate::broker) fn add_broker(&self, address: SocketAddr) {
        if let Ok(address) = c_string(&address.to_string()) {
            // SAFETY: handle and text are live for the call, and the text is copied. One that is known already is kept.
            unsafe { sys::rd_kafka_brokers_add(self.rk, address.as_ptr()) };
        }
    }

    /// Serves the callbacks that wait, without blocking.
    pub(in crate::broker) fn serve(&self) {
        // SAFETY: the handle is live.
        unsafe { sys::rd_kafka_poll(self.rk, 0) };
    }

    /// Forgets that no broker was reachable, so that only news count from here.
    pub(in crate::broker) fn clear_all_down(&self) {
        self.serve();
        self.shared.all_down.store(false, Ordering::Relaxed);
    }

    /// Whether librdkafka said since the last clearing that no broker can be reached.
    pub(in crate::broker) fn all_down(&self) -> bool {
        self.shared.all_down.load(Ordering::Relaxed)
    }

    /// How many outages librdkafka told so far.
    pub(super) fn outages(&self) -> u64 {
        self.shared.outages.load(Ordering::Relaxed)
    }

    /// The last connection trouble, unless something was answered since.
    pub(in crate::broker) fn trouble(&self) -> Option<Fault> {
        locked(&self.shared.trouble).clone()
    }

    /// The last error that is no connection trouble, if there was one since the last call.
    pub(in crate::broker) fn take_refusal(&self) -> Option<Fault> {
        locked(&self.shared.refusal).take()
    }

    /// Takes note of a fault that came as an event.
    pub(super) fn note(&self, fault: &Fault) {
        self.shared.note(fault.clone());
    }

    /// Forgets troubles: something was answered.
    pub(in crate::broker) fn answered(&self) {
        *locked(&self.shared.trouble) = None;
        self.shared.all_down.store(false, Ordering::Relaxed);
    }
}

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
    shared.note(Fault::with(code, reason));
}

/// Records that could not be delivered. Runs on the thread that polls the handle.
unsafe extern "C" fn on_delivery(
    _rk: *mut sys::rd_kafka_t,
    message: *const sys::rd_kafka_message_t,
    opaque: *mut c_void,
) {
    // SAFETY: the opaque is the `Shared` of this handle; the message is live for the callback.
    unsafe {
        let code = code_at(&raw const (*message).err);
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
