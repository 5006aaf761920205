//! Draws the screen from the state; it only decides the layout.

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
use super::status::{books, sentence, tiles};
use super::table::{Piece, Row, Tone, fit, titles};
use super::tables::Table;
use simple_dist_distributor::view::Phase;

/// The smallest readable terminal: columns and rows.
const LEAST: (u16, u16) = (40, 10);
/// The most lines of the status sentence.
const SENTENCE: u16 = 3;

/// Table colours to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Palette {
    Colours,
    /// `NO_COLOR`: bold, underlined and dim only.
    None,
    /// Everything grey: the data is old.
    Grey,
}

impl Palette {
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
    let fresh = if colours { Palette::Colours } else { Palette::None };
    if area.width < LEAST.0 || area.height < LEAST.1 {
        Line::raw("too small: needs at least 40 x 10").render(area, buffer);
        return;
    }
    let palette = match age {
        Age::Stale(_) if colours => Palette::Grey,
        Age::Never(_) | Age::Live(_) | Age::Paused(_) | Age::Stale(_) => fresh,
    };
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(0), Constraint::Length(2)])
            .areas(area);
    fresh.line(headline(top, age, usize::from(head.width))).render(head, buffer);
    match &top.data {
        Some(data) => draw_body(top, data, palette, body, buffer),
        None => waiting(top, fresh).render(body, buffer),
    }
    draw_foot(top, palette, fresh, now, foot, buffer);
    match top.mode {
        Mode::Help => popup(&help(), "Keys", fresh, area, buffer),
        Mode::Detail => {
            let chosen = top.lens(top.focus).chosen.as_deref();
            let lines = top
                .data
                .as_ref()
                .zip(chosen)
                .and_then(|(data, id)| detail::lines(data, top.focus, id));
            let gone = || vec![vec![Piece::new("It no longer exists.", Tone::Dim)]];
            popup(&lines.unwrap_or_else(gone), "More (esc closes)", palette, area, buffer);
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
        Age::Stale(age) if why.is_empty() => ("○", Tone::Bad, format!("{age} old: no update")),
        Age::Stale(age) => ("○", Tone::Bad, format!("{age} old{why}")),
    };
    let mut line = vec![
        Piece::new("simple-dist ", Tone::Strong),
        Piece::new(format!("{sign} "), tone),
        Piece::new(said, if tone == Tone::Good { Tone::Dim } else { tone }),
    ];
    if let (Some(data), true) = (&top.data, why.is_empty()) {
        line.extend(who(data).map(|text| Piece::new(format!(" · {text}"), Tone::Dim)));
        // Items that do not fit are left out whole.
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
        Phase::Standby { .. } => "on standby".to_owned(),
        Phase::Active { age, .. } => format!("active for {age}"),
    };
    let link = if broker.up { "up" } else { "down" };
    let link = format!("broker {} {link} for {}", broker.address, broker.since);
    [format!("{} {phase}", distributor.id.short()), link]
}

fn said_by(pieces: &[Piece]) -> String {
    pieces.iter().map(|piece| piece.text.as_str()).collect()
}

fn waiting(top: &Top, palette: Palette) -> Paragraph<'static> {
    let why = match &top.trouble {
        None => format!("Asking {} ...", top.base),
        Some(error) => format!("{}.", error.message()),
    };
    let lines = vec![
        Line::raw(""),
        palette.line(vec![Piece::new(why, Tone::Strong)]),
        Line::raw(""),
        Line::raw("A distributor serves this at its --listen address; see: simple-dist top --help"),
    ];
    Paragraph::new(lines).wrap(Wrap { trim: true })
}

fn draw_body(top: &Top, data: &Data, palette: Palette, area: Rect, buffer: &mut Buffer) {
    let most = if area.height < 16 { 1 } else { SENTENCE };
    let (said, lines) = fitting(sentence(data), most, palette, area.width);
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
    draw_tiles(data, palette, numbers, buffer);

    let rows = Table::ALL.map(|which| top.rows(which));
    let wanted = [0, 1, 2].map(|index: usize| rows[index].len().max(1));
    let heights = shares(wanted, usize::from(tables.height), usize::from(air));
    let mut from = tables.y;
    for ((which, rows), height) in Table::ALL.into_iter().zip(&rows).zip(heights) {
        let height = u16::try_from(height).unwrap_or(u16::MAX);
        let area = Rect { y: from, height, ..tables }.intersection(tables);
        draw_table(top, which, rows, palette, area, buffer);
        from = from.saturating_add(height + air);
    }
}

/// As many whole sentences as fit, at least the first, and the lines they take.
fn fitting(
    mut said: Vec<Piece>,
    most: u16,
    palette: Palette,
    width: u16,
) -> (Paragraph<'static>, u16) {
    loop {
        let paragraph = Paragraph::new(palette.line(said.clone())).wrap(Wrap { trim: true });
        let lines = wrapped(&paragraph, width);
        if lines <= most || said.len() < 2 {
            return (paragraph, lines.clamp(1, most));
        }
        said.pop();
    }
}

/// The number of lines that a paragraph takes at a width.
fn wrapped(paragraph: &Paragraph<'_>, width: u16) -> u16 {
    let mut trial = Buffer::empty(Rect::new(0, 0, width, SENTENCE + 1));
    paragraph.render(trial.area, &mut trial);
    let blank = |row: u16| (0..width).all(|column| trial[(column, row)].symbol() == " ");
    (0..=SENTENCE).take_while(|&row| !blank(row)).count() as u16
}

/// The height of each table including its titles: what it wants if there is room, else a fair
/// share.
fn shares(wanted: [usize; 3], height: usize, air: usize) -> [usize; 3] {
    let room = height.saturating_sub(3 + 2 * air);
    let mut given = [0; 3];
    let mut left = room;
    // One row at a time, so that a short table leaves its room to the others.
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

fn draw_tiles(data: &Data, palette: Palette, area: Rect, buffer: &mut Buffer) {
    let gap = 2;
    let width = (usize::from(area.width) + gap) / 6 - gap;
    let (mut values, mut curves) = (Vec::new(), Vec::new());
    for tile in tiles(data, width) {
        let room = width.saturating_sub(tile.title.len() + 1 + tile.value.chars().count());
        values.push(Piece::new(format!("{} ", tile.title), Tone::Dim));
        values.push(Piece::new(tile.value, Tone::Strong));
        values.push(Piece::new(" ".repeat(room + gap), Tone::Plain));
        curves.push(Piece::new(format!("{:<width$}  ", tile.curve), Tone::Of(0)));
    }
    Paragraph::new(vec![palette.line(values), palette.line(curves)]).render(area, buffer);
}

fn draw_table(
    top: &Top,
    which: Table,
    rows: &[Row],
    palette: Palette,
    area: Rect,
    buffer: &mut Buffer,
) {
    let sort = top.lens(which).sort;
    let columns = which.columns();
    let fit = fit(columns, usize::from(area.width).saturating_sub(1), sort.column);
    let focused = which == top.focus;
    let margin = |text: &str| Piece::new(text, Tone::Strong);
    let mut titles = titles(columns, &fit, sort);
    titles.insert(0, margin(if focused { "▸" } else { " " }));
    let mut lines =
        vec![palette.line(titles).style(Style::new().add_modifier(Modifier::UNDERLINED))];

    let room = usize::from(area.height).saturating_sub(1);
    let chosen = top.chosen(which, rows);
    let first = first_shown(rows.len(), room, chosen);
    let last = rows.len().min(first + room);
    for (place, row) in rows.iter().enumerate().take(last).skip(first) {
        // The last line says how many are hidden.
        let hidden = rows.len() - place;
        if place + 1 == last && last < rows.len() && chosen != Some(place) {
            lines.push(palette.line(vec![Piece::new(format!("   and {hidden} more"), Tone::Dim)]));
            break;
        }
        let mut line = row.line(columns, &fit);
        let marked = focused && chosen == Some(place);
        line.insert(0, margin(if marked { ">" } else { " " }));
        let line = palette.line(line);
        let style = if marked { Modifier::REVERSED } else { Modifier::empty() };
        lines.push(line.patch_style(Style::new().add_modifier(style)));
    }
    if rows.is_empty() {
        let filtered = !top.filter.is_empty();
        let said = if filtered { "nothing matches the filter" } else { which.nothing() };
        lines.push(palette.line(vec![Piece::new(format!("   {said}"), Tone::Dim)]));
    }
    Paragraph::new(lines).render(area, buffer);
}

/// The first row shown, such that the chosen one is visible, and not on the last line if more
/// follow.
fn first_shown(count: usize, room: usize, chosen: Option<usize>) -> usize {
    let most = count.saturating_sub(room);
    chosen.map_or(0, |chosen| (chosen + 2).saturating_sub(room).min(most))
}

fn draw_foot(
    top: &Top,
    palette: Palette,
    fresh: Palette,
    now: Instant,
    area: Rect,
    buffer: &mut Buffer,
) {
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
    Paragraph::new(vec![palette.line(balance), fresh.line(keys)]).render(area, buffer);
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
        ("r", "reverse the order"),
        ("/", "show only rows that contain a text"),
        ("d, u", "drain the chosen worker, or let it take jobs again"),
        ("p", "pause: freeze everything but the age"),
        ("q, esc", "leave"),
        ("", ""),
        ("! red", "a function that no worker serves"),
        ("! amber", "a function served in several versions"),
        ("#2", "a second attempt"),
        ("wait50", "the median wait; run50: the median run time"),
        ("rate", "values per second, or per minute (/m)"),
        ("local", "the share of runs that were local to clients"),
    ]
    .map(|(key, meaning)| {
        vec![Piece::new(format!("{key:<10} "), Tone::Strong), Piece::new(meaning, Tone::Plain)]
    })
    .to_vec()
}

fn popup(lines: &[Vec<Piece>], title: &str, palette: Palette, screen: Rect, buffer: &mut Buffer) {
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(screen.height - 2);
    let width = screen.width.saturating_sub(4).min(110);
    let area = screen.centered(Constraint::Length(width), Constraint::Length(height));
    Clear.render(area, buffer);
    let block = Block::bordered().title(format!(" {title} "));
    let inner = block.inner(area);
    block.render(area, buffer);
    let lines: Vec<_> = lines.iter().map(|line| palette.line(line.clone())).collect();
    Paragraph::new(lines).render(inner, buffer);
}

#[cfg(test)]
mod tests;
