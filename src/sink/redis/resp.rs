//! RESP, Redis's protocol: commands as arrays of bytes, and the replies to them.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use native_tls::{TlsConnector, TlsStream};

/// How long a server may take to be connected to, and to answer.
const WAIT: Duration = Duration::from_secs(10);
/// Bytes of one value at most; Redis itself has no larger ones.
const LARGEST: usize = 512 * 1024 * 1024;
/// How deep replies are nested at most.
const DEEPEST: usize = 8;

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// A short text such as `OK`.
    Simple(String),
    /// An error, in the server's words.
    Error(String),
    /// A number.
    Integer(i64),
    /// Bytes.
    Bulk(Vec<u8>),
    /// Nothing, such as a key that is not there.
    Nil,
    /// Several.
    Array(Vec<Reply>),
}

/// A connection.
pub(super) struct Connection {
    stream: BufReader<Stream>,
    /// What was written and not sent yet.
    out: Vec<u8>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Read for Stream {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(to),
            Self::Tls(stream) => stream.read(to),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl Connection {
    pub(super) fn open(host: &str, port: u16, tls: bool) -> io::Result<Self> {
        let mut last = None;
        for address in (host, port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, WAIT) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(WAIT))?;
                    stream.set_write_timeout(Some(WAIT))?;
                    stream.set_nodelay(true)?;
                    let stream = if tls {
                        encrypted(host, stream)?
                    } else {
                        Stream::Plain(stream)
                    };
                    return Ok(Self {
                        stream: BufReader::new(stream),
                        out: Vec::new(),
                    });
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the host has no address")))
    }

    /// Adds a command to what is sent next.
    pub(super) fn add(&mut self, command: &[&[u8]]) {
        write_command(&mut self.out, command);
    }

    /// Sends what was added.
    pub(super) fn send(&mut self) -> io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(&self.out)?;
        self.out.clear();
        self.out.shrink_to(64 * 1024);
        stream.flush()
    }

    /// Reads the next reply.
    pub(super) fn reply(&mut self) -> io::Result<Reply> {
        read_reply(&mut self.stream, 0)
    }

    /// Sends a command and reads its reply.
    pub(super) fn ask(&mut self, command: &[&[u8]]) -> io::Result<Reply> {
        self.add(command);
        self.send()?;
        self.reply()
    }
}

fn encrypted(host: &str, stream: TcpStream) -> io::Result<Stream> {
    let connector = TlsConnector::new().map_err(io::Error::other)?;
    // Its own error type holds the stream; only its words are of use.
    let stream = connector
        .connect(host, stream)
        .map_err(|error| io::Error::other(format!("TLS: {error}")))?;
    Ok(Stream::Tls(Box::new(stream)))
}

fn write_command(out: &mut Vec<u8>, command: &[&[u8]]) {
    // Writing to memory does not fail.
    let _ = write!(out, "*{}\r\n", command.len());
    for part in command {
        let _ = write!(out, "${}\r\n", part.len());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}

fn bad(why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("it does not speak Redis's protocol: {why}"),
    )
}

fn read_reply(from: &mut impl BufRead, depth: usize) -> io::Result<Reply> {
    let line = read_line(from)?;
    let (kind, rest) = line.split_at_checked(1).ok_or_else(|| bad("an empty line"))?;
    Ok(match kind {
        "+" => Reply::Simple(rest.to_owned()),
        "-" => Reply::Error(rest.to_owned()),
        ":" => Reply::Integer(rest.parse().map_err(|_| bad("no number"))?),
        "$" => match length(rest)? {
            None => Reply::Nil,
            Some(length) => Reply::Bulk(read_bytes(from, length)?),
        },
        "*" => match length(rest)? {
            None => Reply::Nil,
            Some(_) if depth >= DEEPEST => return Err(bad("replies within replies")),
            // Not made room for: what the server says about its length is its word only.
            Some(length) => Reply::Array(
                (0..length)
                    .map(|_| read_reply(from, depth + 1))
                    .collect::<io::Result<_>>()?,
            ),
        },
        _ => return Err(bad("an unknown kind of reply")),
    })
}

fn length(text: &str) -> io::Result<Option<usize>> {
    let length: i64 = text.parse().map_err(|_| bad("no length"))?;
    match usize::try_from(length) {
        Err(_) => Ok(None),
        Ok(length) if length > LARGEST => Err(bad("a length that nothing has")),
        Ok(length) => Ok(Some(length)),
    }
}

fn read_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    from.take(64 * 1024).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the connection was closed",
        ));
    }
    let line = line.strip_suffix(b"\r\n").ok_or_else(|| bad("a line without an end"))?;
    String::from_utf8(line.to_vec()).map_err(|_| bad("a line that is no text"))
}

fn read_bytes(from: &mut impl BufRead, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(length as u64 + 2).read_to_end(&mut bytes)?;
    if bytes.len() != length + 2 || !bytes.ends_with(b"\r\n") {
        return Err(bad("a value without its end"));
    }
    bytes.truncate(length);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &[u8]) -> Result<Reply, String> {
        read_reply(&mut io::BufReader::new(text), 0).map_err(|error| error.to_string())
    }

    #[test]
    fn every_kind_of_reply() {
        assert_eq!(read(b"+OK\r\n").unwrap(), Reply::Simple("OK".to_owned()));
        assert_eq!(read(b"-ERR no\r\n").unwrap(), Reply::Error("ERR no".to_owned()));
        assert_eq!(read(b":-7\r\n").unwrap(), Reply::Integer(-7));
        assert_eq!(read(b"$-1\r\n").unwrap(), Reply::Nil);
        assert_eq!(read(b"$4\r\na\r\nb\r\n").unwrap(), Reply::Bulk(b"a\r\nb".to_vec()));
        let array = Reply::Array(vec![Reply::Integer(1), Reply::Array(vec![]), Reply::Nil]);
        assert_eq!(read(b"*3\r\n:1\r\n*0\r\n*-1\r\n").unwrap(), array);
    }

    #[test]
    fn what_is_no_reply_is_said() {
        for text in [
            "",
            "OK\r\n",
            "$9\r\nab\r\n",
            "$3\r\nabcd\r\n",
            ":x\r\n",
            "*1\r\n",
            "$99999999999\r\n",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        assert!(read("*1\r\n".repeat(20).as_bytes()).unwrap_err().contains("within"));
    }

    proptest! {
        /// Whatever a server answers, reading ends, and takes no more room than what was sent.
        #[test]
        fn any_bytes_end(bytes in prop::collection::vec(prop_oneof![Just(b'*'), Just(b'$'), Just(b'1'), Just(b'\r'), Just(b'\n'), any::<u8>()], 0..60)) {
            let _ = read(&bytes);
        }

        #[test]
        fn a_command_is_read_as_it_was_written(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..5)) {
            let mut out = Vec::new();
            let command: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            write_command(&mut out, &command);
            let bulks = parts.iter().cloned().map(Reply::Bulk).collect();
            prop_assert_eq!(read(&out).unwrap(), Reply::Array(bulks));
        }
    }
}
