//! How data is printed: what `-o` takes. Each command takes those that its data has.

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for people; control characters are shown, not sent
    Table,
    /// One JSON object a line
    Json,
    /// Comma-separated values with a header
    Csv,
    /// The bytes of the value and a line break; on a terminal control characters are shown
    Raw,
}

/// What every command takes that prints data.
pub(super) const EVERYWHERE: &[Format] = &[Format::Table, Format::Json];
/// What takes rows of a query.
pub(super) const ROWS: &[Format] = &[Format::Table, Format::Json, Format::Csv];
/// What takes records.
pub(super) const RECORDS: &[Format] = &[Format::Table, Format::Json, Format::Raw];

/// Takes one of `formats`. The type is the same for all of them, for the parser hands the value of a global flag from a
/// command to the program and back.
pub(super) fn one_of(formats: &[Format]) -> impl TypedValueParser<Value = Format> + use<> {
    PossibleValuesParser::new(formats.iter().filter_map(ValueEnum::to_possible_value))
        .try_map(|name| Format::from_str(&name, false))
}
