//! Prometheus' text format.

use std::fmt::Write as _;

use crate::view::Distribution;

/// Families of samples, in the order written.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// Begins a family; its samples follow.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    /// A sample of the current family.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels = Labels(labels);
        self.line(format_args!("{name}{labels} {value}"));
    }

    /// A family of one gauge.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    /// A family of one counter.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }

    /// A histogram of the current family.
    pub(super) fn histogram(&mut self, name: &str, labels: &[(&str, &str)], of: &Distribution) {
        let bucket = format!("{name}_bucket");
        let mut with_bound = |bound: &str, count: u64| {
            let labels = [labels, &[("le", bound)]].concat();
            self.sample(&bucket, &labels, count as f64);
        };
        for (bound, count) in &of.buckets {
            with_bound(&bound.to_string(), *count);
        }
        with_bound("+Inf", of.count);
        self.sample(&format!("{name}_sum"), labels, of.sum);
        self.sample(&format!("{name}_count"), labels, of.count as f64);
    }

    /// The whole text.
    pub(super) fn end(self) -> String {
        self.0
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing into memory does not fail.
        let _never = writeln!(self.0, "{line}");
    }
}

/// Labels in braces, or nothing. Values are escaped.
struct Labels<'a>(&'a [(&'a str, &'a str)]);

impl std::fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let begin = if index == 0 { '{' } else { ',' };
            let value = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            write!(f, "{begin}{name}=\"{value}\"")?;
        }
        if self.0.is_empty() { Ok(()) } else { f.write_char('}') }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut text = Text::default();
        text.sample("x", &[("a", "q\"b\\s\nn"), ("b", "<é>")], 1.5);
        assert_eq!(text.end(), "x{a=\"q\\\"b\\\\s\\nn\",b=\"<é>\"} 1.5\n");
    }

    #[test]
    fn a_histogram_is_cumulative_and_ends_with_everything() {
        let mut text = Text::default();
        let of = Distribution { buckets: vec![(0.1, 1), (1.0, 3)], count: 4, sum: 7.5 };
        text.histogram("x", &[("f", "g")], &of);
        assert_eq!(
            text.end(),
            "x_bucket{f=\"g\",le=\"0.1\"} 1\nx_bucket{f=\"g\",le=\"1\"} 3\n\
             x_bucket{f=\"g\",le=\"+Inf\"} 4\nx_sum{f=\"g\"} 7.5\nx_count{f=\"g\"} 4\n"
        );
    }
}
