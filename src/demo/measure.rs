//! How long an event takes from being written to being in a read model.

use std::thread;
use std::time::{Duration, Instant};

use super::condition::Seen;
use super::error::DemoError;
use super::scene::Scene;
use super::script::{Measure, Produce};

/// How long is waited between two looks; a look itself asks the broker, and takes longer.
const LOOK: Duration = Duration::from_micros(200);
/// How long an event may take before the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(300);
/// What is compared with: a batch that runs at night shows an event at the end of its day.
const BATCH_HOURS: u32 = 24;

impl Scene {
    /// Writes events one at a time, and waits for each until everybody has read and published what follows from it.
    pub(super) fn measure(&mut self, measure: &Measure, say: &dyn Fn(String)) -> Result<String, DemoError> {
        let mut took = Vec::with_capacity(measure.records);
        let any = Produce::default();
        while took.len() < measure.records {
            let Some(due) = self.timeline.next(&any) else { break };
            self.keep_time(due.event.timestamp, say)?;
            let began = Instant::now();
            self.write(&due)?;
            self.flush()?;
            self.arrives(began)?;
            took.push(began.elapsed());
            say(format!("{} / {}", took.len(), measure.records));
        }
        let (median, worst) = (median(&took), took.iter().max().copied().unwrap_or_default());
        let (count, median, worst) = (took.len(), millis(median), millis(worst));
        self.latencies
            .entry(measure.part.clone())
            .or_default()
            .append(&mut took);
        Ok(self.say(
            &format!("{count} events: {median} ms in the middle, {worst} ms at most; a nightly batch takes up to {BATCH_HOURS} h"),
            &format!("{count} 个事件：中位数 {median} 毫秒，最长 {worst} 毫秒；夜间批处理最长要 {BATCH_HOURS} 小时"),
        ))
    }

    fn arrives(&self, began: Instant) -> Result<(), DemoError> {
        loop {
            self.check_cancelled()?;
            let seen = self.caught_up(&[])?;
            if seen.holds {
                return Ok(());
            }
            if began.elapsed() >= PATIENCE {
                return Err(DemoError::Waited {
                    wanted: seen.wanted,
                    found: seen.found,
                    seconds: began.elapsed().as_secs(),
                });
            }
            thread::sleep(LOOK);
        }
    }

    /// Whether half of what was measured took less than so long. The same words at every run: milliseconds differ.
    pub(super) fn latency(&self, part: &str, under_ms: u64) -> Seen {
        let took = self.latencies.get(part).map_or(&[] as &[Duration], Vec::as_slice);
        let holds = !took.is_empty() && median(took) < Duration::from_millis(under_ms);
        let wanted = self.say(&format!("under {under_ms} ms"), &format!("低于 {under_ms} 毫秒"));
        Seen {
            holds,
            found: if holds {
                wanted.clone()
            } else {
                format!("{} ms", millis(median(took)))
            },
            wanted,
        }
    }
}

fn median(took: &[Duration]) -> Duration {
    let mut sorted = took.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn millis(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1000.0)
}
