//! A broker that goes, and comes back.

use std::time::{Duration, Instant};

use foldlog::broker::reader::{Order, Poll, Range, ReadPlan};

use super::{NOON, write};
use crate::common::cluster::scratch;
use crate::common::port::Port;
use crate::common::process::BrokerProcess;
use crate::common::{PATIENCE, eventually};

#[test]
fn a_broker_that_dies_ends_a_bounded_read_and_not_a_live_one() {
    let (data, port) = (scratch(), Port::hold());
    let mut broker = BrokerProcess::start(data.path(), &port.address());
    let cluster = broker.cluster();
    // Only the readers are in a hurry: a bounded one gives up after this.
    let client = cluster.client();
    let hasty = client.clone().with_deadline(Duration::from_secs(5));
    let topic = cluster.topic(1);
    write(&client, &topic, 1, 3, NOON);
    let open = |end, order| {
        let range = Range {
            topic: topic.as_str().into(),
            partition: 0,
            start: 0,
            end,
        };
        let ranges = vec![range];
        hasty.reader(ReadPlan { ranges, order }).unwrap()
    };
    let mut bounded = open(Some(10), Order::Merged);
    let mut live = open(None, Order::Arrival);
    for reader in [&mut bounded, &mut live] {
        let mut read = 0;
        while read < 3 {
            match reader.poll(PATIENCE).unwrap() {
                Poll::Batch(batch) => read += batch.len(),
                other => panic!("{other:?}"),
            }
        }
    }
    let listen = broker.address.clone();
    broker.kill();
    let deadline = Instant::now() + PATIENCE;
    let error = loop {
        assert!(Instant::now() < deadline, "nobody said that the broker is gone");
        match bounded.poll(Duration::from_millis(100)) {
            Err(error) => break error.to_string(),
            Ok(Poll::Idle) => {}
            Ok(other) => panic!("{other:?}"),
        }
    };
    assert!(error.contains("cannot reach") && error.contains(&listen), "{error}");
    let trouble = eventually("the live reader to know", || {
        assert!(matches!(live.poll(Duration::from_millis(50)).unwrap(), Poll::Idle));
        live.trouble()
    });
    assert!(!trouble.is_empty());
    // Where it comes back on the same address, the live reader goes on where it was.
    let _again = BrokerProcess::start(data.path(), &listen);
    // The trouble is over when the broker is back, though nothing is written yet.
    eventually("the trouble to be over", || {
        assert!(matches!(live.poll(Duration::from_millis(50)).unwrap(), Poll::Idle));
        live.trouble().is_none().then_some(())
    });
    write(&client, &topic, 1, 1, NOON);
    let record = eventually("the record that was written after", || {
        match live.poll(Duration::from_millis(100)).unwrap() {
            Poll::Batch(batch) => batch.get(0).map(|record| record.to_record()),
            _ => None,
        }
    });
    assert_eq!(record.offset, 3);
    assert_eq!(live.trouble(), None);
}
