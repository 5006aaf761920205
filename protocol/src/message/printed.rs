//! What jobs print, as their worker shares it.

use serde::{Deserialize, Serialize};

use crate::limits::{PRINTED_BYTES, PRINTED_LINES};
use crate::{Address, JobId};

/// A line that a job printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Printed {
    /// The job.
    pub job: JobId,
    /// Its function.
    pub function: Address,
    /// The line, without its end.
    pub line: String,
}

impl Printed {
    /// With as much of the line as is passed on.
    ///
    /// ```
    /// # use simple_dist_protocol::message::Printed;
    /// # use simple_dist_protocol::{JobId, limits};
    /// let printed = Printed::new(JobId::from_u128(1), "fib@1".parse()?, &"ä".repeat(200));
    /// assert_eq!(printed.line.len(), limits::PRINTED_BYTES);
    /// # Ok::<(), simple_dist_protocol::AddressError>(())
    /// ```
    pub fn new(job: JobId, function: Address, line: &str) -> Self {
        let line = line[..line.floor_char_boundary(PRINTED_BYTES)].to_owned();
        Self { job, function, line }
    }

    /// Drops what is over the limits: the oldest lines, and the ends of long ones.
    pub fn curb(lines: &mut Vec<Self>) {
        lines.drain(..lines.len().saturating_sub(PRINTED_LINES));
        for Self { line, .. } in lines {
            line.truncate(line.floor_char_boundary(PRINTED_BYTES));
            line.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_lines_the_last_are_kept_and_of_long_ones_the_beginnings() {
        let line = |number: usize| format!("{number} {}", "x".repeat(PRINTED_BYTES * number));
        let of = |number| Printed {
            job: JobId::from_u128(1),
            function: "fib@1".parse().unwrap(),
            line: line(number),
        };
        let mut lines = (0..PRINTED_LINES + 2).map(of).collect();
        Printed::curb(&mut lines);
        assert_eq!(lines.len(), PRINTED_LINES);
        assert!(lines.iter().all(|it| it.line.len() == PRINTED_BYTES));
        assert!(lines[0].line.starts_with("2 x"));
    }
}
