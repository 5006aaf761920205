//! A search over a long list, and the pages of what it finds; both are in the page's address.

use serde::Deserialize;

use crate::view::format::count;

/// The rows of one page.
const PAGE: usize = 50;
/// The most characters of a search.
const TEXT: usize = 100;

/// What to show of a list.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Search {
    /// Words that a row must contain.
    #[serde(default)]
    pub(super) q: String,
    /// The number of the page, from 1.
    #[serde(default)]
    pub(super) page: String,
}

/// One page of what was found.
pub(super) struct Found<T> {
    pub(super) rows: Vec<T>,
    pub(super) pages: Pages,
}

/// Where a page stands among the others.
#[derive(Default)]
pub(super) struct Pages {
    /// `51 to 100 of 1,000`; nothing if one page shows all.
    pub(super) says: Option<String>,
    pub(super) before: Option<usize>,
    pub(super) after: Option<usize>,
}

impl Search {
    /// Those whose line contains every word.
    pub(super) fn all<T>(&self, all: Vec<T>, line: impl Fn(&T) -> String) -> Vec<T> {
        let words = self.q.chars().take(TEXT).collect::<String>().to_lowercase();
        let found = |one: &T| {
            let line = line(one).to_lowercase();
            words.split_whitespace().all(|word| line.contains(word))
        };
        all.into_iter().filter(found).collect()
    }

    /// Those of them that are on this page.
    pub(super) fn of<T>(&self, all: Vec<T>, line: impl Fn(&T) -> String) -> Found<T> {
        let rows = self.all(all, line);
        let (all, last) = (rows.len(), rows.len().div_ceil(PAGE).max(1));
        let page = self.page.parse().unwrap_or(1).clamp(1, last);
        let from = (page - 1) * PAGE;
        let rows: Vec<T> = rows.into_iter().skip(from).take(PAGE).collect();
        let [first, to, all] = [from + 1, from + rows.len(), all].map(|it| count(it as u64));
        let pages = Pages {
            says: (last > 1).then(|| format!("{first} to {to} of {all}")),
            before: (page > 1).then(|| page - 1),
            after: (page < last).then(|| page + 1),
        };
        Found { rows, pages }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_must_be_there_and_any_page_is_one() {
        let all: Vec<u32> = (0..120).collect();
        let found = |q: &str, page: &str| {
            let search = Search { q: q.to_owned(), page: page.to_owned() };
            let found = search.of(all.clone(), |one| format!("Number {one}"));
            let Pages { says, before, after } = found.pages;
            (found.rows.first().copied(), found.rows.len(), says, before, after)
        };
        let says = |text: &str| Some(text.to_owned());
        assert_eq!(found("", ""), (Some(0), 50, says("1 to 50 of 120"), None, Some(2)));
        let last = (Some(100), 20, says("101 to 120 of 120"), Some(2), None);
        assert_eq!(found("", "3"), last);
        assert_eq!(found("", "99"), last);
        assert_eq!(found("1 number 9", "-1"), (Some(19), 4, None, None, None));
        assert_eq!(found("letter", "2"), (None, 0, None, None, None));
    }
}
