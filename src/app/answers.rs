//! What jobs bring: answers to whoever still waits for them, and failures to where they are shown.

use crate::replay::progress::Phase;

use super::job::{Event, Failure, TaskId};
use super::lang::say;
use super::message::Effect;
use super::model::{Level, Model, Screen};
use super::navigate::go;
use super::screens::{
    alerts, blame, charts, demos, differences, groups, guide, previews, projections, readmodel, records, scene, search,
    tail, time, topics,
};
use super::typing;
use super::update::ask_demo;
use super::work::Kind;

/// Takes what a job says, where somebody still waits for it.
pub(super) fn hear(model: &mut Model, id: TaskId, event: Event, fx: &mut Vec<Effect>) {
    match event {
        Event::Connected(view) if model.cluster.expects(id) => {
            model.cluster.answer(view);
            topics::ask(model, fx);
            projections::ask(model, fx);
            if std::mem::take(&mut model.guiding.first) {
                go(model, Screen::Demos, fx);
                guide::open(model, fx);
            }
            if let Some(id) = model.demos.first.take() {
                go(model, Screen::Demos, fx);
                model.demos.point_at(&id);
                scene::open(model, &id, fx);
                ask_demo(model, &id, false, fx);
            }
        }
        Event::Attached(attached) => {
            if let Some(cluster) = &mut model.cluster.value {
                cluster.attached = attached;
            }
        }
        Event::Topics(rows, at) if model.topics.remote.expects(id) => topics::answer(model, rows, at, fx),
        Event::TopicConfig(config) if model.topics.config.expects(id) => model.topics.config.answer(config),
        Event::Page(page) if model.records.as_ref().is_some_and(|r| r.page.expects(id)) => {
            records::page(model, page, fx);
        }
        Event::Found(page) if model.records.as_ref().is_some_and(|r| r.page.expects(id)) => {
            search::found(model, page, fx);
        }
        Event::Arrivals(arrivals) if tails(model, id) => tail::arrive(model, arrivals),
        Event::Groups(rows) if model.groups.remote.expects(id) => groups::answer(model, rows, fx),
        Event::Group(group) if model.groups.group.expects(id) => model.groups.group.answer(group),
        Event::Projections(rows) if model.projections.remote.expects(id) => projections::answer(model, rows, fx),
        Event::Alerts(found) if alerts_asked(model, id) => alerts::answer(model, *found),
        Event::Charts(rows) if charts_asked(model, id) => charts::answer(model, rows),
        Event::Moment(moment) if walks(model, id) => time::arrive(model, *moment, fx),
        Event::Underway(underway) if walks(model, id) => {
            if let Some(time) = &mut model.time {
                time.underway = Some(underway);
            }
        }
        Event::Timeline(timeline) if model.time.as_ref().is_some_and(|t| t.timeline.expects(id)) => {
            if let Some(time) = &mut model.time {
                time.timeline.task = None;
                time.timeline.value = timeline;
            }
        }
        Event::Previewed(previewed) => previews::answer(model, *previewed),
        Event::Differences(found) if differs(model, id) => differences::answer(model, *found),
        Event::Underway(underway) if differs(model, id) => {
            if let Some(state) = &mut model.differences {
                state.underway = underway;
            }
        }
        Event::Wrote(wrote) if blames(model, id) => blame::answer(model, wrote),
        Event::Rows(rows) if model.time.as_ref().is_some_and(|t| t.rows.expects(id)) => {
            time::rows::answer(model, rows, fx)
        }
        Event::Tables(tables) if model.readmodel.tables.expects(id) => readmodel::answer(model, tables, fx),
        Event::Rows(rows) if model.readmodel.rows.expects(id) => readmodel::rows(model, rows),
        Event::Demos(rows) if model.demos.remote.expects(id) => {
            model.demos.answer(rows);
        }
        Event::Guide(guidance) if model.guiding.remote.expects(id) => guide::answer(model, *guidance),
        Event::Progress(progress) => {
            if let Some(work) = model.works.iter_mut().find(|w| w.id == id) {
                let said = work.progress.notices.said();
                let new = progress.notices.since(said).to_vec();
                let name = work.name.clone();
                let pauses = progress.phase == Phase::Paused && work.progress.phase != Phase::Paused;
                work.advance(progress, model.now);
                for notice in new {
                    model.tell_notice(&name, &notice);
                }
                projections::advance(model);
                if pauses {
                    // The record that it is paused before is a dead letter now, one key away.
                    projections::ask(model, fx);
                }
            }
        }
        Event::Built(info) if model.works.iter().any(|w| w.id == id) => projections::built(model, *info),
        Event::Staged(staged) => scene::staged(model, id, *staged, fx),
        Event::Refused(why) => model.tell(Level::Hint, why),
        _ => {}
    }
}

fn alerts_asked(model: &Model, id: TaskId) -> bool {
    model.alerts.as_ref().is_some_and(|alerts| alerts.remote.expects(id))
}

fn charts_asked(model: &Model, id: TaskId) -> bool {
    model.charts.as_ref().is_some_and(|charts| charts.remote.expects(id))
}

fn walks(model: &Model, id: TaskId) -> bool {
    model.time.as_ref().is_some_and(|time| time.moment.expects(id))
}

fn differs(model: &Model, id: TaskId) -> bool {
    model.differences.as_ref().is_some_and(|state| state.found.expects(id))
}

fn blames(model: &Model, id: TaskId) -> bool {
    model.blame.as_ref().is_some_and(|blame| blame.search.expects(id))
}

fn tails(model: &Model, id: TaskId) -> bool {
    let tail = model.records.as_ref().and_then(|r| r.tail.as_ref());
    tail.is_some_and(|t| t.task == id)
}

/// Ends what a job was for: work says how it went, and what failed says so where it is shown.
pub(super) fn ended(model: &mut Model, id: TaskId, outcome: Result<String, Failure>, fx: &mut Vec<Effect>) {
    if let Some(at) = model.works.iter().position(|w| w.id == id) {
        let work = model.works.remove(at);
        let what = work.kind.said(model, &work.name);
        if work.kind == Kind::Demo && scene::ended(model, &work.name, fx) {
            return;
        }
        match outcome {
            Ok(_) if work.cancelling && work.kind == Kind::Demo => {
                model.tell(Level::Done, say!(model, "{what}: stopped; what it wrote stays", what));
            }
            Ok(line) => model.tell(Level::Done, line),
            Err(_) if work.cancelling => model.tell(Level::Done, say!(model, "{what}: cancelled", what)),
            Err(failure) => {
                model.tell_failure(&what, &failure);
                typing::refused(model, id, &failure, fx);
                if work.kind != Kind::Demo {
                    model.projections.failed.insert(work.name, (work.kind, failure));
                }
            }
        }
        projections::ask(model, fx);
        topics::ask(model, fx);
        if model.screen == Screen::ReadModel {
            readmodel::ask(model, fx);
        }
        return;
    }
    if let Some(at) = model.deleting.iter().position(|(task, _)| *task == id) {
        let (_, name) = model.deleting.remove(at);
        match outcome {
            Ok(_) => model.tell(Level::Done, say!(model, "topic {name} is deleted", name)),
            Err(failure) => model.tell_failure(&say!(model, "delete {name}", name), &failure),
        }
        topics::ask(model, fx);
        return;
    }
    if demos::reported(model, id, &outcome) {
        return;
    }
    match outcome {
        Err(failure) => failed(model, id, failure, fx),
        Ok(_) if tails(model, id) => {
            if let Some(records) = &mut model.records {
                records.tail = None;
            }
        }
        Ok(_) => {}
    }
}

fn failed(model: &mut Model, id: TaskId, failure: Failure, fx: &mut Vec<Effect>) {
    let mut told = None;
    if model.cluster.expects(id) {
        told = Some("connect");
        model.cluster.fail(failure.clone());
    } else if model.topics.remote.expects(id) {
        // What is asked again and again is told once an outage; the header says how it stands.
        told = model.topics.remote.error.is_none().then_some("topics");
        model.topics.remote.fail(failure.clone());
    } else if model.topics.config.expects(id) {
        model.topics.config.fail(failure.clone());
    } else if model.projections.remote.expects(id) {
        told = model.projections.remote.error.is_none().then_some("projections");
        model.projections.remote.fail(failure.clone());
    } else if let Some(alerts) = model.alerts.as_mut().filter(|alerts| alerts.remote.expects(id)) {
        // Where nothing is in view yet, the screen itself says it.
        let news = alerts.remote.value.is_some() && alerts.remote.error.is_none();
        told = news.then_some("alerts");
        alerts.remote.fail(failure.clone());
    } else if charts_asked(model, id) {
        charts::failed(model, failure.clone());
    } else if model.groups.remote.expects(id) {
        told = model.groups.remote.error.is_none().then_some("groups");
        model.groups.remote.fail(failure.clone());
    } else if model.groups.group.expects(id) {
        model.groups.group.fail(failure.clone());
    } else if model.readmodel.tables.expects(id) {
        told = Some("read models");
        model.readmodel.tables.fail(failure.clone());
    } else if model.readmodel.rows.expects(id) {
        readmodel::failed(model, failure.clone());
        typing::refused(model, id, &failure, fx);
    } else if walks(model, id) {
        // Where nothing is in view yet, the screen itself says it.
        let seen = model.time.as_ref().is_some_and(|time| time.moment.value.is_some());
        time::failed(model, failure.clone());
        told = (seen && !typing::refused(model, id, &failure, fx)).then_some("");
    } else if let Some(time) = model.time.as_mut().filter(|time| time.timeline.expects(id)) {
        // The slider then counts events; nothing is missing that was asked for.
        time.timeline.fail(failure.clone());
    } else if model.time.as_ref().is_some_and(|time| time.rows.expects(id)) {
        time::rows::failed(model, failure.clone());
    } else if differs(model, id) {
        if let Some(state) = &mut model.differences {
            state.found.fail(failure.clone());
        }
        typing::refused(model, id, &failure, fx);
    } else if blames(model, id) {
        if let Some(blame) = &mut model.blame {
            blame.search.fail(failure.clone());
        }
    } else if model.guiding.remote.expects(id) {
        model.guiding.remote.fail(failure.clone());
    } else if model.demos.remote.expects(id) {
        told = Some("demos");
        model.demos.remote.fail(failure.clone());
    } else if tails(model, id) {
        told = Some("live tail");
        if let Some(records) = &mut model.records {
            records.tail = None;
        }
    } else if let Some(records) = model.records.as_mut().filter(|r| r.page.expects(id)) {
        let stays = records::failed(records, failure.clone());
        let typed = typing::refused(model, id, &failure, fx);
        // Of a place that is refused, what there is instead says enough.
        told = (!typed).then_some(if stays { "" } else { "records" });
    }
    if let Some(what) = told {
        model.tell_failure(what, &failure);
    }
}
