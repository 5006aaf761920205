//! A row of the report.

use std::time::{Duration, Instant};

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use hdrhistogram::Histogram;
use serde::Serialize;

/// One workload's result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Figure {
    /// What was run.
    pub(crate) workload: &'static str,
    /// How many calls.
    pub(crate) n: usize,
    /// Calls a second.
    pub(crate) calls_per_s: f64,
    /// The median time of a call, in microseconds.
    pub(crate) p50_us: u64,
    /// The time that one call in a hundred exceeds, in microseconds.
    pub(crate) p99_us: u64,
    /// Against the raw round trip of the same run: times its median for calls one at a time,
    /// times its throughput for many outstanding; none for the raw rows.
    pub(crate) ratio_to_raw: Option<f64>,
}

/// What one side measured.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) lone: Sample,
    pub(crate) many: Sample,
}

/// The times of one workload.
#[derive(Debug)]
pub(crate) struct Sample {
    times: Histogram<u64>,
    whole: Duration,
}

impl Sample {
    pub(crate) fn new(times: Histogram<u64>, whole: Duration) -> Self {
        Self { times, whole }
    }

    fn figure(&self, workload: &'static str, ratio_to_raw: Option<f64>) -> Figure {
        let n = usize::try_from(self.times.len()).unwrap_or(usize::MAX);
        Figure {
            workload,
            n,
            calls_per_s: self.rate(),
            p50_us: self.times.value_at_quantile(0.5),
            p99_us: self.times.value_at_quantile(0.99),
            ratio_to_raw,
        }
    }

    fn rate(&self) -> f64 {
        self.times.len() as f64 / self.whole.as_secs_f64()
    }

    fn median(&self) -> f64 {
        self.times.value_at_quantile(0.5) as f64
    }
}

/// A histogram of microseconds, up to a minute, to three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are in order")
}

pub(crate) fn micros(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The rows of both sides.
pub(crate) fn beside(raw: Measured, calls: Measured) -> Vec<Figure> {
    let lone = calls.lone.median() / raw.lone.median();
    let many = calls.many.rate() / raw.many.rate();
    vec![
        raw.lone.figure("raw round trip, one at a time", None),
        calls.lone.figure("echo 100 B, one at a time", Some(lone)),
        raw.many.figure("raw round trip, 10,000 outstanding", None),
        calls.many.figure("echo 100 B, 10,000 outstanding", Some(many)),
    ]
}

/// The rows as a table for people.
pub(crate) fn table(figures: &[Figure]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["workload", "n", "calls/s", "p50", "p99", "ratio to raw"]);
    for figure in figures {
        table.add_row([
            figure.workload.to_owned(),
            figure.n.to_string(),
            format!("{:.0}", figure.calls_per_s),
            millis(figure.p50_us),
            millis(figure.p99_us),
            figure.ratio_to_raw.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

pub(crate) fn millis(micros: u64) -> String {
    format!("{:.2} ms", micros as f64 / 1e3)
}
