//! The only folder that knows SQLite: read models, one database file each, where rows and position commit together.
//!
//! | module | what it is |
//! |---|---|
//! | [`compile`] | a projection checked against SQLite, with what its statements may do |
//! | [`apply`] | one record through the handlers |
//! | [`calls`] | what a record asks for where its rows are in another database |
//! | [`cached`] | rows of a rebuild in memory |
//! | [`missing`] | fields that handlers bind and no event had |
//! | [`store`] | where read models lie, what is known of each |
//! | [`fold`] | records applied, counted, and committed: the transaction of rows, position, counts and dead letters |
//! | [`decision`] | what was decided about single records, which amends the log |
//! | [`writer`] | building beside and swapping in; going on with the one in use |
//! | [`alert`] | what is raised for rows and resolved when they are gone |
//! | [`notice`] | what is told of alerts, until it is delivered |
//! | [`outbox`] | records that are emitted, until they are published |
//! | [`feed`] | which rows changed that stores outside do not have yet |
//! | [`invariant`] | what must be true after every event, and the first event after which it was not |
//! | [`trial`] | a projection on a database in memory, for its tests |
//! | [`snapshot`] | copies at moments of a replay, from which any other moment is near |
//! | [`scratch`] | a private copy at a moment of the past |
//! | [`changes`] | what each event did to the rows, and how it is undone |
//! | [`history`] | what each event did, kept beside the rows, and what wrote a row |
//! | [`net`] | what an event did to the rows in all |
//! | [`compare`] | two read models row by row |
//! | [`capture`] | the changes of somebody's database, as triggers write them down |
//! | `condition` | whether a SELECT holds after an event |
//! | [`filter`] | which records a WHERE chooses |
//! | [`remembered`] | conditions to which the past was run, for the next session |
//! | [`query`] | SQL over read models |
//! | [`blank`] | what a query is checked against before anything is built |
//! | [`dump`] | a read model as text, to compare |

pub mod alert;
pub mod apply;
pub mod blank;
mod bookkeeping;
pub mod cached;
pub mod calls;
pub mod capture;
pub mod changes;
pub mod compare;
pub mod compile;
mod condition;
mod dates;
pub mod decision;
pub mod dump;
pub mod error;
mod explain;
pub mod feed;
pub mod filter;
pub mod fold;
mod fulltext;
mod guard;
pub mod history;
pub mod invariant;
pub mod latest;
mod lock;
pub mod missing;
pub mod net;
pub mod notice;
pub mod outbox;
pub mod query;
pub mod remembered;
pub mod scratch;
pub mod snapshot;
pub mod store;
pub mod trial;
mod words;
pub mod writer;

/// How long a connection waits for another one's lock: commits and checkpoints take milliseconds.
const BUSY: std::time::Duration = std::time::Duration::from_secs(5);
