//! What the last minute was like: of all functions, and of those that a person asks about.

use std::cmp::Reverse;

use crate::view::{Minute, MinuteOf, Seconds};

/// The most functions told of a minute, and the most of them because they failed.
const TOLD: (usize, usize) = (4, 2);

/// Keeps those functions of a minute that failed most, then those that were slowest.
pub(super) fn minute(
    unix: u64,
    (wait_p95, run_p95): (Option<Seconds>, Option<Seconds>),
    mut all: Vec<MinuteOf>,
) -> Minute {
    let (most, failing) = TOLD;
    all.sort_by_key(|of| Reverse(of.failed));
    let slow = all.split_off(all.iter().take(failing).take_while(|of| of.failed > 0).count());
    let mut functions = all;
    let mut slow: Vec<MinuteOf> = slow;
    let micros = |span: Option<Seconds>| span.map_or(0, |span| (span.0 * 1e6) as u64);
    slow.sort_by_key(|of| Reverse(micros(of.wait_p95) + micros(of.run_p95)));
    functions.extend(slow.into_iter().take(most - functions.len()));
    Minute { unix, wait_p95, run_p95, functions }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failing_and_the_slow_are_told_and_the_many_are_not() {
        let of = |name: &str, failed, seconds| MinuteOf {
            function: name.into(),
            ended: 100,
            failed,
            wait_p95: None,
            run_p95: Some(Seconds(seconds)),
        };
        let mut all: Vec<MinuteOf> = (0..100).map(|_| of("quick@1", 0, 0.001)).collect();
        all.extend([of("a@1", 1, 0.1), of("b@1", 3, 0.1), of("c@1", 2, 0.1)]);
        all.extend([of("slow@1", 0, 9.0), of("slower@1", 0, 20.0)]);
        let minute = minute(60, (None, None), all);
        let told: Vec<_> = minute.functions.iter().map(|of| &*of.function).collect();
        assert_eq!(told, ["b@1", "c@1", "slower@1", "slow@1"]);
    }
}
