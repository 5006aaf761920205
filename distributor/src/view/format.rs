//! Formats numbers for people, with a stable width per kind so that a live display does not jump.

use super::{Percentiles, Seconds};

/// `1,234,567`.
pub(crate) fn count(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or(u64::MAX).to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `no jobs`, `1 job`, `1,234 jobs`.
pub(crate) fn many(number: impl TryInto<u64>, one: &str) -> String {
    match number.try_into().unwrap_or(u64::MAX) {
        0 => format!("no {one}s"),
        1 => format!("1 {one}"),
        number => format!("{} {one}s", count(number)),
    }
}

/// `fib@1`, `fib@1 and primes@1`, `fib@1, primes@1 and 3 more`.
pub(crate) fn list(names: &[impl AsRef<str>]) -> String {
    match names {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [one, two] => format!("{} and {}", one.as_ref(), two.as_ref()),
        [one, two, rest @ ..] => {
            format!("{}, {} and {} more", one.as_ref(), two.as_ref(), rest.len())
        }
    }
}

/// `2nd`.
pub(crate) fn nth(number: u32) -> String {
    let ending = match (number % 10, number % 100) {
        (1, tens) if tens != 11 => "st",
        (2, tens) if tens != 12 => "nd",
        (3, tens) if tens != 13 => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// A number with its unit apart, so that the unit can be set smaller.
pub(crate) struct Measure {
    pub(crate) number: String,
    pub(crate) unit: &'static str,
}

impl Measure {
    /// `4.6` `/s`; slow rates per minute.
    pub(crate) fn rate(per_second: f64) -> Self {
        if per_second >= 99.5 {
            Self { number: count(per_second.round() as u64), unit: "/s" }
        } else if per_second >= 9.95 {
            Self { number: format!("{per_second:.0}"), unit: "/s" }
        } else if per_second >= 0.2 {
            Self { number: format!("{per_second:.1}"), unit: "/s" }
        } else if per_second * 60.0 >= 0.5 {
            Self { number: format!("{:.0}", per_second * 60.0), unit: "/min" }
        } else {
            Self { number: "0".to_owned(), unit: "/s" }
        }
    }

    /// `0.4` `%`.
    pub(crate) fn share(share: f64) -> Self {
        let percent = share.clamp(0.0, 1.0) * 100.0;
        let number = if percent == 0.0 {
            "0".to_owned()
        } else if percent < 0.05 {
            "< 0.1".to_owned()
        } else if percent < 9.95 {
            format!("{percent:.1}")
        } else {
            format!("{percent:.0}")
        };
        Self { number, unit: "%" }
    }

    /// `1.4` `s`; a dash if nothing was measured.
    pub(crate) fn span(span: Option<Seconds>) -> Self {
        let Some(span) = span else { return Self { number: "-".to_owned(), unit: "" } };
        let text = span.to_string();
        match text.split_once(' ') {
            Some((number, "µs")) => Self { number: number.to_owned(), unit: "µs" },
            Some((number, "ms")) => Self { number: number.to_owned(), unit: "ms" },
            Some((number, "s")) => Self { number: number.to_owned(), unit: "s" },
            _ => Self { number: text, unit: "" },
        }
    }
}

impl std::fmt::Display for Measure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.number)?;
        if self.unit.is_empty() { Ok(()) } else { write!(f, " {}", self.unit) }
    }
}

/// `0.4 / 1.4 / 2.2 s`: with one unit if the three are of similar size.
pub(crate) fn percentiles(of: &Percentiles) -> Option<String> {
    let [p50, p95, p99] = [of.p50?, of.p95?, of.p99?];
    let near = p99.0 < 1.0 || (p50.0 >= 0.05 && p99.0 < 100.0);
    if !near {
        return Some(format!("{p50} / {p95} / {p99}"));
    }
    let (scale, unit) = match p99.0 {
        tiny if tiny > 0.0 && tiny < 0.000_95 => (1e6, "µs"),
        short if short < 1.0 => (1e3, "ms"),
        _ => (1.0, "s"),
    };
    let figures = |span: Seconds| match span.0 * scale {
        small if small < 9.95 && unit != "µs" => format!("{small:.1}"),
        large => format!("{large:.0}"),
    };
    Some(format!("{} / {} / {} {unit}", figures(p50), figures(p95), figures(p99)))
}

/// A live age, to a tenth of a second: `0.4 s`, `34 s`.
pub(crate) fn age(span: Seconds) -> String {
    if span.0 < 9.95 { format!("{:.1} s", span.0.max(0.0)) } else { span.to_string() }
}

/// An age in whole units, for lines that should change rarely.
pub(crate) fn coarse(span: Seconds) -> String {
    match span.0.max(0.0) {
        short if short < 59.5 => format!("{short:.0} s"),
        minutes if minutes < 3570.0 => format!("{:.0} min", minutes / 60.0),
        hours => format!("{:.0} h", hours / 3600.0),
    }
}

/// The time of day of a Unix time in milliseconds: `14:02:11 UTC`.
pub(crate) fn time_of_day(unix_ms: u64) -> String {
    let seconds = unix_ms / 1000 % 86_400;
    format!("{:02}:{:02}:{:02} UTC", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// `14:03`, UTC.
pub(crate) fn clock(unix: u64) -> String {
    format!("{:02}:{:02}", unix / 3600 % 24, unix / 60 % 60)
}

/// `Mon`, UTC.
pub(crate) fn weekday(unix: u64) -> &'static str {
    // The first of January 1970 was a Thursday.
    ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][(unix / 86_400 % 7) as usize]
}

/// How long before `now` something was; never negative, since clocks may differ.
pub(crate) fn ago(now_unix_ms: u64, unix_ms: u64) -> Seconds {
    Seconds(now_unix_ms.saturating_sub(unix_ms) as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable_at_every_scale() {
        assert_eq!(
            [0u64, 7, 999, 1000, 1_234_567].map(count),
            ["0", "7", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [0u32, 1, 40].map(|number| many(number, "job")),
            ["no jobs", "1 job", "40 jobs"]
        );
        assert_eq!(
            [1, 2, 3, 4, 11, 12, 21].map(nth),
            ["1st", "2nd", "3rd", "4th", "11th", "12th", "21st"]
        );
        assert_eq!(
            [0.0, 0.001, 0.1, 4.56, 44.4, 1234.5].map(|rate| Measure::rate(rate).to_string()),
            ["0 /s", "0 /s", "6 /min", "4.6 /s", "44 /s", "1,235 /s"]
        );
        assert_eq!(
            [0.0, 0.0001, 0.004, 0.5, 1.0].map(|share| Measure::share(share).to_string()),
            ["0 %", "< 0.1 %", "0.4 %", "50 %", "100 %"]
        );
    }

    #[test]
    fn percentiles_share_a_unit_if_they_are_close() {
        let text = |p50, p95, p99| {
            let some = |span| Some(Seconds(span));
            percentiles(&Percentiles { p50: some(p50), p95: some(p95), p99: some(p99), count: 3 })
        };
        assert_eq!(text(0.000_002, 0.000_021, 0.000_3).as_deref(), Some("2 / 21 / 300 µs"));
        assert_eq!(text(0.002, 0.009, 0.02).as_deref(), Some("2.0 / 9.0 / 20 ms"));
        assert_eq!(text(0.4, 1.4, 12.0).as_deref(), Some("0.4 / 1.4 / 12 s"));
        assert_eq!(text(0.002, 1.4, 75.0).as_deref(), Some("2.0 ms / 1.4 s / 1 min 15 s"));
        assert_eq!(percentiles(&Percentiles::default()), None);
    }

    #[test]
    fn ages_are_rounded_by_size() {
        assert_eq!(
            [0.04, 3.21, 34.2, 75.0].map(|s| age(Seconds(s))),
            ["0.0 s", "3.2 s", "34 s", "1 min 15 s"]
        );
        assert_eq!(
            [0.4, 3.7, 75.0, 7300.0].map(|s| coarse(Seconds(s))),
            ["0 s", "4 s", "1 min", "2 h"]
        );
    }

    #[test]
    fn the_time_of_day_is_utc() {
        assert_eq!(time_of_day(1_700_000_000_123), "22:13:20 UTC");
        assert_eq!(ago(1000, 2000), Seconds(0.0));
    }
}
