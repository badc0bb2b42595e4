//! SQLite's preupdate hook: what a statement is about to do to a row, told before it is done.
//!
//! rusqlite has this hook only where libclang generates the bindings, which a fresh machine does not have; the functions are in
//! the bindings that come with it all the same. This file is the one place beside `broker/ffi` where `unsafe` stands.
//!
//! Invariants that make the calls sound:
//! - what the hook calls lives as long as the connection: SQLite frees it when it closes the connection, or when another takes its
//!   place, which is after the hook has been given the other;
//! - SQLite calls the hook on the thread that runs the statement, and a [`Touched`] cannot outlive that call;
//! - a value is read at once and borrowed no longer than the [`Touched`] that gave it.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ffi};

/// Without the flag the hook's functions are missing when everything is linked, which would say less than this.
const _: () = assert!(
    has_flag(option_env!("LIBSQLITE3_FLAGS")),
    "SQLite must be compiled with LIBSQLITE3_FLAGS=-DSQLITE_ENABLE_PREUPDATE_HOOK, as .cargo/config.toml says: build in the folder of the repository"
);

const fn has_flag(flags: Option<&str>) -> bool {
    let (Some(flags), wanted) = (flags, b"SQLITE_ENABLE_PREUPDATE_HOOK") else {
        return false;
    };
    let flags = flags.as_bytes();
    let mut at = 0;
    while at + wanted.len() <= flags.len() {
        let mut same = 0;
        while same < wanted.len() && flags[at + same] == wanted[same] {
            same += 1;
        }
        if same == wanted.len() {
            return true;
        }
        at += 1;
    }
    false
}

/// What happens to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Insert,
    Update,
    Delete,
}

/// A row that is about to be written.
pub(super) struct Touched<'t> {
    db: *mut ffi::sqlite3,
    pub(super) deed: Deed,
    /// Whether the table belongs to the read model, not to a temporary or another database.
    pub(super) main: bool,
    /// The table's name.
    pub(super) table: &'t [u8],
    /// The rowid before; means nothing in a table without.
    pub(super) old_rowid: i64,
    /// The rowid after.
    pub(super) new_rowid: i64,
    _call: PhantomData<&'t ()>,
}

impl Touched<'_> {
    /// The value of a column before, where there was a row. An error is SQLite's code: it has no memory, or the file is damaged.
    pub(super) fn before(&self, column: usize) -> Result<ValueRef<'_>, c_int> {
        self.value(column, ffi::sqlite3_preupdate_old)
    }

    /// The value of a column after, as the statement gives it: its column's affinity may still change it.
    pub(super) fn after(&self, column: usize) -> Result<ValueRef<'_>, c_int> {
        self.value(column, ffi::sqlite3_preupdate_new)
    }

    fn value(
        &self,
        column: usize,
        ask: unsafe extern "C" fn(*mut ffi::sqlite3, c_int, *mut *mut ffi::sqlite3_value) -> c_int,
    ) -> Result<ValueRef<'_>, c_int> {
        let column = c_int::try_from(column).map_err(|_| ffi::SQLITE_RANGE)?;
        let mut value = ptr::null_mut();
        // SAFETY: `db` is the connection whose hook is being called, and SQLite checks that the column is there.
        let code = unsafe { ask(self.db, column, &raw mut value) };
        if code != ffi::SQLITE_OK || value.is_null() {
            return Err(code);
        }
        // SAFETY: SQLite keeps the value until the hook returns, which `self` does not outlive.
        Ok(unsafe { read(value) })
    }
}

/// What a value is.
///
/// # Safety
/// The pointer is to a value that stays as it is for `'v`.
unsafe fn read<'v>(value: *mut ffi::sqlite3_value) -> ValueRef<'v> {
    // SAFETY: by the caller's promise. The type is asked before the bytes, which may turn text into bytes for later calls; SQLite
    // gives text as it is stored, which is UTF-8 in our files, and a null pointer for nothing.
    unsafe {
        let bytes = || {
            let start: *const u8 = ffi::sqlite3_value_blob(value).cast();
            let len = usize::try_from(ffi::sqlite3_value_bytes(value)).unwrap_or(0);
            if start.is_null() {
                &[][..]
            } else {
                std::slice::from_raw_parts(start, len)
            }
        };
        match ffi::sqlite3_value_type(value) {
            ffi::SQLITE_INTEGER => ValueRef::Integer(ffi::sqlite3_value_int64(value)),
            ffi::SQLITE_FLOAT => ValueRef::Real(ffi::sqlite3_value_double(value)),
            ffi::SQLITE_TEXT => ValueRef::Text(bytes()),
            ffi::SQLITE_BLOB => ValueRef::Blob(bytes()),
            _ => ValueRef::Null,
        }
    }
}

/// Calls `hear` before each row that a statement of the connection writes, from here on. Statements that were prepared before may
/// not tell everything. It must not panic, nor use the connection.
pub(super) fn listen<F>(connection: &Connection, hear: F) -> rusqlite::Result<()>
where
    F: FnMut(&Touched<'_>) + Send + 'static,
{
    let hear: *mut F = Box::into_raw(Box::new(hear));
    // SAFETY: the connection is open. The box is SQLite's from `sqlite3_set_clientdata` on, which frees it also when it fails; the
    // hook points to what is there: first the box before, which is freed after the hook was given the new one.
    let code = unsafe {
        let db = connection.handle();
        ffi::sqlite3_preupdate_hook(db, Some(call::<F>), hear.cast());
        let code = ffi::sqlite3_set_clientdata(db, c"foldlog_changes".as_ptr(), hear.cast(), Some(drop_box::<F>));
        if code != ffi::SQLITE_OK {
            ffi::sqlite3_preupdate_hook(db, None, ptr::null_mut());
        }
        code
    };
    match code {
        ffi::SQLITE_OK => Ok(()),
        code => Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)),
    }
}

/// # Safety
/// The pointer is the box that [`listen`] made, and nobody else has it.
unsafe extern "C" fn drop_box<F>(hear: *mut c_void) {
    // SAFETY: by the caller's promise.
    drop(unsafe { Box::from_raw(hear.cast::<F>()) });
}

/// # Safety
/// Called by SQLite with what [`listen`] gave it and with the names of a database and a table.
unsafe extern "C" fn call<F>(
    hear: *mut c_void,
    db: *mut ffi::sqlite3,
    deed: c_int,
    database: *const c_char,
    table: *const c_char,
    old_rowid: i64,
    new_rowid: i64,
) where
    F: FnMut(&Touched<'_>),
{
    let deed = match deed {
        ffi::SQLITE_INSERT => Deed::Insert,
        ffi::SQLITE_UPDATE => Deed::Update,
        _ => Deed::Delete,
    };
    // SAFETY: the box is there as long as the hook is, and SQLite does not call the hook within itself; names end in NUL and stay
    // for the call.
    let (hear, database, table) = unsafe { (&mut *hear.cast::<F>(), CStr::from_ptr(database), CStr::from_ptr(table)) };
    hear(&Touched {
        db,
        deed,
        main: database.to_bytes() == b"main",
        table: table.to_bytes(),
        old_rowid,
        new_rowid,
        _call: PhantomData,
    });
}
