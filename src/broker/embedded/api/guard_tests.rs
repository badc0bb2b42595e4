//! The guard against the decoder: both walk the same layout, and what the guard lets through can be decoded without harm.

use bytes::{BufMut, Bytes};
use kafka_protocol::messages::ApiKey;
use proptest::prelude::*;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::broker::embedded::guard::{self, Field, Malformed, Schema, Shape};

use super::{DATA, SUPPORTED, line_of};

/// Writes requests that are laid out as a schema says, with contents by chance.
struct Writer<'a> {
    random: &'a mut ChaCha8Rng,
    flexible: bool,
    version: i16,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn structure(&mut self, fields: &[Field]) {
        for field in fields {
            if (field.from..=field.to).contains(&self.version) {
                self.field(&field.shape);
            }
        }
        if self.flexible {
            self.tags();
        }
    }

    fn field(&mut self, shape: &Shape) {
        match shape {
            Shape::Fixed(size) => self.bytes(*size),
            Shape::Text => {
                let length = self.random.random_range(0..12);
                match self.flexible {
                    true => self.varint(length as u32 + 1),
                    false => self.out.put_i16(length as i16),
                }
                self.out.put_bytes(b'x', length);
            }
            Shape::Bytes => {
                let length = self.random.random_range(0..20);
                self.count(length);
                self.bytes(length);
            }
            Shape::List(item) => {
                let count = self.random.random_range(0..4);
                self.count(count);
                (0..count).for_each(|_| self.field(item));
            }
            Shape::Array(fields) => {
                let count = self.random.random_range(0..4);
                self.count(count);
                (0..count).for_each(|_| self.structure(fields));
            }
        }
    }

    fn tags(&mut self) {
        let count = self.random.random_range(0..3);
        self.varint(count);
        for tag in 0..count {
            // Beyond those that have a meaning.
            self.varint(1000 + tag);
            let size = self.random.random_range(0..6);
            self.varint(size);
            self.bytes(size as usize);
        }
    }

    fn count(&mut self, count: usize) {
        match self.flexible {
            true => self.varint(count as u32 + 1),
            false => self.out.put_i32(count as i32),
        }
    }

    fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.put_u8(value as u8);
    }

    fn bytes(&mut self, count: usize) {
        let from = self.out.len();
        self.out.resize(from + count, 0);
        self.random.fill_bytes(&mut self.out[from..]);
    }
}

fn request(schema: &Schema, version: i16, random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut writer = Writer {
        random,
        flexible: version >= schema.flexible,
        version,
        out: Vec::new(),
    };
    writer.structure(schema.fields);
    writer.out
}

fn every_line() -> impl Iterator<Item = (ApiKey, i16)> {
    let lines = DATA.iter().chain(SUPPORTED);
    lines.flat_map(|line| (line.min..=line.max).map(|version| (line.api, version)))
}

#[test]
fn guard_and_decoder_agree_on_every_layout() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for (api, version) in every_line() {
        let (schema, decodes) = line_of(api);
        for _ in 0..200 {
            let mut body = Bytes::from(request(schema, version, &mut random));
            assert_eq!(guard::check(schema, version, &body), Ok(()), "{api:?} {version}");
            let whole = body.clone();
            assert!(decodes(&mut body, version), "{api:?} {version}: {whole:?}");
            // A layout that is wrong somewhere leaves the two at different places.
            assert!(
                body.is_empty(),
                "{api:?} {version}: {} bytes are left of {whole:?}",
                body.len()
            );
        }
    }
}

#[test]
fn every_length_is_checked_where_it_stands() {
    // Each array of each request in turn claims 2^31 - 1 elements, and each string and byte string as many bytes.
    let mut random = ChaCha8Rng::seed_from_u64(2);
    for (api, version) in every_line() {
        let (schema, _) = line_of(api);
        let huge: &[u8] = match version >= schema.flexible {
            true => &[0xff, 0xff, 0xff, 0xff, 0x07],
            false => &[0x7f, 0xff, 0xff, 0xff],
        };
        for _ in 0..20 {
            let body = request(schema, version, &mut random);
            for at in 0..body.len().saturating_sub(huge.len()) {
                let mut hostile = body.clone();
                hostile[at..at + huge.len()].copy_from_slice(huge);
                let mut hostile = Bytes::from(hostile);
                if guard::check(schema, version, &hostile).is_ok() {
                    // It hit a number, or bytes that may be anything: this must neither abort nor take gigabytes.
                    line_of(api).1(&mut hostile, version);
                }
            }
        }
    }
}

#[test]
fn many_elements_are_too_many_however_small() {
    // A million empty names in a DescribeGroups of version 5, and as many tagged fields in a header.
    let (schema, _) = line_of(ApiKey::DescribeGroups);
    let mut body = vec![0xc1, 0x84, 0x3d];
    body.resize(2_000_000, 1);
    assert_eq!(guard::check(schema, 5, &body), Err(Malformed::TooMany));
    let mut frame = vec![0, 3, 0, 9, 0, 0, 0, 1, 0xff, 0xff, 0x80, 0x89, 0x7a];
    frame.resize(4_000_000, 0);
    assert_eq!(guard::check_header(2, &frame), Err(Malformed::TooMany));
    assert_eq!(guard::check_header(1, &frame), Ok(()));
    assert_eq!(guard::check_header(2, &frame[..9]), Err(Malformed::TooShort));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_the_guard_lets_through_can_be_decoded_without_harm(
        bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(2), Just(0x7f), Just(0xff), any::<u8>()], 0..64),
    ) {
        for (api, version) in every_line() {
            let (schema, decodes) = line_of(api);
            let mut body = Bytes::from(bytes.clone());
            if guard::check(schema, version, &body).is_ok() {
                // Whether it makes sense is the decoder's to say; that it returns is what is checked.
                decodes(&mut body, version);
            }
        }
    }
}
