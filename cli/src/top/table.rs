//! Text tables: which columns fit, how rows are sorted, what each line shows.

use std::cmp::Ordering;

use ratatui::text::Span;
use simple_dist_protocol::text;

/// The meaning of a piece of text; only the screen knows colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Dim,
    Strong,
    Good,
    /// Needs attention.
    Look,
    /// Failed or lost.
    Bad,
    /// The colour of a function.
    Of(u8),
}

/// A text with its tone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) tone: Tone,
}

impl Piece {
    /// Escaped text: hosts and panic messages come from others.
    pub(crate) fn new(text: impl AsRef<str>, tone: Tone) -> Self {
        Self { text: text::line(text.as_ref(), text::SHOWN).to_string(), tone }
    }

    fn width(&self) -> usize {
        Span::raw(&self.text).width()
    }

    /// Cuts it to fit, with an ellipsis if something is missing.
    fn cut(mut self, width: usize) -> Self {
        if self.width() <= width {
            return self;
        }
        while !self.text.is_empty() && self.width() >= width.max(1) {
            self.text.pop();
        }
        if width > 0 {
            self.text.push('…');
        }
        self
    }
}

/// The sort key of a cell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Key {
    Number(f64),
    Text(String),
}

impl Key {
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(one), Self::Number(two)) => one.total_cmp(two),
            (Self::Text(one), Self::Text(two)) => one.cmp(two),
            (Self::Number(_), Self::Text(_)) => Ordering::Less,
            (Self::Text(_), Self::Number(_)) => Ordering::Greater,
        }
    }
}

/// A cell: one or more parts, each shown whole or counted as missing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    pub(crate) parts: Vec<Vec<Piece>>,
    /// The number of parts that exist but were not listed.
    pub(crate) unnamed: usize,
    pub(crate) key: Key,
}

impl Cell {
    pub(crate) fn text(text: impl AsRef<str>, tone: Tone) -> Self {
        let piece = Piece::new(text, tone);
        Self { key: Key::Text(piece.text.clone()), parts: vec![vec![piece]], unnamed: 0 }
    }

    pub(crate) fn number(number: f64, text: impl AsRef<str>, tone: Tone) -> Self {
        let parts = vec![vec![Piece::new(text, tone)]];
        Self { parts, unnamed: 0, key: Key::Number(number) }
    }

    /// The cell padded to the column's width.
    fn fill(&self, width: usize, align: Align) -> Vec<Piece> {
        let mut pieces = self.pieces(width);
        let used: usize = pieces.iter().map(Piece::width).sum();
        let blanks = Piece::new(" ".repeat(width.saturating_sub(used)), Tone::Plain);
        match align {
            Align::Left => pieces.push(blanks),
            Align::Right => pieces.insert(0, blanks),
        }
        pieces
    }

    fn pieces(&self, width: usize) -> Vec<Piece> {
        let count = self.parts.len();
        let mut shown: Vec<Piece> = Vec::new();
        let mut used = 0;
        for (index, part) in self.parts.iter().enumerate() {
            let missing = count - index - 1 + self.unnamed;
            // Leaves room for the count of missing parts.
            let spare = if missing == 0 { 0 } else { 2 + missing.to_string().len() };
            let gap = if index == 0 { 0 } else { 2 };
            let wide: usize = part.iter().map(Piece::width).sum();
            if index > 0 && used + gap + wide + spare > width {
                shown.push(Piece::new(format!(" +{}", missing + 1), Tone::Dim).cut(width - used));
                return shown;
            }
            shown.push(Piece::new(" ".repeat(gap), Tone::Plain));
            used += gap;
            for piece in part {
                let piece = piece.clone().cut(width.saturating_sub(used));
                used += piece.width();
                shown.push(piece);
            }
        }
        if self.unnamed > 0 {
            let more = Piece::new(format!(" +{}", self.unnamed), Tone::Dim);
            shown.push(more.cut(width.saturating_sub(used)));
        }
        shown
    }

    fn contains(&self, lowercase: &str) -> bool {
        let text: String = self.parts.iter().flatten().map(|piece| piece.text.as_str()).collect();
        text.to_lowercase().contains(lowercase)
    }
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// The id of the worker, function or job.
    pub(crate) id: String,
    pub(crate) cells: Vec<Cell>,
    /// Whether it is of the past.
    pub(crate) faded: bool,
}

impl Row {
    /// Whether any cell or the id contains the lower-case text.
    pub(crate) fn matches(&self, lowercase: &str) -> bool {
        self.id.contains(lowercase) || self.cells.iter().any(|cell| cell.contains(lowercase))
    }

    /// Its line in these columns.
    pub(crate) fn line(&self, columns: &[Column], fit: &Fit) -> Vec<Piece> {
        let mut line = Vec::new();
        for &(index, width) in &fit.columns {
            if !line.is_empty() {
                line.push(Piece::new(" ".repeat(fit.gap), Tone::Plain));
            }
            line.extend(self.cells[index].fill(width, columns[index].align));
        }
        if self.faded {
            for piece in &mut line {
                let keep = piece.tone == Tone::Bad;
                piece.tone = if keep { Tone::Bad } else { Tone::Dim };
            }
        }
        line
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// One column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    /// Its width; the minimum, if it grows.
    pub(crate) width: usize,
    pub(crate) align: Align,
    /// How much of the spare width it takes at most.
    pub(crate) grows: usize,
    /// The higher, the sooner it is dropped for lack of room; 0 always stays.
    pub(crate) rank: u8,
}

/// A column of text.
pub(crate) const fn text(title: &'static str, width: usize, rank: u8) -> Column {
    Column { title, width, align: Align::Left, grows: 0, rank }
}

/// A column of figures.
pub(crate) const fn figure(title: &'static str, width: usize, rank: u8) -> Column {
    Column { title, width, align: Align::Right, grows: 0, rank }
}

impl Column {
    /// The same column, growing into at most this much spare width.
    pub(crate) const fn growing(self, most: usize) -> Self {
        Self { grows: most, ..self }
    }
}

/// The columns that fit, with their widths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fit {
    pub(crate) columns: Vec<(usize, usize)>,
    pub(crate) gap: usize,
}

/// Chooses the columns for this width. The sorted column always stays.
pub(crate) fn fit(columns: &[Column], width: usize, keep: usize) -> Fit {
    let gap = if width < 110 { 1 } else { 2 };
    let mut kept: Vec<usize> = (0..columns.len()).collect();
    let needed =
        |kept: &[usize]| kept.iter().map(|&index| columns[index].width + gap).sum::<usize>() - gap;
    while needed(&kept) > width {
        let goes = kept
            .iter()
            .enumerate()
            .filter(|&(_, &index)| index != keep && columns[index].rank > 0)
            .max_by_key(|&(_, &index)| columns[index].rank);
        let Some((place, _)) = goes else { break };
        kept.remove(place);
    }
    let spare = width.saturating_sub(needed(&kept));
    let columns = kept
        .iter()
        .map(|&index| {
            let Column { width, grows, .. } = columns[index];
            (index, width + spare.min(grows))
        })
        .collect();
    Fit { columns, gap }
}

/// The sorted column and the direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sort {
    pub(crate) column: usize,
    pub(crate) down: bool,
}

impl Sort {
    /// Sorts the rows; the sort is stable.
    pub(crate) fn apply(self, rows: &mut [Row]) {
        rows.sort_by(|one, two| {
            let order = one.cells[self.column].key.compare(&two.cells[self.column].key);
            if self.down { order.reverse() } else { order }
        });
    }
}

/// The column titles; the first names the table.
pub(crate) fn titles(columns: &[Column], fit: &Fit, sort: Sort) -> Vec<Piece> {
    let mut line = Vec::new();
    for (place, &(index, width)) in fit.columns.iter().enumerate() {
        let Column { title, align, .. } = columns[index];
        if place > 0 {
            line.push(Piece::new(" ".repeat(fit.gap), Tone::Plain));
        }
        let sorted = index == sort.column;
        let mark = if sort.down { "▼" } else { "▲" };
        // The mark may use a space of the gap, but none of the title.
        let title = if sorted { format!("{title}{mark}") } else { title.to_owned() };
        let tone = if place == 0 || sorted { Tone::Strong } else { Tone::Dim };
        line.extend(Cell::text(title, tone).fill(width, align));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pieces: &[Piece]) -> String {
        pieces.iter().map(|piece| piece.text.as_str()).collect()
    }

    fn chips(names: &[&str], unnamed: usize) -> Cell {
        let parts = names.iter().map(|name| vec![Piece::new(*name, Tone::Plain)]).collect();
        Cell { parts, unnamed, key: Key::Number(0.0) }
    }

    #[test]
    fn parts_that_do_not_fit_are_counted() {
        let cell = chips(&["fib@1 12s", "echo@1 3s", "sleep@1 1s"], 0);
        assert_eq!(said(&cell.fill(32, Align::Left)), "fib@1 12s  echo@1 3s  sleep@1 1s");
        assert_eq!(said(&cell.fill(31, Align::Left)), "fib@1 12s  echo@1 3s +1        ");
        assert_eq!(said(&cell.fill(14, Align::Left)), "fib@1 12s +2  ");
        assert_eq!(said(&chips(&["a", "b"], 7).fill(9, Align::Left)), "a  b +7  ");
    }

    #[test]
    fn long_text_ends_in_an_ellipsis_at_any_width() {
        let cell = Cell::text("mandelbrot@1", Tone::Plain);
        for width in 0..15 {
            assert_eq!(Piece::new(said(&cell.fill(width, Align::Right)), Tone::Dim).width(), width);
        }
        assert_eq!(said(&cell.fill(6, Align::Left)), "mande…");
        assert_eq!(said(&Cell::text("日本語", Tone::Plain).fill(4, Align::Left)), "日… ");
    }

    #[test]
    fn foreign_text_cannot_control_the_terminal() {
        let piece = Piece::new("\u{1b}[2Jbye\n\u{202e}x", Tone::Bad);
        assert_eq!(piece.text, r"\u{1b}[2Jbye\n\u{202e}x");
    }

    #[test]
    fn columns_are_dropped_by_rank_but_the_sorted_one_stays() {
        let columns = [text("a", 4, 0).growing(6), figure("b", 4, 2), figure("c", 4, 1)];
        let widths = |width, keep| fit(&columns, width, keep).columns;
        assert_eq!(widths(20, 0), [(0, 10), (1, 4), (2, 4)]);
        assert_eq!(widths(13, 0), [(0, 8), (2, 4)]);
        assert_eq!(widths(13, 1), [(0, 8), (1, 4)]);
        assert_eq!(widths(3, 0), [(0, 4)]);
    }
}
