//! Ports that a test means to use later, or again.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// A port of this machine that the system gives to nobody else as long as this lives. Nobody listens on it; a server that is told
/// to may, again and again.
pub struct Port {
    _held: TcpSocket,
    address: SocketAddr,
}

impl Port {
    /// One that is free.
    pub fn hold() -> Self {
        let held = TcpSocket::new_v4().expect("a socket");
        // Servers bind so, too; then two may as long as one listens.
        held.set_reuseaddr(true).expect("an option of sockets");
        held.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
        let address = held.local_addr().expect("it is bound");
        Self { _held: held, address }
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.address.port()
    }
}
