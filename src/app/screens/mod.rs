//! One file for each screen: what it holds, and what its keys and answers do.

pub mod alerts;
pub mod blame;
pub mod charts;
pub mod demos;
pub mod differences;
pub mod flight;
pub mod groups;
pub mod guide;
pub mod letters;
pub mod previews;
pub mod projections;
pub mod readmodel;
pub mod records;
pub mod scene;
pub mod search;
pub mod tail;
pub mod time;
pub mod topics;
