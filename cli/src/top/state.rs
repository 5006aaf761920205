//! What is looked at and how: pure, so that every key can be tried without a terminal.

use std::time::{Duration, Instant};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use simple_dist_distributor::view::Seconds;
use simple_dist_protocol::WorkerId;

use super::data::Data;
use super::table::{Row, Sort, Tone};
use super::tables::Which;
use crate::api::Error;

/// How much later than expected news may be before what is shown is grey.
const LATE: Duration = Duration::from_secs(2);
/// How long a notice stays.
const NOTICE: Duration = Duration::from_secs(8);
/// The longest filter.
const FILTER: usize = 64;

/// Something that happens to the screen.
#[derive(Debug)]
pub(crate) enum Event {
    /// A person pressed a key.
    Key(KeyEvent),
    /// The distributor was asked.
    Looked(Box<Result<Data, Error>>),
    /// It was told to do something.
    Ordered(Order, Result<(), Error>),
    /// Time has passed, or the terminal has another size.
    Tick,
}

/// What is to be done about it, besides drawing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    Nothing,
    Tell(Order),
    Leave,
}

/// What a worker is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) worker: WorkerId,
    /// To finish what it holds and take no more; otherwise to take jobs again.
    pub(crate) drain: bool,
}

impl Order {
    /// Its name, as in the API.
    pub(crate) fn word(self) -> &'static str {
        if self.drain { "drain" } else { "resume" }
    }
}

/// What the keys mean now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Watching,
    /// Letters go into the filter.
    Filtering,
    /// `y` sends the order.
    Asking(Order),
    Help,
    /// Everything about the chosen row.
    Detail,
}

/// How one table is looked at.
#[derive(Debug, Clone)]
pub(crate) struct Lens {
    pub(crate) sort: Sort,
    /// The id of the chosen row: it stays chosen wherever it moves.
    pub(crate) chosen: Option<String>,
}

/// The screen's state.
#[derive(Debug)]
pub(crate) struct Top {
    /// Where the distributor is.
    pub(crate) base: String,
    pub(crate) data: Option<Data>,
    /// When the view shown was first seen.
    heard: Instant,
    /// Why the last question had no answer.
    pub(crate) trouble: Option<Error>,
    pub(crate) focus: Which,
    lenses: [Lens; 3],
    pub(crate) filter: String,
    pub(crate) mode: Mode,
    pub(crate) paused: bool,
    notice: Option<(String, Tone, Instant)>,
    has_token: bool,
    interval: Duration,
}

/// How true what is shown still is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Age {
    /// Nothing was ever heard, for so long.
    Never(Seconds),
    /// As new as it should be.
    Live(Seconds),
    /// A person stopped it.
    Paused(Seconds),
    /// No newer view has come.
    Stale(Seconds),
}

impl Top {
    pub(crate) fn new(base: &str, has_token: bool, interval: Duration, now: Instant) -> Self {
        Self {
            base: base.to_owned(),
            data: None,
            heard: now,
            trouble: None,
            focus: Which::Workers,
            lenses: Which::ALL.map(|which| Lens { sort: which.sort(), chosen: None }),
            filter: String::new(),
            mode: Mode::Watching,
            paused: false,
            notice: None,
            has_token,
            interval,
        }
    }

    /// Takes in what happened.
    pub(crate) fn apply(&mut self, event: Event, now: Instant) -> Effect {
        match event {
            Event::Tick => {}
            Event::Looked(looked) => self.looked(*looked, now),
            Event::Ordered(order, Ok(())) => {
                let notice = format!("{} was told to {}", order.worker.short(), order.word());
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

    /// The last notice, while it is new.
    pub(crate) fn notice(&self, now: Instant) -> Option<(&str, Tone)> {
        let (text, tone, at) = self.notice.as_ref()?;
        (now.saturating_duration_since(*at) < NOTICE).then_some((text, *tone))
    }

    pub(crate) fn lens(&self, which: Which) -> &Lens {
        &self.lenses[which as usize]
    }

    /// A table's rows: those that match the filter, in order.
    pub(crate) fn rows(&self, which: Which) -> Vec<Row> {
        let Some(data) = &self.data else { return Vec::new() };
        let mut rows = which.rows(data);
        let filter = self.filter.to_lowercase();
        rows.retain(|row| filter.is_empty() || row.matches(&filter));
        self.lens(which).sort.apply(&mut rows);
        rows
    }

    /// The place of a table's chosen row.
    pub(crate) fn chosen(&self, which: Which, rows: &[Row]) -> Option<usize> {
        let chosen = self.lens(which).chosen.as_ref()?;
        rows.iter().position(|row| row.id == *chosen)
    }

    fn looked(&mut self, looked: Result<Data, Error>, now: Instant) {
        match looked {
            Err(error) => self.trouble = Some(error),
            Ok(data) => {
                self.trouble = None;
                if self.paused && self.data.is_some() {
                    return;
                }
                let view = |data: &Data| (data.status.distributor.id, data.status.sequence);
                // The same view again is as old as it was.
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
                if agreed { Effect::Tell(order) } else { Effect::Nothing }
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
                let sort = &mut self.lenses[self.focus as usize].sort;
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
        self.focus = Which::ALL[(self.focus as usize + by) % Which::ALL.len()];
    }

    fn sort_by(&mut self, by: usize) {
        let count = self.focus.columns().len();
        let sort = &mut self.lenses[self.focus as usize].sort;
        sort.column = (sort.column + by) % count;
    }

    /// Chooses a row so many further on; the first one if none was chosen.
    fn step(&mut self, by: usize, down: bool) {
        let rows = self.rows(self.focus);
        let last = rows.len().saturating_sub(1);
        let place = match self.chosen(self.focus, &rows) {
            None if by == usize::MAX && down => last,
            None => 0,
            Some(place) if down => place.saturating_add(by).min(last),
            Some(place) => place.saturating_sub(by),
        };
        self.lenses[self.focus as usize].chosen = rows.get(place).map(|row| row.id.clone());
    }

    fn ask(&mut self, drain: bool, now: Instant) {
        let chosen = self.lens(Which::Workers).chosen.as_ref();
        let worker = chosen.and_then(|id| id.parse().ok());
        let hint = match worker {
            _ if self.focus != Which::Workers => "drain and resume are for workers: press tab",
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
mod tests {
    use super::super::sample::{data, worker_id};
    use super::*;

    /// A screen that has seen one view, one second after it began.
    struct Story {
        top: Top,
        now: Instant,
    }

    impl Story {
        #[expect(clippy::disallowed_methods, reason = "any instant will do to count from")]
        fn begun() -> Self {
            let now = Instant::now();
            let top = Top::new("http://127.0.0.1:8080", true, Duration::from_secs(1), now);
            let mut story = Self { top, now };
            story.later(1000).hears(1);
            story
        }

        fn later(&mut self, millis: u64) -> &mut Self {
            self.now += Duration::from_millis(millis);
            self
        }

        fn hears(&mut self, sequence: u64) -> &mut Self {
            let looked = Box::new(Ok(data(sequence)));
            self.top.apply(Event::Looked(looked), self.now);
            self
        }

        fn hears_nothing(&mut self) -> &mut Self {
            let error = Error::Unreachable("no answer".to_owned());
            self.top.apply(Event::Looked(Box::new(Err(error))), self.now);
            self
        }

        /// Types, and gives the effect of the last key.
        fn types(&mut self, keys: &str) -> Effect {
            keys.chars().map(|letter| self.presses(KeyCode::Char(letter))).last().unwrap()
        }

        fn presses(&mut self, code: KeyCode) -> Effect {
            self.top.apply(Event::Key(KeyEvent::from(code)), self.now)
        }

        fn first_cells(&self) -> Vec<String> {
            let rows = self.top.rows(self.top.focus);
            rows.iter().map(|row| row.cells[0].parts[0][0].text.clone()).collect()
        }

        fn ids(&self) -> Vec<String> {
            self.top.rows(self.top.focus).into_iter().map(|row| row.id).collect()
        }
    }

    #[test]
    fn the_same_view_again_is_as_old_as_it_was() {
        let mut story = Story::begun();
        story.later(900).hears(1);
        assert_eq!(story.top.age(story.now), Age::Live(Seconds(0.9)));
        story.later(2200).hears(1);
        assert_eq!(story.top.age(story.now), Age::Stale(Seconds(3.1)));
        story.hears(2);
        assert_eq!(story.top.age(story.now), Age::Live(Seconds(0.0)));
    }

    #[test]
    fn an_unreachable_distributor_leaves_what_it_said_last_with_its_age() {
        let mut story = Story::begun();
        story.later(5000).hears_nothing();
        assert_eq!(story.top.age(story.now), Age::Stale(Seconds(5.0)));
        assert_eq!(story.top.rows(Which::Workers).len(), 5);
        assert!(matches!(story.top.trouble, Some(Error::Unreachable(_))));
        story.hears(2);
        assert_eq!(story.top.trouble, None);
    }

    #[test]
    fn the_past_stands_after_the_living_and_the_order_turns() {
        let mut story = Story::begun();
        let names = ["w-81c20001", "w-81c20002", "w-81c20003", "w-81c20005", "w-81c20004"];
        assert_eq!(story.first_cells(), names);
        story.types("r");
        assert_eq!(story.first_cells()[0], "w-81c20004");
    }

    #[test]
    fn a_table_is_ordered_by_the_column_that_was_asked_for() {
        let mut story = Story::begun();
        story.presses(KeyCode::Tab);
        story.types(">>r");
        assert_eq!(story.ids()[0], "fib@1");
        assert_eq!(story.ids()[1], "primes@1");
        story.types("<<r");
        assert_eq!(story.ids()[0], "fib@1");
        assert_eq!(story.ids()[1], "mandelbrot@1");
        assert_eq!(story.top.lens(Which::Functions).sort.column, 0);
    }

    #[test]
    fn a_chosen_row_stays_chosen_where_it_moves() {
        let mut story = Story::begun();
        story.types("jj");
        let chosen = story.top.lens(Which::Workers).chosen.clone();
        assert_eq!(chosen, Some(worker_id(2).to_string()));
        story.types("r");
        story.hears(2);
        assert_eq!(story.top.lens(Which::Workers).chosen, chosen);
        story.presses(KeyCode::End);
        assert_eq!(story.top.lens(Which::Workers).chosen, Some(worker_id(1).to_string()));
        story.presses(KeyCode::PageUp);
        assert_eq!(story.top.lens(Which::Workers).chosen, Some(worker_id(4).to_string()));
    }

    #[test]
    fn a_filter_hides_what_does_not_have_its_text_and_esc_drops_it() {
        let mut story = Story::begun();
        story.types("/SLEEPq");
        assert_eq!(story.ids(), Vec::<String>::new());
        story.presses(KeyCode::Backspace);
        assert_eq!(story.ids(), [worker_id(2).to_string()]);
        assert_eq!(story.presses(KeyCode::Enter), Effect::Nothing);
        assert_eq!(story.presses(KeyCode::Esc), Effect::Nothing);
        assert_eq!(story.ids().len(), 5);
        assert_eq!(story.presses(KeyCode::Esc), Effect::Leave);
    }

    #[test]
    fn a_worker_is_drained_only_after_a_yes() {
        let mut story = Story::begun();
        assert_eq!(story.types("d"), Effect::Nothing);
        assert_eq!(story.top.mode, Mode::Watching, "no worker is chosen");
        story.types("jd");
        assert_eq!(story.types("n"), Effect::Nothing);
        story.types("d");
        let order = Order { worker: worker_id(1), drain: true };
        assert_eq!(story.types("y"), Effect::Tell(order));
        story.types("u");
        assert_eq!(story.types("y"), Effect::Tell(Order { drain: false, ..order }));
        assert_eq!(story.top.mode, Mode::Watching);
    }

    #[test]
    fn without_a_token_nothing_is_asked() {
        let mut story = Story::begun();
        story.top.has_token = false;
        story.types("jd");
        assert_eq!(story.top.mode, Mode::Watching);
        assert!(story.top.notice(story.now).is_some());
        story.later(9000);
        assert_eq!(story.top.notice(story.now), None);
    }

    #[test]
    fn paused_nothing_changes_but_the_age() {
        let mut story = Story::begun();
        story.types("p");
        story.later(5000).hears(7);
        assert_eq!(story.top.age(story.now), Age::Paused(Seconds(5.0)));
        assert_eq!(story.top.data.as_ref().unwrap().status.sequence, 1);
        story.types("p");
        story.hears(8);
        assert_eq!(story.top.age(story.now), Age::Live(Seconds(0.0)));
    }

    #[test]
    fn every_key_is_safe_everywhere() {
        let keys = "?jd/fib\u{8}sr<>uphkgGq0";
        let mut story = Story::begun();
        let named = [KeyCode::Tab, KeyCode::Enter, KeyCode::PageDown, KeyCode::Esc, KeyCode::Up];
        for first in keys.chars().map(KeyCode::Char).chain(named) {
            for second in keys.chars().map(KeyCode::Char).chain(named) {
                story.presses(first);
                story.presses(second);
            }
        }
        let control = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(story.top.apply(Event::Key(control), story.now), Effect::Leave);
    }
}
