//! One view for each screen.

pub(super) mod alerts;
pub(super) mod blame;
mod changes;
pub(super) mod charts;
pub(super) mod demos;
pub(super) mod differences;
pub(super) mod groups;
pub(super) mod guide;
pub(super) mod letters;
pub(super) mod projections;
pub(super) mod readmodel;
pub(super) mod records;
pub(super) mod scene;
mod slider;
pub(super) mod time;
pub(super) mod topics;
pub(super) mod welcome;
