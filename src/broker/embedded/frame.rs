//! Frames: four bytes of length, then a request. Nothing is allocated for a length that was only claimed.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout_at};

use super::limits::{FREE_REQUEST, Memory, Permit};

/// The greatest request with records, as Apache Kafka's `socket.request.max.bytes`.
const MAX_PRODUCE: usize = 100 * 1024 * 1024;
/// The greatest of all others; the longest real ones are assignments of large groups.
const MAX_OTHER: usize = 4 * 1024 * 1024;
const PRODUCE: i16 = 0;
/// Length, API key, version and correlation id.
const HEAD: usize = 12;
/// What is read at once, and how far a client may run ahead of the request that is being answered.
const CHUNK: usize = 256 * 1024;
/// How long a great request may take to arrive: it holds memory that others may wait for.
const PATIENCE: Duration = Duration::from_secs(60);
/// A request is decoded into structures that take a multiple of its bytes, records excepted: those are not decoded.
const DECODED: usize = 8;

/// Why a connection is closed.
#[derive(Debug, Error)]
pub(crate) enum FrameError {
    #[error("a request of {length} bytes for API {api_key} is more than is taken")]
    TooLong { api_key: i16, length: usize },
    #[error("what was sent is no Kafka request")]
    NotKafka,
    #[error("the connection ended in the middle of a request")]
    Torn,
    #[error("a request of {0} bytes took more than {PATIENCE:?} to arrive")]
    TooSlow(usize),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The frame at the start of `input`: `Ok(None)` while it is not complete.
fn take(input: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
    let Some(length) = length(input)? else {
        return Ok(None);
    };
    if input.len() < length {
        // As much as is missing, but never more than has come already: a claim alone gets no memory.
        let missing = length - input.len();
        input.reserve(missing.min(input.len().max(CHUNK)));
        return Ok(None);
    }
    let mut frame = input.split_to(length).freeze();
    Ok(Some(frame.split_off(4)))
}

/// The length of the frame at the start of `input`, prefix included, once enough of it is there to judge it.
fn length(input: &[u8]) -> Result<Option<usize>, FrameError> {
    let Some(claimed) = input.first_chunk::<4>() else {
        return Ok(None);
    };
    // Before the rest of the head, which a request that is too short never sends.
    let length = usize::try_from(i32::from_be_bytes(*claimed)).map_err(|_| FrameError::NotKafka)? + 4;
    if length < HEAD {
        return Err(FrameError::NotKafka);
    }
    let Some(head) = input.first_chunk::<HEAD>() else {
        return Ok(None);
    };
    let api_key = i16::from_be_bytes([head[4], head[5]]);
    if api_key < 0 {
        return Err(FrameError::NotKafka);
    }
    let most = if api_key == PRODUCE { MAX_PRODUCE } else { MAX_OTHER };
    if length > most {
        return Err(FrameError::TooLong { api_key, length });
    }
    Ok(Some(length))
}

/// The next request, with the permission for its memory where it is great; `None` when the client closed the connection
/// between two. Cancelling it loses nothing.
pub(crate) async fn next(
    reader: &mut (impl AsyncRead + Unpin),
    input: &mut BytesMut,
    memory: &Memory,
) -> Result<Option<(Bytes, Option<Permit>)>, FrameError> {
    let mut permit = None;
    let mut deadline = None;
    loop {
        if let Some(length) = length(input)?
            && length > FREE_REQUEST
            && deadline.is_none()
        {
            let produce = input.get(4..6) == Some(&PRODUCE.to_be_bytes()[..]);
            permit = memory.take(if produce { length } else { length * DECODED }).await;
            deadline = Some((Instant::now() + PATIENCE, length));
        }
        if let Some(frame) = take(input)? {
            return Ok(Some((frame, permit)));
        }
        if input.len() < HEAD {
            input.reserve(CHUNK);
        }
        let read = match deadline {
            None => reader.read_buf(input).await?,
            Some((deadline, length)) => timeout_at(deadline, reader.read_buf(input))
                .await
                .map_err(|_| FrameError::TooSlow(length))??,
        };
        if read == 0 {
            return if input.is_empty() {
                Ok(None)
            } else {
                Err(FrameError::Torn)
            };
        }
    }
}

/// Reads ahead while a request is being answered; returns when the client is gone. Cancelling it loses nothing.
pub(crate) async fn until_gone(reader: &mut (impl AsyncRead + Unpin), input: &mut BytesMut) {
    loop {
        if input.len() >= CHUNK {
            // The client has sent enough; that it is gone is then seen when its requests have been answered.
            std::future::pending::<()>().await;
        }
        input.reserve(CHUNK - input.len());
        if !matches!(reader.read_buf(input).await, Ok(n) if n > 0) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(api_key: i16, body: usize) -> Vec<u8> {
        let mut bytes = ((8 + body) as i32).to_be_bytes().to_vec();
        bytes.extend_from_slice(&api_key.to_be_bytes());
        bytes.resize(12 + body, 7);
        bytes
    }

    #[tokio::test]
    async fn requests_are_read_one_after_the_other_however_they_arrive() {
        let mut sent = request(3, 10);
        sent.extend(request(1, 300_000));
        sent.extend(request(18, 0));
        let mut reader = tokio_test_reader(&sent);
        let (mut input, memory) = (BytesMut::new(), Memory::default());
        for expected in [18, 300_008, 8] {
            assert_eq!(
                next(&mut reader, &mut input, &memory).await.unwrap().unwrap().0.len(),
                expected
            );
        }
        assert!(next(&mut reader, &mut input, &memory).await.unwrap().is_none());
    }

    fn tokio_test_reader(bytes: &[u8]) -> impl AsyncRead + Unpin + '_ {
        bytes
    }

    #[tokio::test]
    async fn a_claimed_length_gets_no_memory() {
        let mut sent = request(0, 1000);
        sent[..4].copy_from_slice(&(90 * 1024 * 1024i32).to_be_bytes());
        let mut input = BytesMut::new();
        assert!(matches!(
            next(&mut sent.as_slice(), &mut input, &Memory::default()).await,
            Err(FrameError::Torn)
        ));
        assert!(input.capacity() < 4 * CHUNK);
    }

    #[tokio::test]
    async fn what_is_no_request_ends_the_connection() {
        for sent in [
            b"GET / HTTP/1.1\r\nHost: localhost\r\n".to_vec(),
            vec![0xff; 32],
            vec![0; 32],
            vec![0, 0, 0, 1],
            request(3, MAX_OTHER),
        ] {
            let mut input = BytesMut::new();
            assert!(
                next(&mut sent.as_slice(), &mut input, &Memory::default())
                    .await
                    .is_err()
            );
        }
    }
}
