//! The fields that handlers bind, taken from a JSON value in one pass that skips everything else.
//!
//! A wanted path is a way through a small trie; a member that is on none of them is checked and passed over. Of members with
//! the same name the last one counts, as in serde_json, Jackson and JavaScript, which most events were written by. (SQLite's
//! own JSON functions take the first: `@value ->> 'a'` and `:a` differ on such a value.)

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

use super::json::{Fault, Scanner};
use super::{number, string};

/// A path into a JSON value: `$.order.items[0].price` without the `$`. No segment at all is the value itself. A segment of
/// digits is an element's index in an array and a member's name in an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath(pub Vec<String>);

impl fmt::Display for FieldPath {
    /// As SQLite's JSON functions would write it, `$.order.items.0.price`; a name that needs quotes has them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        for segment in &self.0 {
            if segment.chars().all(|c| c.is_alphanumeric() || c == '_') && !segment.is_empty() {
                write!(f, ".{segment}")?;
            } else {
                write!(f, ".{segment:?}")?;
            }
        }
        Ok(())
    }
}

/// A value as SQLite will store it. Nothing is rounded: a number that neither fits is text, digit for digit.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar<'a> {
    /// A missing field or JSON `null`.
    Null,
    /// An integer within 64 bits; `true` and `false` are 1 and 0, as SQLite's JSON functions have them.
    Integer(i64),
    /// A number with a fraction or exponent that a double carries there and back without losing a digit.
    Real(f64),
    /// A string; an object or array is its JSON text as written; a number that neither of the above holds is its digits.
    Text(Cow<'a, str>),
    /// Raw bytes: a key or value that is bound whole and is not UTF-8.
    Blob(&'a [u8]),
}

impl<'a> Scalar<'a> {
    /// Bytes bound whole: text where they are UTF-8, a blob where they are not, NULL where there are none.
    pub fn from_bytes(bytes: Option<&'a [u8]>) -> Self {
        match bytes {
            None => Self::Null,
            Some(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Self::Text(Cow::Borrowed(text)),
                Err(_) => Self::Blob(bytes),
            },
        }
    }
}

/// Why a value could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason} at byte {at}")]
pub struct DecodeError {
    /// What is wrong, such as `not JSON: expected a value`.
    pub reason: String,
    /// The byte of the value at which it is wrong, from 0.
    pub at: usize,
}

/// A set of paths, decoded together.
#[derive(Debug, Clone)]
pub struct FieldSet {
    root: Node,
    len: usize,
}

/// A place on the way to a wanted field.
#[derive(Debug, Clone, Default)]
struct Node {
    /// The slots that take the value that stands here.
    slots: Vec<usize>,
    children: Vec<Child>,
    /// Every slot below here, to be emptied when a later member of the same name replaces this one.
    below: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Child {
    name: Box<str>,
    /// The name's first eight bytes: most names differ there, and one comparison of words tells.
    head: u64,
    /// The name as an element's index.
    index: Option<usize>,
    node: Node,
}

impl Node {
    fn insert(&mut self, path: &[String], slot: usize) {
        let Some((name, rest)) = path.split_first() else {
            self.slots.push(slot);
            return;
        };
        self.below.push(slot);
        let known = self.children.iter().position(|c| *c.name == **name);
        let at = known.unwrap_or_else(|| {
            self.children.push(Child {
                name: name.as_str().into(),
                head: string::head(name.as_bytes(), 0, name.len()),
                // `007` and `+7` are names, not indexes: an index is written in one way only.
                index: name.parse().ok().filter(|i: &usize| i.to_string() == *name),
                node: Node::default(),
            });
            self.children.len() - 1
        });
        if let Some(child) = self.children.get_mut(at) {
            child.node.insert(rest, slot);
        }
    }
}

impl FieldSet {
    /// A set that fills one slot for each path, in this order.
    pub fn new(paths: &[FieldPath]) -> Self {
        let mut root = Node::default();
        for (slot, path) in paths.iter().enumerate() {
            root.insert(&path.0, slot);
        }
        Self { root, len: paths.len() }
    }

    /// How many slots.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Decodes `json` into `slots`, which is cleared and filled with one scalar for each path. The whole of `json` is
    /// checked to be one valid UTF-8 JSON value, however deep, without using the stack for depth; what the slots hold after
    /// an error means nothing. No bytes at all are the error `empty value`; a tombstone is no value and never comes here.
    pub fn extract<'a>(&self, json: &'a [u8], slots: &mut Vec<Scalar<'a>>) -> Result<(), DecodeError> {
        slots.clear();
        slots.resize(self.len, Scalar::Null);
        if json.is_empty() {
            return Err(DecodeError {
                reason: "empty value".to_owned(),
                at: 0,
            });
        }
        let text = std::str::from_utf8(json).map_err(|error| DecodeError {
            reason: "not UTF-8".to_owned(),
            at: error.valid_up_to(),
        })?;
        let mut walk = Walk {
            scanner: Scanner::new(text),
            slots,
        };
        let read = walk.value(&self.root).and_then(|()| walk.scanner.finish());
        read.map_err(|Fault| walk.scanner.error())
    }
}

/// One value on its way into the slots. Recursion here is as deep as the longest wanted path, which the projection's author
/// wrote, and never as deep as the data.
struct Walk<'a, 's> {
    scanner: Scanner<'a>,
    slots: &'s mut [Scalar<'a>],
}

impl<'a> Walk<'a, '_> {
    fn value(&mut self, node: &Node) -> Result<(), Fault> {
        let first = self.scanner.next_token();
        let start = self.scanner.at();
        let scalar = match first {
            Some(b'"') => {
                let raw = self.scanner.string()?;
                if node.slots.is_empty() {
                    return Ok(());
                }
                Scalar::Text(self.scanner.unescape(raw)?)
            }
            Some(b'-' | b'0'..=b'9') => {
                let raw = self.scanner.number()?;
                number::scalar(self.scanner.slice(raw.start, raw.end), raw.integer)
            }
            Some(b'{') if !node.children.is_empty() => {
                self.object(node)?;
                self.written(node, start)
            }
            Some(b'[') if node.children.iter().any(|c| c.index.is_some()) => {
                self.array(node)?;
                self.written(node, start)
            }
            Some(b'{' | b'[') => {
                self.scanner.skip()?;
                self.written(node, start)
            }
            Some(b't') => {
                self.scanner.literal("true")?;
                Scalar::Integer(1)
            }
            Some(b'f') => {
                self.scanner.literal("false")?;
                Scalar::Integer(0)
            }
            other => {
                self.scanner.skip_scalar(other)?;
                Scalar::Null
            }
        };
        self.fill(&node.slots, scalar);
        Ok(())
    }

    /// The text from `start` to here, for a container that is wanted whole.
    fn written(&self, node: &Node, start: usize) -> Scalar<'a> {
        if node.slots.is_empty() {
            Scalar::Null
        } else {
            Scalar::Text(Cow::Borrowed(self.scanner.slice(start, self.scanner.at())))
        }
    }

    #[inline]
    fn fill(&mut self, places: &[usize], scalar: Scalar<'a>) {
        if let [place] = places {
            if let Some(slot) = self.slots.get_mut(*place) {
                *slot = scalar;
            }
            return;
        }
        for place in places {
            if let Some(slot) = self.slots.get_mut(*place) {
                *slot = scalar.clone();
            }
        }
    }

    fn object(&mut self, node: &Node) -> Result<(), Fault> {
        self.scanner.advance();
        if self.scanner.next_token() == Some(b'}') {
            self.scanner.advance();
            return Ok(());
        }
        loop {
            let raw = self.scanner.name()?;
            let child = if raw.escaped {
                // A name that is half a surrogate pair is nobody's path.
                let name = self.scanner.unescaped(raw).ok();
                node.children.iter().find(|c| name.as_deref() == Some(&*c.name))
            } else {
                let head = self.scanner.head(raw.start, raw.end);
                node.children.iter().find(|c| {
                    c.head == head
                        && c.name.len() == raw.end - raw.start
                        && (c.name.len() <= 8 || *c.name == *self.scanner.slice(raw.start, raw.end))
                })
            };
            self.member(child)?;
            if !self.scanner.another(true)? {
                return Ok(());
            }
        }
    }

    fn array(&mut self, node: &Node) -> Result<(), Fault> {
        self.scanner.advance();
        if self.scanner.next_token() == Some(b']') {
            self.scanner.advance();
            return Ok(());
        }
        let mut index = 0;
        loop {
            let child = node.children.iter().find(|c| c.index == Some(index));
            self.member(child)?;
            index += 1;
            if !self.scanner.another(false)? {
                return Ok(());
            }
        }
    }

    #[inline]
    fn member(&mut self, child: Option<&Child>) -> Result<(), Fault> {
        let Some(child) = child else {
            return self.scanner.skip();
        };
        self.fill(&child.node.below, Scalar::Null);
        self.value(&child.node)
    }
}

#[cfg(test)]
mod tests;
