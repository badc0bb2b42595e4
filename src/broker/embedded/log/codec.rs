//! The four codecs of a batch, decompressed as they are read, so that what a batch claims to hold costs no memory.
//!
//! In Rust throughout: few look inside a batch, and a malformed one must not be able to harm the broker.

use std::io::{self, Cursor, Read, Write};

/// No frame of zstd's ordinary levels asks for a larger window.
const ZSTD_WINDOW: u64 = 128 << 20;
/// A block of snappy is decompressed whole; this is the most that one may become.
const SNAPPY_BLOCK: usize = 256 << 20;
/// How Java's clients frame blocks of snappy: this, two version numbers, then blocks with their length before them.
const SNAPPY_JAVA: &[u8] = b"\x82SNAPPY\0";
const SNAPPY_JAVA_HEADER: usize = 16;
/// What is compressed to one block of snappy.
const SNAPPY_PACKED: usize = 32 * 1024;

/// The records of a batch, by the codec in its attributes.
pub(super) fn reader(codec: i16, bytes: &[u8]) -> io::Result<Box<dyn Read + '_>> {
    match codec {
        0 => Ok(Box::new(bytes)),
        1 => Ok(Box::new(flate2::read::GzDecoder::new(bytes))),
        2 if bytes.starts_with(SNAPPY_JAVA) => Ok(Box::new(SnappyBlocks {
            rest: bytes.get(SNAPPY_JAVA_HEADER..).unwrap_or_default(),
            block: Cursor::default(),
        })),
        2 => Ok(Box::new(Cursor::new(snappy(bytes)?))),
        3 => Ok(Box::new(lz4_flex::frame::FrameDecoder::new(bytes))),
        4 => ruzstd::decoding::StreamingDecoder::new_with_max_window_size(bytes, ZSTD_WINDOW)
            .map(|decoder| Box::new(decoder) as Box<dyn Read>)
            .map_err(|error| io::Error::other(error.to_string())),
        other => Err(io::Error::other(format!("codec {other} is not known"))),
    }
}

/// Compresses what `plain` gives. An error is one of `plain`, or a codec that is not known.
pub(super) fn pack(codec: i16, plain: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    match codec {
        0 => {
            io::copy(plain, &mut out)?;
        }
        1 => {
            let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::default());
            io::copy(plain, &mut encoder)?;
            out = encoder.finish()?;
        }
        2 => pack_snappy(plain, &mut out)?,
        3 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(out);
            io::copy(plain, &mut encoder)?;
            out = encoder.finish().map_err(io::Error::other)?;
        }
        4 => {
            // It takes an error of its source for a fault in the program, so that the source ends instead.
            let mut source = Ending {
                inner: plain,
                error: None,
            };
            ruzstd::encoding::compress(&mut source, &mut out, ruzstd::encoding::CompressionLevel::Fastest);
            if let Some(error) = source.error {
                return Err(error);
            }
        }
        other => return Err(io::Error::other(format!("codec {other} is not known"))),
    }
    Ok(out)
}

/// Blocks as Java's clients write them, which every client reads.
fn pack_snappy(plain: &mut impl Read, out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(SNAPPY_JAVA);
    out.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1]);
    loop {
        let mut block = Vec::with_capacity(SNAPPY_PACKED);
        plain.take(SNAPPY_PACKED as u64).read_to_end(&mut block)?;
        if block.is_empty() {
            return Ok(());
        }
        let packed = snap::raw::Encoder::new()
            .compress_vec(&block)
            .map_err(io::Error::other)?;
        let length = u32::try_from(packed.len()).map_err(io::Error::other)?;
        out.write_all(&length.to_be_bytes())?;
        out.write_all(&packed)?;
    }
}

/// A reader that ends where the one within fails, and keeps the error.
struct Ending<'a, R> {
    inner: &'a mut R,
    error: Option<io::Error>,
}

impl<R: Read> Read for Ending<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        Ok(self.inner.read(out).unwrap_or_else(|error| {
            self.error.get_or_insert(error);
            0
        }))
    }
}

fn snappy(block: &[u8]) -> io::Result<Vec<u8>> {
    // The length stands before the data and is believed by the decoder, which makes room for it.
    if snap::raw::decompress_len(block).map_err(io::Error::other)? > SNAPPY_BLOCK {
        return Err(io::Error::other("a block of snappy is too large"));
    }
    snap::raw::Decoder::new()
        .decompress_vec(block)
        .map_err(io::Error::other)
}

/// Blocks one after another, as Java's clients write them.
struct SnappyBlocks<'a> {
    rest: &'a [u8],
    block: Cursor<Vec<u8>>,
}

impl Read for SnappyBlocks<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.block.read(out)?;
            if read > 0 || out.is_empty() || self.rest.is_empty() {
                return Ok(read);
            }
            let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
            let (length, rest) = self.rest.split_first_chunk::<4>().ok_or_else(cut)?;
            let length = usize::try_from(u32::from_be_bytes(*length)).map_err(io::Error::other)?;
            let (block, rest) = rest.split_at_checked(length).ok_or_else(cut)?;
            self.block = Cursor::new(snappy(block)?);
            self.rest = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn java(blocks: &[&[u8]]) -> Vec<u8> {
        let mut framed = [SNAPPY_JAVA, &[0, 0, 0, 1, 0, 0, 0, 1]].concat();
        for block in blocks {
            let block = snap::raw::Encoder::new().compress_vec(block).unwrap();
            framed.extend(u32::try_from(block.len()).unwrap().to_be_bytes());
            framed.extend(block);
        }
        framed
    }

    fn read(codec: i16, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        reader(codec, bytes)?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn what_is_packed_is_read_back() {
        let mut plain = Vec::new();
        for n in 0..40_000u32 {
            plain.extend_from_slice(&(n.wrapping_mul(2_654_435_761) >> (n % 24)).to_be_bytes());
        }
        for codec in 0..=4 {
            for size in [0, 1, 1000, SNAPPY_PACKED, plain.len()] {
                let packed = pack(codec, &mut &plain[..size]).unwrap();
                assert_eq!(
                    read(codec, &packed).unwrap(),
                    plain[..size],
                    "codec {codec}, {size} bytes"
                );
            }
            let mut failing = (&plain[..1000]).chain(Failing);
            assert!(pack(codec, &mut failing).is_err(), "codec {codec}");
        }
        assert!(pack(5, &mut &*plain).is_err());
    }

    struct Failing;

    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("no more"))
        }
    }

    #[test]
    fn snappy_is_read_in_both_framings() {
        let raw = snap::raw::Encoder::new().compress_vec(b"one block").unwrap();
        assert_eq!(read(2, &raw).unwrap(), b"one block");
        assert_eq!(read(2, &java(&[b"two ", b"", b"blocks"])).unwrap(), b"two blocks");
        assert_eq!(read(2, &java(&[])).unwrap(), b"");
    }

    #[test]
    fn what_is_broken_is_an_error() {
        let framed = java(&[b"block"]);
        for cut in SNAPPY_JAVA_HEADER + 1..framed.len() {
            assert!(read(2, &framed[..cut]).is_err(), "{cut}");
        }
        // A block that claims to become 4 GiB.
        assert!(read(2, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0]).is_err());
        for codec in [1, 3, 4, 5, -1] {
            assert!(read(codec, b"neither of them").is_err(), "{codec}");
        }
        assert!(read(4, b"").is_err());
    }
}
