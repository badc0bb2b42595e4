//! `--metrics`: how replays and demos are, for Prometheus to scrape.

mod exposition;
mod server;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use tokio::sync::watch;

use crate::chart::{Chart, Data};
use crate::replay::progress::{Phase, Progress};

pub(super) use exposition::Exposition;
pub(super) use server::{Server, Tell};

/// Where metrics are served: an address of this machine that no other reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address(pub(super) SocketAddr);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const HOW: &str = "write a port or 127.0.0.1:PORT, such as 9464";
        let rest = text.strip_prefix("localhost:").or_else(|| text.strip_prefix(':'));
        let address = match rest.unwrap_or(text).parse::<u16>() {
            Ok(port) => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
            Err(_) => text.parse::<SocketAddr>().map_err(|_| HOW.to_owned())?,
        };
        if address.ip().is_loopback() {
            Ok(Self(address))
        } else {
            Err(format!(
                "others could read them there: {HOW}, and let a proxy decide who may"
            ))
        }
    }
}

/// What is told of projections that are followed.
pub(super) fn replays(all: &[(String, watch::Receiver<Progress>)]) -> String {
    let mut out = Exposition::default();
    about(&mut out);
    let now: Vec<(&str, Progress)> = all
        .iter()
        .map(|(name, progress)| (name.as_str(), progress.borrow().clone()))
        .collect();
    let records = "Records by what became of them since the read model was begun";
    out.family("foldlog_records_total", "counter", records);
    for (name, progress) in &now {
        let counts = progress.counts;
        for (outcome, count) in [
            ("applied", counts.applied),
            ("ignored", counts.ignored),
            ("skipped", counts.skipped),
            ("held", counts.held),
            ("poisoned", counts.poisoned),
        ] {
            out.sample(&[("projection", name), ("outcome", outcome)], count as f64);
        }
    }
    out.family(
        "foldlog_lag_records",
        "gauge",
        "Records of the log that are not folded yet",
    );
    for (name, progress) in &now {
        out.sample(&[("projection", name)], progress.lag() as f64);
    }
    out.family(
        "foldlog_records_per_second",
        "gauge",
        "Records folded a second, over the last second",
    );
    for (name, progress) in &now {
        out.sample(&[("projection", name)], progress.rate);
    }
    out.family(
        "foldlog_next_offset",
        "gauge",
        "The offset in the partition that is folded next",
    );
    for (name, progress) in &now {
        for (at, next) in progress.position.iter() {
            let partition = at.partition.to_string();
            let labels = [("projection", *name), ("topic", &*at.topic), ("partition", &partition)];
            out.sample(&labels, next as f64);
        }
    }
    out.family(
        "foldlog_phase",
        "gauge",
        "1 for what the replay is doing, 0 for what it is not",
    );
    for (name, progress) in &now {
        for (phase, word) in PHASES {
            let is = f64::from(u8::from(progress.phase == phase));
            out.sample(&[("projection", name), ("phase", word)], is);
        }
    }
    out.done()
}

const PHASES: [(Phase, &str); 7] = [
    (Phase::Starting, "starting"),
    (Phase::Rebuilding, "rebuilding"),
    (Phase::Finishing, "finishing"),
    (Phase::Live, "live"),
    (Phase::Paused, "paused"),
    (Phase::Done, "done"),
    (Phase::Failed, "failed"),
];

/// What a replay is doing, in a word.
pub(super) fn phase(phase: Phase) -> &'static str {
    PHASES
        .iter()
        .find(|(known, _)| *known == phase)
        .map_or("", |(_, word)| word)
}

/// What the charts of a demo say now: the numbers of gauges and bars, and the last point of each line.
pub(super) fn charts(demo: &str, charts: &[Chart]) -> String {
    let mut out = Exposition::default();
    about(&mut out);
    out.family(
        "foldlog_demo_chart",
        "gauge",
        "What the charts of the demo say now: values of gauges and bars, the last of lines",
    );
    for chart in charts {
        let mut put = |part: &str, value: f64| {
            let labels = [
                ("demo", demo),
                ("chart", &chart.title),
                ("part", part),
                ("unit", &chart.unit),
            ];
            out.sample(&labels, value);
        };
        match &chart.data {
            Data::Gauges(dials) => dials.iter().for_each(|dial| put(&dial.label, dial.value)),
            Data::Bars(bars) => bars.iter().take(PARTS).for_each(|bar| put(&bar.label, bar.value)),
            Data::Lines { series, .. } => {
                let last = series
                    .iter()
                    .filter_map(|line| Some((&line.name, line.points.last()?.1)));
                last.for_each(|(name, value)| put(name, value));
            }
            // Neither is a number of now.
            Data::Bins(_) | Data::Heat(_) => {}
        }
    }
    out.done()
}

/// The most bars of a chart: each would be a series that Prometheus keeps.
const PARTS: usize = 50;

fn about(out: &mut Exposition) {
    out.family("foldlog_build_info", "gauge", "1, with the version that runs");
    out.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
}

#[cfg(test)]
mod tests;
