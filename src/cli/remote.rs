//! `--in`: the handlers of a file run in PostgreSQL.

use std::path::Path;

use miette::{Report, miette};
use serde_json::Value;

use crate::decode::printable::printable;
use crate::projection::Projection;
use crate::readmodel::store::ReadModelInfo;
use crate::replay::remote::{RemoteOptions, There, follow, rebuild, verify};
use crate::replay::task::Task;
use crate::sink::address::Address;

use super::context::{Connection, Context};
use super::rebuild::{load, report_json, sentence, watch};
use super::show;
use super::verify::sink;

/// Where the handlers of files run: each in a schema of its own.
pub(super) fn places(projections: &[Projection], url: &str) -> miette::Result<Vec<There>> {
    let address = Address::parse(url).map_err(Report::new)?;
    let there = |projection: &Projection| {
        let (server, schema) = address.for_handlers(&projection.name).map_err(Report::new)?;
        Ok(There { server, schema })
    };
    let places: Vec<There> = projections.iter().map(there).collect::<miette::Result<_>>()?;
    match places.as_slice() {
        [one, other, ..] if one.schema == other.schema => Err(miette!(
            help = "leave ?schema= out: each has a schema of its own name then",
            "{} projections cannot share the schema {}",
            projections.len(),
            one.schema
        )),
        _ => Ok(places),
    }
}

fn place(projection: &Projection, url: &str) -> miette::Result<There> {
    let mut places = places(std::slice::from_ref(projection), url)?;
    places.pop().ok_or_else(|| miette!("there is no projection"))
}

/// `foldlog rebuild FILE.sql --in URL`.
pub(super) fn rebuild_there(
    context: &Context,
    projection: Projection,
    url: &str,
    options: RemoteOptions,
) -> miette::Result<()> {
    let there = place(&projection, url)?;
    let connection = context.connect()?;
    let (name, schema) = (projection.name.clone(), there.schema.clone());
    let task = rebuild(connection.client.clone(), projection, there, options);
    let notices = watch(&task, &format!("rebuild {name}"))?;
    for notice in notices.iter() {
        eprintln!("note: {}", show::notice(notice));
    }
    let report = task.wait()?;
    match context.json() {
        true => println!("{}", report_json(&report, &notices)),
        false => println!(
            "{}",
            sentence(&report, &format!("listed in {schema}._foldlog_dead_letter"))
        ),
    }
    Ok(())
}

/// `foldlog follow FILE.sql... --in URL`.
pub(super) fn follow_there(
    connection: &Connection,
    projections: Vec<Projection>,
    places: Vec<There>,
    options: &RemoteOptions,
) -> Vec<(String, Task<ReadModelInfo>)> {
    let pairs = projections.into_iter().zip(places);
    pairs
        .map(|(projection, there)| {
            let name = projection.name.clone();
            (
                name,
                follow(connection.client.clone(), projection, there, options.clone()),
            )
        })
        .collect()
}

/// Why one stands still, and how it goes on.
pub(super) fn paused_report(name: &str, reason: &str) -> Report {
    let text = printable(reason.as_bytes(), 500).text;
    miette!(
        help = "mend the handler and rebuild with --in, or go on past the record with --skip-poison, which lists it in \
                _foldlog_dead_letter of its schema",
        "{name} is paused: {text}"
    )
}

/// `foldlog verify FILE.sql --in URL`.
pub(super) fn verify_there(context: &Context, file: &str, url: &str, limit: Option<usize>) -> miette::Result<()> {
    let projection = load(Path::new(file))?;
    let there = place(&projection, url)?;
    let connection = context.connect()?;
    let shown = format!("{} in {}", projection.name, there.server);
    let (client, store) = (connection.client.clone(), connection.store.clone());
    let name = projection.name.clone();
    let task = verify(client, store, projection, there, sink::printer(context.json(), limit));
    let notices = watch(&task, &format!("verify {name}"))?;
    for notice in notices.iter() {
        eprintln!("note: {}", show::notice(notice));
    }
    let verified = task.wait()?;
    let checked = verified.checked;
    if context.json() {
        let mut line = sink::report(&checked);
        line["projection"] = name.into();
        line["position"] = show::position_json(&verified.info.position);
        line["records"] = verified.records.into();
        if let Value::Object(line) = &mut line {
            line.remove("waiting");
        }
        println!("{line}");
    } else if checked.differ() == 0 {
        println!(
            "{shown} is what its log makes in SQLite: {} after {}, at {}",
            show::counted(checked.same, "row"),
            show::counted(verified.records, "record"),
            show::position(&verified.info.position)
        );
    }
    if checked.differ() == 0 {
        return Ok(());
    }
    let cut = verified.cut.first().map(|range| {
        let (topic, partition) = (&range.topic, range.partition);
        format!(
            "; {topic}[{partition}] begins at offset {} by now, and what came before is in no replay",
            range.start
        )
    });
    let skipped = verified.info.counts.skipped;
    let skipped = (skipped > 0).then(|| {
        format!(
            "; {} could not be applied there (_foldlog_dead_letter) and may have been here",
            show::counted(skipped, "record")
        )
    });
    Err(miette!(
        help = format!(
            "`foldlog rebuild {file} --in URL` folds the log anew; rows that differ even so are of SQL that the two databases understand \
             differently{}{}",
            skipped.unwrap_or_default(),
            cut.unwrap_or_default()
        ),
        "{shown} is not what its log makes in SQLite: {} missing, {} other, {} more than there should be",
        show::count(checked.missing),
        show::count(checked.other),
        show::count(checked.extra)
    ))
}
