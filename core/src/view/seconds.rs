//! Durations, for the API and for people.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A duration in seconds, to the microsecond.
///
/// ```
/// use std::time::Duration;
/// use simple_dist_core::view::Seconds;
///
/// assert_eq!(Seconds::from(Duration::from_micros(340)).to_string(), "0.3 ms");
/// assert_eq!(Seconds::from(Duration::from_millis(1230)).to_string(), "1.2 s");
/// assert_eq!(Seconds::from(Duration::from_secs(75)).to_string(), "1 min 15 s");
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Seconds(pub f64);

impl From<Duration> for Seconds {
    fn from(span: Duration) -> Self {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        Self(micros as f64 / 1e6)
    }
}

/// Two significant digits and the unit: `21 µs`, `0.3 ms`, `42 ms`, `1.2 s`, `34 s`, `1 min 15 s`, `3 h`.
impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.max(0.0);
        if seconds > 0.0 && seconds < 0.000_095 {
            write!(f, "{:.0} µs", seconds * 1e6)
        } else if seconds < 0.00995 {
            write!(f, "{:.1} ms", seconds * 1e3)
        } else if seconds < 0.9995 {
            write!(f, "{:.0} ms", seconds * 1e3)
        } else if seconds < 9.95 {
            write!(f, "{seconds:.1} s")
        } else if seconds < 59.5 {
            write!(f, "{seconds:.0} s")
        } else {
            let seconds = seconds.round() as u64;
            match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
                (0, minutes, 0) => write!(f, "{minutes} min"),
                (0, minutes, seconds) => write!(f, "{minutes} min {seconds} s"),
                (hours, 0, _) => write!(f, "{hours} h"),
                (hours, minutes, _) => write!(f, "{hours} h {minutes} min"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_readable_at_every_scale() {
        for (seconds, text) in [
            (0.0, "0.0 ms"),
            (0.000_021, "21 µs"),
            (0.000_096, "0.1 ms"),
            (0.00034, "0.3 ms"),
            (0.00997, "10 ms"),
            (0.42, "420 ms"),
            (0.9996, "1.0 s"),
            (9.96, "10 s"),
            (34.2, "34 s"),
            (59.7, "1 min"),
            (75.0, "1 min 15 s"),
            (3600.0, "1 h"),
            (7320.0, "2 h 2 min"),
        ] {
            assert_eq!(Seconds(seconds).to_string(), text, "{seconds}");
        }
    }
}
