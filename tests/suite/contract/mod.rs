//! The broker contract: what any client may expect of the broker, checked by a client that is not Foldlog's own.

mod compaction;
pub(crate) mod differences;
mod fetch;
mod groups;
mod java;
mod produce;
mod topics;
mod wire;
