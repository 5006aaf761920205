//! A part of the history, as page and API show it: equal steps for a picture, longer ones for a table.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use simple_dist_protocol::message::{Minute, Moment};
use utoipa::ToSchema;

use super::History;
use crate::view::Seconds;

/// What is asked for: how long, and the end in seconds of Unix time, or now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) span: Span,
    pub(crate) to: Option<u64>,
}

/// How long a part of the history is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) enum Span {
    /// Ten minutes.
    #[serde(rename = "10m")]
    Minutes,
    /// An hour.
    #[serde(rename = "hour")]
    Hour,
    /// A day.
    #[default]
    #[serde(rename = "day")]
    Day,
    /// A week.
    #[serde(rename = "week")]
    Week,
}

impl Span {
    pub(crate) const ALL: [Self; 4] = [Self::Minutes, Self::Hour, Self::Day, Self::Week];

    /// Its length, a step of the picture, and one of the table: in seconds.
    pub(crate) fn lengths(self) -> (u64, u64, u64) {
        match self {
            Self::Minutes => (600, 5, 60),
            Self::Hour => (3600, 20, 300),
            Self::Day => (24 * 3600, 480, 3600),
            Self::Week => (7 * 24 * 3600, 3600, 24 * 3600),
        }
    }

    /// As it is in an address.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Minutes => "10m",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
        }
    }

    /// The next shorter one.
    pub(crate) fn within(self) -> Option<Self> {
        match self {
            Self::Minutes => None,
            Self::Hour => Some(Self::Minutes),
            Self::Day => Some(Self::Hour),
            Self::Week => Some(Self::Day),
        }
    }
}

/// A part of the history.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct Range {
    /// When it begins, in seconds of Unix time.
    pub(crate) from: u64,
    /// When it ends.
    pub(crate) to: u64,
    /// The length of a step, in seconds.
    pub(crate) step: u64,
    /// One for each step; null where nothing is known.
    pub(crate) points: Vec<Option<Point>>,
    /// When a new term began.
    pub(crate) terms: Vec<u64>,
    /// The same in longer steps, the newest first; of minutes that have ended.
    pub(crate) rows: Vec<Row>,
}

/// What a step was like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct Point {
    /// Jobs that ended with a value, per second.
    pub(crate) done: f64,
    /// Jobs that failed or ran out of time, per second.
    pub(crate) failed: f64,
    /// The most jobs that waited.
    pub(crate) queued: u32,
    /// Slots that ran a job, on average.
    pub(crate) busy: f64,
    /// The most slots of live workers.
    pub(crate) slots: u32,
    /// The longest 95th percentile of the wait.
    pub(crate) wait_p95: Option<Seconds>,
    /// The longest 95th percentile of the run times.
    pub(crate) run_p95: Option<Seconds>,
}

/// What a longer step was like.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct Row {
    /// When it began, in seconds of Unix time.
    pub(crate) from: u64,
    /// Jobs that ended with a value.
    pub(crate) done: u64,
    /// Jobs that failed or ran out of time.
    pub(crate) failed: u64,
    /// The longest 95th percentile of the wait, of one minute.
    pub(crate) wait_p95: Option<Seconds>,
    /// The longest 95th percentile of the run times, of one minute.
    pub(crate) run_p95: Option<Seconds>,
    /// The function with the longest waits and runs in one minute.
    pub(crate) slowest: Option<Slowest>,
    /// The function that failed most, of those known to fail.
    pub(crate) failing: Option<Failing>,
}

/// The slowest function.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Slowest {
    /// Its name.
    #[schema(value_type = String)]
    pub(crate) function: Arc<str>,
    /// The 95th percentile of its wait.
    pub(crate) wait_p95: Option<Seconds>,
    /// The 95th percentile of its run times.
    pub(crate) run_p95: Option<Seconds>,
}

/// The function that failed most.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Failing {
    /// Its name.
    #[schema(value_type = String)]
    pub(crate) function: Arc<str>,
    /// How often.
    pub(crate) failed: u64,
}

/// What lies in a step: sums, and how many seconds are known of it.
#[derive(Debug, Clone, Copy, Default)]
struct Bin {
    seconds: u64,
    done: u64,
    failed: u64,
    queued: u32,
    busy: u64,
    slots: u32,
    wait_us: u32,
    run_us: u32,
}

impl Bin {
    fn add(&mut self, moment: &Moment, seconds: u64) {
        self.seconds += seconds;
        self.done += u64::from(moment.done);
        self.failed += u64::from(moment.failed);
        self.queued = self.queued.max(moment.queued);
        self.busy += u64::from(moment.busy) * seconds;
        self.slots = self.slots.max(moment.slots);
        self.wait_us = self.wait_us.max(moment.wait_us);
    }

    fn point(&self) -> Option<Point> {
        let per_second = |number: u64| number as f64 / self.seconds as f64;
        (self.seconds > 0).then(|| Point {
            done: per_second(self.done),
            failed: per_second(self.failed),
            queued: self.queued,
            busy: per_second(self.busy),
            slots: self.slots,
            wait_p95: span(self.wait_us),
            run_p95: span(self.run_us),
        })
    }
}

impl History {
    /// The part that is asked for, at this Unix time in seconds.
    pub(crate) fn range(&self, asked: Asked, now: u64) -> Range {
        let (length, step, row) = asked.span.lengths();
        // A step begins at a multiple of its length, so that pictures of the present do not jitter.
        let to = asked.to.unwrap_or(now).min(now).next_multiple_of(step.max(60));
        let from = to.saturating_sub(length);
        let is_kept = self.seconds.front().is_some_and(|first| first.unix <= from);
        let is_young = self.minutes.front().is_none_or(|first| first.all.unix >= from);
        let by_second = step < 60 && (is_kept || is_young);
        let step = if by_second { step } else { step.max(60) };
        let mut bins = vec![Bin::default(); usize::try_from((to - from) / step).unwrap_or(0)];
        let place = |unix: u64| usize::try_from(unix.checked_sub(from)? / step).ok();
        if by_second {
            for second in &self.seconds {
                place(second.unix)
                    .and_then(|at| bins.get_mut(at))
                    .into_iter()
                    .for_each(|bin| bin.add(second, 1));
            }
        }
        for minute in &self.minutes {
            // By second a minute has several steps, and knows only the run times in them.
            for part in 0..60_u64.div_ceil(step) {
                let at = place(minute.all.unix + part * step);
                let Some(bin) = at.and_then(|at| bins.get_mut(at)) else { continue };
                bin.run_us = bin.run_us.max(minute.run_us);
                if !by_second {
                    bin.add(&minute.all, 60);
                }
            }
        }
        let terms = self.terms.iter().skip(1).map(|(unix, _)| *unix);
        Range {
            from,
            to,
            step,
            points: bins.iter().map(Bin::point).collect(),
            terms: terms.filter(|unix| (from..to).contains(unix)).collect(),
            rows: self.rows(from, to, row),
        }
    }

    fn rows(&self, from: u64, to: u64, length: u64) -> Vec<Row> {
        // The first would be named as the last, if it were there in part.
        let from = from.next_multiple_of(length);
        let mut rows: BTreeMap<u64, Vec<&Minute>> = BTreeMap::new();
        for minute in self.minutes.iter().filter(|it| (from..to).contains(&it.all.unix)) {
            rows.entry(minute.all.unix / length * length).or_default().push(minute);
        }
        rows.into_iter().rev().map(|(from, minutes)| row(from, &minutes)).collect()
    }
}

fn row(from: u64, minutes: &[&Minute]) -> Row {
    let sum = |number: fn(&Moment) -> u32| -> u64 {
        minutes.iter().map(|minute| u64::from(number(&minute.all))).sum()
    };
    let most = |number: fn(&Minute) -> u32| minutes.iter().map(|it| number(it)).max().unwrap_or(0);
    let functions = || minutes.iter().flat_map(|minute| &minute.functions);
    let slowest = functions().max_by_key(|of| u64::from(of.wait_us) + u64::from(of.run_us));
    let mut failed: BTreeMap<&Arc<str>, u64> = BTreeMap::new();
    for of in functions().filter(|of| of.failed > 0) {
        *failed.entry(&of.function).or_default() += u64::from(of.failed);
    }
    let failing = failed.into_iter().max_by_key(|(_, failed)| *failed);
    Row {
        from,
        done: sum(|it| it.done),
        failed: sum(|it| it.failed),
        wait_p95: span(most(|it| it.all.wait_us)),
        run_p95: span(most(|it| it.run_us)),
        slowest: slowest.map(|of| Slowest {
            function: Arc::clone(&of.function),
            wait_p95: span(of.wait_us),
            run_p95: span(of.run_us),
        }),
        failing: failing
            .map(|(function, failed)| Failing { function: Arc::clone(function), failed }),
    }
}

fn span(micros: u32) -> Option<Seconds> {
    (micros > 0).then(|| Seconds(f64::from(micros) / 1e6))
}
