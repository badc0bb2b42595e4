//! `foldlog groups`.

use comfy_table::Cell;
use miette::IntoDiagnostic;
use serde_json::{Value, json};

use crate::broker::client::Client;
use crate::broker::groups::{GroupDetail, GroupSummary, Member};
use crate::decode::printable::printable;

use super::context::Context;
use super::show;
use super::table::{self, table, text};

/// Its arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  foldlog groups
  foldlog groups billing
  foldlog groups billing --json |
    jq '.offsets | map(.lag) | add'

LAG is how many offsets the end of a partition is past what the group committed; `-` where it committed nothing, or where \
the topic is gone.")]
pub struct Args {
    /// Show this group with its members, committed offsets and lag
    group: Option<String>,
}

/// Runs it.
pub fn run(context: &Context, args: Args) -> miette::Result<()> {
    let connection = context.connect()?;
    match args.group {
        None => list(context, &connection.client),
        Some(id) => detail(context, &connection.client, &id),
    }
}

fn list(context: &Context, client: &Client) -> miette::Result<()> {
    let groups = client.groups().into_diagnostic()?;
    if context.json() {
        for group in &groups {
            println!("{}", summary_json(group));
        }
        return Ok(());
    }
    if groups.is_empty() {
        eprintln!("there are no consumer groups: one appears when a consumer with a `group.id` connects");
        return Ok(());
    }
    let mut table = table(["GROUP", "STATE", "PROTOCOL", "ASSIGNOR", "MEMBERS"]);
    for group in &groups {
        table.add_row([
            text(&group.id),
            text(&group.state),
            text(&group.protocol),
            text(&group.assignor),
            number(Some(group.members as i64)),
        ]);
    }
    println!("{table}");
    Ok(())
}

fn detail(context: &Context, client: &Client, id: &str) -> miette::Result<()> {
    let group = client.group(id).into_diagnostic()?;
    if context.json() {
        println!("{}", detail_json(&group));
        return Ok(());
    }
    let summary = &group.summary;
    println!(
        "{} is {}, {}, lag {}",
        printable(summary.id.as_bytes(), 500).text,
        summary.state.to_lowercase(),
        show::counted(summary.members as u64, "member"),
        // Nobody knows how far behind a group is that has committed nothing.
        group
            .lag()
            .map_or("-".to_owned(), |lag| show::count(lag.unsigned_abs()))
    );
    if !group.offsets.is_empty() {
        let mut table = table(["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER"]);
        for offset in &group.offsets {
            let owner = group
                .members
                .iter()
                .find(|member| member.assignment.contains(&(offset.topic.clone(), offset.partition)));
            table.add_row([
                text(&offset.topic),
                number(Some(i64::from(offset.partition))),
                number(offset.committed),
                number(offset.end),
                number(offset.lag),
                text(owner.map_or("-", |member| &member.client_id)),
            ]);
        }
        println!("\n{table}");
    }
    if !group.members.is_empty() {
        let mut table = table(["MEMBER", "CLIENT", "HOST", "PARTITIONS"]);
        for member in &group.members {
            table.add_row([
                text(&member.id),
                text(&member.client_id),
                text(&member.host),
                text(&assignment(member)),
            ]);
        }
        println!("\n{table}");
    }
    Ok(())
}

fn assignment(member: &Member) -> String {
    let list: Vec<_> = member
        .assignment
        .iter()
        .map(|(topic, partition)| format!("{topic}[{partition}]"))
        .collect();
    list.join(", ")
}

/// A count or offset; `-` where there is none.
fn number(number: Option<i64>) -> Cell {
    table::number(number.map_or_else(|| "-".to_owned(), |number| show::count(number.unsigned_abs())))
}

fn summary_json(group: &GroupSummary) -> Value {
    json!({
        "group": group.id,
        "state": group.state,
        "protocol": group.protocol,
        "assignor": group.assignor,
        "members": group.members,
    })
}

fn detail_json(group: &GroupDetail) -> Value {
    let mut json = summary_json(&group.summary);
    let members: Vec<_> = group
        .members
        .iter()
        .map(|member| {
            let assignment = member.assignment.iter();
            json!({
                "id": member.id,
                "client_id": member.client_id,
                "host": member.host,
                "assignment": assignment.map(|(topic, partition)| json!({ "topic": topic, "partition": partition })).collect::<Vec<_>>(),
            })
        })
        .collect();
    let offsets: Vec<_> = group
        .offsets
        .iter()
        .map(|offset| {
            json!({
                "topic": offset.topic,
                "partition": offset.partition,
                "committed": offset.committed,
                "end": offset.end,
                "lag": offset.lag,
            })
        })
        .collect();
    json["members"] = members.into();
    json["offsets"] = offsets.into();
    json
}
