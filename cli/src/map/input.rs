//! What `map` calls a function with: a range, or lines of a file or of stdin, read as they are
//! needed.

use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread;

use serde_json::Value;
use simple_dist_protocol::{limits, text};
use tokio::sync::mpsc;

use crate::call::{self, SHOWN};
use crate::exit::Failure;

/// The longest line: an argument as long as may be, in base64 or with blanks.
const LINE: usize = 2 * limits::ARGUMENT_BYTES;
/// What is read ahead: entries, and about as many bytes.
const AHEAD: (usize, usize) = (256, 1 << 20);

/// The longest file whose lines are counted.
const COUNTED: u64 = 256 << 20;

/// One value to call with.
#[derive(Debug, PartialEq)]
pub(crate) struct Entry {
    /// Which it is, for people: `numbers.txt, line 3 (20)`.
    pub(crate) name: String,
    /// The line it was read from.
    pub(crate) line: Option<u64>,
    /// Its bytes, about.
    pub(crate) size: usize,
    /// The value, or what is wrong with the line.
    pub(crate) argument: Result<Value, String>,
}

/// Where they come from.
pub(crate) enum Input {
    Range(Range<i128>),
    Lines {
        ahead: std::vec::IntoIter<Entry>,
        more: mpsc::Receiver<Result<Vec<Entry>, Failure>>,
        /// What they are read from, if it can be read twice.
        file: Option<PathBuf>,
    },
}

impl Input {
    /// Opens what was named: a range, a file, or `-` for stdin.
    pub(crate) fn open(named: &str) -> Result<Self, Failure> {
        if named == "-" {
            return Self::read(io::stdin(), None);
        }
        if let Some((first, last)) = named.split_once("..")
            && !Path::new(named).exists()
            && !named.contains('/')
        {
            return range(named, first, last).map(Self::Range).map_err(Failure::usage);
        }
        let file = File::open(named).map_err(|error| {
            let what = text::line(named, SHOWN);
            Failure::usage(if named.starts_with('-') {
                format!("{what} is no option of `map`, and as a file: {error}")
            } else {
                format!("{what} is no range like 0..45, and as a file: {error}")
            })
        })?;
        Self::read(file, Some(named))
    }

    fn read(source: impl Read + Send + 'static, file: Option<&str>) -> Result<Self, Failure> {
        let (send, more) = mpsc::channel(1);
        let path = file.map(PathBuf::from);
        let file = file.map(|name| text::line(name, SHOWN).to_string());
        // Not waited for: it may read from a terminal for ever, and ends with the process.
        thread::Builder::new()
            .name("input".to_owned())
            .spawn(move || read_all(BufReader::new(source), file.as_deref(), &send))
            .map_err(Failure::configuration)?;
        Ok(Self::Lines { ahead: Vec::new().into_iter(), more, file: path })
    }

    /// How many there are, if that is known: the lines of a file are counted.
    pub(crate) fn count(&self) -> Option<u64> {
        match self {
            Self::Range(range) => u64::try_from(range.end - range.start).ok(),
            Self::Lines { file, .. } => file.as_deref().and_then(lines),
        }
    }

    /// The next, as soon as it is there.
    pub(crate) async fn next(&mut self) -> Result<Option<Entry>, Failure> {
        match self {
            Self::Range(range) => Ok(range.next().map(Entry::number)),
            Self::Lines { ahead, more, file: _ } => loop {
                if let Some(entry) = ahead.next() {
                    return Ok(Some(entry));
                }
                match more.recv().await {
                    None => return Ok(None),
                    Some(batch) => *ahead = batch?.into_iter(),
                }
            },
        }
    }
}

impl Entry {
    fn number(number: i128) -> Self {
        let value = i64::try_from(number).map(Value::from);
        let value = value.or_else(|_| u64::try_from(number).map(Value::from));
        let argument = value.map_err(|_| "over 64 bits".to_owned());
        Self { name: format!("({number})"), line: None, size: size_of::<u64>(), argument }
    }

    fn line(file: Option<&str>, number: u64, line: &[u8]) -> Self {
        let shown = String::from_utf8_lossy(line);
        let name = format!("line {number} ({})", text::line(shown.trim(), SHOWN));
        let name = file.map_or(name.clone(), |file| format!("{file}, {name}"));
        let argument = if line.len() > LINE {
            Err(format!("longer than {LINE} bytes, which no argument may be"))
        } else {
            call::parse(line)
        };
        Self { name, line: Some(number), size: line.len(), argument }
    }
}

/// How many lines of a file are not blank, if it is one that can be read twice, and soon.
fn lines(path: &Path) -> Option<u64> {
    let is_short = |file: &Metadata| file.is_file() && file.len() <= COUNTED;
    path.metadata().ok().filter(is_short)?;
    let mut file = BufReader::new(File::open(path).ok()?);
    let mut count = 0;
    while let Some(line) = read_line(&mut file).ok()? {
        count += u64::from(!line.trim_ascii().is_empty());
    }
    Some(count)
}

/// Reads to the end, or until nobody wants more.
fn read_all(
    mut source: BufReader<impl Read>,
    file: Option<&str>,
    entries: &mpsc::Sender<Result<Vec<Entry>, Failure>>,
) {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    let mut end = None;
    for number in 1.. {
        let line = match read_line(&mut source) {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(error) => {
                let file = file.unwrap_or("stdin");
                end = Some(Failure::usage(format_args!("{file} cannot be read: {error}")));
                break;
            }
        };
        let line = if number == 1 { line.strip_prefix(BOM).unwrap_or(&line) } else { &line };
        if !line.trim_ascii().is_empty() {
            bytes += line.len();
            batch.push(Entry::line(file, number, line));
        }
        // The next line may be long in coming.
        let full = batch.len() >= AHEAD.0 || bytes >= AHEAD.1;
        let pause = !source.buffer().contains(&b'\n') && !batch.is_empty();
        if full || pause {
            bytes = 0;
            if entries.blocking_send(Ok(std::mem::take(&mut batch))).is_err() {
                return;
            }
        }
    }
    for last in [Ok(batch)].into_iter().chain(end.map(Err)) {
        // What is not taken is not wanted any more.
        let _unwanted = entries.blocking_send(last);
    }
}

/// What some editors begin a file with.
const BOM: &[u8] = "\u{feff}".as_bytes();

/// A line without its end, none at the end of all. Of one that is too long only the beginning is
/// kept, one byte more than [`LINE`] long.
fn read_line(source: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let most = LINE as u64 + 1;
    if source.by_ref().take(most).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.ends_with(b"\n") {
        line.pop();
    } else if line.len() > LINE {
        source.skip_until(b'\n')?;
    }
    Ok(Some(line))
}

/// A range as in Rust: `0..45`, `0..=45`.
fn range(named: &str, first: &str, last: &str) -> Result<Range<i128>, String> {
    let (dots, last) = last.strip_prefix('=').map_or(("..", last), |last| ("..=", last));
    let number = |text: &str, which| -> Result<i128, String> {
        let shown = text::line(text, SHOWN);
        match text.parse::<i128>() {
            Ok(number) if (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&number) => {
                Ok(number)
            }
            Ok(_) => Err(format!("the {which} of {named} has more than 64 bits")),
            Err(_) if text.is_empty() => {
                Err(format!("{named} has no {which}: a range is like 0..45"))
            }
            Err(_) => {
                let named = text::line(named, SHOWN);
                Err(format!("{named} is no range: {shown} is no whole number"))
            }
        }
    };
    let (first, last) = (number(first, "beginning")?, number(last, "end")?);
    let range = first..last + i128::from(dots == "..=");
    match range.is_empty() {
        false => Ok(range),
        true if first == last => Err(format!("{named} is empty: did you mean {first}..={last}?")),
        true => Err(format!("{named} is empty: did you mean {last}{dots}{first}?")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entries(text: &[u8]) -> Vec<(String, Option<Value>)> {
        let (send, mut more) = mpsc::channel(64);
        read_all(BufReader::with_capacity(8, text), None, &send);
        drop(send);
        let mut entries = Vec::new();
        while let Some(batch) = more.blocking_recv() {
            let batch = batch.unwrap().into_iter();
            entries.extend(batch.map(|entry| (entry.name, entry.argument.ok())));
        }
        entries
    }

    #[track_caller]
    fn check(text: impl AsRef<[u8]>, expected: &[(&str, Option<Value>)]) {
        let read = entries(text.as_ref());
        let expected: Vec<_> =
            expected.iter().map(|(name, v)| ((*name).to_owned(), v.clone())).collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn lines_are_values_however_they_end() {
        check("", &[]);
        check("\n \r\n\t\n", &[]);
        check(
            "1\n\n2\r\n3",
            &[
                ("line 1 (1)", Some(json!(1))),
                ("line 3 (2)", Some(json!(2))),
                ("line 4 (3)", Some(json!(3))),
            ],
        );
        check("\u{feff}[1]\n", &[("line 1 ([1])", Some(json!([1])))]);
    }

    #[test]
    fn a_bad_line_is_named_and_the_next_is_read() {
        check(
            b"x\n\xff\n\0\n7\n",
            &[
                ("line 1 (x)", None),
                ("line 2 (\u{fffd})", None),
                (r"line 3 (\u{0})", None),
                ("line 4 (7)", Some(json!(7))),
            ],
        );
    }

    #[test]
    fn a_line_has_a_bound() {
        let exact = format!("\"{}\"", "x".repeat(LINE - 2));
        let long = format!("{exact}x");
        let read = entries(format!("{exact}\n{long}\n1\n{long}").as_bytes());
        let right: Vec<bool> = read.iter().map(|(_, argument)| argument.is_some()).collect();
        assert_eq!(right, [true, false, true, false]);
        assert!(read.iter().all(|(name, _)| name.len() < 4 * SHOWN));
    }

    #[test]
    fn the_lines_of_a_file_are_counted_and_those_of_a_device_are_not() {
        let file =
            std::env::temp_dir().join(format!("counted-{}", simple_dist_protocol::JobId::new()));
        std::fs::write(&file, "1\n\n2\n3").unwrap();
        assert_eq!(lines(&file), Some(3));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(lines(Path::new("/dev/zero")), None);
    }

    #[test]
    fn ranges_are_written_as_in_rust() {
        let of = |text: &str| {
            let (first, last) = text.split_once("..").unwrap();
            range(text, first, last)
        };
        assert_eq!(of("0..45"), Ok(0..45));
        assert_eq!(of("0..=45"), Ok(0..46));
        assert_eq!(of("-2..2"), Ok(-2..2));
        assert_eq!(of("18446744073709551615..=18446744073709551615").map(Iterator::count), Ok(1));
        for (text, said) in [
            ("45..0", "45..0 is empty: did you mean 0..45?"),
            ("0..0", "0..0 is empty: did you mean 0..=0?"),
            ("0..x", "0..x is no range: x is no whole number"),
            ("0.5..2", "0.5..2 is no range: 0.5 is no whole number"),
            ("..5", "..5 has no beginning: a range is like 0..45"),
            ("5..", "5.. has no end: a range is like 0..45"),
            ("0..18446744073709551616", "the end of 0..18446744073709551616 has more than 64 bits"),
        ] {
            assert_eq!(of(text), Err(said.to_owned()));
        }
    }
}
