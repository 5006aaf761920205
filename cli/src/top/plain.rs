//! The same content as plain text, for `--once`.

use simple_dist_protocol::text;

use super::data::Data;
use super::format::exact;
use super::status::{books, sentence, tiles};
use super::table::{Piece, fit, titles};
use super::tables::Table;

/// Everything, in lines of at most this width.
pub(crate) fn text(data: &Data, width: usize) -> String {
    let mut lines = vec![said(&sentence(data))];
    let numbers = tiles(data, 0).map(|tile| format!("{} {}", tile.title, tile.value)).join("   ");
    lines.extend([numbers, said(&books(data, usize::MAX))]);
    for which in Table::ALL {
        let (columns, sort) = (which.columns(), which.sort());
        let fit = fit(columns, width, sort.column);
        let mut rows = which.rows(data);
        sort.apply(&mut rows);
        lines.push(String::new());
        lines.push(said(&titles(columns, &fit, sort)));
        lines.extend(rows.iter().map(|row| said(&row.line(columns, &fit))));
        if rows.is_empty() {
            lines.push(format!("  {}", which.nothing()));
        }
    }
    let distributor = &data.status.distributor;
    lines.extend([
        String::new(),
        format!(
            "view {} of {}, version {}",
            exact(data.status.sequence),
            distributor.id,
            text::line(&distributor.version, text::SHOWN)
        ),
    ]);
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

fn said(pieces: &[Piece]) -> String {
    let line: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::sample::data;
    use super::*;

    #[test]
    fn plain_text_has_every_row_and_no_escape_sequences() {
        let text = text(&data(3), 160);
        for row in ["w-81c20004", "! render@3 no worker", "poisoned", "view 3 of d-"] {
            assert!(text.contains(row), "{row:?} is not in\n{text}");
        }
        assert!(text.contains("1,404 accepted = 40 queued + 3 placed + 12 running"));
        assert!(!text.contains('\u{1b}'));
        assert!(text.lines().all(|line| !line.ends_with(' ')));
    }
}
