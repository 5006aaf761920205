//! The report.

use std::time::{Duration, Instant};

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use hdrhistogram::Histogram;
use serde::Serialize;

use super::now;
use super::usage::Usage;
use super::workload::{Load, Workload};

/// One workload's result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Figure {
    /// What was run.
    pub(crate) workload: &'static str,
    /// In words.
    pub(crate) load: String,
    /// How long the calls took.
    pub(crate) calls: Times,
    /// The same for bare round trips of the same bytes, as many outstanding, up to 10,000; none for
    /// loads that bare round trips cannot have.
    pub(crate) raw: Option<Times>,
    /// The median time of a call one at a time, or otherwise the throughput, divided by that of bare
    /// round trips.
    pub(crate) ratio_to_raw: Option<f64>,
    /// Of jobs that take their time: the time that they would take with no overhead, divided by what
    /// they took.
    pub(crate) efficiency: Option<f64>,
    /// What each process used.
    pub(crate) costs: Costs,
}

/// The times of calls.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Times {
    /// How many.
    pub(crate) n: u64,
    /// How many a second.
    pub(crate) per_s: f64,
    /// The median, in microseconds.
    pub(crate) p50_us: u64,
    /// What one in a hundred exceeds, in microseconds.
    pub(crate) p99_us: u64,
    /// What one in a thousand exceeds, in microseconds.
    pub(crate) p999_us: u64,
}

/// What each process used; none where that cannot be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Costs {
    pub(crate) client: Option<Usage>,
    pub(crate) distributor: Option<Usage>,
    pub(crate) worker: Option<Usage>,
}

/// The times of one load.
#[derive(Debug)]
pub(crate) struct Sample {
    times: Histogram<u64>,
    begun: Instant,
    whole: Duration,
}

impl Sample {
    /// It begins now.
    pub(crate) fn begin() -> Self {
        Self { times: histogram(), begun: now(), whole: Duration::ZERO }
    }

    /// A call took so long.
    pub(crate) fn add(&mut self, took: Duration) {
        self.times.saturating_record(micros(took));
    }

    /// It ends now.
    pub(crate) fn end(mut self) -> Self {
        self.whole = self.begun.elapsed();
        self
    }

    /// How many calls.
    pub(crate) fn calls(&self) -> usize {
        usize::try_from(self.times.len()).unwrap_or(usize::MAX)
    }

    /// The times.
    pub(crate) fn times(&self) -> Times {
        let at = |quantile| self.times.value_at_quantile(quantile);
        Times {
            n: self.times.len(),
            per_s: self.times.len() as f64 / self.whole.as_secs_f64(),
            p50_us: at(0.5),
            p99_us: at(0.99),
            p999_us: at(0.999),
        }
    }
}

/// A histogram of microseconds, up to ten minutes, to three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3).expect("the bounds are in order")
}

pub(crate) fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

impl Figure {
    pub(crate) fn new(
        workload: Workload,
        sample: &Sample,
        raw: Option<Times>,
        costs: Costs,
    ) -> Self {
        let calls = sample.times();
        let ratio = |raw: Times| match workload.load {
            Load::Closed { outstanding: 1, .. } => calls.p50_us as f64 / raw.p50_us as f64,
            Load::Closed { .. } | Load::Open { .. } | Load::Jobs { .. } => calls.per_s / raw.per_s,
        };
        let efficiency = match workload.load {
            Load::Jobs { takes, slots, .. } => {
                Some(takes.as_secs_f64() * calls.per_s / slots as f64)
            }
            Load::Closed { .. } | Load::Open { .. } => None,
        };
        Self {
            workload: workload.name,
            load: workload.describe(),
            calls,
            raw,
            ratio_to_raw: raw.map(ratio),
            efficiency,
            costs,
        }
    }
}

/// The figures for people: the times, and then what they cost.
pub(crate) fn tables(figures: &[Figure]) -> String {
    let mut times = table(&[
        "workload",
        "n",
        "calls/s",
        "p50",
        "p99",
        "p99.9",
        "raw/s",
        "raw p50",
        "ratio",
        "efficiency",
    ]);
    let mut costs = table(&[
        "workload",
        "client us",
        "distrib. us",
        "worker us",
        "client MiB",
        "distrib. MiB",
        "worker MiB",
        "client switches",
        "distrib. switches",
        "worker switches",
    ]);
    for figure in figures {
        let Figure { workload, calls, raw, ratio_to_raw, efficiency, costs: used, .. } = figure;
        let some = |number: Option<String>| number.unwrap_or_default();
        times.add_row([
            (*workload).to_owned(),
            calls.n.to_string(),
            format!("{:.0}", calls.per_s),
            millis(calls.p50_us),
            millis(calls.p99_us),
            millis(calls.p999_us),
            some(raw.map(|raw| format!("{:.0}", raw.per_s))),
            some(raw.map(|raw| millis(raw.p50_us))),
            some(ratio_to_raw.map(|ratio| format!("{ratio:.2}"))),
            some(efficiency.map(|efficiency| format!("{efficiency:.3}"))),
        ]);
        let roles = [used.client, used.distributor, used.worker];
        let of = |form: fn(Usage) -> String| roles.map(|usage| some(usage.map(form)));
        let cells = [
            of(|usage| format!("{:.1}", usage.cpu_us)),
            of(|usage| format!("{:.0}", usage.peak_mib)),
            of(|usage| format!("{:.2}", usage.switches)),
        ];
        costs.add_row(std::iter::once((*workload).to_owned()).chain(cells.into_iter().flatten()));
    }
    let legend = "us: processor time of a call; MiB: peak memory; switches: of threads, for a call";
    format!("{times}\n{costs}\n{legend}")
}

fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(columns);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

pub(crate) fn millis(micros: u64) -> String {
    format!("{:.2} ms", micros as f64 / 1e3)
}
