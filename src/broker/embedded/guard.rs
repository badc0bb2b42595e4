//! Checks a request's shape before it is decoded.
//!
//! The decoder of `kafka-protocol` allocates arrays from the lengths on the wire: one of 2^31-1 aborts the process, and nothing
//! can catch that. So every request is first walked along its schema: every length must fit into the bytes that remain, and all
//! arrays together hold a bounded number of elements. A rejected way was to decode through a `Buf` that limits what is read:
//! such a buffer cannot tell the length of an array from a number.

/// Elements of all arrays and tagged fields of a request together. In memory an element takes up to about 200 bytes, so that
/// a request never takes more than 20 MB beyond its own bytes; a real one has some thousands.
const MAX_ELEMENTS: usize = 100_000;

/// How a field is laid out.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// So many bytes.
    Fixed(usize),
    /// A string, compact in flexible versions.
    Text,
    /// Bytes, compact in flexible versions.
    Bytes,
    /// An array of plain values.
    List(&'static Shape),
    /// An array of structures.
    Array(&'static [Field]),
}

/// A field and the versions that have it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub shape: Shape,
    pub from: i16,
    pub to: i16,
}

/// A request's body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schema {
    /// The first version with compact lengths and tagged fields.
    pub flexible: i16,
    pub fields: &'static [Field],
}

/// Why a request is not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("a field reaches beyond the end of the request")]
    TooShort,
    #[error("a length is negative")]
    Negative,
    #[error("the arrays hold more than {MAX_ELEMENTS} elements")]
    TooMany,
}

/// Walks `body`; when it answers `Ok`, decoding it allocates no more than its own size allows.
pub(crate) fn check(schema: &Schema, version: i16, body: &[u8]) -> Result<(), Malformed> {
    let mut walk = Walk {
        rest: body,
        flexible: version >= schema.flexible,
        version,
        left: MAX_ELEMENTS,
    };
    walk.structure(schema.fields)
}

/// Walks the header of a request: it has room for tagged fields too.
pub(crate) fn check_header(version: i16, frame: &[u8]) -> Result<(), Malformed> {
    let mut walk = Walk {
        rest: frame,
        flexible: version >= 2,
        version,
        left: MAX_ELEMENTS,
    };
    // API key, version and correlation id, then the client's id, which is no compact string even in flexible versions.
    walk.skip(8)?;
    if version >= 1 {
        let client_id = walk.short()?;
        walk.skip(client_id)?;
    }
    if walk.flexible { walk.tags() } else { Ok(()) }
}

struct Walk<'a> {
    rest: &'a [u8],
    flexible: bool,
    version: i16,
    left: usize,
}

impl Walk<'_> {
    fn structure(&mut self, fields: &[Field]) -> Result<(), Malformed> {
        for field in fields {
            if (field.from..=field.to).contains(&self.version) {
                self.field(&field.shape)?;
            }
        }
        if self.flexible { self.tags() } else { Ok(()) }
    }

    fn field(&mut self, shape: &Shape) -> Result<(), Malformed> {
        match shape {
            Shape::Fixed(size) => self.skip(*size),
            Shape::Text => {
                let length = if self.flexible { self.compact()? } else { self.short()? };
                self.skip(length)
            }
            Shape::Bytes => {
                let length = self.length()?;
                self.skip(length)
            }
            Shape::List(item) => (0..self.count()?).try_for_each(|_| self.field(item)),
            Shape::Array(fields) => (0..self.count()?).try_for_each(|_| self.structure(fields)),
        }
    }

    /// An array's length. Every element takes a byte at least, so that there can be no more of them than bytes.
    fn count(&mut self) -> Result<usize, Malformed> {
        let count = self.length()?;
        if count > self.rest.len() {
            return Err(Malformed::TooShort);
        }
        self.left = self.left.checked_sub(count).ok_or(Malformed::TooMany)?;
        Ok(count)
    }

    fn tags(&mut self) -> Result<(), Malformed> {
        let count = self.varint()? as usize;
        self.left = self.left.checked_sub(count).ok_or(Malformed::TooMany)?;
        for _ in 0..count {
            self.varint()?;
            let size = self.varint()?;
            self.skip(size as usize)?;
        }
        Ok(())
    }

    /// The length of bytes or of an array; null counts as empty.
    fn length(&mut self) -> Result<usize, Malformed> {
        if self.flexible { self.compact() } else { self.long() }
    }

    fn compact(&mut self) -> Result<usize, Malformed> {
        Ok((self.varint()? as usize).saturating_sub(1))
    }

    fn short(&mut self) -> Result<usize, Malformed> {
        match i16::from_be_bytes(self.take()?) {
            -1 => Ok(0),
            n => usize::try_from(n).map_err(|_| Malformed::Negative),
        }
    }

    fn long(&mut self) -> Result<usize, Malformed> {
        match i32::from_be_bytes(self.take()?) {
            -1 => Ok(0),
            n => usize::try_from(n).map_err(|_| Malformed::Negative),
        }
    }

    /// Reads at most five bytes and drops bits beyond 32, exactly as the decoder does.
    fn varint(&mut self) -> Result<u32, Malformed> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let [byte] = self.take()?;
            value |= (u32::from(byte) & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Ok(value)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(Malformed::TooShort)?;
        self.rest = rest;
        Ok(*head)
    }

    fn skip(&mut self, count: usize) -> Result<(), Malformed> {
        self.rest = self.rest.get(count..).ok_or(Malformed::TooShort)?;
        Ok(())
    }
}
