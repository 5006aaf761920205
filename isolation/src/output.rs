//! What a child prints: line by line for the log, up to a bound for each job, and the last of it
//! for the report on its death.

use simple_dist_protocol::limits;

/// So much of a job's output goes to the log.
const LOGGED: usize = 64 * 1024;
/// A line is cut into lines of this length.
const LINE: usize = 4 * 1024;
/// So much of the headline is kept.
const HEADLINE: usize = 512;

/// The first line of a backtrace; those below are indented, or notes.
const BACKTRACE: &str = "stack backtrace:";

/// What has been printed.
#[derive(Debug)]
pub(crate) struct Output {
    /// The beginning of a line that has not ended.
    line: Vec<u8>,
    /// The last of it.
    tail: Vec<u8>,
    /// The last line that is not of a backtrace: what happened.
    headline: String,
    /// What of this job may yet be logged.
    left: usize,
    /// Whether there was ever any.
    pub(crate) any: bool,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self { line: vec![], tail: vec![], headline: String::new(), left: LOGGED, any: false }
    }

    /// A new job prints from now on.
    pub(crate) fn begin(&mut self) {
        self.tail.clear();
        self.headline.clear();
        self.left = LOGGED;
    }

    /// Keeps this as if it had been the last of it.
    pub(crate) fn keep(&mut self, bytes: &[u8]) {
        let most = 2 * limits::CRASH_OUTPUT_BYTES;
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(most)..]);
        let excess = self.tail.len().saturating_sub(most);
        self.tail.drain(..excess);
    }

    /// Takes in what was printed.
    pub(crate) fn push(&mut self, bytes: &[u8], log: &mut dyn FnMut(&str)) {
        self.any = true;
        self.keep(bytes);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.left == 0 {
                self.headline.clear();
                return self.line.clear();
            }
            self.line.extend_from_slice(&piece[..piece.len().min(LINE)]);
            if piece.ends_with(b"\n") || self.line.len() >= LINE {
                self.end_line(log);
            }
        }
    }

    /// What is left of a line that nobody ends.
    pub(crate) fn end_line(&mut self, log: &mut dyn FnMut(&str)) {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if text.is_empty() || self.left == 0 {
            return;
        }
        if ![" ", "note: ", BACKTRACE].iter().any(|start| text.starts_with(start)) {
            text[..text.floor_char_boundary(HEADLINE)].clone_into(&mut self.headline);
        }
        log(text);
        self.left = self.left.saturating_sub(line.len());
        if self.left == 0 {
            log("(it prints more than is logged of one job)");
        }
    }

    /// The last of it, as text, after its headline.
    pub(crate) fn tail(&self) -> String {
        let last = |most| {
            let tail = &self.tail[self.tail.len().saturating_sub(most)..];
            String::from_utf8_lossy(tail).trim().to_owned()
        };
        let tail = last(limits::CRASH_OUTPUT_BYTES);
        if tail.contains(&self.headline) {
            return tail;
        }
        let above = format!("{}\n[...]\n", self.headline);
        let below = last(limits::CRASH_OUTPUT_BYTES - above.len());
        above + &below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_logged_whole_and_the_last_without_an_end_as_well() {
        let (mut output, mut logged) = (Output::new(), vec![]);
        let mut log = |line: &str| logged.push(line.to_owned());
        output.push(b"one\ntw", &mut log);
        output.push(b"o\n\n\xffthree", &mut log);
        output.end_line(&mut log);
        assert_eq!(logged, ["one", "two", "\u{fffd}three"]);
        assert_eq!(output.tail(), "one\ntwo\n\n\u{fffd}three");
    }

    #[test]
    fn what_happened_is_kept_above_a_long_backtrace() {
        let (mut output, happened) = (Output::new(), "memory allocation of 9 bytes failed");
        output.push(format!("before\n{happened}\n{BACKTRACE}\n").as_bytes(), &mut |_| {});
        output.push("   0: frame\n      at ./file.rs\n".repeat(3).as_bytes(), &mut |_| {});
        assert!(output.tail().starts_with(&format!("before\n{happened}\n{BACKTRACE}\n   0:")));
        output.push("   9: frame\n      at ./file.rs\n".repeat(99).as_bytes(), &mut |_| {});
        output.push(b"note: Some details are omitted\n", &mut |_| {});
        let tail = output.tail();
        assert!(tail.starts_with(&format!("{happened}\n[...]\n")), "{tail}");
        assert!(tail.ends_with("are omitted") && tail.len() <= limits::CRASH_OUTPUT_BYTES);
        output.begin();
        assert_eq!(output.tail(), "");
    }

    #[test]
    fn of_much_output_the_first_is_logged_and_the_last_is_kept_for_each_job() {
        let (mut output, mut logged) = (Output::new(), vec![]);
        let chunk = [b'x'; 64 * 1024];
        for job in 1..=2 {
            for _ in 0..100 {
                output.push(&chunk, &mut |line| logged.push(line.len()));
            }
            output.push(b"the end\n", &mut |_| panic!("no more of it"));
            assert!(output.tail().ends_with("xthe end"));
            assert!(output.tail().len() <= limits::CRASH_OUTPUT_BYTES);
            assert!(logged.iter().sum::<usize>() <= job * (LOGGED + 2 * LINE));
            output.begin();
        }
        assert!(output.line.is_empty() && output.tail.is_empty());
    }
}
