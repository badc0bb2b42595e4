//! Somebody who is told of alerts: an HTTP server on loopback that remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

/// A request: its line and headers, in lower case, and its body.
pub type Request = (Vec<String>, Value);

/// An HTTP server that can fail first.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers with these codes, 0 for none at all, then with 200.
    pub fn start(codes: &'static [u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let heard = Arc::clone(&requests);
        thread::spawn(move || {
            let mut codes = codes.iter().copied();
            for stream in listener.incoming().flatten() {
                // A connection may carry several.
                let mut reader = BufReader::new(stream);
                while let Some(request) = read(&mut reader) {
                    let code = codes.next().unwrap_or(200);
                    heard.lock().unwrap().push(request);
                    if code == 0 {
                        break;
                    }
                    let answer = format!("HTTP/1.1 {code} x\r\ncontent-length: 2\r\n\r\nok");
                    reader.get_mut().write_all(answer.as_bytes()).unwrap();
                }
            }
        });
        Self { address, requests }
    }

    /// What it was asked so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_lowercase()),
        }
    }
    let length = head
        .iter()
        .find_map(|line| line.strip_prefix("content-length: "))?
        .parse()
        .ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, serde_json::from_slice(&body).ok()?))
}
