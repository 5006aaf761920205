//! Logs go to stderr, as text for people and as JSON for collectors.

use std::fmt;
use std::io::{self, IsTerminal};

use simple_dist_protocol::{panic_log, text};
use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::{FormatFields, MakeWriter, SubscriberBuilder, format};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The most characters shown of one field: backtraces are long.
const SHOWN: usize = 20_000;

/// Starts logging. Services log what happens; tools only errors.
pub(crate) fn start(service: bool) {
    let default = if service { LevelFilter::INFO } else { LevelFilter::ERROR };
    let wanted = std::env::var("RUST_LOG").ok().and_then(|wanted| wanted.parse().ok());
    let mut filter = wanted.unwrap_or_else(|| Targets::new().with_default(default));
    // The link reports what matters from the broker's client library.
    if !filter.iter().any(|(target, _)| target.starts_with("lapin")) {
        filter = filter.with_target("lapin", LevelFilter::OFF);
    }
    if simple_dist_worker::is_child() {
        // Its parent logs these lines.
        for_people(std::io::stderr).with_ansi(false).without_time().finish().with(filter).init();
    } else if std::io::stderr().is_terminal() {
        for_people(std::io::stderr).finish().with(filter).init();
    } else {
        for_collectors(std::io::stderr).finish().with(filter).init();
    }
    if service {
        panic_log::everything();
    }
}

/// Everything; a filter is put on it.
fn for_people<W: for<'a> MakeWriter<'a> + 'static>(
    writer: W,
) -> SubscriberBuilder<Shown, format::Format, LevelFilter, W> {
    let log = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_target(false);
    log.fmt_fields(Shown).with_writer(writer)
}

/// JSON in which terminal control characters are escaped.
fn for_collectors<W: io::Write>(
    writer: impl Fn() -> W + Send + Sync + 'static,
) -> SubscriberBuilder<
    format::JsonFields,
    format::Format<format::Json>,
    LevelFilter,
    impl for<'a> MakeWriter<'a> + 'static,
> {
    let log = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE);
    log.with_writer(move || Escaping(writer())).json()
}

/// Writes each line of JSON in one piece.
struct Escaping<W>(W);

impl<W: io::Write> io::Write for Escaping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(text::escape_json(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Writes fields escaped for a terminal, whatever their source.
struct Shown;

impl<'w> FormatFields<'w> for Shown {
    fn format_fields<R: RecordFields>(&self, writer: format::Writer<'w>, fields: R) -> fmt::Result {
        let mut line = Line { writer, begun: false, result: Ok(()) };
        fields.record(&mut line);
        line.result
    }
}

struct Line<'w> {
    writer: format::Writer<'w>,
    begun: bool,
    result: fmt::Result,
}

impl Line<'_> {
    fn write(&mut self, field: &Field, value: &str) -> fmt::Result {
        if std::mem::replace(&mut self.begun, true) {
            self.writer.write_char(' ')?;
        }
        let value = text::line(value, SHOWN);
        match field.name() {
            "message" => write!(self.writer, "{value}"),
            name if self.writer.has_ansi_escapes() => {
                write!(self.writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m{value}")
            }
            name => write!(self.writer, "{name}={value}"),
        }
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if self.result.is_ok() {
            self.result = self.write(field, value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Fields that the bridge from the `log` crate adds.
        if !field.name().starts_with("log.") {
            self.record_str(field, &format!("{value:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A buffer for what was written.
    #[derive(Debug, Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        fn text(self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    /// Hostile text: a new line, a colour, a change of direction, invisible characters.
    const EVIL: &str =
        "a\r\nb\u{1b}[2J\u{9b}1m\u{61c}\u{200e}\u{200b}\u{202e}\u{2028}\u{2066}\u{e0041}";

    #[test]
    fn foreign_text_is_escaped_in_the_log() {
        let written = Written::default();
        let writer = written.clone();
        let log = for_people(move || writer.clone()).with_ansi(false);
        tracing::subscriber::with_default(log.finish(), || {
            let error = io::Error::other(EVIL);
            let (source, text) = (&error as &(dyn std::error::Error + 'static), EVIL);
            tracing::warn!(source, text, shown = %EVIL, debug = ?error, count = 7, "of {EVIL}");
        });
        let text = written.text();
        let line = text.strip_suffix('\n').unwrap();
        assert!(line.chars().all(text::is_plain), "{line}");
        let evil = text::line(EVIL, 200).to_string();
        assert_eq!(line.matches(&evil).count(), 5, "{line}");
        assert!(line.contains("count=7"), "{line}");
    }

    #[test]
    fn a_json_log_has_only_the_escapes_of_json() {
        let written = Written::default();
        let writer = written.clone();
        let log = for_collectors(move || writer.clone());
        tracing::subscriber::with_default(log.finish(), || tracing::warn!(text = EVIL, "{EVIL}"));
        let text = written.text();
        assert!(text.trim_end().chars().all(text::is_plain), "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&line["fields"]["text"], &line["fields"]["message"]),
            (&EVIL.into(), &EVIL.into())
        );
    }
}
