//! Bytes to fields, and bytes to what a person reads. Pure: no I/O, no state.

pub mod display;
pub mod envelope;
pub mod fields;
mod json;
mod number;
mod pretty;
pub mod printable;
pub mod schema;
mod string;
