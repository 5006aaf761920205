//! The state of the screen: pure, so that every key can be tested without a terminal.

use std::time::{Duration, Instant};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use simple_dist_distributor::view::Seconds;
use simple_dist_protocol::WorkerId;

use super::data::Data;
use super::table::{Row, Sort, Tone};
use super::tables::Table;
use crate::api::Error;

/// How much later than expected an update may be before the data is shown grey.
const LATE: Duration = Duration::from_secs(2);
/// How long a notice is shown.
const NOTICE: Duration = Duration::from_secs(8);
/// The most characters of the filter.
const FILTER: usize = 64;

/// An event for the screen.
#[derive(Debug)]
pub(crate) enum Event {
    /// A key was pressed.
    Key(KeyEvent),
    /// The distributor was asked for data.
    Fetched(Box<Result<Data, Error>>),
    /// An order was sent.
    Ordered(Order, Result<(), Error>),
    /// Time has passed, or the terminal was resized.
    Tick,
}

/// What to do after an event, besides drawing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    Nothing,
    Send(Order),
    Leave,
}

/// An order to a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) worker: WorkerId,
    /// Whether to drain (true) or to resume.
    pub(crate) drain: bool,
}

impl Order {
    /// The name that the API uses.
    pub(crate) fn word(self) -> &'static str {
        if self.drain { "drain" } else { "resume" }
    }
}

/// What keys do at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Watching,
    /// Letters go into the filter.
    Filtering,
    /// `y` confirms the order.
    Asking(Order),
    Help,
    /// Everything about the chosen row.
    Detail,
}

/// The user's view of one table.
#[derive(Debug, Clone)]
pub(crate) struct TableView {
    pub(crate) sort: Sort,
    /// The id of the chosen row, which stays chosen wherever it moves.
    pub(crate) chosen: Option<String>,
}

/// The screen's state.
#[derive(Debug)]
pub(crate) struct Top {
    /// The distributor's URL.
    pub(crate) base: String,
    pub(crate) data: Option<Data>,
    /// When the view shown was first seen.
    heard: Instant,
    /// Why the last request failed.
    pub(crate) trouble: Option<Error>,
    pub(crate) focus: Table,
    tables: [TableView; 3],
    pub(crate) filter: String,
    pub(crate) mode: Mode,
    pub(crate) paused: bool,
    notice: Option<(String, Tone, Instant)>,
    has_token: bool,
    interval: Duration,
}

/// How recent the data is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Age {
    /// There has never been any, for this long.
    Never(Seconds),
    /// Up to date.
    Live(Seconds),
    /// Paused by the user.
    Paused(Seconds),
    /// No update has come for too long.
    Stale(Seconds),
}

impl Top {
    pub(crate) fn new(base: &str, has_token: bool, interval: Duration, now: Instant) -> Self {
        Self {
            base: base.to_owned(),
            data: None,
            heard: now,
            trouble: None,
            focus: Table::Workers,
            tables: Table::ALL.map(|which| TableView { sort: which.sort(), chosen: None }),
            filter: String::new(),
            mode: Mode::Watching,
            paused: false,
            notice: None,
            has_token,
            interval,
        }
    }

    /// Applies an event.
    pub(crate) fn apply(&mut self, event: Event, now: Instant) -> Effect {
        match event {
            Event::Tick => {}
            Event::Fetched(fetched) => self.fetched(*fetched, now),
            Event::Ordered(order, Ok(())) => {
                let notice = format!("told {} to {}", order.worker.short(), order.word());
                self.notice = Some((notice, Tone::Good, now));
            }
            Event::Ordered(order, Err(error)) => {
                let notice = format!("could not {}: {}", order.word(), error.message());
                self.notice = Some((notice, Tone::Bad, now));
            }
            Event::Key(key) => return self.key(key, now),
        }
        Effect::Nothing
    }

    pub(crate) fn age(&self, now: Instant) -> Age {
        let age = now.saturating_duration_since(self.heard);
        let seconds = Seconds::from(age);
        match (&self.data, self.paused) {
            (None, _) => Age::Never(seconds),
            (Some(_), true) => Age::Paused(seconds),
            (Some(_), false) if age <= self.interval + LATE => Age::Live(seconds),
            (Some(_), false) => Age::Stale(seconds),
        }
    }

    /// The last notice, while it is recent.
    pub(crate) fn notice(&self, now: Instant) -> Option<(&str, Tone)> {
        let (text, tone, at) = self.notice.as_ref()?;
        (now.saturating_duration_since(*at) < NOTICE).then_some((text, *tone))
    }

    pub(crate) fn lens(&self, which: Table) -> &TableView {
        &self.tables[which as usize]
    }

    /// A table's rows that match the filter, in order.
    pub(crate) fn rows(&self, which: Table) -> Vec<Row> {
        let Some(data) = &self.data else { return Vec::new() };
        let mut rows = which.rows(data);
        let filter = self.filter.to_lowercase();
        rows.retain(|row| filter.is_empty() || row.matches(&filter));
        self.lens(which).sort.apply(&mut rows);
        rows
    }

    /// The index of a table's chosen row.
    pub(crate) fn chosen(&self, which: Table, rows: &[Row]) -> Option<usize> {
        let chosen = self.lens(which).chosen.as_ref()?;
        rows.iter().position(|row| row.id == *chosen)
    }

    fn fetched(&mut self, fetched: Result<Data, Error>, now: Instant) {
        match fetched {
            Err(error) => self.trouble = Some(error),
            Ok(data) => {
                self.trouble = None;
                if self.paused && self.data.is_some() {
                    return;
                }
                let view = |data: &Data| (data.status.distributor.id, data.status.sequence);
                // The same view again is no younger.
                if self.data.as_ref().map(view) != Some(view(&data)) {
                    self.heard = now;
                }
                self.data = Some(data);
            }
        }
    }

    fn key(&mut self, key: KeyEvent, now: Instant) -> Effect {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && matches!(key.code, KeyCode::Char('c' | 'd')) {
            return Effect::Leave;
        }
        match self.mode {
            Mode::Watching => self.watching(key.code, now),
            Mode::Filtering => self.filtering(key.code),
            Mode::Asking(order) => {
                self.mode = Mode::Watching;
                let agreed = matches!(key.code, KeyCode::Char('y' | 'Y'));
                if agreed { Effect::Send(order) } else { Effect::Nothing }
            }
            Mode::Help => {
                self.mode = Mode::Watching;
                Effect::Nothing
            }
            Mode::Detail => self.detail(key.code, now),
        }
    }

    fn watching(&mut self, code: KeyCode, now: Instant) -> Effect {
        match code {
            KeyCode::Char('q') => return Effect::Leave,
            KeyCode::Esc if self.filter.is_empty() => return Effect::Leave,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Tab | KeyCode::Right => self.turn(1),
            KeyCode::BackTab | KeyCode::Left => self.turn(2),
            KeyCode::Char('s' | '>') => self.sort_by(1),
            KeyCode::Char('<') => self.sort_by(self.focus.columns().len() - 1),
            KeyCode::Char('r') => {
                let sort = &mut self.tables[self.focus as usize].sort;
                sort.down = !sort.down;
            }
            KeyCode::Char('/') => self.mode = Mode::Filtering,
            KeyCode::Char('?' | 'h') => self.mode = Mode::Help,
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Char('d') => self.ask(true, now),
            KeyCode::Char('u') => self.ask(false, now),
            KeyCode::Enter if self.lens(self.focus).chosen.is_none() => self.step(0, true),
            KeyCode::Enter => self.mode = Mode::Detail,
            code => self.walk(code),
        }
        Effect::Nothing
    }

    fn walk(&mut self, code: KeyCode) {
        match code {
            KeyCode::Down | KeyCode::Char('j') => self.step(1, true),
            KeyCode::Up | KeyCode::Char('k') => self.step(1, false),
            KeyCode::PageDown => self.step(10, true),
            KeyCode::PageUp => self.step(10, false),
            KeyCode::Home | KeyCode::Char('g') => self.step(usize::MAX, false),
            KeyCode::End | KeyCode::Char('G') => self.step(usize::MAX, true),
            _ => {}
        }
    }

    fn filtering(&mut self, code: KeyCode) -> Effect {
        match code {
            KeyCode::Enter => self.mode = Mode::Watching,
            KeyCode::Esc => {
                self.filter.clear();
                self.mode = Mode::Watching;
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(letter) if self.filter.len() < FILTER => self.filter.push(letter),
            _ => {}
        }
        Effect::Nothing
    }

    fn detail(&mut self, code: KeyCode, now: Instant) -> Effect {
        match code {
            KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q') => self.mode = Mode::Watching,
            KeyCode::Char('d') => self.ask(true, now),
            KeyCode::Char('u') => self.ask(false, now),
            code => self.walk(code),
        }
        Effect::Nothing
    }

    fn turn(&mut self, by: usize) {
        self.focus = Table::ALL[(self.focus as usize + by) % Table::ALL.len()];
    }

    fn sort_by(&mut self, by: usize) {
        let count = self.focus.columns().len();
        let sort = &mut self.tables[self.focus as usize].sort;
        sort.column = (sort.column + by) % count;
    }

    /// Moves the choice by this many rows; chooses the first if there was none.
    fn step(&mut self, by: usize, down: bool) {
        let rows = self.rows(self.focus);
        let last = rows.len().saturating_sub(1);
        let place = match self.chosen(self.focus, &rows) {
            None if by == usize::MAX && down => last,
            None => 0,
            Some(place) if down => place.saturating_add(by).min(last),
            Some(place) => place.saturating_sub(by),
        };
        self.tables[self.focus as usize].chosen = rows.get(place).map(|row| row.id.clone());
    }

    fn ask(&mut self, drain: bool, now: Instant) {
        let chosen = self.lens(Table::Workers).chosen.as_ref();
        let worker = chosen.and_then(|id| id.parse().ok());
        let hint = match worker {
            _ if self.focus != Table::Workers => "drain and resume apply to workers: press tab",
            None => "choose a worker first: press the down key",
            Some(_) if !self.has_token => "start with SIMPLE_DIST_TOKEN set to drain and resume",
            Some(worker) => {
                self.mode = Mode::Asking(Order { worker, drain });
                return;
            }
        };
        self.notice = Some((hint.to_owned(), Tone::Look, now));
    }
}

#[cfg(test)]
mod tests;
