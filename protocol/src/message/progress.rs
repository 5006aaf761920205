//! How far jobs are.

use std::fmt::{self, Display, Write as _};

use serde::{Deserialize, Serialize};

use crate::limits::PROGRESS_TEXT;
use crate::{Attempt, JobKey, WorkerId};

/// How far a job is, as its function says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// From 0 to 1.
    pub fraction: f32,
    /// In its own words, at most 200 bytes.
    pub text: String,
}

impl Progress {
    /// Within the bounds of both: what is no number is 0, and longer text is cut.
    ///
    /// ```
    /// # use simple_dist_protocol::message::Progress;
    /// let progress = Progress::new(1.5, format_args!("row {} of {}", 3, 2));
    /// assert_eq!(progress, Progress { fraction: 1.0, text: "row 3 of 2".to_owned() });
    /// ```
    pub fn new(fraction: f32, text: impl Display) -> Self {
        let fraction = if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) };
        let mut progress = Self { fraction, text: String::new() };
        // It fails where there is no more room, and where the text itself does.
        let _cut = write!(Bounded(&mut progress.text), "{text}");
        progress
    }
}

/// Takes what has room.
struct Bounded<'a>(&'a mut String);

impl fmt::Write for Bounded<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = text.floor_char_boundary(PROGRESS_TEXT - self.0.len());
        self.0.push_str(&text[..room]);
        if room < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

/// How far attempts are that run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progressed {
    /// The worker.
    pub worker: WorkerId,
    /// 1 to 256 attempts.
    pub jobs: Vec<ProgressedJob>,
}

/// How far one attempt is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProgressedJob {
    /// The job.
    pub key: JobKey,
    /// The attempt.
    pub attempt: Attempt,
    /// How far it is.
    pub progress: Progress,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_is_from_0_to_1_and_text_is_cut_between_characters() {
        let fraction = |said| Progress::new(said, "").fraction;
        assert_eq!([0.4, 7.0, -1.0, f32::NAN].map(fraction), [0.4, 1.0, 0.0, 0.0]);
        let text = |x| Progress::new(0.0, format_args!("{x}{}{x}", "ä".repeat(99))).text;
        assert_eq!(["", "x", "xx", "xxx"].map(text).map(|text| text.len()), [198, 200, 200, 199]);
    }
}
