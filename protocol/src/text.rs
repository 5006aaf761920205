//! Makes foreign text safe to show: panic messages, host names, errors.
//!
//! Control characters, bidirectional overrides and invisible characters are shown as escapes, and
//! long text is cut.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io;

use serde::{Deserialize, Serialize};
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// The most characters shown of one text.
pub const SHOWN: usize = 2_000;

/// Text that is only looked at, where it is read from if that can be.
#[derive(Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// One line of text: see [`line()`].
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    text: &'a str,
    most: usize,
}

/// Text as one line of about `most` characters at most, followed by how much is missing.
///
/// ```
/// use simple_dist_protocol::text;
///
/// assert_eq!(text::line("\u{1b}[2Jdone\n", 80).to_string(), r"\u{1b}[2Jdone\n");
/// assert_eq!(text::line("a long story", 6).to_string(), "a long… (6 more bytes)");
/// ```
pub fn line(text: &str, most: usize) -> Line<'_> {
    Line { text, most }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = 0;
        for (at, c) in self.text.char_indices() {
            let escaped = (!is_plain(c)).then(|| c.escape_default());
            shown += escaped.as_ref().map_or(1, ExactSizeIterator::len);
            if shown > self.most {
                return write!(f, "… ({} more bytes)", self.text.len() - at);
            }
            match escaped {
                None => f.write_char(c)?,
                Some(escaped) => escaped.fmt(f)?,
            }
        }
        Ok(())
    }
}

/// Whether a character is visible and has no other effect.
pub fn is_plain(c: char) -> bool {
    !(c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
            // Fillers, which look like blanks or like nothing.
            | '\u{115f}'..='\u{1160}' | '\u{3164}' | '\u{ffa0}'
            // Joiners, directional marks and overrides, line and paragraph separators.
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fff9}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            // Tags and variation selectors, in which whole messages can be hidden.
            | '\u{e0000}'..='\u{e0fff}'))
}

/// JSON in which every character that is not plain is escaped: the same value, safe in a terminal.
///
/// ```
/// use simple_dist_protocol::text;
///
/// assert_eq!(text::json(&"\u{1b}\u{7f}\u{202e}ü")?, r#""\u001b\u007f\u202eü""#);
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// # Errors
/// Fails if the value cannot be encoded, for example a map with keys that are not text.
pub fn json<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<String> {
    let mut written = Vec::new();
    write_json(value, &mut written)?;
    Ok(String::from_utf8(written).expect("JSON is UTF-8"))
}

/// Escapes existing lines of JSON in the same way.
pub fn escape_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if is_plain(c) || c == '\n' {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(escaped, "\\u{unit:04x}").expect("text takes any text");
            }
        }
    }
    escaped
}

/// The same, into a writer.
pub(crate) fn write_json<T: Serialize + ?Sized>(
    value: &T,
    to: impl io::Write,
) -> serde_json::Result<()> {
    value.serialize(&mut Serializer::with_formatter(to, Escaping(CompactFormatter)))
}

struct Escaping(CompactFormatter);

impl Formatter for Escaping {
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        match fragment.chars().all(is_plain) {
            true => self.0.write_string_fragment(writer, fragment),
            false => self.0.write_string_fragment(writer, &escape_json(fragment)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_steers_or_hides_is_an_escape() {
        for (text, shown) in [
            ("plain, größer 日本 👍", "plain, größer 日本 👍"),
            ("\0\t\r\n\u{1b}", r"\u{0}\t\r\n\u{1b}"),
            ("\u{7f}\u{9b}31m", r"\u{7f}\u{9b}31m"),
            ("a\u{202e}b\u{2066}\u{200b}\u{feff}", r"a\u{202e}b\u{2066}\u{200b}\u{feff}"),
            ("\u{2028}\u{e0041}", r"\u{2028}\u{e0041}"),
            (r#"C:\new "x""#, r#"C:\new "x""#),
        ] {
            assert_eq!(line(text, 80).to_string(), shown);
        }
    }

    #[test]
    fn a_line_has_a_bound_however_it_is_escaped() {
        let long = "\u{1b}".repeat(10 << 20);
        let shown = line(&long, 100).to_string();
        assert_eq!(shown.chars().filter(|c| *c == '\\').count(), 16);
        assert!(shown.ends_with(&format!("… ({} more bytes)", (10 << 20) - 16)));
        assert_eq!(line("exact", 5).to_string(), "exact");
    }

    #[test]
    fn json_with_escapes_is_the_same_value() {
        let value = json!({"\u{1b}key": ["\u{85}\u{202e}", "\u{e0041}\0\"\\\n", "日本"], "n": 1.5});
        let written = super::json(&value).unwrap();
        assert!(written.chars().all(is_plain), "{written}");
        assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), value);
    }
}
