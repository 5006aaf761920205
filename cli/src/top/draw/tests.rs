use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::super::sample::data;
use super::super::state::Event;
use super::*;
use crate::api::Error;

/// A screen of this size, after some keys, `later` milliseconds after its only view.
fn screen(size: (u16, u16), keys: &[KeyCode], later: u64) -> Terminal<TestBackend> {
    drawn(size, keys, later, Some(Ok(data(1))))
}

#[expect(clippy::disallowed_methods, reason = "any instant will do to count from")]
fn drawn(
    (width, height): (u16, u16),
    keys: &[KeyCode],
    later: u64,
    fetched: Option<Result<Data, Error>>,
) -> Terminal<TestBackend> {
    let now = Instant::now();
    let mut top = Top::new("http://127.0.0.1:8080", true, Duration::from_secs(1), now);
    if let Some(fetched) = fetched {
        top.apply(Event::Fetched(Box::new(fetched)), now);
    }
    for key in keys {
        top.apply(Event::Key(KeyEvent::from(*key)), now);
    }
    let now = now + Duration::from_millis(later);
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(&top, true, now, frame)).unwrap();
    terminal
}

fn lines(terminal: &Terminal<TestBackend>) -> Vec<String> {
    let buffer = terminal.backend().buffer();
    let width = usize::from(buffer.area.width);
    let rows = buffer.content().chunks(width);
    let line = |row: &[ratatui::buffer::Cell]| {
        row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>().trim_end().to_owned()
    };
    rows.map(line).collect()
}

#[track_caller]
fn says(lines: &[String], text: &str) {
    let screen = lines.join("\n");
    assert!(screen.contains(text), "{text:?} is not in\n{screen}");
}

#[test]
fn everything_fits_into_80_by_24() {
    let lines = lines(&screen((80, 24), &[], 400));
    assert_eq!(lines.len(), 24);
    says(&lines[..1], "simple-dist ● live, 400 ms old");
    says(&lines[1..2], "4 workers, 12 of 16 slots busy, 40 jobs queued");
    let sentence = lines[1..4].join(" ");
    says(std::slice::from_ref(&sentence), "render@3 is called, but no worker serves it.");
    says(&lines, "busy 12/16");
    says(&lines, "▸WORKERS▲");
    says(&lines, "fib@1 6.2s #2");
    says(&lines, "lost 34 s ago; 4 jobs placed");
    says(&lines, "FUNCTIONS▲");
    says(&lines, "! render@3");
    says(&lines, "FAILED JOBS");
    says(&lines, "panicked");
    says(&lines[22..23], "1,404 accepted = 40 queued + 3 placed + 12 running + 1,346 done");
    says(&lines[23..24], "q quit");
}

#[test]
fn a_wide_screen_has_every_column() {
    let lines = lines(&screen((160, 50), &[], 400));
    for title in ["host", "known", "running", "wait50", "wait99", "run99", "message"] {
        says(&lines, title);
    }
    says(&lines, "! render@3 no worker");
    says(&lines, "! sleep@1 2 versions");
    says(&lines, r"width is 0, and \u{1b}[31mthis is no colour");
    says(&lines, "primes@1 3.1s  echo@1 2.5s waits");
}

#[test]
fn every_screen_size_can_be_drawn() {
    for width in [1, 20, 39, 40, 60, 79, 81, 119, 300] {
        for height in [1, 5, 9, 10, 12, 15, 23, 25, 26, 100] {
            for keys in [&[][..], &[KeyCode::Char('?')], &[KeyCode::Down, KeyCode::Enter]] {
                let terminal = screen((width, height), keys, 0);
                assert_eq!(lines(&terminal).len(), usize::from(height));
            }
        }
    }
}

#[test]
fn stale_data_is_grey_and_shows_its_age() {
    let terminal = screen((80, 24), &[], 12_000);
    says(&lines(&terminal), "simple-dist ○ 12 s old");
    let buffer = terminal.backend().buffer();
    let coloured = |row: u16| (0..80).map(move |column| &buffer[(column, row)]);
    let body = (1..23).flat_map(coloured).filter(|cell| cell.symbol() != " ");
    assert!(body.clone().count() > 500);
    assert!(body.clone().all(|cell| cell.fg == Color::DarkGray));
}

#[test]
fn an_empty_table_has_an_explanation() {
    let error = Error::Unreachable("no answer from http://127.0.0.1:8080: refused".to_owned());
    let lines = lines(&drawn((80, 24), &[], 0, Some(Err(error))));
    says(&lines[..1], "no answer from http://127.0.0.1:8080: refused; trying again");
    assert!(!lines.iter().any(|line| line.contains("WORKERS")));
}

#[test]
fn the_selected_worker_is_marked_and_detailed() {
    let keys = [KeyCode::Down, KeyCode::Down];
    let terminal = screen((100, 30), &keys, 0);
    let marked: Vec<String> =
        lines(&terminal).into_iter().filter(|line| line.starts_with('>')).collect();
    assert_eq!(marked.len(), 1);
    says(&marked, "w-81c20002");
    let more = lines(&screen((100, 30), &[&keys[..], &[KeyCode::Enter]].concat(), 0));
    says(&more, "worker     w-00000000000000000000000081c20002");
    says(&more, "slot 1 fib@1");
}

#[test]
fn a_prompt_is_on_the_last_line() {
    let keys = [KeyCode::Down, KeyCode::Char('d')];
    says(&lines(&screen((80, 24), &keys, 0))[23..], "drain w-81c20001? y/n");
}

#[test]
fn tables_share_the_height_and_use_what_others_leave() {
    assert_eq!(shares([2, 2, 2], 30, 0), [3, 3, 3]);
    assert_eq!(shares([9, 9, 1], 14, 0), [6, 6, 2]);
    assert_eq!(shares([9, 9, 9], 12, 0), [4, 4, 4]);
    assert_eq!(shares([9, 1, 1], 3, 0), [1, 1, 1]);
    assert_eq!(first_shown(10, 4, None), 0);
    assert_eq!(first_shown(10, 4, Some(2)), 0);
    assert_eq!(first_shown(10, 4, Some(5)), 3);
    assert_eq!(first_shown(10, 4, Some(9)), 6);
}
