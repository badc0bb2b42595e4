//! Readers and batches on threads of their own.

use std::sync::Arc;

use foldlog::broker::reader::{Order, Poll};

use super::{NOON, drain, whole, write};
use crate::common::PATIENCE;
use crate::common::cluster::Cluster;

#[test]
fn many_readers_on_their_own_threads_end_in_any_order() {
    let cluster = Cluster::shared();
    let client = cluster.client();
    let topic = cluster.topic(2);
    write(&client, &topic, 2, 20_000, NOON);
    let topic: Arc<str> = topic.into();
    let threads: Vec<_> = (0..6)
        .map(|number| {
            let (client, topic) = (client.clone(), Arc::clone(&topic));
            std::thread::spawn(move || {
                let order = if number % 2 == 0 { Order::Merged } else { Order::Arrival };
                let mut reader = client.reader(whole(&client, &topic, order)).unwrap();
                if number < 3 {
                    return drain(&mut reader).len();
                }
                // Some are dropped in the middle, one batch outliving its reader.
                let batch = loop {
                    if let Poll::Batch(batch) = reader.poll(PATIENCE).unwrap() {
                        break batch;
                    }
                };
                drop(reader);
                assert!(batch.iter().all(|record| record.value.is_some()));
                20_000
            })
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), 20_000);
    }
}

#[test]
fn a_batch_may_be_used_and_dropped_on_another_thread() {
    let cluster = Cluster::shared();
    let client = cluster.client();
    let topic = cluster.topic(1);
    write(&client, &topic, 1, 10_000, NOON);
    let mut reader = client.reader(whole(&client, &topic, Order::Arrival)).unwrap();
    let (sender, receiver) = std::sync::mpsc::sync_channel(4);
    let other = std::thread::spawn(move || {
        receiver
            .iter()
            .map(|batch: foldlog::broker::reader::Batch| batch.iter().filter(|r| r.key == r.value).count())
            .sum::<usize>()
    });
    loop {
        match reader.poll(PATIENCE).unwrap() {
            Poll::Batch(batch) => sender.send(batch).unwrap(),
            Poll::Idle => {}
            Poll::End => break,
        }
    }
    drop((reader, sender));
    assert_eq!(other.join().unwrap(), 10_000);
}
