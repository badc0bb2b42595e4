//! The broker of a data directory as a whole: who runs it, who attaches, and what is refused.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use super::Embedded;
use super::error::EmbeddedError;
use crate::broker::error::BrokerError;

/// How long anything may take before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks for the versions of version 0 of `ApiVersions` and answers whether a whole response came.
fn answers(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<usize> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff])?;
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut body)?;
        Ok(body.len())
    };
    ask().is_ok_and(|length| length > 10)
}

fn open(data: &Path) -> Embedded {
    Embedded::open(data, None).unwrap()
}

fn until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

#[test]
fn it_serves_on_a_free_port_of_this_machine_alone() {
    let data = tempfile::tempdir().unwrap();
    let broker = open(data.path());
    assert!(broker.is_owner() && broker.address().ip().is_loopback() && broker.address().port() != 0);
    assert!(answers(broker.address()));
    assert_eq!(broker.profile().bootstrap, broker.address().to_string());
    let address = broker.address();
    drop(broker);
    assert!(!answers(address));
}

#[test]
fn the_second_attaches_and_takes_over_on_the_same_port() {
    let data = tempfile::tempdir().unwrap();
    let first = open(data.path());
    let second = open(data.path());
    let third = open(data.path());
    let address = first.address();
    assert_eq!((second.address(), third.address()), (address, address));
    assert!(!second.is_owner() && !third.is_owner());
    drop(first);
    until("one of the two has taken over", || {
        second.is_owner() || third.is_owner()
    });
    assert!(answers(address));
    let (heir, other) = if second.is_owner() {
        (second, third)
    } else {
        (third, second)
    };
    assert!(!other.is_owner());
    drop(heir);
    until("the last one has taken over", || other.is_owner());
    assert!(answers(address));
}

#[test]
fn the_next_one_serves_where_the_last_one_did_unless_the_port_is_taken() {
    let data = tempfile::tempdir().unwrap();
    let address = open(data.path()).address();
    let again = open(data.path());
    assert_eq!(again.address(), address);
    drop(again);
    let taken = TcpListener::bind(address).unwrap();
    let moved = open(data.path());
    assert!(moved.is_owner() && moved.address() != address && answers(moved.address()));
    drop(taken);
}

#[test]
fn attaching_ends_without_the_broker_noticing() {
    let data = tempfile::tempdir().unwrap();
    let first = open(data.path());
    drop(open(data.path()));
    assert!(first.is_owner() && answers(first.address()));
    let address = first.address();
    drop(first);
    let again = Embedded::open(data.path(), Some(address)).unwrap();
    assert!(again.is_owner() && again.address() == address);
}

#[test]
fn starting_a_second_one_says_where_the_first_is() {
    let data = tempfile::tempdir().unwrap();
    let first = open(data.path());
    let free = "127.0.0.1:0".parse().unwrap();
    let Err(BrokerError::Embedded(EmbeddedError::Locked { pid, address, .. })) = Embedded::start(data.path(), free)
    else {
        panic!("it is locked");
    };
    assert_eq!((pid, address), (std::process::id(), first.address()));
    let elsewhere = "127.0.0.1:1".parse().unwrap();
    assert!(matches!(
        Embedded::open(data.path(), Some(elsewhere)),
        Err(BrokerError::Embedded(EmbeddedError::Locked { .. }))
    ));
    assert_eq!(
        Embedded::open(data.path(), Some(first.address())).unwrap().address(),
        first.address()
    );
}

#[test]
fn a_port_in_use_and_an_address_for_others_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = Embedded::start(data.path(), taken.local_addr().unwrap()).unwrap_err();
    assert!(error.to_string().contains("choose another port"), "{error}");
    let error = Embedded::start(data.path(), "0.0.0.0:0".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("loopback only"), "{error}");
    // Neither has left the directory locked.
    assert!(open(data.path()).is_owner());
}

#[test]
fn damaged_state_is_refused_and_left_alone() {
    let data = tempfile::tempdir().unwrap();
    drop(open(data.path()));
    let state = data.path().join("broker/broker.json");
    let good = std::fs::read(&state).unwrap();
    for bad in [&b""[..], &good[..good.len() / 2], b"{}", b"{\"format\":9}"] {
        std::fs::write(&state, bad).unwrap();
        let error = Embedded::open(data.path(), None).unwrap_err();
        assert!(error.to_string().contains("is damaged"), "{error}");
        assert_eq!(std::fs::read(&state).unwrap(), bad);
    }
    // Records without their catalogue are not taken for nothing.
    std::fs::remove_file(&state).unwrap();
    std::fs::create_dir_all(data.path().join("broker/log")).unwrap();
    let error = Embedded::open(data.path(), None).unwrap_err();
    assert!(error.to_string().contains("records beside it"), "{error}");
}

#[test]
fn a_file_in_place_of_the_directory_is_named() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("broker"), b"").unwrap();
    let error = Embedded::open(data.path(), None).unwrap_err();
    assert!(error.to_string().contains("--data"), "{error}");
}
