//! The screen, drawn from the state: it decides nothing but where things go.

use std::time::Instant;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Widget, Wrap};

use super::data::Data;
use super::detail;
use super::state::{Age, Mode, Top};
use super::table::{Piece, Row, Tone, fit, titles};
use super::tables::Which;
use super::words::{books, sentence, tiles};
use simple_dist_distributor::view::Phase;

/// Below this nothing can be read.
const LEAST: (u16, u16) = (40, 10);
/// The most lines of the status sentence.
const SENTENCE: u16 = 3;

/// Whether and what may be coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    Colours,
    /// `NO_COLOR`: bold, underlined and dim only.
    None,
    /// What is shown is old.
    Grey,
}

impl Ink {
    fn style(self, tone: Tone) -> Style {
        const FUNCTIONS: [Color; 6] = [
            Color::LightBlue,
            Color::LightGreen,
            Color::LightMagenta,
            Color::LightCyan,
            Color::Blue,
            Color::Magenta,
        ];
        let plain = Style::new();
        match (self, tone) {
            (Self::Grey, _) => plain.fg(Color::DarkGray),
            (_, Tone::Plain) => plain,
            (Self::Colours, Tone::Dim) => plain.fg(Color::DarkGray),
            (_, Tone::Strong) => plain.add_modifier(Modifier::BOLD),
            (Self::Colours, Tone::Good) => plain.fg(Color::Green),
            (Self::Colours, Tone::Look) => plain.fg(Color::Yellow),
            (Self::Colours, Tone::Bad) => plain.fg(Color::LightRed),
            (Self::Colours, Tone::Of(number)) => plain.fg(FUNCTIONS[usize::from(number) % 6]),
            (Self::None, Tone::Dim) => plain.add_modifier(Modifier::DIM),
            (Self::None, Tone::Good | Tone::Of(_)) => plain,
            (Self::None, Tone::Look) => plain.add_modifier(Modifier::BOLD),
            (Self::None, Tone::Bad) => {
                plain.add_modifier(Modifier::BOLD).add_modifier(Modifier::UNDERLINED)
            }
        }
    }

    fn line(self, pieces: Vec<Piece>) -> Line<'static> {
        let spans =
            pieces.into_iter().map(|piece| Span::styled(piece.text, self.style(piece.tone)));
        Line::from_iter(spans)
    }
}

/// Draws everything.
pub(crate) fn draw(top: &Top, colours: bool, now: Instant, frame: &mut Frame<'_>) {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    let age = top.age(now);
    let fresh = if colours { Ink::Colours } else { Ink::None };
    if area.width < LEAST.0 || area.height < LEAST.1 {
        Line::raw("too small: 40 x 10 at least").render(area, buffer);
        return;
    }
    let ink = match age {
        Age::Stale(_) if colours => Ink::Grey,
        Age::Never(_) | Age::Live(_) | Age::Paused(_) | Age::Stale(_) => fresh,
    };
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(0), Constraint::Length(2)])
            .areas(area);
    fresh.line(headline(top, age, usize::from(head.width))).render(head, buffer);
    match &top.data {
        Some(data) => draw_body(top, data, ink, body, buffer),
        None => waiting(top, fresh).render(body, buffer),
    }
    draw_foot(top, ink, fresh, now, foot, buffer);
    match top.mode {
        Mode::Help => popup(&help(), "Keys", fresh, area, buffer),
        Mode::Detail => {
            let chosen = top.lens(top.focus).chosen.as_deref();
            let lines = top
                .data
                .as_ref()
                .zip(chosen)
                .and_then(|(data, id)| detail::lines(data, top.focus, id));
            let gone = || vec![vec![Piece::new("It is no longer told of.", Tone::Dim)]];
            popup(&lines.unwrap_or_else(gone), "More (esc closes)", ink, area, buffer);
        }
        Mode::Watching | Mode::Filtering | Mode::Asking(_) => {}
    }
}

fn headline(top: &Top, age: Age, width: usize) -> Vec<Piece> {
    let why = top.trouble.as_ref().map(|error| format!(", {}; trying again", error.message()));
    let why = why.unwrap_or_default();
    let (sign, tone, said) = match age {
        Age::Live(age) if why.is_empty() => ("●", Tone::Good, format!("live, {age} old")),
        Age::Live(age) => ("●", Tone::Look, format!("{age} old{why}")),
        Age::Paused(age) => ("‖", Tone::Look, format!("paused, {age} old")),
        Age::Never(_) | Age::Stale(_) if why.is_empty() && top.data.is_none() => {
            ("○", Tone::Dim, format!("asking {}", top.base))
        }
        Age::Never(_) => ("○", Tone::Bad, why.trim_start_matches(", ").to_owned()),
        Age::Stale(age) if why.is_empty() => ("○", Tone::Bad, format!("{age} old: no news")),
        Age::Stale(age) => ("○", Tone::Bad, format!("{age} old{why}")),
    };
    let mut line = vec![
        Piece::new("simple-dist ", Tone::Strong),
        Piece::new(format!("{sign} "), tone),
        Piece::new(said, if tone == Tone::Good { Tone::Dim } else { tone }),
    ];
    if let (Some(data), true) = (&top.data, why.is_empty()) {
        line.extend(who(data).map(|text| Piece::new(format!(" · {text}"), Tone::Dim)));
        // What has no room is left out whole.
        while line.len() > 3 && Line::raw(said_by(&line)).width() > width {
            line.pop();
        }
    }
    line
}

fn who(data: &Data) -> [String; 2] {
    let distributor = &data.status.distributor;
    let broker = &data.status.broker;
    let phase = match &distributor.phase {
        Phase::Down => "down".to_owned(),
        Phase::Standby { .. } => "standing by".to_owned(),
        Phase::Active { age, .. } => format!("leads for {age}"),
    };
    let link = if broker.up { "up" } else { "down" };
    let link = format!("broker {} {link} for {}", broker.address, broker.since);
    [format!("{} {phase}", distributor.id.short()), link]
}

fn said_by(pieces: &[Piece]) -> String {
    pieces.iter().map(|piece| piece.text.as_str()).collect()
}

fn waiting(top: &Top, ink: Ink) -> Paragraph<'static> {
    let why = match &top.trouble {
        None => format!("Asking {} ...", top.base),
        Some(error) => format!("{}.", error.message()),
    };
    let lines = vec![
        Line::raw(""),
        ink.line(vec![Piece::new(why, Tone::Strong)]),
        Line::raw(""),
        Line::raw("A distributor serves this at its --listen address; see: simple-dist top --help"),
    ];
    Paragraph::new(lines).wrap(Wrap { trim: true })
}

fn draw_body(top: &Top, data: &Data, ink: Ink, area: Rect, buffer: &mut Buffer) {
    let most = if area.height < 16 { 1 } else { SENTENCE };
    let (said, lines) = fitting(sentence(data), most, ink, area.width);
    let air = u16::from(area.height >= 26);
    let curves = if area.height < 14 { 0 } else { 2 };
    let [words, _, numbers, _, tables] = Layout::vertical([
        Constraint::Length(lines),
        Constraint::Length(air),
        Constraint::Length(curves),
        Constraint::Length(air),
        Constraint::Min(0),
    ])
    .areas(area);
    said.render(words, buffer);
    draw_tiles(data, ink, numbers, buffer);

    let rows = Which::ALL.map(|which| top.rows(which));
    let wanted = [0, 1, 2].map(|index: usize| rows[index].len().max(1));
    let heights = shares(wanted, usize::from(tables.height), usize::from(air));
    let mut from = tables.y;
    for ((which, rows), height) in Which::ALL.into_iter().zip(&rows).zip(heights) {
        let height = u16::try_from(height).unwrap_or(u16::MAX);
        let area = Rect { y: from, height, ..tables }.intersection(tables);
        draw_table(top, which, rows, ink, area, buffer);
        from = from.saturating_add(height + air);
    }
}

/// As many of the sentences as have room, whole, and the lines they take; the first one always.
fn fitting(mut said: Vec<Piece>, most: u16, ink: Ink, width: u16) -> (Paragraph<'static>, u16) {
    loop {
        let paragraph = Paragraph::new(ink.line(said.clone())).wrap(Wrap { trim: true });
        let lines = wrapped(&paragraph, width);
        if lines <= most || said.len() < 2 {
            return (paragraph, lines.clamp(1, most));
        }
        said.pop();
    }
}

/// The lines that a paragraph takes at a width.
fn wrapped(paragraph: &Paragraph<'_>, width: u16) -> u16 {
    let mut trial = Buffer::empty(Rect::new(0, 0, width, SENTENCE + 1));
    paragraph.render(trial.area, &mut trial);
    let blank = |row: u16| (0..width).all(|column| trial[(column, row)].symbol() == " ");
    (0..=SENTENCE).take_while(|&row| !blank(row)).count() as u16
}

/// How high each table is, its titles included: what it wants if there is room, else a fair part.
fn shares(wanted: [usize; 3], height: usize, air: usize) -> [usize; 3] {
    let room = height.saturating_sub(3 + 2 * air);
    let mut given = [0; 3];
    let mut left = room;
    // Row by row in turn, so that a short table leaves its room to the others.
    while left > 0 && given != wanted {
        for (given, wanted) in given.iter_mut().zip(wanted) {
            if left > 0 && *given < wanted {
                *given += 1;
                left -= 1;
            }
        }
    }
    given.map(|rows| rows + 1)
}

fn draw_tiles(data: &Data, ink: Ink, area: Rect, buffer: &mut Buffer) {
    let gap = 2;
    let width = (usize::from(area.width) + gap) / 5 - gap;
    let (mut values, mut curves) = (Vec::new(), Vec::new());
    for tile in tiles(data, width) {
        let room = width.saturating_sub(tile.title.len() + 1 + tile.value.chars().count());
        values.push(Piece::new(format!("{} ", tile.title), Tone::Dim));
        values.push(Piece::new(tile.value, Tone::Strong));
        values.push(Piece::new(" ".repeat(room + gap), Tone::Plain));
        curves.push(Piece::new(format!("{:<width$}  ", tile.curve), Tone::Of(0)));
    }
    Paragraph::new(vec![ink.line(values), ink.line(curves)]).render(area, buffer);
}

fn draw_table(top: &Top, which: Which, rows: &[Row], ink: Ink, area: Rect, buffer: &mut Buffer) {
    let sort = top.lens(which).sort;
    let columns = which.columns();
    let fit = fit(columns, usize::from(area.width).saturating_sub(1), sort.column);
    let focused = which == top.focus;
    let margin = |text: &str| Piece::new(text, Tone::Strong);
    let mut titles = titles(columns, &fit, sort);
    titles.insert(0, margin(if focused { "▸" } else { " " }));
    let mut lines = vec![ink.line(titles).style(Style::new().add_modifier(Modifier::UNDERLINED))];

    let room = usize::from(area.height).saturating_sub(1);
    let chosen = top.chosen(which, rows);
    let first = first_shown(rows.len(), room, chosen);
    let last = rows.len().min(first + room);
    for (place, row) in rows.iter().enumerate().take(last).skip(first) {
        // The last line says what is not shown.
        let hidden = rows.len() - place;
        if place + 1 == last && last < rows.len() && chosen != Some(place) {
            lines.push(ink.line(vec![Piece::new(format!("   and {hidden} more"), Tone::Dim)]));
            break;
        }
        let mut line = row.line(columns, &fit);
        let marked = focused && chosen == Some(place);
        line.insert(0, margin(if marked { ">" } else { " " }));
        let line = ink.line(line);
        let style = if marked { Modifier::REVERSED } else { Modifier::empty() };
        lines.push(line.patch_style(Style::new().add_modifier(style)));
    }
    if rows.is_empty() {
        let filtered = !top.filter.is_empty();
        let said = if filtered { "nothing matches the filter" } else { which.nothing() };
        lines.push(ink.line(vec![Piece::new(format!("   {said}"), Tone::Dim)]));
    }
    Paragraph::new(lines).render(area, buffer);
}

/// The first row shown, so that the chosen one is among them, not on the last line if more follow.
fn first_shown(count: usize, room: usize, chosen: Option<usize>) -> usize {
    let most = count.saturating_sub(room);
    chosen.map_or(0, |chosen| (chosen + 2).saturating_sub(room).min(most))
}

fn draw_foot(top: &Top, ink: Ink, fresh: Ink, now: Instant, area: Rect, buffer: &mut Buffer) {
    let width = usize::from(area.width);
    let balance = top.data.as_ref().map(|data| books(data, width)).unwrap_or_default();
    let keys = match top.mode {
        Mode::Filtering => vec![
            Piece::new("filter: ", Tone::Strong),
            Piece::new(format!("{}▏", top.filter), Tone::Plain),
            Piece::new("  enter keeps it, esc drops it", Tone::Dim),
        ],
        Mode::Asking(order) => {
            let question = format!("{} {}? y/n", order.word(), order.worker.short());
            vec![Piece::new(question, Tone::Look)]
        }
        Mode::Watching | Mode::Help | Mode::Detail => match top.notice(now) {
            Some((notice, tone)) => vec![Piece::new(notice, tone)],
            None => hints(top),
        },
    };
    Paragraph::new(vec![ink.line(balance), fresh.line(keys)]).render(area, buffer);
}

fn hints(top: &Top) -> Vec<Piece> {
    let mut hints = Vec::new();
    if !top.filter.is_empty() {
        hints.push(Piece::new(format!("filter: {} (esc drops it)  ", top.filter), Tone::Look));
    }
    let keys = [
        ("q", "quit"),
        ("tab", "table"),
        ("↑↓", "row"),
        ("enter", "more"),
        ("s", "sort"),
        ("/", "filter"),
        ("d", "drain"),
        ("?", "help"),
    ];
    for (key, meaning) in keys {
        hints.push(Piece::new(key, Tone::Strong));
        hints.push(Piece::new(format!(" {meaning}  "), Tone::Dim));
    }
    hints
}

fn help() -> Vec<Vec<Piece>> {
    [
        ("tab, ← →", "the next table, or the one before"),
        ("↑ ↓, j k", "choose a row; page up, page down, home, end"),
        ("enter", "everything about the chosen row"),
        ("s, < >", "order the table by another column"),
        ("r", "turn the order round"),
        ("/", "show only rows with some text"),
        ("d, u", "drain the chosen worker, or let it take jobs again"),
        ("p", "pause: nothing changes but its age"),
        ("q, esc", "leave"),
        ("", ""),
        ("! red", "a function that no worker serves"),
        ("! amber", "a function served in several versions"),
        ("#2", "a second attempt"),
        ("wait50", "the wait that half of the jobs did not exceed; run50: the run"),
        ("rate", "values a second, or a minute (/m)"),
        ("local", "the share of runs that clients made themselves"),
    ]
    .map(|(key, meaning)| {
        vec![Piece::new(format!("{key:<10} "), Tone::Strong), Piece::new(meaning, Tone::Plain)]
    })
    .to_vec()
}

fn popup(lines: &[Vec<Piece>], title: &str, ink: Ink, screen: Rect, buffer: &mut Buffer) {
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(screen.height - 2);
    let width = screen.width.saturating_sub(4).min(110);
    let area = screen.centered(Constraint::Length(width), Constraint::Length(height));
    Clear.render(area, buffer);
    let block = Block::bordered().title(format!(" {title} "));
    let inner = block.inner(area);
    block.render(area, buffer);
    let lines: Vec<_> = lines.iter().map(|line| ink.line(line.clone())).collect();
    Paragraph::new(lines).render(inner, buffer);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::{KeyCode, KeyEvent};

    use super::super::sample::data;
    use super::super::state::Event;
    use super::*;
    use crate::api::Error;

    /// A screen of a size, after some keys, so many milliseconds after its only view.
    fn screen(size: (u16, u16), keys: &[KeyCode], later: u64) -> Terminal<TestBackend> {
        drawn(size, keys, later, Some(Ok(data(1))))
    }

    #[expect(clippy::disallowed_methods, reason = "any instant will do to count from")]
    fn drawn(
        (width, height): (u16, u16),
        keys: &[KeyCode],
        later: u64,
        looked: Option<Result<Data, Error>>,
    ) -> Terminal<TestBackend> {
        let now = Instant::now();
        let mut top = Top::new("http://127.0.0.1:8080", true, Duration::from_secs(1), now);
        if let Some(looked) = looked {
            top.apply(Event::Looked(Box::new(looked)), now);
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
    fn eighty_by_twenty_four_says_it_all() {
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
        for title in ["host", "known", "running", "wait50", "wait99", "run99", "what was said"] {
            says(&lines, title);
        }
        says(&lines, "! render@3 no worker");
        says(&lines, "! sleep@1 2 versions");
        says(&lines, r"width is 0, and \u{1b}[31mthis is no colour");
        says(&lines, "primes@1 3.1s  echo@1 2.5s waits");
    }

    #[test]
    fn at_no_size_does_it_fail() {
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
    fn old_news_are_grey_and_say_their_age() {
        let terminal = screen((80, 24), &[], 12_000);
        says(&lines(&terminal), "simple-dist ○ 12 s old");
        let buffer = terminal.backend().buffer();
        let inked = |row: u16| (0..80).map(move |column| &buffer[(column, row)]);
        let body = (1..23).flat_map(inked).filter(|cell| cell.symbol() != " ");
        assert!(body.clone().count() > 500);
        assert!(body.clone().all(|cell| cell.fg == Color::DarkGray));
    }

    #[test]
    fn nobody_there_is_said_in_words() {
        let error = Error::Unreachable("no answer from http://127.0.0.1:8080: refused".to_owned());
        let lines = lines(&drawn((80, 24), &[], 0, Some(Err(error))));
        says(&lines[..1], "no answer from http://127.0.0.1:8080: refused; trying again");
        assert!(!lines.iter().any(|line| line.contains("WORKERS")));
    }

    #[test]
    fn the_chosen_worker_is_marked_and_told_all_about() {
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
    fn a_question_is_on_the_last_line() {
        let keys = [KeyCode::Down, KeyCode::Char('d')];
        says(&lines(&screen((80, 24), &keys, 0))[23..], "drain w-81c20001? y/n");
    }

    #[test]
    fn room_is_shared_and_what_one_table_leaves_the_others_take() {
        assert_eq!(shares([2, 2, 2], 30, 0), [3, 3, 3]);
        assert_eq!(shares([9, 9, 1], 14, 0), [6, 6, 2]);
        assert_eq!(shares([9, 9, 9], 12, 0), [4, 4, 4]);
        assert_eq!(shares([9, 1, 1], 3, 0), [1, 1, 1]);
        assert_eq!(first_shown(10, 4, None), 0);
        assert_eq!(first_shown(10, 4, Some(2)), 0);
        assert_eq!(first_shown(10, 4, Some(5)), 3);
        assert_eq!(first_shown(10, 4, Some(9)), 6);
    }
}
