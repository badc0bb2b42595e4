//! As much of HTTP as a scrape needs: one GET a connection. Whoever else connects costs a bounded amount of time and memory.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use miette::{IntoDiagnostic, WrapErr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How long a connection may take in all.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest request: a scraper's has a few hundred bytes.
const REQUEST: usize = 8 * 1024;
/// Connections at once; others wait to be accepted.
const AT_ONCE: usize = 16;

/// What writes the metrics when somebody asks.
pub(crate) type Tell = Arc<dyn Fn() -> String + Send + Sync>;

/// An address that is listened at.
#[derive(Debug)]
pub(crate) struct Server {
    listener: std::net::TcpListener,
}

impl Server {
    /// Listens. Done before the work begins, so that an address that is taken is said at once.
    pub(crate) fn bind(address: SocketAddr) -> miette::Result<Self> {
        let listen = || {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok::<_, std::io::Error>(listener)
        };
        let listener = listen()
            .into_diagnostic()
            .wrap_err_with(|| format!("cannot serve metrics at {address}; choose another port with --metrics"))?;
        Ok(Self { listener })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        let address = self.listener.local_addr();
        address.map_or_else(|_| "?".to_owned(), |address| format!("http://{address}/metrics"))
    }

    /// Answers until it is dropped. Must be called within a runtime.
    pub(crate) async fn serve(self, tell: Tell) {
        let Ok(listener) = TcpListener::from_std(self.listener) else {
            return;
        };
        let places = Arc::new(Semaphore::new(AT_ONCE));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let tell = Arc::clone(&tell);
                    // Whoever takes too long, or goes away, is forgotten.
                    tokio::spawn(timeout(PATIENCE, answer(stream, tell, Arc::new(place))));
                }
                // Out of file descriptors, most often: it passes.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

async fn answer(mut stream: TcpStream, tell: Tell, place: Arc<OwnedSemaphorePermit>) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = stream.read(&mut buffer).await?;
        request.extend_from_slice(&buffer[..read]);
        if read == 0 || request.len() > REQUEST {
            return say(
                &mut stream,
                "400 Bad Request",
                "this is no request that is understood here\n",
            )
            .await;
        }
    }
    match asked(&request) {
        Asked::Metrics => {
            let text = told(tell, Arc::clone(&place)).await;
            say(&mut stream, "200 OK", &text).await
        }
        Asked::Method => say(&mut stream, "405 Method Not Allowed", "only GET is answered here\n").await,
        Asked::Elsewhere => say(&mut stream, "404 Not Found", "the metrics are at /metrics\n").await,
    }
}

/// What there is to tell. It may look into SQLite, which blocks, and goes on when whoever asked has gone: the place is kept until then.
async fn told(tell: Tell, place: Arc<OwnedSemaphorePermit>) -> String {
    let asked = tokio::task::spawn_blocking(move || {
        let text = tell();
        drop(place);
        text
    });
    asked.await.unwrap_or_default()
}

#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Metrics,
    Elsewhere,
    Method,
}

fn asked(request: &[u8]) -> Asked {
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
    match (method, path) {
        (b"GET", b"/metrics") => Asked::Metrics,
        (b"GET", _) => Asked::Elsewhere,
        _ => Asked::Method,
    }
}

async fn say(stream: &mut TcpStream, status: &str, body: &str) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_goes_away_keeps_the_place_until_the_query_is_over() {
        let places = Arc::new(Semaphore::new(1));
        let place = Arc::new(Arc::clone(&places).acquire_owned().await.unwrap());
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (begin, mut begun) = tokio::sync::mpsc::channel(1);
        let wait = std::sync::Mutex::new(wait);
        let tell: Tell = Arc::new(move || {
            begin.blocking_send(()).unwrap();
            wait.lock().unwrap().recv().unwrap();
            String::new()
        });
        let asked = tokio::spawn(told(tell, place));
        begun.recv().await.unwrap();
        asked.abort();
        assert!(asked.await.unwrap_err().is_cancelled());
        assert_eq!(places.available_permits(), 0);
        go.send(()).unwrap();
        assert!(places.acquire().await.is_ok());
    }

    #[test]
    fn only_a_get_of_the_metrics_is_one() {
        assert_eq!(asked(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), Asked::Metrics);
        assert_eq!(asked(b"GET /metrics?x=1 HTTP/1.1\r\n\r\n"), Asked::Metrics);
        assert_eq!(asked(b"GET / HTTP/1.1\r\n\r\n"), Asked::Elsewhere);
        assert_eq!(asked(b"POST /metrics HTTP/1.1\r\n\r\n"), Asked::Method);
        assert_eq!(asked(b"\x16\x03\x01\r\n\r\n"), Asked::Method);
        assert_eq!(asked(b""), Asked::Method);
    }
}
