//! The arithmetic and the data of `benches/`; what they measure is never tested, because a machine may be busy.

#[path = "../../benches/claims/data.rs"]
mod data;
#[path = "../../benches/claims/stats.rs"]
mod stats;

use std::time::Duration;

use stats::Claim;

#[test]
fn the_median_is_the_middle() {
    assert_eq!(stats::median(&[]), 0.0);
    assert_eq!(stats::median(&[3.0]), 3.0);
    assert_eq!(stats::median(&[9.0, 1.0, 2.0]), 2.0);
    assert_eq!(stats::median(&[4.0, 1.0, 2.0, 100.0]), 3.0);
    assert_eq!(stats::share(&[], 0.9), 0.0);
    assert_eq!(stats::share(&[4.0, 1.0, 2.0, 100.0], 0.75), 4.0);
    assert_eq!(stats::share(&[4.0, 1.0, 2.0, 100.0], 0.76), 100.0);
}

#[test]
fn rates_are_per_second_and_read_by_people() {
    assert_eq!(stats::rate(500, Duration::from_millis(250)), 2000.0);
    assert_eq!(stats::human(2_345_678.0), "2.35M/s");
    assert_eq!(stats::human(412_300.0), "412k/s");
    assert_eq!(stats::human(12.0), "12/s");
}

#[test]
fn a_claim_holds_at_its_bound_or_below_it() {
    assert!(Claim::AtLeast(1.0).holds(1.0) && !Claim::AtLeast(1.0).holds(0.99));
    assert!(Claim::Below(1.0).holds(0.99) && !Claim::Below(1.0).holds(1.0));
}

#[test]
fn events_are_json_of_the_size_asked_for_and_always_the_same() {
    let (mut event, mut again) = (Vec::new(), Vec::new());
    for size in [200, 258] {
        for n in [0, 1, 99_999, 5_000_000] {
            data::event(n, size, &mut event);
            data::event(n, size, &mut again);
            assert_eq!(event, again);
            assert_eq!(event.len(), size);
            let json: serde_json::Value = serde_json::from_slice(&event).unwrap();
            assert_eq!(json["type"], "OrderPlaced");
            assert_eq!(json["orderId"], n);
            assert_eq!(json["customer"], format!("c{:08}", data::customer(n)));
            assert_eq!(json["amount"], data::amount(n));
        }
    }
    data::event(7, 200, &mut event);
    let expected = r#"{"type":"OrderPlaced","orderId":7,"customer":"c00074487","shop":"s"#;
    assert!(
        event.starts_with(expected.as_bytes()),
        "{}",
        String::from_utf8_lossy(&event)
    );
}

#[test]
fn the_truth_is_the_fold_of_the_events() {
    let (rows, orders, total) = data::truth(1000);
    let customers: std::collections::BTreeSet<u64> = (0..1000).map(data::customer).collect();
    assert_eq!(rows, customers.len() as u64);
    assert_eq!(orders, 1000);
    assert_eq!(total, (0..1000).map(data::amount).sum::<u64>());
    assert!(data::truth(2_000_000).0 == data::KEYS, "every customer has an order");
    assert!(data::projection("orders").contains("-- topic: orders\n"));
}

#[test]
fn an_order_is_placed_once_before_anything_else_becomes_of_it() {
    let mut event = Vec::new();
    let mut life = |n| {
        let key = data::life(n, 258, &mut event);
        assert_eq!(event.len(), 258);
        let json: serde_json::Value = serde_json::from_slice(&event).unwrap();
        assert_eq!(json["orderId"], key);
        json["type"].as_str().unwrap().to_owned()
    };
    assert_eq!(life(0), "OrderPlaced");
    assert_eq!(life(data::ORDERS - 1), "OrderPlaced");
    assert_eq!(life(data::ORDERS), "OrderPaid");
    assert_eq!(life(data::ORDERS + 1), "OrderShipped");
    let (rows, total, placed) = data::truth_of_lives(data::ORDERS + 2);
    assert_eq!((rows, placed), (data::ORDERS, data::ORDERS - 2));
    assert_eq!(total, (0..data::ORDERS).map(data::amount).sum::<u64>());
}

#[test]
fn what_is_measured_in_memory_is_folded_there() {
    for text in [data::projection("t"), data::by_shop("t"), data::by_order("t")] {
        let projection = foldlog::projection::parse::parse(&text, "p.sql").unwrap();
        let definition = foldlog::readmodel::compile::compile(&projection).unwrap();
        assert_eq!(definition.plan().notes, [], "{text}");
    }
}
