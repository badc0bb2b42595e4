//! The records that every bench reads and writes: made from their number alone, so that two runs and two brokers get the same.

/// Customers, so many that their rows do not fit a page cache by luck.
pub const KEYS: u64 = 100_000;
/// Shops.
pub const SHOPS: u64 = 120;
/// Orders whose state changes.
pub const ORDERS: u64 = 1_000_000;

/// A well-mixed number from `n` (splitmix64).
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// The customer of event `n`.
pub fn customer(n: u64) -> u64 {
    mix(n) % KEYS
}

/// What event `n` is worth, in cents.
pub fn amount(n: u64) -> u64 {
    mix(n ^ 0x5eed) % 100_000
}

/// The shop of event `n`.
fn shop(n: u64) -> u64 {
    mix(n ^ 0x5409) % SHOPS
}

/// Writes event `n` into `out`, which is cleared: one JSON object of exactly `size` bytes, at least 160. Returns its key.
pub fn event(n: u64, size: usize, out: &mut Vec<u8>) -> String {
    use std::io::Write;
    out.clear();
    let (customer, amount, shop) = (customer(n), amount(n), shop(n));
    // A record a millisecond, from a moment in 2024.
    let at = 1_704_067_200_000 + n;
    let _ = write!(
        out,
        r#"{{"type":"OrderPlaced","orderId":{n},"customer":"c{customer:08}","shop":"s{shop:03}","amount":{amount},"at":{at},"note":""#
    );
    fill(n, size, out);
    format!("c{customer:08}")
}

/// Which order event `n` is about: each is placed once, and then any of them is paid or shipped.
fn order(n: u64) -> u64 {
    if n < ORDERS { n } else { mix(n) % ORDERS }
}

/// Writes event `n` of the orders' lives, as [`event`] does.
pub fn life(n: u64, size: usize, out: &mut Vec<u8>) -> String {
    use std::io::Write;
    out.clear();
    let order = order(n);
    let id = format!("o{order:08}");
    let _ = match n {
        _ if n < ORDERS => {
            let (customer, amount) = (customer(n), amount(n));
            write!(
                out,
                r#"{{"type":"OrderPlaced","orderId":"{id}","customer":"c{customer:08}","amount":{amount},"note":""#
            )
        }
        _ if n.is_multiple_of(2) => write!(out, r#"{{"type":"OrderPaid","orderId":"{id}","note":""#),
        _ => write!(out, r#"{{"type":"OrderShipped","orderId":"{id}","note":""#),
    };
    fill(n, size, out);
    id
}

fn fill(n: u64, size: usize, out: &mut Vec<u8>) {
    let mut filler = mix(n ^ 0xf111);
    while out.len() + 2 < size {
        out.push(b'a' + u8::try_from(filler % 26).unwrap_or(0));
        filler = if filler < 26 { mix(filler ^ n) } else { filler / 26 };
    }
    out.extend_from_slice(b"\"}");
}

/// The read model of these events: one row a customer, one statement an event.
pub fn projection(topic: &str) -> String {
    projection_with(topic, "")
}

/// The same with one more header.
pub fn projection_with(topic: &str, header: &str) -> String {
    format!(
        "-- projection: spending\n-- topic: {topic}\n-- type: $.type\n{header}\n\
         CREATE TABLE customer (\n  id TEXT PRIMARY KEY,\n  orders INTEGER NOT NULL,\n  total INTEGER NOT NULL\n) STRICT, WITHOUT ROWID;\n\n\
         -- on: OrderPlaced\n\
         INSERT INTO customer (id, orders, total) VALUES (:customer, 1, :amount)\n\
         ON CONFLICT (id) DO UPDATE SET orders = orders + 1, total = total + excluded.total;\n"
    )
}

/// The read model with a row a shop.
pub fn by_shop(topic: &str) -> String {
    format!(
        "-- projection: sales\n-- topic: {topic}\n-- type: $.type\n\n\
         CREATE TABLE shop (\n  id TEXT PRIMARY KEY,\n  orders INTEGER NOT NULL,\n  total INTEGER NOT NULL,\n  last INTEGER NOT NULL\n) STRICT;\n\n\
         -- on: OrderPlaced\n\
         INSERT INTO shop (id, orders, total, last) VALUES (:shop, 1, :amount, :at)\n\
         ON CONFLICT (id) DO UPDATE SET orders = orders + 1, total = total + excluded.total, last = max(last, excluded.last);\n"
    )
}

/// The read model with a row an order, of which each event changes the state.
pub fn by_order(topic: &str) -> String {
    format!(
        "-- projection: order_state\n-- topic: {topic}\n-- type: $.type\n\n\
         CREATE TABLE orders (\n  id TEXT PRIMARY KEY,\n  customer TEXT NOT NULL,\n  amount INTEGER NOT NULL,\n  state TEXT NOT NULL,\n  updated INTEGER NOT NULL\n) STRICT;\n\n\
         -- on: OrderPlaced\n\
         INSERT INTO orders VALUES (:orderId, :customer, :amount, 'placed', @timestamp);\n\
         -- on: OrderPaid\n\
         UPDATE orders SET state = 'paid', updated = @timestamp WHERE id = :orderId;\n\
         -- on: OrderShipped\n\
         UPDATE orders SET state = 'shipped', updated = @timestamp WHERE id = :orderId;\n"
    )
}

/// What the read model must add up to after the first `count` events: rows, orders, total.
pub fn truth(count: u64) -> (u64, u64, u64) {
    let mut seen = vec![false; usize::try_from(KEYS).unwrap_or(usize::MAX)];
    let (mut rows, mut total) = (0, 0);
    for n in 0..count {
        let slot = &mut seen[usize::try_from(customer(n)).unwrap_or(0)];
        rows += u64::from(!*slot);
        *slot = true;
        total += amount(n);
    }
    (rows, count, total)
}

/// What the read model of orders must add up to after the first `count` events: rows, amounts, rows that are still only placed.
pub fn truth_of_lives(count: u64) -> (u64, u64, u64) {
    let mut placed = vec![true; usize::try_from(ORDERS).unwrap_or(usize::MAX)];
    for n in ORDERS..count {
        placed[usize::try_from(order(n)).unwrap_or(0)] = false;
    }
    let still = placed.iter().filter(|placed| **placed).count() as u64;
    (ORDERS, (0..ORDERS).map(amount).sum(), still)
}
