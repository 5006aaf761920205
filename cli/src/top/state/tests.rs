use super::super::sample::{data, worker_id};
use super::*;

/// A screen one second after its only view.
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
        let fetched = Box::new(Ok(data(sequence)));
        self.top.apply(Event::Fetched(fetched), self.now);
        self
    }

    fn hears_nothing(&mut self) -> &mut Self {
        let error = Error::Unreachable("no answer".to_owned());
        self.top.apply(Event::Fetched(Box::new(Err(error))), self.now);
        self
    }

    /// Presses keys and returns the effect of the last one.
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
fn a_repeated_view_keeps_its_age() {
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
    assert_eq!(story.top.rows(Table::Workers).len(), 5);
    assert!(matches!(story.top.trouble, Some(Error::Unreachable(_))));
    story.hears(2);
    assert_eq!(story.top.trouble, None);
}

#[test]
fn live_workers_come_first_and_the_order_can_be_reversed() {
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
    assert_eq!(story.top.lens(Table::Functions).sort.column, 0);
}

#[test]
fn the_selection_follows_its_row() {
    let mut story = Story::begun();
    story.types("jj");
    let chosen = story.top.lens(Table::Workers).chosen.clone();
    assert_eq!(chosen, Some(worker_id(2).to_string()));
    story.types("r");
    story.hears(2);
    assert_eq!(story.top.lens(Table::Workers).chosen, chosen);
    story.presses(KeyCode::End);
    assert_eq!(story.top.lens(Table::Workers).chosen, Some(worker_id(1).to_string()));
    story.presses(KeyCode::PageUp);
    assert_eq!(story.top.lens(Table::Workers).chosen, Some(worker_id(4).to_string()));
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
fn a_worker_is_drained_only_after_confirmation() {
    let mut story = Story::begun();
    assert_eq!(story.types("d"), Effect::Nothing);
    assert_eq!(story.top.mode, Mode::Watching, "no worker is chosen");
    story.types("jd");
    assert_eq!(story.types("n"), Effect::Nothing);
    story.types("d");
    let order = Order { worker: worker_id(1), drain: true };
    assert_eq!(story.types("y"), Effect::Send(order));
    story.types("u");
    assert_eq!(story.types("y"), Effect::Send(Order { drain: false, ..order }));
    assert_eq!(story.top.mode, Mode::Watching);
}

#[test]
fn without_a_token_no_action_reaches_the_scheduler() {
    let mut story = Story::begun();
    story.top.has_token = false;
    story.types("jd");
    assert_eq!(story.top.mode, Mode::Watching);
    assert!(story.top.notice(story.now).is_some());
    story.later(9000);
    assert_eq!(story.top.notice(story.now), None);
}

#[test]
fn while_paused_only_the_age_changes() {
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
fn every_key_is_accepted_in_every_state() {
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
