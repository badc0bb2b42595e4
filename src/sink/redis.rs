//! Redis: a hash for each row, at the key `projection:table:key`.
//!
//! Rows and mark go in one MULTI, watched: if somebody emptied the server or fed it meanwhile, nothing is written. Rows that are
//! gone are found by their keys' beginning, so that a server which has such keys and no mark is refused: they are somebody else's.
//! The mark names the tables that it is about; other keys that begin with the projection's name are left alone.

mod resp;

use std::collections::BTreeMap;
use std::io;

use crate::readmodel::feed::{FedRow, Mark};
use crate::readmodel::query::Cell;

use self::resp::{Connection, Reply};
use super::address::Server;
use super::error::SinkError;
use super::{Held, Keep, Model, Refused, RowStore, Rows, escaped, row_name, text_of};

/// Keys that one SCAN looks at, about.
const SCAN: &[u8] = b"1000";

/// The fields of a hash.
type Fields = Vec<(String, Vec<u8>)>;

/// A Redis server that is fed with rows.
pub struct Redis {
    server: Server,
    model: Model,
    /// What all keys of rows begin with.
    base: String,
    /// What each table's keys begin with.
    tables: Vec<String>,
    /// The same of tables that the projection had when the mark was written, and has not any more.
    old: Vec<String>,
    mark: String,
    connection: Option<Connection>,
}

impl Redis {
    /// Nothing is connected before it is opened.
    pub fn new(server: Server, model: Model) -> Self {
        let prefix = server.option("prefix").unwrap_or_default().to_owned();
        let base = format!("{prefix}{}:", model.name);
        let table = |table: &str| format!("{base}{}:", escaped(table));
        Self {
            tables: model.tables.iter().map(|known| table(&known.name)).collect(),
            // No projection's name has a `-`, so that no row can have this key.
            mark: format!("{prefix}foldlog-mark:{}", model.name),
            old: Vec::new(),
            base,
            server,
            model,
            connection: None,
        }
    }

    fn says(&self, reason: String) -> SinkError {
        let help = match reason.split(' ').next() {
            Some("NOAUTH" | "WRONGPASS") => Some("write the password into the address: redis://USER:PASSWORD@HOST"),
            Some("OOM" | "EXECABORT") => Some("the server has no memory left: give it some, or let it evict"),
            Some("NOPERM") => {
                Some("the user needs the rights to HSET, DEL, GET, SET, WATCH, MULTI, EXEC and SCAN these keys")
            }
            _ => None,
        };
        SinkError::Says {
            store: self.server.to_string(),
            reason,
            help: help.map(str::to_owned),
        }
    }

    fn lost(&self, error: &io::Error) -> SinkError {
        let reason = match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer in 10 s".to_owned(),
            _ => error.to_string(),
        };
        SinkError::Unreachable {
            store: self.server.to_string(),
            reason,
        }
    }

    /// Does something with the connection, which is given up after an error.
    fn with<T>(&mut self, work: impl FnOnce(&mut Connection) -> io::Result<T>) -> Result<T, SinkError> {
        let Some(mut connection) = self.connection.take() else {
            return Err(self.lost(&io::Error::from(io::ErrorKind::NotConnected)));
        };
        let done = work(&mut connection).map_err(|error| self.lost(&error))?;
        self.connection = Some(connection);
        Ok(done)
    }

    fn ask(&mut self, command: &[&[u8]]) -> Result<Reply, SinkError> {
        match self.with(|connection| connection.ask(command))? {
            Reply::Error(reason) => Err(self.says(reason)),
            reply => Ok(reply),
        }
    }

    fn log_in(&mut self) -> Result<(), SinkError> {
        let (user, password) = (self.server.user.clone(), self.server.password.clone());
        match (user, password) {
            (Some(user), password) => {
                let password = password.unwrap_or_default();
                self.authenticate(&[b"AUTH", user.as_bytes(), password.as_bytes()])?;
            }
            (None, Some(password)) => self.authenticate(&[b"AUTH", password.as_bytes()])?,
            (None, None) => {}
        }
        let database = self.server.path.clone();
        if !database.is_empty() {
            self.ask(&[b"SELECT", database.as_bytes()])?;
        }
        Ok(())
    }

    /// A server that does not know the command repeats what it was told, and that is the password.
    fn authenticate(&mut self, command: &[&[u8]]) -> Result<(), SinkError> {
        match self.with(|connection| connection.ask(command))? {
            Reply::Error(reason) => {
                let code = reason.split(' ').next().unwrap_or_default();
                let code = if code.bytes().all(|byte| byte.is_ascii_uppercase()) {
                    code
                } else {
                    "no"
                };
                Err(self.says(format!("{code} to the user and the password of the address")))
            }
            _ => Ok(()),
        }
    }

    fn read_mark(&mut self) -> Result<Option<Mark>, SinkError> {
        let mark = self.mark.clone();
        let Reply::Bulk(bytes) = self.ask(&[b"GET", mark.as_bytes()])? else {
            return Ok(None);
        };
        let Some((mark, tables)) = parse_mark(&bytes) else {
            return Ok(None);
        };
        let keys = tables.iter().map(|table| format!("{}{table}:", self.base));
        self.old = keys.filter(|keys| !self.tables.contains(keys)).collect();
        Ok(Some(mark))
    }

    /// The mark as it is kept, with the tables whose rows may be there.
    fn mark_text(&self, mark: &Mark) -> String {
        // Until all rows are there those of tables that are gone may be, too.
        let old: &[String] = if mark.whole { &[] } else { &self.old };
        let names = self
            .tables
            .iter()
            .chain(old)
            .filter_map(|keys| keys.strip_prefix(&self.base));
        let names: Vec<&str> = names.map(|name| name.trim_end_matches(':')).collect();
        let state = if mark.whole { "whole" } else { "begun" };
        format!("{} {} {state} {}", mark.epoch, mark.through, names.join(":"))
    }

    /// Looks at a part of the keys that begin as the rows' do.
    fn scan(&mut self, from: &str) -> Result<(String, Vec<String>), SinkError> {
        let pattern = format!("{}*", literal(&self.base));
        let found = self.ask(&[b"SCAN", from.as_bytes(), b"MATCH", pattern.as_bytes(), b"COUNT", SCAN])?;
        let Reply::Array(parts) = found else {
            return Err(self.says("its answer to SCAN is none".to_owned()));
        };
        match <[Reply; 2]>::try_from(parts) {
            Ok([Reply::Bulk(next), Reply::Array(keys)]) => {
                let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
                let keys = keys.into_iter().filter_map(|key| match key {
                    Reply::Bulk(bytes) => Some(text(bytes)),
                    _ => None,
                });
                Ok((text(next), keys.collect()))
            }
            _ => Err(self.says("its answer to SCAN is none".to_owned())),
        }
    }

    fn check_ours(&mut self) -> Result<(), SinkError> {
        let mut from = "0".to_owned();
        loop {
            let (next, keys) = self.scan(&from)?;
            if let Some(key) = keys.first() {
                return Err(SinkError::NotOurs {
                    store: self.server.to_string(),
                    what: format!("the key `{}`", key.escape_debug()),
                    help: "write the rows under another name with ?prefix=NAME: in the address; or, if they are what is left of \
                           an earlier feeding, delete these keys"
                        .to_owned(),
                });
            }
            if next == "0" {
                return Ok(());
            }
            from = next;
        }
    }

    fn key(&self, row: &FedRow) -> String {
        let table = self.tables.get(row.table).map_or("", String::as_str);
        format!("{table}{}", row_name(&row.key))
    }

    /// The fields of a row's hash.
    fn fields(&self, row: &FedRow) -> Fields {
        let Some(table) = self.model.tables.get(row.table) else {
            return Vec::new();
        };
        let values = row.values.iter().flatten();
        let columns = table.columns.iter().zip(values);
        let there = columns.filter(|(_, cell)| **cell != Cell::Null);
        there
            .map(|(column, cell)| (column.name.clone(), bytes_of(cell)))
            .collect()
    }
}

impl RowStore for Redis {
    fn open(&mut self) -> Result<Option<Mark>, SinkError> {
        let opened = Connection::open(&self.server.host, self.server.port, self.server.tls);
        self.connection = Some(opened.map_err(|error| self.lost(&error))?);
        self.log_in()?;
        let mark = self.read_mark()?;
        if mark.is_none() {
            self.check_ours()?;
        }
        Ok(mark)
    }

    fn push(&mut self, rows: &[FedRow], before: Option<&Mark>, mark: &Mark) -> Result<Vec<Refused>, SinkError> {
        let at = self.mark.clone();
        if let Some(before) = before {
            self.ask(&[b"WATCH", at.as_bytes()])?;
            if self.read_mark()?.as_ref() != Some(before) {
                return Err(SinkError::Lost);
            }
        }
        let text = self.mark_text(mark);
        let commands: Vec<(String, Fields)> = rows.iter().map(|row| (self.key(row), self.fields(row))).collect();
        let answers = self.with(|connection| {
            connection.add(&[b"MULTI"]);
            let mut asked = 2;
            for (key, fields) in &commands {
                connection.add(&[b"DEL", key.as_bytes()]);
                asked += 1;
                if !fields.is_empty() {
                    let pairs = fields.iter().flat_map(|(name, value)| [name.as_bytes(), value]);
                    let set: Vec<&[u8]> = [b"HSET".as_slice(), key.as_bytes()].into_iter().chain(pairs).collect();
                    connection.add(&set);
                    asked += 1;
                }
            }
            connection.add(&[b"SET", at.as_bytes(), text.as_bytes()]);
            connection.add(&[b"EXEC"]);
            connection.send()?;
            (0..=asked).map(|_| connection.reply()).collect::<io::Result<Vec<_>>>()
        })?;
        let mut failed = answers.iter().filter_map(|reply| match reply {
            Reply::Error(reason) => Some(reason),
            Reply::Array(done) => done.iter().find_map(|reply| match reply {
                Reply::Error(reason) => Some(reason),
                _ => None,
            }),
            _ => None,
        });
        match (failed.next(), answers.last()) {
            (Some(reason), _) => Err(self.says(reason.clone())),
            // Somebody wrote the mark after it was read.
            (None, Some(Reply::Array(_))) => Ok(Vec::new()),
            (None, _) => Err(SinkError::Lost),
        }
    }
}

impl Rows for Redis {
    fn sweep(&mut self, from: Option<String>, keep: &mut Keep<'_>) -> Result<Option<String>, SinkError> {
        let (next, keys) = self.scan(from.as_deref().unwrap_or("0"))?;
        let mut gone = Vec::new();
        for key in keys {
            let table = self.tables.iter().position(|table| key.starts_with(table.as_str()));
            let kept = match table {
                Some(table) => keep(table, key.get(self.tables[table].len()..).unwrap_or_default())?,
                None if self.old.iter().any(|old| key.starts_with(old.as_str())) => keep(usize::MAX, &key)?,
                // Another program's, or another projection's whose keys begin so.
                None => true,
            };
            if !kept {
                gone.push(key);
            }
        }
        if !gone.is_empty() {
            let command: Vec<&[u8]> = [b"DEL".as_slice()]
                .into_iter()
                .chain(gone.iter().map(|key| key.as_bytes()))
                .collect();
            self.ask(&command)?;
        }
        Ok((next != "0").then_some(next))
    }

    fn compare(&mut self, rows: &[FedRow]) -> Result<Vec<Held>, SinkError> {
        let keys: Vec<String> = rows.iter().map(|row| self.key(row)).collect();
        let answers = self.with(|connection| {
            for key in &keys {
                connection.add(&[b"HGETALL", key.as_bytes()]);
            }
            connection.send()?;
            keys.iter().map(|_| connection.reply()).collect::<io::Result<Vec<_>>>()
        })?;
        let pairs = rows.iter().zip(answers);
        pairs
            .map(|(row, answer)| match answer {
                Reply::Error(reason) => Err(self.says(reason)),
                Reply::Array(parts) => Ok(held(self.fields(row), parts)),
                _ => Ok(Held::Missing),
            })
            .collect()
    }
}

fn held(wanted: Fields, parts: Vec<Reply>) -> Held {
    if parts.is_empty() {
        return Held::Missing;
    }
    let mut there = BTreeMap::new();
    let mut parts = parts.into_iter();
    while let (Some(Reply::Bulk(name)), Some(Reply::Bulk(value))) = (parts.next(), parts.next()) {
        there.insert(String::from_utf8_lossy(&name).into_owned(), value);
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut other = Vec::new();
    for (name, value) in wanted {
        match there.remove(&name) {
            Some(found) if found == value => {}
            Some(found) => other.push((name, text(&found))),
            None => other.push((name, "NULL".to_owned())),
        }
    }
    other.extend(there.into_iter().map(|(name, value)| (name, text(&value))));
    if other.is_empty() {
        Held::Same
    } else {
        Held::Other(other)
    }
}

fn bytes_of(cell: &Cell) -> Vec<u8> {
    match cell {
        Cell::Blob(bytes) => bytes.clone(),
        cell => text_of(cell).into_bytes(),
    }
}

/// A mark, and the tables that it was written for, as their keys have them: without a `:`.
fn parse_mark(bytes: &[u8]) -> Option<(Mark, Vec<String>)> {
    let mut words = std::str::from_utf8(bytes).ok()?.splitn(4, ' ');
    let mark = Mark {
        epoch: words.next()?.to_owned(),
        through: words.next()?.parse().ok()?,
        whole: words.next()? == "whole",
    };
    let tables = words.next().unwrap_or_default().split(':');
    let tables = tables.filter(|name| !name.is_empty());
    Some((mark, tables.map(str::to_owned).collect()))
}

/// Text that a pattern takes as it is.
fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\' | '^') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::super::address::Address;
    use super::*;

    #[test]
    fn a_server_that_repeats_the_password_is_not_repeated() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let said = "-ERR unknown command 'AUTH', with args beginning with: 'me' 'hunter2'\r\n";
            stream.write_all(said.as_bytes()).unwrap();
        });
        let Ok(Address::Redis(address)) = Address::parse(&format!("redis://me:hunter2@127.0.0.1:{port}")) else {
            panic!("no Redis")
        };
        let model = Model {
            name: "m".to_owned(),
            tables: Vec::new(),
        };
        let said = Redis::new(address, model).open().unwrap_err().to_string();
        assert!(said.contains("says: ERR ") && !said.contains("hunter2"), "{said}");
        server.join().unwrap();
    }

    #[test]
    fn a_mark_says_which_tables_it_is_about() {
        let (mark, tables) = parse_mark(b"e 7 whole a b:c%3Ad").unwrap();
        assert_eq!((mark.epoch.as_str(), mark.through, mark.whole), ("e", 7, true));
        assert_eq!(tables, ["a b", "c%3Ad"]);
        // As earlier versions wrote it.
        assert_eq!(parse_mark(b"e 7 begun").unwrap().1, Vec::<String>::new());
    }
}
