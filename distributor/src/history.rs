//! The hours before: each second of the last hour and each minute of the last week. On standby it is
//! what the active distributor says of them. It takes at most about 4 MB, and is kept over a restart
//! if there is a file for it.
//!
//! ```text
//!  own views ---------------\
//!  presence of the active ---+--> seconds --sums--> minutes <--> [file]
//!                                     \----------------\--> [range]: page and API
//! ```

mod file;
mod range;
#[cfg(test)]
pub(crate) mod sample;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use simple_dist_protocol::Term;
use simple_dist_protocol::message::{Minute, MinuteOf, Moment, Past};

use crate::view::{self, Sample, Seconds, View};

pub(crate) use file::{HistoryFile, read};
pub(crate) use range::{Asked, Point, Range, Row, Span};

/// How many seconds are kept, and how many minutes.
const KEPT: (usize, usize) = (3600, 7 * 24 * 60);
/// The most changes of the term that are kept.
const TERMS: usize = 1000;
/// The most functions of one minute, and the most characters of a name.
const FUNCTIONS: (usize, usize) = (4, 80);
/// How many seconds each second and minute is told to those on standby: a message that is lost or late
/// leaves no gap.
const TOLD: usize = 3;
/// The most seconds that a clock may be ahead: what is said of the future is not believed.
const AHEAD: u64 = 60;

/// See the module.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct History {
    seconds: VecDeque<Moment>,
    minutes: VecDeque<Minute>,
    /// When each term was first heard of.
    terms: VecDeque<(u64, Term)>,
    /// The present minute, and the seconds in it.
    #[serde(skip)]
    sum: (Moment, u32),
    /// What ended in the last minute, until its sums are known.
    #[serde(skip)]
    ended: Option<Minute>,
}

impl History {
    /// Adds what this distributor, which is active, has seen since the last time.
    pub(crate) fn see(&mut self, view: &View, term: Term) {
        if let Some(minute) = &view.minute
            && self.ended.as_ref().is_none_or(|last| last.all.unix < minute.unix)
        {
            self.ended = Some(minute_of(minute));
        }
        // A view may be late; but what was before this term is not its own to tell.
        let goes_on = self.terms.back().is_some_and(|(_, last)| *last == term);
        let many = if goes_on { TOLD } else { 1 };
        for second in &view.series[view.series.len().saturating_sub(many)..] {
            self.add(term, moment(second));
        }
    }

    /// Adds what the active distributor says, at this Unix time.
    pub(crate) fn hear(&mut self, past: Past, term: Term, unix_now: Duration) {
        let ahead = unix_now.as_secs() + AHEAD;
        for second in past.seconds.into_iter().filter(|second| second.unix <= ahead).take(TOLD) {
            self.add(term, second);
        }
        if let Some(minute) = past.minute.filter(|minute| minute.all.unix <= ahead) {
            self.complete(minute);
        }
    }

    /// What to tell those on standby at this Unix time.
    pub(crate) fn past(&self, unix_now: Duration) -> Option<Past> {
        self.seconds.back()?;
        let seconds =
            self.seconds.range(self.seconds.len().saturating_sub(TOLD)..).copied().collect();
        let is_new = |minute: &&Minute| minute.all.unix + 60 + TOLD as u64 > unix_now.as_secs();
        Some(Past { seconds, minute: self.minutes.back().filter(is_new).cloned() })
    }

    fn add(&mut self, term: Term, second: Moment) {
        if self.seconds.back().is_some_and(|last| last.unix >= second.unix) {
            return;
        }
        if self.terms.back().is_none_or(|(_, last)| *last != term) {
            push(&mut self.terms, (second.unix, term), TERMS);
        }
        push(&mut self.seconds, second, KEPT.0);
        let (sum, many) = &mut self.sum;
        if sum.unix / 60 != second.unix / 60 && *many > 0 {
            let all = Moment { unix: sum.unix / 60 * 60, busy: sum.busy.div_ceil(*many), ..*sum };
            self.sum = (second, 1);
            let ended = self.ended.take_if(|ended| ended.all.unix == all.unix);
            self.complete(match ended {
                Some(ended) => {
                    Minute { all: Moment { wait_us: ended.all.wait_us, ..all }, ..ended }
                }
                None => Minute { all, run_us: 0, functions: vec![] },
            });
        } else {
            *sum = if *many == 0 { second } else { plus(*sum, second) };
            *many += 1;
        }
    }

    /// Adds a minute, or what else is known of one.
    fn complete(&mut self, mut minute: Minute) {
        minute.functions.truncate(FUNCTIONS.0);
        minute.functions.retain(|of| of.function.len() <= FUNCTIONS.1);
        self.share_names(&mut minute);
        match self.minutes.back_mut() {
            Some(last) if last.all.unix > minute.all.unix => {}
            Some(last) if last.all.unix == minute.all.unix => {
                if !minute.functions.is_empty() || last.functions.is_empty() {
                    *last = minute;
                }
            }
            _ => push(&mut self.minutes, minute, KEPT.1),
        }
    }

    /// Names are the same as those of the minute before, nearly always: each is kept once.
    fn share_names(&self, minute: &mut Minute) {
        for of in &mut minute.functions {
            let mut known = self.minutes.iter().rev().take(60).flat_map(|minute| &minute.functions);
            if let Some(known) = known.find(|known| known.function == of.function) {
                of.function = Arc::clone(&known.function);
            }
        }
    }

    /// All of it, where it may have come from anywhere: in order, within the bounds, and nothing of
    /// the future.
    fn sane(mut self, unix_now: Duration) -> Self {
        let ahead = unix_now.as_secs() + AHEAD;
        let mut names: BTreeSet<Arc<str>> = BTreeSet::new();
        for of in self.minutes.iter_mut().flat_map(|minute| &mut minute.functions) {
            match names.get(&of.function) {
                Some(known) => of.function = Arc::clone(known),
                None => {
                    names.insert(Arc::clone(&of.function));
                }
            }
        }
        for minute in &mut self.minutes {
            minute.functions.truncate(FUNCTIONS.0);
            minute.functions.retain(|of| of.function.len() <= FUNCTIONS.1);
        }
        let (mut second, mut minute) = (0, 0);
        let rises = |last: &mut u64, unix: u64| {
            let fits = *last < unix && unix <= ahead;
            *last = if fits { unix } else { *last };
            fits
        };
        self.seconds.retain(|one| rises(&mut second, one.unix));
        self.minutes.retain(|one| rises(&mut minute, one.all.unix));
        self.terms.retain(|(unix, _)| *unix <= ahead);
        last(&mut self.seconds, KEPT.0);
        last(&mut self.minutes, KEPT.1);
        last(&mut self.terms, TERMS);
        self
    }
}

fn push<T>(into: &mut VecDeque<T>, one: T, most: usize) {
    into.push_back(one);
    last(into, most);
}

fn last<T>(of: &mut VecDeque<T>, most: usize) {
    let over = of.len().saturating_sub(most);
    of.drain(..over);
}

/// Two seconds, or more, as one; slots that ran are added up, to be averaged.
fn plus(sum: Moment, more: Moment) -> Moment {
    Moment {
        unix: sum.unix,
        accepted: sum.accepted.saturating_add(more.accepted),
        done: sum.done.saturating_add(more.done),
        failed: sum.failed.saturating_add(more.failed),
        cancelled: sum.cancelled.saturating_add(more.cancelled),
        local: sum.local.saturating_add(more.local),
        queued: sum.queued.max(more.queued),
        busy: sum.busy.saturating_add(more.busy),
        slots: sum.slots.max(more.slots),
        wait_us: sum.wait_us.max(more.wait_us),
    }
}

fn moment(sample: &Sample) -> Moment {
    let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Moment {
        unix: sample.unix,
        accepted: number(sample.accepted),
        done: number(sample.done),
        failed: number(sample.failed.saturating_add(sample.timed_out)),
        cancelled: number(sample.cancelled),
        local: number(sample.local),
        queued: number(sample.queued),
        busy: sample.busy,
        slots: sample.slots,
        wait_us: micros(sample.wait_p95),
    }
}

fn minute_of(minute: &view::Minute) -> Minute {
    let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let of = |of: &view::MinuteOf| MinuteOf {
        function: Arc::clone(&of.function),
        ended: number(of.ended),
        failed: number(of.failed),
        wait_us: micros(of.wait_p95),
        run_us: micros(of.run_p95),
    };
    Minute {
        all: Moment { unix: minute.unix, wait_us: micros(minute.wait_p95), ..Moment::default() },
        run_us: micros(minute.run_p95),
        functions: minute.functions.iter().take(FUNCTIONS.0).map(of).collect(),
    }
}

/// In microseconds: at least one if there is a figure, at most 71 minutes.
fn micros(span: Option<Seconds>) -> u32 {
    span.map_or(0, |span| ((span.0 * 1e6) as u32).max(1))
}

#[cfg(test)]
mod tests;
