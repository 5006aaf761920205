//! Formats numbers in few characters, so that columns stay aligned.

use simple_dist_distributor::view::Seconds;

/// A duration in at most five characters: `0.3ms`, `42ms`, `1.2s`, `34s`, `1m15`, `3h02`, `12d`.
pub(crate) fn span(span: Seconds) -> String {
    let seconds = span.0.max(0.0);
    if seconds > 0.0 && seconds < 0.000_095 {
        return format!("{:.0}µs", seconds * 1e6);
    }
    if seconds < 0.00995 {
        return format!("{:.1}ms", seconds * 1e3);
    }
    if seconds < 0.9995 {
        return format!("{:.0}ms", seconds * 1e3);
    }
    if seconds < 9.95 {
        return format!("{seconds:.1}s");
    }
    match seconds.round() as u64 {
        seconds @ 0..100 => format!("{seconds}s"),
        seconds @ 100..600 => format!("{}m{:02}", seconds / 60, seconds % 60),
        seconds @ 600..6000 => format!("{}m", seconds / 60),
        seconds @ 6000..36_000 => format!("{}h{:02}", seconds / 3600, seconds / 60 % 60),
        seconds @ 36_000..360_000 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// A duration, or a dash.
pub(crate) fn span_or_dash(span_or_none: Option<Seconds>) -> String {
    span_or_none.map_or_else(|| "-".to_owned(), span)
}

/// A count in at most six characters: `12`, `1,204`, `1,234k`, `12.3M`.
pub(crate) fn count(count: u64) -> String {
    match count {
        0..100_000 => exact(count),
        100_000..10_000_000 => format!("{}k", exact(count / 1000)),
        count => format!("{:.1}M", count as f64 / 1e6),
    }
}

/// An exact count: `1,204,567`.
pub(crate) fn exact(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate per second in at most seven characters; slow ones per minute.
pub(crate) fn rate(a_second: f64) -> String {
    if a_second <= 0.0 {
        "0".to_owned()
    } else if a_second < 9.95 / 60.0 {
        format!("{:.1}/m", a_second * 60.0)
    } else if a_second < 0.95 {
        format!("{:.0}/m", a_second * 60.0)
    } else if a_second < 99.5 {
        format!("{a_second:.1}/s")
    } else if a_second < 9_999.5 {
        format!("{a_second:.0}/s")
    } else {
        format!("{:.0}k/s", a_second / 1e3)
    }
}

/// A share between 0 and 1, in at most five characters.
pub(crate) fn share(of_one: f64) -> String {
    let percent = of_one * 100.0;
    if percent <= 0.0 {
        "0".to_owned()
    } else if percent < 9.95 {
        format!("{percent:.1}%")
    } else {
        format!("{percent:.0}%")
    }
}

/// A count with its noun: `1 job`, `40 jobs`.
pub(crate) fn some(count: u64, what: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{} {what}{ending}", exact(count))
}

/// The newest samples as a curve of `width` characters; each shows the highest value in its span.
pub(crate) fn curve(samples: &[f64], width: usize) -> String {
    const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    if samples.is_empty() || width == 0 {
        return String::new();
    }
    let each = samples.len().div_ceil(width);
    let peaks: Vec<f64> =
        samples.rchunks(each).map(|span| span.iter().copied().fold(0.0, f64::max)).collect();
    let highest = peaks.iter().copied().fold(0.0, f64::max);
    let step = |peak: &f64| {
        let height = if highest > 0.0 { peak / highest * 7.0 } else { 0.0 };
        STEPS[(height.round() as usize).min(7)]
    };
    peaks.iter().rev().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fit_into_five_characters() {
        for (seconds, text) in [
            (0.000_021, "21µs"),
            (0.0, "0.0ms"),
            (0.0003, "0.3ms"),
            (0.042, "42ms"),
            (0.9994, "999ms"),
            (1.23, "1.2s"),
            (34.0, "34s"),
            (130.0, "2m10"),
            (3000.0, "50m"),
            (10_920.0, "3h02"),
            (86_400.0, "24h"),
            (864_000.0, "10d"),
        ] {
            assert_eq!(span(Seconds(seconds)), text, "{seconds}");
        }
    }

    #[test]
    fn counts_and_rates_fit_their_columns() {
        let counts = [0, 1204, 99_999, 1_234_567, 12_345_678].map(count);
        assert_eq!(counts, ["0", "1,204", "99,999", "1,234k", "12.3M"]);
        assert_eq!(exact(1_204_567), "1,204,567");
        let rates = [0.0, 0.1, 0.8, 4.62, 250.0, 12_345.0].map(rate);
        assert_eq!(rates, ["0", "6.0/m", "48/m", "4.6/s", "250/s", "12k/s"]);
        assert_eq!([0.0, 0.004, 1.0].map(share), ["0", "0.4%", "100%"]);
    }

    #[test]
    fn a_curve_ends_at_the_newest_sample_and_keeps_every_peak() {
        let mut samples = vec![0.0; 120];
        samples[119] = 4.0;
        samples[60] = 8.0;
        let curve = curve(&samples, 12);
        assert_eq!(curve, "▁▁▁▁▁▁█▁▁▁▁▅");
        assert_eq!(super::curve(&[], 12), "");
    }
}
