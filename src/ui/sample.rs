//! A typical screen without a world behind it, for benches and tests: a records screen as it looks in use.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::app::job::{ClusterView, Event, Page, TaskId};
use crate::app::message::{Effect, Message};
use crate::app::model::Model;
use crate::app::place::Place;
use crate::app::screens::records;
use crate::app::update::update;
use crate::broker::profile::Access;
use crate::broker::topics::Watermarks;
use crate::record::{Header, Record, Timestamp};

use super::theme::Theme;

/// 2026-11-21T14:34:07Z, the time of every sample.
pub const NOW: Timestamp = Timestamp(1_795_271_647_000);

/// A studio that is connected to an embedded broker and has heard nothing else yet.
pub fn connected(size: (u16, u16)) -> Model {
    let mut model = Model::new(NOW, TimeZone::UTC, size);
    model.cluster.value = Some(ClusterView {
        name: "lab".into(),
        bootstrap: "127.0.0.1:9092".into(),
        access: Access::ReadWrite,
        embedded: true,
        attached: false,
    });
    model
}

/// A record of an order, 258 bytes of JSON, as the measurements in the notes use them.
pub fn order(partition: i32, offset: i64) -> Record {
    let value = format!(
        r#"{{"type":"OrderPlaced","orderId":"o-{offset:08}","userId":"u-{:05}","status":"paid","items":[{{"sku":"A-100","qty":2,"price":19.90}},{{"sku":"B-220","qty":1,"price":5.00}}],"total":44.80,"currency":"EUR","shipping":{{"city":"Z\u00fcrich","country":"CH"}},"note":null,"express":true}}"#,
        offset % 9_973
    );
    Record {
        topic: "order-events".into(),
        partition,
        offset,
        timestamp: Some(Timestamp(NOW.0 - 1_000_000 + offset * 40)),
        key: Some(format!("o-{offset:08}").into_bytes()),
        value: Some(value.into_bytes()),
        headers: vec![Header {
            key: "trace-id".into(),
            value: Some(b"4bf92f3577b34da6a3ce929d0e0e4736".to_vec()),
        }],
    }
}

/// A records screen with a full page of orders, the focus on the list.
pub fn records_screen(size: (u16, u16)) -> Model {
    let mut model = connected(size);
    let mut fx = Vec::new();
    model.screen = crate::app::model::Screen::Records;
    records::open(&mut model, "order-events", Place::End, &mut fx);
    let page = Page {
        records: (24_500..25_000).map(|n| order((n % 3) as i32, n)).collect(),
        start: BTreeMap::from([(0, 24_500), (1, 24_500), (2, 24_500)]),
        end: BTreeMap::from([(0, 25_000), (1, 25_000), (2, 25_000)]),
        watermarks: (0..3)
            .map(|partition| Watermarks {
                partition,
                low: 0,
                high: 25_000,
            })
            .collect(),
    };
    for effect in fx {
        if let Effect::Start(TaskId(id), _) = effect {
            update(&mut model, Message::Said(TaskId(id), Event::Page(page.clone())));
        }
    }
    model
}

/// A terminal in memory.
pub fn terminal(size: (u16, u16)) -> Terminal<TestBackend> {
    // A backend in memory cannot fail.
    match Terminal::new(TestBackend::new(size.0, size.1)) {
        Ok(terminal) => terminal,
        Err(never) => match never {},
    }
}

/// Draws one frame and gives the layout back to the model, as the runtime does.
pub fn frame(terminal: &mut Terminal<TestBackend>, model: &mut Model, theme: Theme) {
    let mut layout = Default::default();
    let Ok(_) = terminal.draw(|frame| layout = super::draw(frame, model, theme));
    update(model, Message::Laid(Box::new(layout)));
}
