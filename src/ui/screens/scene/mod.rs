//! A demo's scene: its flow, drawn as it runs, and the lesson beside it.

mod flow;
mod lesson;
mod look;
mod place;
mod route;
mod strip;

use ratatui::layout::Rect;

use crate::app::layout::Layout;
use crate::app::model::{Model, Pane};
use crate::app::screens::scene;

use super::super::canvas::Canvas;

/// From this width on the lesson stands beside the flow; below it, under it.
const BESIDE: u16 = 112;
/// The least rows that the lesson is left where it stands under the flow.
const LESSON: u16 = 8;

pub(in crate::ui) fn draw(canvas: &mut Canvas<'_>, rect: Rect, model: &Model) -> Layout {
    let mut layout = Layout::default();
    let (Some(demo), Some(scene)) = (scene::demo(model), scene::scene(model)) else {
        return layout;
    };
    let (flow, lesson) = panes(model, rect, &demo.graph);
    if let Some(rect) = flow {
        flow::draw(canvas, rect, model, demo, scene, &mut layout);
    }
    if let Some(rect) = lesson {
        layout.detail = lesson::draw(canvas, rect, model, demo, scene);
    }
    layout
}

/// The places of the flow and of the lesson.
fn panes(model: &Model, body: Rect, graph: &crate::demo::graph::Graph) -> (Option<Rect>, Option<Rect>) {
    if model.zoom {
        return match model.pane {
            Pane::List => (Some(body), None),
            Pane::Detail | Pane::Third => (None, Some(body)),
        };
    }
    if body.width >= BESIDE {
        let left = (u32::from(body.width) * 60 / 100) as u16;
        let lesson = Rect {
            x: body.x + left + 1,
            width: body.width - left - 1,
            ..body
        };
        return (Some(Rect { width: left, ..body }), Some(lesson));
    }
    let above = flow::height(graph, body.width).min(body.height.saturating_sub(LESSON));
    let lesson = Rect {
        y: body.y + above,
        height: body.height - above,
        ..body
    };
    (Some(Rect { height: above, ..body }), Some(lesson))
}
