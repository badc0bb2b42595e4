//! Listens, and serves each connection: one request after the other, in their order, as Kafka does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::Broker;
use super::api::{self, CallError, Reply};
use super::frame::{self, FrameError};
use super::limits::{FREE_RESPONSE, Seat};

/// After so long without a request a connection's buffer, and the permission for it, are given back.
const IDLE: Duration = Duration::from_secs(1);
/// How long a client may take to read a response: the response holds memory.
const PATIENCE: Duration = Duration::from_secs(60);

/// Accepts connections until it is dropped.
pub(crate) async fn serve(listener: TcpListener, broker: Arc<Broker>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let broker = Arc::clone(&broker);
                tokio::spawn(async move {
                    let seat = broker.limits.seat();
                    let ended = tokio::select! {
                        ended = connection(stream, peer, &broker, &seat) => ended,
                        () = seat.lost() => Err(ConnectionError::GaveWay),
                    };
                    if let Err(error) = ended {
                        tracing::warn!(%peer, %error, "closed a connection");
                    }
                });
            }
            Err(error) => {
                // Most likely too many open files: it passes when connections end, and must not spin until then.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum ConnectionError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("the client did not read its response for {PATIENCE:?}")]
    NotRead,
    #[error("there are too many connections, and this one was silent longest")]
    GaveWay,
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    broker: &Broker,
    seat: &Seat<'_>,
) -> Result<(), ConnectionError> {
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    let (mut reader, mut writer) = stream.into_split();
    let mut input = BytesMut::new();
    let mut reply = Reply::default();
    let memory = &broker.limits.requests;
    loop {
        let next = match timeout(IDLE, frame::next(&mut reader, &mut input, memory)).await {
            Ok(next) => next?,
            Err(_) => {
                reply = Reply::default();
                frame::next(&mut reader, &mut input, memory).await?
            }
        };
        let Some((request, _permit)) = next else {
            return Ok(());
        };
        seat.serving(true);
        let wanted = tokio::select! {
            biased;
            wanted = api::dispatch(broker, (local, peer), request, &mut reply) => wanted?,
            // Nobody is left to wait for a long poll or a rebalance.
            () = frame::until_gone(&mut reader, &mut input) => return Ok(()),
        };
        if wanted {
            let written = timeout(PATIENCE, writer.write_all(&reply.bytes)).await;
            written.map_err(|_| ConnectionError::NotRead)??;
        }
        seat.serving(false);
        if reply.permit.is_none() && reply.bytes.capacity() > 2 * FREE_RESPONSE {
            reply = Reply::default();
        }
    }
}
